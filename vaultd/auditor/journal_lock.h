// SPDX-License-Identifier: Apache-2.0
// One writer for a journal. When everything was killed and started again, an old
// auditor can still be in the middle of a write that the disk holds up; whoever
// wrote to the same place meanwhile would lose entries that were acknowledged.
#ifndef VLT_AUDITOR_JOURNAL_LOCK_H
#define VLT_AUDITOR_JOURNAL_LOCK_H

#include "libvault/base/fault.h"

#define JOURNAL_LOCK_WAIT_MS 10000

// Locks the folder until its descriptor is closed or the process ends, also by a
// signal (flock). Waits for another one as long as that. VLT_CONFLICT: it stays.
vlt_result journal_lock(int folder, const char *path, unsigned wait_ms,
                        struct fault *fault) VLT_MUST_USE;

#endif
