// SPDX-License-Identifier: Apache-2.0
// The end of a redeem: a refusal (recorded first), or the credential rendered
// into locked memory and sent from there.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/secret/secret.h"
#include "vaultd/ipc/reasons.h"
#include "vaultd/log/log.h"
#include "vaultd/redeemer/redeem.h"

#define REST_MAX_BYTES 4000 // of the answer: everything but the rendered credential and the grant

struct redeem *redeem_new(struct redeemer *redeemer, struct http_exchange *x) {
    struct redeem *redeem = calloc(1, sizeof *redeem);
    if (!redeem)
        return NULL;
    redeem->redeemer = redeemer;
    redeem->x = x;
    redeem->operation = "token.redeem";
    return redeem;
}

void redeem_free(struct redeem *redeem) {
    redeem_request_done(&redeem->request);
    free(redeem->grant);
    free(redeem);
}

// ---- Refusals: recorded before they leave ----

struct refused {
    struct redeem *redeem;
    const struct redeem_refusal *refusal;
};

static void on_recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct refused *refused = context;
    if (vlt_is_ok(result))
        redeem_refusal_reply_recorded(refused->redeem->x, refused->refusal, answer->sequence);
    else
        redeem_refusal_reply(refused->redeem->x, &redeem_refusal_unavailable);
    redeem_free(refused->redeem);
    free(refused);
}

void redeem_refuse(struct redeem *redeem, const struct redeem_refusal *refusal,
                   const char *reason) {
    struct audit_event event;
    redeem_event(redeem, refusal == &redeem_refusal_unavailable ? AUDIT_ERROR : AUDIT_DENY, reason,
                 &event);
    redeem_refuse_with(redeem, refusal, &event);
}

void redeem_refuse_with(struct redeem *redeem, const struct redeem_refusal *refusal,
                        const struct audit_event *event) {
    uint8_t room[8192];
    struct wire_writer w;
    struct refused *refused = malloc(sizeof *refused);
    if (!refused) {
        redeem_refusal_reply(redeem->x, &redeem_refusal_unavailable);
        redeem_free(redeem);
        return;
    }
    *refused = (struct refused){redeem, refusal};
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, event);
    struct ask_record ask = {.event = bytes_of(room, w.size)};
    ask_record(redeem->redeemer->auditor, &ask, on_recorded, refused);
}

// ---- The answer ----

static uint64_t cache_seconds(const struct redeem *redeem, const struct answer_open *answer) {
    uint64_t now = (uint64_t)clock_now_s();
    if (!redeem->may_cache || answer->reuse_until <= now)
        return 0;
    uint64_t left = answer->reuse_until - now;
    return left < redeem->redeemer->cache_max_s ? left : redeem->redeemer->cache_max_s;
}

// Left out where the answer holds for every number, and for requests without one.
static void put_numbers(const struct verdict_numbers *numbers, struct buf *out) {
    if (numbers->from == 0 && numbers->to == UINT64_MAX)
        return;
    buf_put(out, BYTES_LITERAL(",\"max_tokens_from\":"));
    buf_put_number(out, numbers->from);
    buf_put(out, BYTES_LITERAL(",\"max_tokens_to\":"));
    buf_put_number(out, numbers->to);
}

// Everything but the secret part. Without printf, which costs more than the rest.
static void put_rest(const struct redeem *redeem, const struct profile *profile,
                     const struct answer_open *answer, struct buf *out) {
    char upstream[sizeof "https://" + sizeof redeem->destination] = "https://";
    size_t scheme_bytes = strlen(upstream), host_bytes = strlen(redeem->destination);
    memcpy(upstream + scheme_bytes, redeem->destination, host_bytes);
    buf_put(out, BYTES_LITERAL(",\"remove\":"));
    profile_put_remove(profile, out);
    buf_put(out, BYTES_LITERAL(",\"upstream\":"));
    jsontext_put_string(out, bytes_of(upstream, scheme_bytes + host_bytes));
    buf_put(out, BYTES_LITERAL(",\"credential\":"));
    jsontext_put_string(out, bytes_of_text(redeem->verdict.credential));
    buf_put(out, BYTES_LITERAL(",\"credential_version\":"));
    buf_put_number(out, answer->version);
    buf_put(out, BYTES_LITERAL(",\"cache_s\":"));
    buf_put_number(out, cache_seconds(redeem, answer));
    buf_put(out, BYTES_LITERAL(",\"epoch\":"));
    buf_put_number(out, redeem->epoch);
    buf_put(out, BYTES_LITERAL(",\"standing\":"));
    buf_put_number(out, redeem->standing);
    buf_put(out, BYTES_LITERAL(",\"grant\":"));
    jsontext_put_string(out, bytes_of_text(redeem->grant));
    buf_put(out, BYTES_LITERAL(",\"model_required\":"));
    buf_put_text(out, redeem->verdict.model_required ? "true" : "false");
    put_numbers(&redeem->verdict.numbers, out);
    buf_put(out, BYTES_LITERAL(",\"txn\":"));
    jsontext_put_string(out, bytes_of_text(redeem->correlation));
    buf_put_byte(out, '}');
}

// A body of exactly its size: wiping and zeroing room that is never used costs more
// than the rest of an answer.
static vlt_result join(struct bytes rendered, struct bytes rest, struct secret **ret_body) {
    static const char head[] = "{\"inject\":";
    size_t head_bytes = sizeof head - 1, size = head_bytes + rendered.size + rest.size;
    struct secret *body = secret_new(size);
    if (!body)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    uint8_t *at = secret_borrow_room(body);
    memcpy(at, head, head_bytes);
    memcpy(at + head_bytes, rendered.at, rendered.size);
    memcpy(at + head_bytes + rendered.size, rest.at, rest.size);
    secret_release_sized(body, size);
    *ret_body = body;
    return vlt_ok();
}

static vlt_result compose(const struct redeem *redeem, const struct profile *profile,
                          const json_t *parameters, const struct answer_open *answer,
                          struct secret **ret_body) {
    struct secret *room = redeem->redeemer->rendered; // for one answer after the other
    struct buf rest;
    size_t size = 0;
    uint8_t *at = secret_borrow_room(room);
    vlt_result result =
        profile_render(profile, parameters, answer->value, at, secret_capacity(room), &size);
    if (vlt_is_ok(result)) {
        buf_init(&rest, REST_MAX_BYTES + strlen(redeem->grant));
        put_rest(redeem, profile, answer, &rest);
        result = buf_failed(&rest) ? vlt_fail(VLT_LIMIT, "the answer is too long")
                                   : join(bytes_of(at, size), buf_bytes(&rest), ret_body);
        buf_done(&rest);
    }
    secret_cleanse(at, size); // all that was written
    secret_release_sized(room, 0);
    return result;
}

static void free_secret(void *secret) {
    secret_release(secret);
    secret_free(secret);
}

static void send_secret(struct http_exchange *x, struct secret *body, uint64_t sequence) {
    char digits[20]; // of the receipt: which entry of the audit log this decision is
    const struct http_header headers[] = {
        HTTP_HEADER("content-type", BYTES_LITERAL(HTTP_JSON_MEDIA)),
        HTTP_HEADER("cache-control", BYTES_LITERAL("no-store")),
        HTTP_HEADER("vault-audit-entry", bytes_of_number(sequence, digits)),
    };
    // Borrowed until the last byte has left: free_secret ends it.
    http_exchange_reply_secret(x, 200, headers, 3, secret_borrow(body), secret_size(body),
                               free_secret, body);
}

static vlt_result render(const struct redeem *redeem, const struct answer_open *answer,
                         struct secret **ret_body) {
    char name[RECORD_NAME_MAX + 1];
    json_t *parameters = NULL;
    if (!bytes_to_text(answer->profile, name, sizeof name))
        return vlt_fail(VLT_BUG, "a profile's name is too long");
    const struct profile *profile = profile_find(redeem->redeemer->profiles, name);
    if (!profile)
        return vlt_fail(VLT_UNAVAILABLE, "the credential's profile is not installed");
    if (answer->parameters.size && !bytes_equal_text(answer->parameters, "{}"))
        VLT_TRY(jsontext_parse(answer->parameters, &jsontext_token_limits, NULL, &parameters));
    vlt_result result = compose(redeem, profile, parameters, answer, ret_body);
    json_decref(parameters);
    return result;
}

static bool is_reason(vlt_result result, const char *reason) {
    return strcmp(result.reason, reason) == 0;
}

// The keeper has heard of it and recorded its decision, whatever it is.
static const struct redeem_refusal *refusal_of_keeper(vlt_result result) {
    if (result.class == VLT_UNAVAILABLE || result.class == VLT_BUG || result.class == VLT_LIMIT)
        return &redeem_refusal_unavailable;
    if (is_reason(result, REASON_PROOF_REPLAYED) || is_reason(result, REASON_PROOF_OLD))
        return &redeem_refusal_bad_proof;
    bool is_token = result.class == VLT_MALFORMED || result.class == VLT_CRYPTO ||
                    is_reason(result, REASON_TOKEN_REVOKED) ||
                    is_reason(result, REASON_TOKEN_EXPIRED);
    return is_token ? &redeem_refusal_bad_token : &redeem_refusal_denied;
}

void redeem_opened(vlt_result result, const struct answer_open *answer, void *context) {
    struct redeem *redeem = context;
    struct secret *body = NULL;
    if (!vlt_is_ok(result) && channel_was_unheard(result)) {
        redeem_refuse_unheard(redeem, result);
        return;
    }
    if (!vlt_is_ok(result)) {
        redeem_refusal_reply_recorded(redeem->x, refusal_of_keeper(result),
                                      answer ? answer->sequence : 0);
    } else {
        result = render(redeem, answer, &body);
        if (vlt_is_ok(result)) {
            send_secret(redeem->x, body, answer->sequence);
        } else {
            log_error("credential %s can not be rendered: %s", redeem->verdict.credential,
                      result.reason);
            redeem_refusal_reply_recorded(redeem->x, &redeem_refusal_unavailable, answer->sequence);
        }
    }
    redeem_free(redeem);
}
