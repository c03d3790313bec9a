// SPDX-License-Identifier: Apache-2.0
// GET /v1/health: this process answers. GET /v1/ready: it could redeem now.
#include "vaultd/redeemer/redeem_refusal.h"
#include "vaultd/redeemer/redeemer.h"
#include "vaultd/view/serving.h"

void op_health(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, BYTES_LITERAL("{\"status\":\"alive\"}"));
}

static void serving(vlt_result result, void *context) {
    struct http_exchange *x = context;
    if (vlt_is_ok(result))
        http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, BYTES_LITERAL("{\"status\":\"ready\"}"));
    else
        redeem_refusal_reply(x, &redeem_refusal_unavailable);
}

void op_ready(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct redeemer *redeemer = ctx;
    vlt_result result = redeemer_snapshot(redeemer);
    if (vlt_is_ok(result)) {
        result = signing_keys_load(&redeemer->keys, redeemer->store);
        store_snapshot_end(redeemer->store);
    }
    if (vlt_is_ok(result))
        serving_ask(redeemer->keeper, redeemer->auditor, serving, x);
    else
        serving(result, x);
}
