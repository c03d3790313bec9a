// SPDX-License-Identifier: Apache-2.0
// POST /oauth2/revoke (RFC 7009). Whoever holds a token may end it; the keeper
// verifies it. When the answer has left, no redeem with it succeeds.
#include "libvault/audit/event.h"
#include "libvault/store/record_tenant.h"
#include "vaultd/broker/broker.h"
#include "vaultd/broker/form.h"

static void on_revoked(vlt_result result, const struct answer_revoke_token *answer, void *context) {
    struct http_exchange *x = context;
    const struct http_header no_store = HTTP_HEADER("cache-control", BYTES_LITERAL("no-store"));
    const struct http_header retry = HTTP_HEADER("retry-after", BYTES_LITERAL("1"));
    if (result.class == VLT_UNAVAILABLE || result.class == VLT_BUG)
        http_exchange_reply_oauth_error(x, 503, "temporarily_unavailable",
                                        "The vault can not decide at the moment.", &retry, 1);
    else // also for a token that is none of ours: there is nothing left to end (section 2.2)
        http_exchange_reply(x, 200, &no_store, 1, bytes_of(NULL, 0));
}

static void ask_keeper(struct broker *broker, struct http_exchange *x,
                       const struct record_tenant *tenant, struct bytes token) {
    struct audit_event event = {.kind = AUDIT_REVOKE,
                                .outcome = AUDIT_ALLOW,
                                .tenant = bytes_of_text(tenant->name),
                                .operation = BYTES_LITERAL("token.revoke"),
                                .source = bytes_of_text(http_exchange_peer(x)->address)};
    uint8_t room[2048];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    struct ask_revoke_token ask = {
        .tenant = tenant->number, .token = token, .event = bytes_of(room, w.size)};
    ask_revoke_token(broker->keeper, &ask, on_revoked, x);
}

void op_revoke(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct broker *broker = ctx;
    struct record_tenant tenant;
    struct oauth_form form;
    struct fault fault = {0};
    if (!vlt_is_ok(broker_snapshot(broker))) {
        on_revoked(vlt_fail(VLT_UNAVAILABLE, "there is no store yet"), NULL, x);
        return;
    }
    vlt_result result = broker_tenant(broker, broker_tenant_name(parameters), &tenant);
    store_snapshot_end(broker->store);
    if (!vlt_is_ok(result)) {
        on_revoked(result, NULL, x);
        return;
    }
    result = oauth_form_read(x, &fault, &form);
    struct bytes token = vlt_is_ok(result) ? oauth_form_get(&form, "token") : bytes_of(NULL, 0);
    if (token.size == 0)
        oauth_form_refuse(x, result, &fault);
    else if (token.size > IPC_TOKEN_MAX)
        on_revoked(vlt_fail(VLT_MALFORMED, "too long for a token"), NULL, x);
    else
        ask_keeper(broker, x, &tenant, token);
    if (vlt_is_ok(result))
        oauth_form_done(&form);
}
