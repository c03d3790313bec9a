// SPDX-License-Identifier: Apache-2.0
// GET /v1/health: this process answers. GET /v1/ready: it could redeem now.
#include "vaultd/redeemer/answer.h"
#include "vaultd/redeemer/redeemer.h"

void op_health(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, BYTES_LITERAL("{\"status\":\"alive\"}"));
}

void op_ready(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct redeemer *redeemer = ctx;
    bool is_ready = redeemer->keeper && redeemer->auditor && vlt_is_ok(redeemer_snapshot(redeemer));
    if (is_ready) {
        is_ready = vlt_is_ok(signing_keys_load(&redeemer->keys, redeemer->store));
        store_snapshot_end(redeemer->store);
    }
    if (is_ready)
        http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, BYTES_LITERAL("{\"status\":\"ready\"}"));
    else
        answer_refuse(x, &refusal_unavailable);
}
