// SPDX-License-Identifier: Apache-2.0
// The folders of the store and of the audit log, made with the owner who writes
// there when vaultd starts as root.
#ifndef VLT_SUPERVISOR_FOLDERS_H
#define VLT_SUPERVISOR_FOLDERS_H

#include "vaultd/supervisor/config.h"

// VLT_MALFORMED when something else than a folder is where one must be; the fault names
// the key and says what to do. What is missing is fine: it will be made.
vlt_result folders_check(const struct config *config, struct fault *fault) VLT_MUST_USE;
// The same check, then makes them.
vlt_result folders_make(const struct config *config, struct fault *fault) VLT_MUST_USE;

#endif
