// SPDX-License-Identifier: Apache-2.0
// A request that is not as the API says: a fault of the forwarder, which is told what to
// mend. The log says which rule was broken and never what the body held: rules are
// static texts, so the same mistake repeated is counted and not written again.
#include <stdio.h>

#include "vaultd/ipc/reasons.h"
#include "vaultd/redeemer/redeem.h"

static void refuse(struct redeem *redeem, unsigned status, const char *rule, const char *said) {
    char reason[128];
    snprintf(reason, sizeof reason, REASON_MALFORMED ": %s", rule);
    snprintf(redeem->own_message, sizeof redeem->own_message, "%s", said);
    redeem->own = (struct redeem_refusal){.status = status,
                                          .type = "invalid_request_error",
                                          .code = "invalid_request",
                                          .message = redeem->own_message};
    redeem_refuse(redeem, &redeem->own, reason);
}

void redeem_refuse_malformed(struct redeem *redeem, const char *rule, const char *said) {
    refuse(redeem, 400, rule, said);
}

void redeem_refuse_question(struct redeemer *redeemer, struct http_exchange *x,
                            const char *operation, const struct redeem_refusal *refusal,
                            const char *reason, const char *said) {
    struct redeem *redeem = redeem_new(redeemer, x);
    if (!redeem) {
        redeem_refusal_reply(x, &redeem_refusal_unavailable);
        return;
    }
    redeem->operation = operation;
    if (said)
        redeem_refuse_malformed(redeem, reason, said);
    else
        redeem_refuse(redeem, refusal, reason);
}

// Whoever sends it: an enrolled forwarder is named.
void redeem_refuse_too_large(struct redeemer *redeemer, struct http_exchange *x,
                             const char *operation) {
    struct redeem *redeem = redeem_new(redeemer, x);
    if (!redeem) {
        redeem_refusal_reply(x, &redeem_refusal_unavailable);
        return;
    }
    redeem->operation = operation;
    bool has_snapshot = vlt_is_ok(redeemer_snapshot(redeemer));
    if (has_snapshot && !vlt_is_ok(forwarder_find(&redeemer->forwarders, redeemer->store,
                                                  http_exchange_peer(x), &redeem->forwarder)))
        redeem->forwarder = NULL;
    refuse(redeem, 413, "the body is too large", http_refusal_text(HTTP_BODY_TOO_LARGE));
    if (has_snapshot)
        store_snapshot_end(redeemer->store);
}
