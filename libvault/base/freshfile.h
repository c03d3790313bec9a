// SPDX-License-Identifier: Apache-2.0
// A file that is written under a temporary name before it gets its own. Callers: what
// publishes the log's files, the witness's key, backups.
#ifndef VLT_BASE_FRESHFILE_H
#define VLT_BASE_FRESHFILE_H

#include <sys/types.h>

// Makes the file in `folder` (AT_FDCWD: where `name` leads) and opens it for writing;
// the caller closes it. What has the name already is removed and never opened: a file
// left behind by a crash, or a FIFO or a link that was put there. -1 with errno: EISDIR
// for a folder, EEXIST when somebody makes it again each time it is removed.
int freshfile_open(int folder, const char *name, mode_t mode);

#endif
