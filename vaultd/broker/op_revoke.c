// SPDX-License-Identifier: Apache-2.0
// POST /oauth2/revoke (RFC 7009). Whoever holds a token may end it; the keeper
// verifies it. When the answer has left, no redeem with it succeeds.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/store/record_tenant.h"
#include "vaultd/broker/form.h"
#include "vaultd/broker/refusal.h"

struct revoking {
    struct broker *broker;
    struct http_exchange *x;
    char tenant_name[RECORD_NAME_MAX + 1];
    char request_id[REQUEST_ID_SIZE];
};

static struct audit_event event_of(const struct revoking *revoking) {
    return (struct audit_event){
        .kind = AUDIT_REVOKE,
        .outcome = AUDIT_ALLOW,
        .tenant = bytes_of_text(revoking->tenant_name),
        .operation = BYTES_LITERAL("token.revoke"),
        .source = bytes_of_text(http_exchange_peer(revoking->x)->address),
        .correlation = bytes_of_text(revoking->request_id)};
}

// Each ends the revoking, once its record is there.
static void refuse(struct revoking *revoking, enum refusal_form form, const char *description,
                   vlt_result why) {
    char reason[160];
    struct refusal refusal = {.broker = revoking->broker,
                              .x = revoking->x,
                              .form = form,
                              .status = form == REFUSAL_SILENT ? 200 : 400,
                              .code = "invalid_request"};
    const struct audit_event event = event_of(revoking);
    bool is_malformed = form == REFUSAL_OAUTH && why.class != VLT_UNAVAILABLE;
    snprintf(refusal.description, sizeof refusal.description, "%s", description);
    snprintf(reason, sizeof reason, "%s%s", is_malformed ? REASON_MALFORMED ": " : "", why.reason);
    memcpy(refusal.request_id, revoking->request_id, sizeof refusal.request_id);
    if (why.class == VLT_UNAVAILABLE || why.class == VLT_BUG)
        refusal_set_unavailable(&refusal);
    refusal_run(&refusal, &event, reason);
    free(revoking);
}

// Also for a token that is none of ours: there is nothing left to end (section 2.2).
static void refuse_silently(struct revoking *revoking, vlt_result why) {
    refuse(revoking, REFUSAL_SILENT, "", why);
}

// ---- The keeper's word ----

static void reply(const struct revoking *revoking, vlt_result result) {
    struct http_header headers[3] = {request_id_header(revoking->request_id)};
    size_t count = revoking->request_id[0] ? 1 : 0;
    if (result.class == VLT_UNAVAILABLE || result.class == VLT_BUG) {
        headers[count++] = HTTP_HEADER("retry-after", BYTES_LITERAL("1"));
        http_exchange_reply_oauth_error(revoking->x, 503, "temporarily_unavailable",
                                        "The vault can not decide at the moment.", headers, count);
    } else {
        headers[count++] = HTTP_HEADER("cache-control", BYTES_LITERAL("no-store"));
        http_exchange_reply(revoking->x, 200, headers, count, bytes_of(NULL, 0));
    }
}

static void on_revoked(vlt_result result, const struct answer_revoke_token *answer, void *context) {
    struct revoking *revoking = context;
    if (!vlt_is_ok(result) && channel_was_unheard(result)) {
        refuse(revoking, REFUSAL_OAUTH, "", result);
        return;
    }
    reply(revoking, result);
    free(revoking);
}

static void ask_keeper(struct revoking *revoking, uint32_t tenant, struct bytes token) {
    const struct audit_event event = event_of(revoking);
    uint8_t room[2048];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    struct ask_revoke_token ask = {
        .tenant = tenant, .token = token, .event = bytes_of(room, w.size)};
    ask_revoke_token(revoking->broker->keeper, &ask, on_revoked, revoking);
}

// ---- The question ----

static struct revoking *revoking_new(struct broker *broker, struct http_exchange *x) {
    struct revoking *revoking = calloc(1, sizeof *revoking);
    if (!revoking) {
        http_exchange_reply_oauth_error(x, 503, "temporarily_unavailable", NULL, NULL, 0);
        return NULL;
    }
    revoking->broker = broker;
    revoking->x = x;
    request_id_take(x, revoking->request_id);
    return revoking;
}

static vlt_result find_tenant(struct revoking *revoking, const struct http_parameters *parameters,
                              uint32_t *ret_number) {
    struct broker *broker = revoking->broker;
    struct record_tenant tenant;
    struct bytes name = broker_tenant_name(parameters);
    if (!bytes_to_text(name, revoking->tenant_name, sizeof revoking->tenant_name))
        return vlt_fail(VLT_DENIED, "no such tenant, or it is disabled");
    VLT_TRY(broker_snapshot(broker));
    vlt_result result = broker_tenant(broker, name, &tenant);
    store_snapshot_end(broker->store);
    if (vlt_is_ok(result))
        *ret_number = tenant.number;
    return result;
}

static void read_and_ask(struct revoking *revoking, uint32_t tenant) {
    struct oauth_form form;
    struct fault fault = {0};
    vlt_result result = oauth_form_read(revoking->x, &fault, &form);
    if (!vlt_is_ok(result)) {
        refuse(revoking, REFUSAL_OAUTH, fault_or_reason(&fault, result), result);
        return;
    }
    struct bytes token = oauth_form_get(&form, "token");
    if (token.size == 0)
        refuse(revoking, REFUSAL_OAUTH, "token is missing",
               vlt_fail(VLT_MALFORMED, "token is missing"));
    else if (token.size > IPC_TOKEN_MAX)
        refuse_silently(revoking, vlt_fail(VLT_MALFORMED, "too long for a token"));
    else
        ask_keeper(revoking, tenant, token);
    oauth_form_done(&form);
}

void op_revoke(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    uint32_t tenant = 0;
    struct revoking *revoking = revoking_new(ctx, x);
    if (!revoking)
        return;
    vlt_result result = find_tenant(revoking, parameters, &tenant);
    if (vlt_is_ok(result))
        read_and_ask(revoking, tenant);
    else
        refuse_silently(revoking, result);
}
