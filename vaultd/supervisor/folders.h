// SPDX-License-Identifier: Apache-2.0
// The folders of the store and of the audit log, made with the owner who writes
// there when vaultd starts as root.
#ifndef VLT_SUPERVISOR_FOLDERS_H
#define VLT_SUPERVISOR_FOLDERS_H

#include "vaultd/supervisor/config.h"

vlt_result folders_make(const struct config *config, struct fault *fault) VLT_MUST_USE;

#endif
