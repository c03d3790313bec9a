// SPDX-License-Identifier: Apache-2.0
// POST /oauth2/introspect (RFC 7662). Inactive, unknown, foreign and malformed
// all answer exactly {"active":false}.
#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/store/record_revocation.h"
#include "libvault/token/token_verify.h"
#include "vaultd/broker/caller.h"
#include "vaultd/broker/form.h"

static vlt_result check_revoked(const struct caller *caller, const struct token_claims *claims) {
    bool is_revoked = true;
    struct record_revocation_query query = {.tenant = caller->tenant.number, .jti = claims->id, .principal = claims->principal,
                                            .client = claims->client, .actor_count = claims->actor_count, .issued_at = claims->issued_at};
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

static vlt_result verify(const struct caller *caller, struct bytes token, struct token_verified *ret_verified) {
    struct broker *broker = caller->broker;
    VLT_TRY(signing_keys_load(&broker->keys, broker->store));
    const struct token_expectation expected = {.keys = broker->keys.set, .issuer_base = bytes_of_text(broker->issuer), .now_s = clock_now_s()};
    VLT_TRY(token_verify(token, &expected, ret_verified));
    vlt_result result = bytes_equal_text(ret_verified->claims.tenant, caller->tenant_name)
                            ? check_revoked(caller, &ret_verified->claims)
                            : vlt_fail(VLT_DENIED, "a token of another tenant");
    if (!vlt_is_ok(result))
        token_verified_done(ret_verified);
    return result;
}

static void answer_active(struct http_exchange *x, const struct token_verified *verified) {
    struct buf body;
    json_t *answer = json_copy(verified->root);
    buf_init(&body, 16384);
    if (answer && json_object_set_new(answer, "active", json_true()) == 0 &&
        json_object_set_new(answer, "token_type", json_string(verified->claims.binding == TOKEN_BOUND_DPOP ? "DPoP" : "Bearer")) == 0 &&
        vlt_is_ok(jsontext_canonical(answer, &body)))
        http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, buf_bytes(&body));
    else
        http_exchange_reply_oauth_error(x, 503, "temporarily_unavailable", NULL, NULL, 0);
    buf_done(&body);
    json_decref(answer);
}

static void answer(struct caller *caller) {
    struct oauth_form form;
    struct token_verified verified;
    vlt_result result = oauth_form_read(caller->x, &form);
    if (!vlt_is_ok(result) || oauth_form_get(&form, "token").size == 0) {
        if (vlt_is_ok(result))
            oauth_form_done(&form);
        http_exchange_reply_oauth_error(caller->x, 400, "invalid_request", "A parameter is missing, malformed or repeated.", NULL, 0);
        return;
    }
    result = verify(caller, oauth_form_get(&form, "token"), &verified);
    if (vlt_is_ok(result)) {
        answer_active(caller->x, &verified);
        token_verified_done(&verified);
    } else if (result.class == VLT_UNAVAILABLE) {
        http_exchange_reply_oauth_error(caller->x, 503, "temporarily_unavailable", "The vault can not decide at the moment.", NULL, 0);
    } else {
        http_exchange_reply_typed(caller->x, 200, HTTP_JSON_MEDIA, BYTES_LITERAL("{\"active\":false}"));
    }
    oauth_form_done(&form);
}

void op_introspect(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    caller_authenticate(ctx, x, parameters, answer);
}
