// SPDX-License-Identifier: Apache-2.0
// POST /v1/redeem: who asks → what is asked → whose token → is its key proved →
// which credential → do the policies permit → ask the keeper.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/crypto/random.h"
#include "libvault/http/http_media.h"
#include "vaultd/redeemer/grant.h"
#include "vaultd/redeemer/redeem.h"
#include "vaultd/redeemer/token_cache.h"

static void set_correlation(struct redeem *redeem) {
    if (redeem->request.request_id.size &&
        bytes_to_text(redeem->request.request_id, redeem->correlation, sizeof redeem->correlation))
        return;
    if (!vlt_is_ok(random_text(16, redeem->correlation)))
        redeem->correlation[0] = 0;
}

// A token of an unknown key may be of one that was published since.
static vlt_result verify_token(struct redeem *redeem) {
    struct redeemer *redeemer = redeem->redeemer;
    VLT_TRY(signing_keys_load(&redeemer->keys, redeemer->store));
    const struct token_expectation expected = {.keys = redeemer->keys.set,
                                               .issuer_base = bytes_of_text(redeemer->issuer),
                                               .now_s = clock_now_s()};
    const struct token_verified *verified;
    VLT_TRY(token_cache_verify(redeemer->tokens, redeem->request.token, &expected,
                               redeem->token_sha256, &verified));
    redeem->claims = &verified->claims;
    redeem->kid = verified->kid;
    return vlt_ok();
}

static void ask_keeper(struct redeem *redeem) {
    const struct redeem_request *r = &redeem->request;
    redeem->grant = grant_text_new(redeem->claims, redeem->kid, redeem->verdict.credential,
                                   redeem->verdict.created_at);
    if (!redeem->grant) {
        redeem_refuse(redeem, &redeem_refusal_unavailable, "out of memory");
        return;
    }
    static uint8_t event_room[8192]; // one loop, one thread: zeroed once, not each time
    struct audit_event event;
    struct wire_writer w;
    redeem_event(redeem, AUDIT_ALLOW, "", &event);
    wire_writer_init(&w, event_room, sizeof event_room);
    audit_event_put(&w, &event);
    struct ask_open ask = {.token = r->token,
                           .credential = bytes_of_text(redeem->verdict.credential),
                           .method = r->method,
                           .host = r->destination,
                           .path = r->path,
                           .model = r->model,
                           .tool = r->tool,
                           .max_tokens = r->max_tokens,
                           .proof_kind = redeem->claims->binding,
                           .proof_until = redeem->proof_until,
                           .event = bytes_of(event_room, w.size)};
    memcpy(ask.proof_key, redeem->claims->thumbprint, sizeof ask.proof_key);
    memcpy(ask.proof_id, redeem->proof_id, sizeof ask.proof_id);
    bytes_to_text(r->destination, redeem->destination, sizeof redeem->destination);
    memcpy(redeem->forwarder_name, redeem->forwarder->name, sizeof redeem->forwarder_name);
    redeem->epoch = redeem->redeemer->epoch;
    redeem->standing = redeem->redeemer->standing;
    ask_open(redeem->redeemer->keeper, &ask, redeem_opened, redeem);
}

static void decide_and_ask(struct redeem *redeem) {
    const char *reason = "";
    vlt_result result = verify_token(redeem);
    if (!vlt_is_ok(result)) {
        redeem_refuse(redeem, redeem_refusal_of(result, &redeem_refusal_bad_token), result.reason);
        return;
    }
    const struct redeem_refusal *unproved = redeem_prove(redeem, &reason);
    if (unproved) {
        redeem_refuse(redeem, unproved, reason);
        return;
    }
    result = redeem_judge(redeem);
    if (vlt_is_ok(result))
        ask_keeper(redeem);
    else
        redeem_refuse(redeem,
                      redeem_refusal_of(result, redeem->own.status ? &redeem->own
                                                                   : &redeem_refusal_denied),
                      result.reason);
}

static bool has_json_body(struct http_exchange *x) {
    struct bytes media;
    return http_header_find(&http_exchange_request(x)->fields, "content-type", &media) == 1 &&
           http_media_is(media, HTTP_JSON_MEDIA);
}

static void ask_about(struct redeem *redeem) {
    struct fault fault = {0};
    vlt_result result = forwarder_find(&redeem->redeemer->forwarders, redeem->redeemer->store,
                                       http_exchange_peer(redeem->x), &redeem->forwarder);
    if (!vlt_is_ok(result)) {
        redeem_refuse(redeem, redeem_refusal_of(result, &redeem_refusal_denied), result.reason);
        return;
    }
    if (!has_json_body(redeem->x)) {
        redeem_refuse_malformed(redeem, "not JSON", "the body must be application/json");
        return;
    }
    result = redeem_request_parse(http_exchange_request(redeem->x)->body, &fault, &redeem->request);
    if (result.class == VLT_UNAVAILABLE) {
        redeem_refuse(redeem, &redeem_refusal_unavailable, result.reason);
        return;
    }
    if (!vlt_is_ok(result)) {
        redeem_refuse_malformed(redeem, result.reason, fault_or_reason(&fault, result));
        return;
    }
    set_correlation(redeem);
    decide_and_ask(redeem);
}

void op_redeem(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct redeemer *redeemer = ctx;
    struct redeem *redeem = redeem_new(redeemer, x);
    if (!redeem) {
        redeem_refusal_reply(x, &redeem_refusal_unavailable);
        return;
    }
    vlt_result result = redeemer_snapshot(redeemer);
    if (!vlt_is_ok(result)) {
        redeem_refuse(redeem, &redeem_refusal_unavailable, result.reason);
        return;
    }
    ask_about(redeem);
    store_snapshot_end(redeemer->store);
}
