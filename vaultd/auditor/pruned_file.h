// SPDX-License-Identifier: Apache-2.0
// The file `pruned` when the auditor starts: proved before anything else is, and put into
// today's form where an earlier version wrote it and the log itself says the same.
// Used by the publication, before its thread starts.
#ifndef VLT_AUDITOR_PRUNED_FILE_H
#define VLT_AUDITOR_PRUNED_FILE_H

#include "vaultd/auditor/log_file.h"

#define PRUNED_FILE_SAID_SIZE 128

// *ret_until: entries below this index are gone, and may be. `ret_rewritten` says what was
// written again, for the record; else it is empty. VLT_CONFLICT: the file is not what the log
// says. VLT_UNAVAILABLE: a file can not be read or written.
vlt_result pruned_file_take_up(const struct log_file *file, struct fault *fault,
                               uint64_t *ret_until,
                               char ret_rewritten[PRUNED_FILE_SAID_SIZE]) VLT_MUST_USE;

#endif
