// SPDX-License-Identifier: Apache-2.0
// A request that is not as the API says: a fault of the forwarder, which is told what to
// mend. The log says which rule was broken and never what the body held: rules are
// static texts, so the same mistake repeated is counted and not written again.
#include <stdio.h>

#include "vaultd/log/log.h"
#include "vaultd/redeemer/redeem.h"

#define MALFORMED "malformed request: "

void redeem_refuse_malformed(struct redeem *redeem, const char *rule, const char *said) {
    char reason[128];
    snprintf(reason, sizeof reason, MALFORMED "%s", rule);
    snprintf(redeem->own_message, sizeof redeem->own_message, "%s", said);
    redeem->own = (struct refusal){.status = 400,
                                   .type = "invalid_request_error",
                                   .code = "invalid_request",
                                   .message = redeem->own_message};
    redeem_refuse(redeem, &redeem->own, reason);
}

void redeem_refuse_question(struct redeemer *redeemer, struct http_exchange *x,
                            const char *operation, const struct refusal *refusal,
                            const char *reason, const char *said) {
    struct redeem *redeem = redeem_new(redeemer, x);
    if (!redeem) {
        answer_refuse(x, &refusal_unavailable);
        return;
    }
    redeem->operation = operation;
    if (said)
        redeem_refuse_malformed(redeem, reason, said);
    else
        redeem_refuse(redeem, refusal, reason);
}

static void on_noted(vlt_result result, const struct answer_record *answer, void *context) {
    if (!vlt_is_ok(result))
        log_warning("a redeem that was too large is not in the audit log: %s", result.reason);
}

void redeem_note_too_large(struct redeemer *redeemer, struct http_exchange *x) {
    struct redeem redeem = {.redeemer = redeemer, .x = x, .operation = "token.redeem"};
    struct audit_event event;
    uint8_t room[2048];
    struct wire_writer w;
    redeem_event(&redeem, AUDIT_DENY, MALFORMED "the body is too large", &event);
    if (vlt_is_ok(redeemer_snapshot(redeemer))) {
        if (vlt_is_ok(forwarder_find(&redeemer->forwarders, redeemer->store, http_exchange_peer(x),
                                     &redeem.forwarder)))
            event.forwarder = bytes_of_text(redeem.forwarder->name);
        store_snapshot_end(redeemer->store);
    }
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    const struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(redeemer->auditor, &ask, on_noted, NULL);
}
