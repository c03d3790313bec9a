// SPDX-License-Identifier: Apache-2.0
// POST /oauth2/introspect (RFC 7662). Inactive, unknown, foreign and malformed
// all answer exactly {"active":false}.
#include <stdlib.h>

#include "libvault/audit/event.h"
#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/store/record_revocation.h"
#include "libvault/token/token_verify.h"
#include "vaultd/broker/caller.h"
#include "vaultd/broker/form.h"

static vlt_result check_revoked(const struct caller *caller, const struct token_claims *claims) {
    bool is_revoked = true;
    struct record_revocation_query query = {.tenant = caller->tenant.number,
                                            .jti = claims->id,
                                            .principal = claims->principal,
                                            .client = claims->client,
                                            .actor_count = claims->actor_count,
                                            .issued_at = claims->issued_at};
    for (size_t i = 0; i < claims->actor_count; i++)
        query.actors[i] = claims->actors[i].principal;
    for (size_t i = 0; i < claims->detail_count; i++) {
        query.credential = claims->details[i].credential;
        VLT_TRY(record_is_revoked(caller->broker->store, &query, &is_revoked));
        if (is_revoked)
            return vlt_fail(VLT_DENIED, "token revoked");
    }
    return vlt_ok();
}

// RFC 7662 section 4: whoever asks learns about tokens that concern it. A
// forwarder serves everybody of its tenants, a principal itself.
static bool concerns_caller(const struct caller *caller, const struct token_claims *claims) {
    if (!bytes_equal_text(claims->tenant, caller->tenant_name))
        return false;
    if (!caller->subject)
        return true;
    return bytes_equal(claims->principal, caller->subject->principal) ||
           (claims->actor_count &&
            bytes_equal(claims->actors[0].principal, caller->subject->principal));
}

static vlt_result verify(const struct caller *caller, struct bytes token,
                         struct token_verified *ret_verified) {
    struct broker *broker = caller->broker;
    VLT_TRY(signing_keys_load(&broker->keys, broker->store));
    const struct token_expectation expected = {.keys = broker->keys.set,
                                               .issuer_base = bytes_of_text(broker->issuer),
                                               .now_s = clock_now_s()};
    VLT_TRY(token_verify(token, &expected, ret_verified));
    vlt_result result = concerns_caller(caller, &ret_verified->claims)
                            ? check_revoked(caller, &ret_verified->claims)
                            : vlt_fail(VLT_DENIED, "a token of another tenant or principal");
    if (!vlt_is_ok(result))
        token_verified_done(ret_verified);
    return result;
}

// ---- The answer, once the question is recorded ----

struct answering {
    struct http_exchange *x;
    char request_id[REQUEST_ID_SIZE];
    struct buf body;
};

static void put_active(const struct token_verified *verified, struct buf *out) {
    json_t *answer = json_copy(verified->root);
    const char *scheme = verified->claims.binding == TOKEN_BOUND_DPOP ? "DPoP" : "Bearer";
    if (!answer || json_object_set_new(answer, "active", json_true()) != 0 ||
        json_object_set_new(answer, "token_type", json_string(scheme)) != 0 ||
        !vlt_is_ok(jsontext_canonical(answer, out)))
        buf_clear(out);
    json_decref(answer);
}

static void reply(const struct answering *answering) {
    const struct http_header headers[] = {HTTP_HEADER("content-type",
                                                      BYTES_LITERAL(HTTP_JSON_MEDIA)),
                                          HTTP_HEADER("cache-control", BYTES_LITERAL("no-store")),
                                          request_id_header(answering->request_id)};
    http_exchange_reply(answering->x, 200, headers, answering->request_id[0] ? 3 : 2,
                        buf_bytes(&answering->body));
}

static void on_recorded(vlt_result result, const struct answer_record *recorded, void *context) {
    struct answering *answering = context;
    const struct http_header id = request_id_header(answering->request_id);
    if (vlt_is_ok(result) && answering->body.size)
        reply(answering);
    else
        http_exchange_reply_oauth_error(answering->x, 503, "temporarily_unavailable",
                                        "The vault can not decide at the moment.", &id,
                                        answering->request_id[0] ? 1 : 0);
    buf_done(&answering->body);
    free(answering);
}

static void record(const struct caller *caller, const struct token_verified *verified,
                   const char *reason, struct answering *answering) {
    uint8_t room[8192];
    struct wire_writer w;
    struct audit_event event =
        caller_event(caller, verified ? AUDIT_ALLOW : AUDIT_DENY, reason);
    if (verified)
        event.token_id = verified->claims.id;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    const struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(caller->broker->auditor, &ask, on_recorded, answering);
}

static void answer_token(struct caller *caller, struct bytes token) {
    struct token_verified verified;
    struct answering *answering = calloc(1, sizeof *answering);
    vlt_result result =
        answering ? verify(caller, token, &verified) : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (result.class == VLT_UNAVAILABLE) {
        free(answering);
        caller_refuse(caller, 503, "", result.reason);
        return;
    }
    memcpy(answering->request_id, caller->request_id, sizeof answering->request_id);
    answering->x = caller->x;
    buf_init(&answering->body, 16384);
    if (vlt_is_ok(result))
        put_active(&verified, &answering->body);
    else
        buf_put_text(&answering->body, "{\"active\":false}");
    record(caller, vlt_is_ok(result) ? &verified : NULL, result.reason, answering);
    if (vlt_is_ok(result))
        token_verified_done(&verified);
}

static void answer(struct caller *caller) {
    struct oauth_form form;
    struct fault fault = {0};
    vlt_result result = oauth_form_read(caller->x, &fault, &form);
    struct bytes token = vlt_is_ok(result) ? oauth_form_get(&form, "token") : bytes_of(NULL, 0);
    if (token.size)
        answer_token(caller, token);
    else if (vlt_is_ok(result))
        caller_refuse_malformed(caller, "token is missing", "token is missing");
    else if (result.class == VLT_UNAVAILABLE)
        caller_refuse(caller, 503, "", result.reason);
    else
        caller_refuse_malformed(caller, fault_or_reason(&fault, result), result.reason);
    if (vlt_is_ok(result))
        oauth_form_done(&form);
}

void op_introspect(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    static const struct caller_question question = {AUDIT_INTROSPECT, "token.introspect",
                                                    REFUSAL_OAUTH};
    caller_authenticate(ctx, x, parameters, &question, answer);
}
