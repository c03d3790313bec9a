// SPDX-License-Identifier: Apache-2.0
// The gate and the limits of signing: every way in which a token, a proof or a
// request can be wrong, and what is recorded about it.
#include "tests/unit/gate_case.h"

#include <stdlib.h>

#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_key.h"

static void open_accepts_repeated_use(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    for (int i = 0; i < 5; i++) { // a fresh proof each time
        struct ask_open ask;
        fixture_open_request(&ask, good.token, "openai", 0x11);
        assert_ok(fixture_open(f, &ask, &opened));
        assert_string_equal(opened.value, "sk-secret");
    }
}

static void open_rejects_a_request_that_is_not_covered(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_open ask;
#define DENIED(change, class, reason)                                                              \
    do {                                                                                           \
        fixture_open_request(&ask, good.token, "openai", 0x11);                                    \
        change;                                                                                    \
        expect_denied(f, &ask, class, reason);                                                     \
    } while (0)
    DENIED(ask.method = BYTES_LITERAL("GET"), VLT_DENIED, NULL);
    DENIED(ask.path = BYTES_LITERAL("/v2/chat"), VLT_DENIED, NULL);
    DENIED(ask.path = BYTES_LITERAL("/v1/../v2"), VLT_DENIED, NULL);
    DENIED(ask.credential = BYTES_LITERAL("other"), VLT_DENIED, NULL);
    DENIED(ask.host = BYTES_LITERAL("evil.example"), VLT_DENIED,
           "the credential is not for this host");
    DENIED(ask.host = BYTES_LITERAL(""), VLT_DENIED, "the credential is not for this host");
    DENIED(ask.host = BYTES_LITERAL("api.example:8443"), VLT_DENIED, NULL);
    DENIED(ask.host = BYTES_LITERAL("api.exampl"), VLT_DENIED, NULL);
}

static void open_rejects_a_stolen_token(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_open ask;
    DENIED(memset(ask.proof_key, 0x12, 32), VLT_DENIED, "the token is bound to another key");
    DENIED(ask.proof_key[31] ^= 1, VLT_DENIED, "the token is bound to another key");
    DENIED(ask.proof_kind = TOKEN_BEARER, VLT_DENIED, NULL);     // sent as plain bearer
    DENIED(ask.proof_kind = TOKEN_BOUND_MTLS, VLT_DENIED, NULL); // a certificate of the same hash
    DENIED(ask.proof_kind = 77, VLT_DENIED, NULL);
    DENIED(memset(ask.proof_id, 0, 32), VLT_DENIED, NULL);
    DENIED(ask.proof_until = (uint64_t)clock_now_s() - 1, VLT_DENIED,
           "the proof of possession is too old");
    DENIED(ask.proof_until = UINT64_MAX, VLT_DENIED, NULL);
}

static void open_rejects_a_proof_that_was_used(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    struct ask_open ask;
    fixture_open_request(&ask, good.token, "openai", 0x11);
    struct ask_open refused = ask;
    refused.host = BYTES_LITERAL("evil.example");
    expect_denied(f, &refused, VLT_DENIED, NULL); // does not use the proof up
    assert_ok(fixture_open(f, &ask, &opened));
    expect_denied(f, &ask, VLT_DENIED, "the proof of possession was used before");
}

static void open_rejects_every_altered_token(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    struct ask_open ask;
    char token[IPC_TOKEN_MAX + 2];
    size_t size = strlen(good.token);
    fixture_open_request(&ask, good.token, "openai", 0x11);
    assert_ok(fixture_open(f, &ask, &opened)); // seen now: the cache must not help
    for (size_t at = 0; at < size; at += 3) {
        strcpy(token, good.token);
        token[at] = token[at] == 'A' ? 'B' : 'A';
        fixture_open_request(&ask, token, "openai", 0x11);
        vlt_result result = fixture_open(f, &ask, &opened);
        if (vlt_is_ok(result))
            fail_msg("a token altered at %zu opens", at);
        assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_DENY);
        assert_string_equal(keeper_fixture_last_event(f)->principal, ""); // nobody's word
    }
    for (size_t cut = 0; cut < size; cut += 17) {
        fixture_open_request(&ask, good.token, "openai", 0x11);
        ask.token.size = cut;
        assert_false(vlt_is_ok(fixture_open(f, &ask, &opened)));
    }
    snprintf(token, sizeof token, "%s=", good.token);
    fixture_open_request(&ask, token, "openai", 0x11);
    assert_false(vlt_is_ok(fixture_open(f, &ask, &opened)));
}

// A key that somebody put into the store as a public record does not verify.
static void open_rejects_a_token_of_a_planted_key(void **state) {
    struct keeper_fixture *f = *state;
    EVP_PKEY *pkey;
    struct jwk *forger;
    char kid[JWK_THUMBPRINT_TEXT_SIZE];
    assert_ok(pkey_generate(PKEY_P256, &pkey));
    assert_ok(jwk_of_pkey(pkey, NULL, &forger));
    assert_ok(jwk_thumbprint_text(forger, kid));
    strcpy(forger->kid, kid);
    forger->has_kid = true;
    struct record_key record = {
        .use = RECORD_KEY_TOKEN, .state = RECORD_KEY_RETIRED, .created_at = 1};
    strcpy(record.kid, kid);
    assert_ok(jwk_export(forger, "ES256", "sig", &record.jwk));
    json_t *json = record_key_json(&record);
    char *text = json_dumps(json, JSON_COMPACT);
    struct store_change planted = {.class = STORE_SIGNING_KEY,
                                   .name = bytes_of_text(kid),
                                   .value = bytes_of_text(text),
                                   .expected_revision = 0};
    assert_ok(store_commit(f->keeper->store, &planted, 1, NULL, NULL));
    struct token_claims claims;
    struct buf token;
    fixture_claims(&claims, "openai", 0x11);
    claims.issuer = claims.audience = BYTES_LITERAL(FIXTURE_ISSUER);
    claims.id = BYTES_LITERAL("forged");
    claims.issued_at = clock_now_s();
    claims.expires_at = claims.issued_at + 300;
    buf_init(&token, TOKEN_BYTES_MAX);
    assert_ok(token_sign(forger, &claims, &token));
    struct ask_open ask;
    fixture_open_request(&ask, buf_text(&token), "openai", 0x11);
    expect_denied(f, &ask, VLT_CRYPTO, NULL);
    // Nor after a restart: the vault stays sealed rather than trust that record.
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_SEALED);
    free(text);
    json_decref(json);
    record_key_done(&record);
    jwk_free(forger);
    buf_done(&token);
}

static void open_rejects_an_expired_token(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    struct token_claims claims;
    struct signed_answer token;
    struct ask_open ask;
    fixture_claims(&claims, "openai", 0x11);
    assert_ok(fixture_sign(f, &claims, 1, 1, &token));
    fixture_open_request(&ask, token.token, "openai", 0x11);
    (void)!vlt_is_ok(fixture_open(f, &ask, &opened)); // seen, if it was quick enough
    sleep(2);
    fixture_open_request(&ask, token.token, "openai", 0x11);
    expect_denied(f, &ask, VLT_DENIED, NULL);
}

static void open_accepts_bearer_only_when_the_token_says_so(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    struct token_claims claims;
    struct signed_answer token;
    struct ask_open ask;
    fixture_claims(&claims, "openai", 0);
    assert_ok(fixture_sign(f, &claims, 1, 300, &token));
    fixture_open_request(&ask, token.token, "openai", 0);
    assert_ok(fixture_open(f, &ask, &opened));
    fixture_open_request(&ask, good.token, "openai", 0);
    expect_denied(f, &ask, VLT_DENIED, NULL);
}

static void open_accepts_mutual_tls(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    struct token_claims claims;
    struct signed_answer token;
    struct ask_open ask;
    fixture_claims(&claims, "openai", 0x33);
    claims.binding = TOKEN_BOUND_MTLS;
    assert_ok(fixture_sign(f, &claims, 1, 300, &token));
    fixture_open_request(&ask, token.token, "openai", 0x33);
    ask.proof_kind = TOKEN_BOUND_MTLS;
    memset(ask.proof_id, 0, sizeof ask.proof_id);
    ask.proof_until = 0;
    assert_ok(fixture_open(f, &ask, &opened));
    assert_ok(fixture_open(f, &ask, &opened)); // a connection proves itself all the time
    ask.proof_kind = TOKEN_BOUND_DPOP;         // a DPoP key of the same thumbprint
    expect_denied(f, &ask, VLT_DENIED, NULL);
}

// ---- Signing ----

static void expect_not_signed(struct keeper_fixture *f, const struct token_claims *claims,
                              uint32_t tenant, uint32_t lifetime_s, enum vlt_class class) {
    struct signed_answer token;
    size_t before = f->event_count;
    vlt_result result = fixture_sign(f, claims, tenant, lifetime_s, &token);
    if (result.class != class)
        fail_msg("class %d instead of %d: %s", result.class, class, result.reason);
    assert_int_equal(f->event_count, before + 1);
    assert_int_equal(keeper_fixture_last_event(f)->kind, AUDIT_ISSUE);
    assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_DENY);
    assert_string_equal(keeper_fixture_last_event(f)->principal, "https://id.example|alice");
    assert_int_equal(token.sequence, f->event_count); // names its record
}

static void sign_rejects_beyond_its_limits(void **state) {
    struct keeper_fixture *f = *state;
    struct token_claims claims;
    fixture_claims(&claims, "openai", 0x11);
    expect_not_signed(f, &claims, 1, 0, VLT_DENIED);
    expect_not_signed(f, &claims, 1, f->max_lifetime_s + 1, VLT_DENIED);
    expect_not_signed(f, &claims, 2, 300, VLT_DENIED);
    claims.details[0].credential = BYTES_LITERAL("nobody");
    expect_not_signed(f, &claims, 1, 300, VLT_NOT_FOUND);
    fixture_claims(&claims, "openai", 0x11);
    claims.tenant = BYTES_LITERAL("elsewhere");
    expect_not_signed(f, &claims, 1, 300, VLT_NOT_FOUND);
    fixture_claims(&claims, "openai", 0x11);
    claims.detail_count = 2; // one that is there and one that is not
    claims.details[1] = claims.details[0];
    claims.details[1].credential = BYTES_LITERAL("nobody");
    expect_not_signed(f, &claims, 1, 300, VLT_NOT_FOUND);
    claims.detail_count = 0;
    expect_not_signed(f, &claims, 1, 300, VLT_DENIED);
    fixture_claims(&claims, "openai", 0x11);
    claims.audience = BYTES_LITERAL("sts.amazonaws.com"); // somebody who trusts our keys
    expect_not_signed(f, &claims, 1, 300, VLT_DENIED);
    f->max_lifetime_s = 60; // SIGHUP
    assert_ok(keeper_fixture_reload(f, NULL));
    fixture_claims(&claims, "openai", 0x11);
    expect_not_signed(f, &claims, 1, 61, VLT_DENIED);
}

static void done_signing(vlt_result result, const struct answer_sign *answer, void *context) {
    *(vlt_result *)context = vlt_is_ok(result) ? vlt_fail(VLT_CLASS_COUNT, "") : result;
}

static void sign_rejects_a_proof_that_was_used(void **state) {
    struct keeper_fixture *f = *state;
    uint8_t room[4096], event_room[256];
    struct token_claims claims;
    struct wire_writer w, event_w;
    struct audit_event event = {.kind = AUDIT_ISSUE, .outcome = AUDIT_ALLOW};
    fixture_claims(&claims, "openai", 0x11);
    wire_writer_init(&w, room, sizeof room);
    token_claims_put(&w, &claims);
    wire_writer_init(&event_w, event_room, sizeof event_room);
    audit_event_put(&event_w, &event);
    struct ask_sign ask = {.tenant = 1,
                           .claims = bytes_of(room, w.size),
                           .lifetime_s = 60,
                           .event = bytes_of(event_room, event_w.size),
                           .proof_until = (uint64_t)clock_now_s() + 30};
    static const enum vlt_class expected[] = {VLT_DENIED, VLT_CLASS_COUNT, VLT_DENIED};
    for (int i = 0; i < 3; i++) { // none at all, fresh, used
        vlt_result result = {VLT_CLASS_OK, ""};
        ask.proof_id[0] = i ? 0x77 : 0;
        ask_sign(f->mine[IPC_BROKER], &ask, done_signing, &result);
        while (result.class == VLT_CLASS_OK)
            keeper_fixture_turn(f, 0);
        assert_int_equal(result.class, expected[i]);
    }
}

static void sign_accepts_what_is_ours_to_set(void **state) {
    struct keeper_fixture *f = *state;
    struct token_claims claims;
    struct signed_answer token;
    struct jws_parts parts;
    fixture_claims(&claims, "openai", 0x11);
    claims.issuer = BYTES_LITERAL("https://evil.example"); // all of these are overwritten
    claims.id = BYTES_LITERAL("chosen");
    claims.issued_at = 1;
    claims.expires_at = 4000000000;
    int64_t now_s = clock_now_s();
    assert_ok(fixture_sign(f, &claims, 1, 60, &token));
    assert_true((int64_t)token.expires_at >= now_s + 60 && (int64_t)token.expires_at <= now_s + 62);
    assert_ok(jws_split(bytes_of_text(token.token), 0, &parts));
    json_t *payload = json_loadb((const char *)parts.payload.at, parts.payload.size, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(payload, "iss")), FIXTURE_ISSUER);
    assert_string_equal(json_string_value(json_object_get(payload, "aud")), FIXTURE_ISSUER);
    assert_int_equal(json_integer_value(json_object_get(payload, "exp")), token.expires_at);
    assert_true(json_integer_value(json_object_get(payload, "iat")) >= now_s);
    assert_string_not_equal(json_string_value(json_object_get(payload, "jti")), "chosen");
    json_decref(payload);
    jws_parts_done(&parts);
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        CASE(open_accepts_repeated_use),
        CASE(open_rejects_a_request_that_is_not_covered),
        CASE(open_rejects_a_stolen_token),
        CASE(open_rejects_a_proof_that_was_used),
        CASE(open_rejects_every_altered_token),
        CASE(open_rejects_a_token_of_a_planted_key),
        CASE(open_rejects_an_expired_token),
        CASE(open_accepts_bearer_only_when_the_token_says_so),
        CASE(open_accepts_mutual_tls),
        CASE(sign_rejects_beyond_its_limits),
        CASE(sign_rejects_a_proof_that_was_used),
        CASE(sign_accepts_what_is_ours_to_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
