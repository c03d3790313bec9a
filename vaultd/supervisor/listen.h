// SPDX-License-Identifier: Apache-2.0
// Binds the sockets that roles serve. The supervisor does it because it may
// (privileged ports, folders of root) and because a role's restart must not
// close them.
#ifndef VLT_SUPERVISOR_LISTEN_H
#define VLT_SUPERVISOR_LISTEN_H

#include <sys/types.h>

#include "libvault/base/fault.h"

// Both wait up to 2 s for an address whose owners are leaving.
//
// `address`: see config_address.h.
vlt_result listen_tcp(const char *address, struct fault *fault, int *ret_fd) VLT_MUST_USE;
// Replaces a stale socket of that path, and nothing else that is there. `group` (-1:
// unchanged) may connect besides the owner; who is let in is decided by peer
// credentials.
vlt_result listen_unix(const char *path, mode_t mode, gid_t group, struct fault *fault,
                       int *ret_fd) VLT_MUST_USE;

#endif
