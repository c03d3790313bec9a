// SPDX-License-Identifier: Apache-2.0
// The journal's next segment, made ahead: a file of zeros that are on the disk.
// A thread makes it, so that no decision waits for it; while there is none, the
// journal grows by appending, which is slower and otherwise the same.
//
// It is made when the auditor starts, and again each time it was used, if the
// file system has room for it and SPARE_LEAVE_BYTES more.
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_SPARE_H
#define VLT_AUDITOR_SPARE_H

#include <event2/event.h>

#include "libvault/base/fault.h"

#define SPARE_NAME "journal.spare"
#define SPARE_BYTES (16u << 20)
#define SPARE_LEAVE_BYTES (64u << 20)

// Makes the file, or leaves none behind. Slow.
vlt_result spare_make(int folder, struct fault *fault) VLT_MUST_USE;

struct log_file;
struct spare;
// Starts the thread. The file must outlive the spare.
vlt_result spare_new(struct event_base *base, struct log_file *file,
                     struct spare **ret_spare) VLT_MUST_USE;
void spare_free(struct spare *spare); // waits for the thread; NULL is fine
// Makes one if the log has none and none is being made; once a second is enough.
void spare_look(struct spare *spare);

#endif
