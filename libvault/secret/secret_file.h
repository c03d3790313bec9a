// SPDX-License-Identifier: Apache-2.0
// Files that hold a secret: whom their permissions let in. For programs that are told
// such a file (supervisor, vault-witness); the PIN of a device has a stricter rule of
// its own (hsm/pin.h).
#ifndef VLT_SECRET_SECRET_FILE_H
#define VLT_SECRET_SECRET_FILE_H

#include "libvault/base/fault.h"

// VLT_DENIED when everybody on the machine may read or write the file; the fault says
// which, its mode and what to do. Owner and group are the administrator's choice: a
// systemd credential (0400, or 0440 where an access list lets the service in) and a file
// of a role's group are as they should be. `name`: what the program calls the file.
// VLT_OK also where there is no such file, or none that may be looked at: whoever reads
// it says so.
vlt_result secret_file_check(const char *name, const char *path,
                             struct fault *fault) VLT_MUST_USE;

#endif
