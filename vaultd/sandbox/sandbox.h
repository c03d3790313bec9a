// SPDX-License-Identifier: Apache-2.0
// What a role gives up before it touches a foreign byte. There is no switch that
// weakens it; only sanitizer builds, which need calls of their own, skip the
// system-call filter.
#ifndef VLT_SANDBOX_SANDBOX_H
#define VLT_SANDBOX_SANDBOX_H

#include "libvault/base/fault.h"
#include "vaultd/ipc/messages.h"

// At the very start: no_new_privs, not dumpable (no core, no debugger of the
// same uid, /proc/self owned by root), RLIMIT_CORE 0, umask 077.
vlt_result sandbox_begin(struct fault *fault) VLT_MUST_USE;
// Once files are open: the seccomp allow-list of that role. A call outside it
// kills the process (SIGSYS), which the supervisor sees and logs.
vlt_result sandbox_enter(enum ipc_role role, struct fault *fault) VLT_MUST_USE;
// For the supervisor, before it starts a role: what all roles together may call, what
// starting them takes, and, where the configuration has driver programs, what ordinary
// programs call. Any other call fails with ENOSYS, in the supervisor and in all that
// it starts.
vlt_result sandbox_enter_supervisor(bool runs_programs, struct fault *fault) VLT_MUST_USE;
// As sandbox_enter, for vault-witness: it accepts connections, begins none, has one thread,
// and writes files in its folder.
vlt_result sandbox_enter_witness(struct fault *fault) VLT_MUST_USE;

#endif
