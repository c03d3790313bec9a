// SPDX-License-Identifier: Apache-2.0
// Ends tokens before they expire: one token that its holder gives back (RFC
// 7009), or every token that a rule names. Visible to every redeem before the
// answer leaves.
#include "libvault/base/clock.h"
#include "libvault/store/record_revocation.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/gate.h"

static void token_answered(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_revoke_token answer = {.no_field = 0};
    reply_revoke_token(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void rule_answered(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_revoke_rule answer = {.no_field = 0};
    gate_rule_ended(change->keeper);
    reply_revoke_rule(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void add_revocation(struct change *change, uint32_t tenant, enum record_revocation_kind kind,
                           struct bytes value, int64_t at, vlt_result *result) {
    uint8_t room[STORE_NAME_MAX + 16];
    struct store_change row;
    *result = record_revocation_change(tenant, kind, value, at, room, &row);
    if (vlt_is_ok(*result))
        change_add(change, tenant, row.class, row.name, row.value, row.expected_revision);
}

// ---- One token ----

static vlt_result check_token(struct keeper *keeper, const struct ask_revoke_token *ask,
                              int64_t now_s, struct seen_token **token,
                              struct token_claims *claims) {
    VLT_TRY(gate_token(keeper, ask->token, now_s, token, claims));
    VLT_TRY(gate_authority(keeper, *token, claims));
    return (*token)->tenant == ask->tenant
               ? vlt_ok()
               : vlt_fail(VLT_DENIED, "the token belongs to another tenant");
}

void answer_revoke_token(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_revoke_token ask;
    struct audit_event event, said;
    struct seen_token *token = NULL;
    struct token_claims claims;
    if (!vlt_is_ok(ask_revoke_token_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_get(ask.event, &said)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_REVOKE, &event))) {
        ipc_call_refuse(call, "a malformed ask_revoke_token");
        return;
    }
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = check_token(keeper, &ask, clock_now_s(), &token, &claims);
        store_snapshot_end(keeper->store);
    }
    if (token)
        gate_describe(&claims, &event);
    else
        event.tenant = said.tenant; // where it was sent; nothing in it can be believed
    struct change *change =
        vlt_is_ok(result) ? change_new(keeper, call, &event, token_answered) : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    if (change) {
        add_revocation(change, ask.tenant, RECORD_REVOKE_TOKEN, claims.id, claims.expires_at,
                       &result);
        if (vlt_is_ok(result))
            change_run(change);
        else
            change_refuse(change, result);
    } else {
        audit_refuse(keeper, call, &event, result);
    }
    seen_release(token);
}

// ---- By rule ----

// Also when the clock was set back since: no rule is made to reach less far than it does.
static vlt_result reach_of(struct keeper *keeper, const struct ask_revoke_rule *ask,
                           int64_t *ret_at) {
    enum record_revocation_kind kind = (enum record_revocation_kind)ask->kind;
    int64_t until = gate_issued_until(keeper, clock_now_s()), before = 0;
    // A single token by its id: nobody here knows when it expires, so the entry
    // stays for as long as a token could live.
    if (kind == RECORD_REVOKE_TOKEN) {
        *ret_at = until + KEEPER_LIFETIME_MAX_S;
        return vlt_ok();
    }
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = record_rule_until(keeper->store, ask->tenant, kind, ask->value, &before);
    store_snapshot_end(keeper->store);
    *ret_at = before > until ? before : until;
    gate_rule_reaches(keeper, *ret_at);
    return result;
}

void answer_revoke_rule(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_revoke_rule ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_revoke_rule_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_revoke_rule");
        return;
    }
    struct change *change = change_new(keeper, call, &event, rule_answered);
    if (!change) {
        audit_refuse(keeper, call, &event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    gate_rule_begins(keeper, clock_now_s());
    int64_t at = 0;
    vlt_result result = ask.tenant == STORE_SYSTEM_TENANT || ask.tenant >= keeper->next_tenant
                            ? vlt_fail(VLT_NOT_FOUND, "there is no such tenant")
                            : reach_of(keeper, &ask, &at);
    if (vlt_is_ok(result))
        add_revocation(change, ask.tenant, (enum record_revocation_kind)ask.kind, ask.value, at,
                       &result);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}
