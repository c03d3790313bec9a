// SPDX-License-Identifier: Apache-2.0
// Every message between our processes: who may send it to whom, in which state
// of the keeper, with which fields and how large. `ask_…` wants an answer,
// `tell_…` does not. The two halves of a call share a name: the asking role
// calls ask_open, the keeper implements answer_open and calls reply_open.
#ifndef VLT_IPC_MESSAGES_H
#define VLT_IPC_MESSAGES_H

#include "libvault/base/wire.h"
#include "vaultd/ipc/message_fields.h"

enum ipc_role {
    IPC_SUPERVISOR,
    IPC_BROKER,
    IPC_ADMIN,
    IPC_REDEEMER,
    IPC_KEEPER,
    IPC_AUDITOR,
    IPC_SHIPPER,
    IPC_ROTATOR,
    IPC_ROLE_COUNT
};
const char *ipc_role_name(enum ipc_role role); // "broker", …

enum keeper_state { KEEPER_STARTING, KEEPER_UNINITIALISED, KEEPER_SEALED, KEEPER_UNSEALED };
const char *keeper_state_name(enum keeper_state state);

// Sets of roles and states, for the table.
#define R(role) (1u << IPC_##role)
#define R_ROLES                                                                                    \
    (R(BROKER) | R(ADMIN) | R(REDEEMER) | R(KEEPER) | R(AUDITOR) | R(SHIPPER) | R(ROTATOR))
#define S_ANY 0xFu
#define S_NEW (1u << KEEPER_UNINITIALISED)
#define S_SHUT (1u << KEEPER_SEALED)
#define S_OPEN (1u << KEEPER_UNSEALED)
#define S_READY (S_OPEN | 1u << KEEPER_SEALED)

// ASK(name, from, to, states): ask_NAME → answer_NAME
// TELL(name, from, to): tell_NAME
#define IPC_MESSAGES(ASK, TELL)                                                                    \
    TELL(peer, R(SUPERVISOR), R_ROLES)                                                             \
    TELL(listener, R(SUPERVISOR), R_ROLES)                                                         \
    TELL(drain, R(SUPERVISOR), R_ROLES)                                                            \
    TELL(settings_broker, R(SUPERVISOR), R(BROKER))                                                \
    TELL(settings_admin, R(SUPERVISOR), R(ADMIN))                                                  \
    TELL(settings_redeemer, R(SUPERVISOR), R(REDEEMER))                                            \
    TELL(settings_keeper, R(SUPERVISOR), R(KEEPER))                                                \
    TELL(settings_auditor, R(SUPERVISOR), R(AUDITOR))                                              \
    TELL(settings_shipper, R(SUPERVISOR), R(SHIPPER))                                              \
    TELL(settings_rotator, R(SUPERVISOR), R(ROTATOR))                                              \
    TELL(run_program, R(ROTATOR), R(SUPERVISOR))                                                   \
    ASK(job_next, R(ROTATOR), R(KEEPER), S_OPEN)                                                   \
    ASK(job_open, R(ROTATOR), R(KEEPER), S_OPEN)                                                   \
    ASK(job_report, R(ROTATOR), R(KEEPER), S_OPEN)                                                 \
    ASK(job_minted, R(ROTATOR), R(KEEPER), S_OPEN)                                                 \
    ASK(job_order, R(ADMIN), R(KEEPER), S_OPEN)                                                    \
    TELL(ready, R_ROLES, R(SUPERVISOR))                                                            \
    TELL(offender, R_ROLES, R(SUPERVISOR))                                                         \
    ASK(sign, R(BROKER), R(KEEPER), S_OPEN)                                                        \
    ASK(revoke_token, R(BROKER), R(KEEPER), S_OPEN)                                                \
    ASK(open, R(REDEEMER), R(KEEPER), S_OPEN)                                                      \
    ASK(init, R(ADMIN), R(KEEPER), S_NEW)                                                          \
    ASK(seal, R(ADMIN), R(KEEPER), S_READY)                                                        \
    ASK(recovery_key, R(ADMIN), R(KEEPER), S_SHUT)                                                 \
    ASK(recover, R(ADMIN), R(KEEPER), S_SHUT)                                                      \
    ASK(backup_begin, R(ADMIN), R(KEEPER), S_OPEN)                                                 \
    ASK(backup_next, R(ADMIN), R(KEEPER), S_OPEN)                                                  \
    ASK(status, R(ADMIN), R(KEEPER), S_ANY)                                                        \
    ASK(tenant_create, R(ADMIN), R(KEEPER), S_OPEN)                                                \
    ASK(commit, R(ADMIN), R(KEEPER), S_OPEN)                                                       \
    ASK(credential_put, R(ADMIN), R(KEEPER), S_OPEN)                                               \
    ASK(credential_step, R(ADMIN), R(KEEPER), S_OPEN)                                              \
    ASK(credential_state, R(ADMIN), R(KEEPER), S_OPEN)                                             \
    ASK(rotate, R(ADMIN), R(KEEPER), S_OPEN)                                                       \
    ASK(key_list, R(ADMIN), R(KEEPER), S_OPEN)                                                     \
    ASK(key_destroy, R(ADMIN), R(KEEPER), S_OPEN)                                                  \
    ASK(credential_rollback, R(ADMIN), R(KEEPER), S_OPEN)                                          \
    ASK(boot_show, R(ADMIN), R(KEEPER), S_ANY)                                                     \
    ASK(attest, R(ADMIN), R(KEEPER), S_OPEN)                                                       \
    ASK(boot_approve, R(ADMIN), R(KEEPER), S_READY)                                                \
    ASK(device_list, R(ADMIN), R(KEEPER), S_ANY)                                                   \
    ASK(device_change, R(ADMIN), R(KEEPER), S_OPEN)                                                \
    ASK(revoke_rule, R(ADMIN), R(KEEPER), S_READY)                                                 \
    ASK(sign_checkpoint, R(AUDITOR), R(KEEPER), S_OPEN)                                            \
    ASK(record, R(BROKER) | R(ADMIN) | R(REDEEMER) | R(KEEPER) | R(SUPERVISOR), R(AUDITOR), S_ANY) \
    ASK(read, R(ADMIN), R(AUDITOR), S_ANY)                                                         \
    ASK(prune, R(ADMIN), R(AUDITOR), S_ANY)                                                        \
    ASK(prove, R(ADMIN), R(AUDITOR), S_ANY)                                                        \
    ASK(log_state, R(ADMIN), R(AUDITOR), S_ANY)                                                    \
    ASK(serving, R(BROKER) | R(REDEEMER), R(KEEPER) | R(AUDITOR), S_OPEN)                          \
    ASK(shipping, R(ADMIN), R(SHIPPER), S_ANY)                                                     \
    ASK(alive, R(SUPERVISOR), R_ROLES, S_ANY)                                                      \
    TELL(generation, R(KEEPER), R(BROKER) | R(ADMIN) | R(REDEEMER))

#define ASK_JOB_NEXT_FIELDS NO_FIELDS
#define ASK_STATUS_FIELDS NO_FIELDS
#define ASK_SHIPPING_FIELDS NO_FIELDS
#define ASK_LOG_STATE_FIELDS NO_FIELDS
#define ASK_SERVING_FIELDS NO_FIELDS
#define ANSWER_SERVING_FIELDS NO_FIELDS
#define ASK_RECOVERY_KEY_FIELDS NO_FIELDS
#define ASK_DEVICE_LIST_FIELDS NO_FIELDS
#define ASK_ALIVE_FIELDS NO_FIELDS
#define ANSWER_ALIVE_FIELDS NO_FIELDS
#define ANSWER_SEAL_FIELDS NO_FIELDS
#define ANSWER_REVOKE_TOKEN_FIELDS NO_FIELDS
#define ANSWER_REVOKE_RULE_FIELDS NO_FIELDS

enum ipc_message {
    IPC_NONE,
#define IPC_ENUM_ASK(name, from, to, states) IPC_ASK_##name,
#define IPC_ENUM_TELL(name, from, to) IPC_TELL_##name,
    IPC_MESSAGES(IPC_ENUM_ASK, IPC_ENUM_TELL) IPC_MESSAGE_COUNT
};

// ---- The structs: struct ask_sign, struct answer_sign, struct tell_peer, … ----

#define IPC_MEMBER_U8(name, max) uint8_t name;
#define IPC_MEMBER_U32(name, max) uint32_t name;
#define IPC_MEMBER_U64(name, max) uint64_t name;
#define IPC_MEMBER_BYTES(name, max) struct bytes name;
#define IPC_MEMBER_FIXED(name, max) uint8_t name[max];
#define IPC_MEMBER(kind, name, max) IPC_MEMBER_##kind(name, max)

#define IPC_DECLARE(prefix, name, FIELDS)                                                          \
    struct prefix##_##name {                                                                       \
        uint8_t no_field; /* a struct needs a member; never sent */                                \
        FIELDS(IPC_MEMBER)                                                                         \
    };                                                                                             \
    void prefix##_##name##_encode(struct wire_writer *w, const struct prefix##_##name *message);   \
    vlt_result prefix##_##name##_decode(struct bytes frame, struct prefix##_##name *ret_message)   \
        VLT_MUST_USE;

struct channel;
struct ipc_call; // one call that waits for our answer; consumed by reply_…

// For each ASK:
//   ask_NAME(channel, &ask, done, context): `done` is called exactly once, later
//     or, when it can not be sent, before ask_NAME returns. On success `answer`
//     is valid until `done` returns; on failure it is NULL, or what the one who was
//     asked says of the refusal (the keeper: `sequence` of its record, for sign and open).
//   reply_NAME(call, result, &answer): exactly once for each call received;
//     `answer` may be NULL when result is a failure, and is sent along when it is not.
#define IPC_DECLARE_ASK(name, from, to, states) IPC_DECLARE_ASK_(name)
#define IPC_DECLARE_ASK_(name)                                                                     \
    typedef void answer_##name##_fn(vlt_result result, const struct answer_##name *answer,         \
                                    void *context);                                                \
    void ask_##name(struct channel *channel, const struct ask_##name *ask,                         \
                    answer_##name##_fn *done, void *context);                                      \
    void reply_##name(struct ipc_call *call, vlt_result result, const struct answer_##name *answer);
// For each TELL: tell_NAME(channel, &tell, descriptor): the descriptor (-1: none)
// travels along and is closed here once sent.
#define IPC_DECLARE_TELL(name, from, to)                                                           \
    void tell_##name(struct channel *channel, const struct tell_##name *tell, int descriptor);

#include "vaultd/ipc/message_structs.h"

IPC_MESSAGES(IPC_DECLARE_ASK, IPC_DECLARE_TELL)

struct ipc_message_row {
    const char *name;
    bool is_ask;
    unsigned from, to, states; // sets of roles and of keeper states
    size_t ask_max_bytes, answer_max_bytes;
};
// NULL for a number that is no message.
const struct ipc_message_row *ipc_message_row(unsigned message);

// Version of this build and what its messages look like: "1.2.3 (messages 0a1b2c3d)".
// Two programs understand each other exactly when theirs are the same. The supervisor
// hands its own to every role in the environment.
const char *ipc_identity(void);
#define IPC_IDENTITY_VARIABLE "VAULTD_IDENTITY"
// KiB, decimal: how large a secret heap the configuration wants the role to have. In the
// environment as well, because a role opens it before it hears anything.
#define IPC_HEAP_VARIABLE "VAULTD_SECRET_HEAP_KIB"

#endif
