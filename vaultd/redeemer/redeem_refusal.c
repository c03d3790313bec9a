// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/redeem_refusal.h"

#include "libvault/base/jsontext.h"

const struct redeem_refusal redeem_refusal_bad_token = {
    401, "authentication_error", "invalid_token",
    "The access token is malformed, expired, revoked or not of this vault. Get a new one.",
    "DPoP error=\"invalid_token\", algs=\"ES256 ES384 RS256 PS256 EdDSA\"", NULL};
const struct redeem_refusal redeem_refusal_bad_proof = {
    401, "authentication_error", "invalid_dpop_proof",
    "The access token is bound to a key, and the request does not prove that you hold it.",
    "DPoP error=\"invalid_dpop_proof\", algs=\"ES256 ES384 RS256 PS256 EdDSA\"", NULL};
const struct redeem_refusal redeem_refusal_denied = {
    403,
    "permission_error",
    "not_permitted",
    "The access token does not permit this request. Ask your administrator, naming the request id.",
    NULL,
    NULL};
const struct redeem_refusal redeem_refusal_unavailable = {
    503,
    "overloaded_error",
    "vault_unavailable",
    "The vault can not decide at the moment. Try again shortly.",
    NULL,
    NULL};

const struct redeem_refusal *redeem_refusal_of(vlt_result result,
                                               const struct redeem_refusal *otherwise) {
    return result.class == VLT_UNAVAILABLE || result.class == VLT_BUG ? &redeem_refusal_unavailable
                                                                      : otherwise;
}

#define RETRY_AFTER_S "1" // with every 503: devices and roles come back by themselves

static void put_member(struct buf *out, const char *name, const char *value) {
    if (out->size > 0 && out->at[out->size - 1] != '{')
        buf_put_byte(out, ',');
    jsontext_put_string(out, bytes_of_text(name));
    buf_put_byte(out, ':');
    jsontext_put_string(out, bytes_of_text(value));
}

void redeem_refusal_reply(struct http_exchange *x, const struct redeem_refusal *refusal) {
    redeem_refusal_reply_recorded(x, refusal, 0);
}

void redeem_refusal_reply_recorded(struct http_exchange *x, const struct redeem_refusal *refusal,
                                   uint64_t sequence) {
    char digits[20];
    struct http_header headers[4] = {HTTP_HEADER("content-type", BYTES_LITERAL(HTTP_JSON_MEDIA)),
                                     HTTP_HEADER("cache-control", BYTES_LITERAL("no-store"))};
    size_t count = 2;
    if (sequence)
        headers[count++] = HTTP_HEADER("vault-audit-entry", bytes_of_number(sequence, digits));
    if (refusal->status == 503)
        headers[count++] = HTTP_HEADER("retry-after", BYTES_LITERAL(RETRY_AFTER_S));
    struct buf body;
    buf_init(&body, 4096);
    buf_put_text(&body, "{\"error\":{");
    put_member(&body, "type", refusal->type);
    put_member(&body, "code", refusal->code);
    put_member(&body, "message", refusal->message);
    buf_put_format(&body, "},\"status\":%u,\"headers\":{", refusal->status);
    if (refusal->www_authenticate)
        put_member(&body, "www-authenticate", refusal->www_authenticate);
    if (refusal->dpop_nonce)
        put_member(&body, "dpop-nonce", refusal->dpop_nonce);
    if (refusal->status == 503)
        put_member(&body, "retry-after", RETRY_AFTER_S);
    buf_put_text(&body, "}}");
    http_exchange_reply(x, refusal->status, headers, count, buf_bytes(&body));
    buf_done(&body);
}
