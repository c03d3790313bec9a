// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/speaker.h"

#define K(kind) (1u << AUDIT_##kind)
#define O(outcome) (1u << AUDIT_##outcome)

// Decisions that a role takes alone. Who is permitted something is recorded by the
// keeper, which does it; a broker answers two kinds of questions by itself.
static const struct speaker {
    unsigned kinds, outcomes, answers; // answers: kinds of which it also tells the rest
    bool says_when, names_administrators;
} speakers[IPC_ROLE_COUNT] = {
    [IPC_BROKER] = {.kinds = K(ISSUE) | K(REVOKE) | K(INTROSPECT) | K(EVALUATE),
                    .outcomes = O(DENY) | O(ERROR),
                    .answers = K(INTROSPECT) | K(EVALUATE)},
    [IPC_REDEEMER] = {.kinds = K(REDEEM), .outcomes = O(DENY) | O(ERROR)},
    [IPC_ADMIN] = {.kinds = K(ADMIN), .outcomes = O(DENY) | O(ERROR), .names_administrators = true},
    [IPC_KEEPER] = {.kinds = ~0u, .outcomes = ~0u, .names_administrators = true},
    [IPC_SUPERVISOR] = {.kinds = K(VAULT), .outcomes = ~0u, .says_when = true},
};

const char *speaker_refusal(enum ipc_role role, const struct audit_event *event) {
    static const struct speaker nobody;
    const struct speaker *speaker = (unsigned)role < IPC_ROLE_COUNT ? &speakers[role] : &nobody;
    if (!(speaker->kinds >> event->kind & 1))
        return "an audit event of a kind that is not its own";
    if (!((speaker->outcomes >> event->outcome | speaker->answers >> event->kind) & 1))
        return "an audit event of what it does not decide";
    if (event->kind == AUDIT_VAULT && bytes_begin_with(event->operation, BYTES_LITERAL("audit.")))
        return "an audit event about the log itself"; // what may be missing hangs on these
    if (event->repeats || (event->at_us && !speaker->says_when))
        return "an audit event with a time or a count of its own";
    if (event->administrator.size && !speaker->names_administrators)
        return "an audit event in the name of an administrator";
    return NULL;
}
