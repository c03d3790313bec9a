// SPDX-License-Identifier: Apache-2.0
// The files of the configuration that hold secrets, in one list.
#ifndef VLT_SUPERVISOR_SECRET_FILES_H
#define VLT_SUPERVISOR_SECRET_FILES_H

#include "vaultd/supervisor/config.h"

// Logs a warning for each that every user of the machine may read or write. A warning: a
// vault that stood still because of a mode would help nobody, and the key is known by then.
void secret_files_warn(const struct config *config);

#endif
