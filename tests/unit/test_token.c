// SPDX-License-Identifier: Apache-2.0
// libvault/token: claims on the wire and as JSON, signing, and what the verifier
// refuses (RFC 9068, RFC 8725).
#include <jwt.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/pkey.h"
#include "libvault/token/token_sign.h"
#include "libvault/token/token_verify.h"
#include "tests/unit/check.h"

#define NOW 1800000000
#define BASE "https://vault.example"

static struct jwk *signer, *stranger;
static struct jwk_set ring;

static struct jwk *new_key(const char *kid) {
    EVP_PKEY *pkey = NULL;
    struct jwk *key = NULL;
    assert_true(vlt_is_ok(pkey_generate(PKEY_P256, &pkey)));
    assert_true(vlt_is_ok(jwk_of_pkey(pkey, kid, &key)));
    return key;
}

static int keys_open(void **state) {
    (void)state;
    assert_true(vlt_is_ok(secret_heap_open(1u << 18, NULL)));
    signer = new_key("k1");
    stranger = new_key("k1");
    ring = (struct jwk_set){.count = 1, .keys = {signer}};
    return 0;
}

static int keys_close(void **state) {
    (void)state;
    jwk_free(signer);
    jwk_free(stranger);
    return 0;
}

static struct token_claims full_claims(void) {
    struct token_claims c = {
        .issuer = BYTES_LITERAL(BASE),
        .audience = BYTES_LITERAL(BASE),
        .tenant = BYTES_LITERAL("default"),
        .id = BYTES_LITERAL("jti-0123456789"),
        .principal = BYTES_LITERAL("https://idp.example|alice \"{\xc3\xa9"),
        .principal_kind = TOKEN_USER,
        .client = BYTES_LITERAL("agent-7"),
        .actor_count = 2,
        .actors = {{BYTES_LITERAL("https://idp.example|agent-7"), TOKEN_AGENT},
                   {BYTES_LITERAL("https://idp.example|batch"), TOKEN_WORKLOAD}},
        .actor_group_count = 1,
        .actor_groups = {BYTES_LITERAL("coders")},
        .issued_at = NOW,
        .expires_at = NOW + 300,
        .auth_time = NOW - 10,
        .correlation = BYTES_LITERAL("txn-1"),
        .policy_set = BYTES_LITERAL("cG9saWN5"),
        .traits = {.acr = BYTES_LITERAL("urn:mfa"),
                   .amr = {2, {BYTES_LITERAL("pwd"), BYTES_LITERAL("otp")}},
                   .tag_count = 2,
                   .tags = {{BYTES_LITERAL("ref"), BYTES_LITERAL("refs/heads/main")},
                            {BYTES_LITERAL("repository"), BYTES_LITERAL("acme/shop \"\xc3\xa9")}},
                   .compliant = TOKEN_POSTURE_YES,
                   .managed = TOKEN_POSTURE_NO},
        .actor_traits = {.acr = BYTES_LITERAL("urn:key"),
                         .amr = {1, {BYTES_LITERAL("hwk")}},
                         .tag_count = 1,
                         .tags = {{BYTES_LITERAL("team"), BYTES_LITERAL("")}},
                         .managed = TOKEN_POSTURE_YES},
        .group_count = 2,
        .groups = {BYTES_LITERAL("eng"), BYTES_LITERAL("ops")},
        .binding = TOKEN_BOUND_DPOP,
        .detail_count = 2,
        .details = {{.credential = BYTES_LITERAL("openai-prod"),
                     .methods = {1, {BYTES_LITERAL("POST")}},
                     .paths = {1, {BYTES_LITERAL("/v1/chat/*")}},
                     .models = {1, {BYTES_LITERAL("gpt-*")}},
                     .max_tokens = 4096},
                    {.credential = BYTES_LITERAL("mcp"),
                     .tools = {2, {BYTES_LITERAL("search"), BYTES_LITERAL("read_*")}}}}};
    memset(c.thumbprint, 0x5a, sizeof c.thumbprint);
    return c;
}

static void assert_same(const struct token_claims *a, const struct token_claims *b) {
    struct buf left, right;
    buf_init(&left, TOKEN_PAYLOAD_MAX);
    buf_init(&right, TOKEN_PAYLOAD_MAX);
    assert_true(vlt_is_ok(token_claims_json(a, &left)));
    assert_true(vlt_is_ok(token_claims_json(b, &right)));
    assert_string_equal(buf_text(&left), buf_text(&right));
    buf_done(&left);
    buf_done(&right);
}

static struct bytes sign_claims(struct buf *out, const struct token_claims *claims) {
    buf_init(out, TOKEN_BYTES_MAX + 8192);
    vlt_result result = token_sign(signer, claims, out);
    assert_string_equal(result.reason, "");
    return buf_bytes(out);
}

static struct token_expectation expectation(void) {
    return (struct token_expectation){
        .keys = &ring, .issuer_base = BYTES_LITERAL(BASE), .now_s = NOW + 1};
}

// ---- Claims ----

static void test_claims_wire_accepts_what_it_wrote(void **state) {
    (void)state;
    uint8_t room[12288];
    struct wire_writer w;
    struct token_claims claims = full_claims(), back;
    wire_writer_init(&w, room, sizeof room);
    token_claims_put(&w, &claims);
    assert_false(w.failed);
    assert_true(vlt_is_ok(token_claims_get(bytes_of(room, w.size), &back)));
    assert_same(&claims, &back);
}

static void test_claims_wire_survives_truncation_and_flips(void **state) {
    (void)state;
    uint8_t room[12288];
    struct wire_writer w;
    struct token_claims claims = full_claims(), back;
    wire_writer_init(&w, room, sizeof room);
    token_claims_put(&w, &claims);
    for (size_t size = 0; size < w.size; size++)
        assert_false(vlt_is_ok(token_claims_get(bytes_of(room, size), &back)));
    room[w.size] = 0;
    assert_false(vlt_is_ok(token_claims_get(bytes_of(room, w.size + 1), &back)));
    for (size_t bit = 0; bit < w.size * 8; bit++) {
        room[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (vlt_is_ok(token_claims_get(bytes_of(room, w.size), &back)))
            assert_true(vlt_is_ok(token_claims_check(&back)));
        room[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_claims_json_is_canonical_and_read_by_libjwt(void **state) {
    (void)state;
    struct token_claims claims = full_claims();
    struct buf ours, canonical;
    json_t *root = NULL;
    jwt_t *jwt = NULL;
    buf_init(&ours, TOKEN_PAYLOAD_MAX);
    buf_init(&canonical, TOKEN_PAYLOAD_MAX);
    assert_true(vlt_is_ok(token_claims_json(&claims, &ours)));
    assert_true(
        vlt_is_ok(jsontext_parse(buf_bytes(&ours), &jsontext_token_limits, NULL, &root)));
    assert_true(vlt_is_ok(jsontext_canonical(root, &canonical)));
    assert_string_equal(buf_text(&ours), buf_text(&canonical));
    assert_int_equal(jwt_new(&jwt), 0);
    assert_int_equal(jwt_add_grants_json(jwt, buf_text(&ours)), 0);
    assert_string_equal(jwt_get_grant(jwt, "iss"), BASE);
    assert_int_equal(jwt_get_grant_int(jwt, "exp"), NOW + 300);
    assert_string_equal(jwt_get_grant(jwt, "sub_profile"), "user");
    char *act = jwt_get_grants_json(jwt, "act");
    assert_non_null(strstr(act, "agent-7"));
    free(act);
    jwt_free(jwt);
    json_decref(root);
    buf_done(&ours);
    buf_done(&canonical);
}

static void test_claims_check_rejects_contradictions(void **state) {
    (void)state;
    struct token_claims good = full_claims(), c = good;
    assert_true(vlt_is_ok(token_claims_check(&c)));
    c.binding = TOKEN_BEARER; // but it has a thumbprint
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    memset(c.thumbprint, 0, sizeof c.thumbprint); // bound to nothing
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    c.principal_kind = 3;
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    c.actor_count = 0; // whose groups?
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    c.group_count = TOKEN_GROUPS_MAX + 1;
    assert_int_equal(token_claims_check(&c).class, VLT_LIMIT);
    c = good;
    c.details[0].paths.items[0] = BYTES_LITERAL("/v1/../admin");
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    c.traits.acr = BYTES_LITERAL("\xff");
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
}

static void test_traits_accept_tags_in_any_order(void **state) {
    (void)state;
    static const char *const names[] = {"m", "z", "a", "mm", "A", "b"}, sorted[] = "A a b m mm z ";
    struct token_traits traits = {0};
    char seen[64] = "";
    for (size_t i = 0; i < 6; i++)
        assert_true(token_traits_add_tag(&traits, bytes_of_text(names[i]), BYTES_LITERAL("v")));
    for (size_t i = 0; i < traits.tag_count; i++)
        snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%.*s ",
                 (int)traits.tags[i].name.size, (const char *)traits.tags[i].name.at);
    assert_string_equal(seen, sorted);
    assert_true(vlt_is_ok(token_traits_check(&traits)));
    assert_false(
        token_traits_add_tag(&traits, BYTES_LITERAL("mm"), BYTES_LITERAL("w"))); // is there
    char room[TOKEN_TAGS_MAX][2];
    for (size_t i = 6; i <= TOKEN_TAGS_MAX; i++) {
        snprintf(room[i - 6], 2, "%c", (char)('G' + i));
        assert_int_equal(
            token_traits_add_tag(&traits, bytes_of_text(room[i - 6]), BYTES_LITERAL("")),
            i < TOKEN_TAGS_MAX);
    }
}

static void test_traits_reject_disorder(void **state) {
    (void)state;
    static char longest[TOKEN_TAG_VALUE_MAX + 1];
    struct token_claims good = full_claims(), c = good;
    memset(longest, 'a', sizeof longest);
    c.traits.tags[0].name = BYTES_LITERAL("repository"); // twice
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c.traits.tags[0].name = BYTES_LITERAL("s"); // behind the second
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c.traits.tags[0].name = BYTES_LITERAL("");
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c.traits.tags[0].name = BYTES_LITERAL("\xc3\xa9"); // its place in RFC 8785 is by UTF-16
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    c.traits.tags[0].value = bytes_of(longest, TOKEN_TAG_VALUE_MAX);
    assert_true(vlt_is_ok(token_claims_check(&c)));
    c.traits.tags[0].value = bytes_of(longest, TOKEN_TAG_VALUE_MAX + 1);
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    c.traits.tag_count = TOKEN_TAGS_MAX + 1;
    assert_int_equal(token_claims_check(&c).class, VLT_LIMIT);
    c = good;
    c.actor_traits.managed = TOKEN_POSTURE_YES + 1;
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
    c = good;
    c.actor_count = c.actor_group_count = 0; // whose posture?
    assert_int_equal(token_claims_check(&c).class, VLT_MALFORMED);
}

static void test_issuer_text_accepts_default_and_named_tenants(void **state) {
    (void)state;
    char text[TOKEN_ISSUER_SIZE], base[TOKEN_ISSUER_SIZE];
    assert_true(token_issuer_text(BYTES_LITERAL(BASE), BYTES_LITERAL("default"), text));
    assert_string_equal(text, BASE);
    assert_true(token_issuer_text(BYTES_LITERAL(BASE), BYTES_LITERAL("acme"), text));
    assert_string_equal(text, BASE "/t/acme");
    memset(base, 'a', sizeof base);
    assert_false(token_issuer_text(bytes_of(base, 512), BYTES_LITERAL("acme"), text));
    assert_string_equal(text, BASE "/t/acme");
}

// ---- Sign and verify ----

static void test_verify_accepts_signed_token(void **state) {
    (void)state;
    struct buf token;
    struct token_claims claims = full_claims();
    struct token_expectation expected = expectation();
    struct token_verified verified;
    struct bytes text = sign_claims(&token, &claims);
    assert_true(text.size < 1536); // "in common use": this one has two details and two actors
    assert_true(vlt_is_ok(token_verify(text, &expected, &verified)));
    assert_same(&claims, &verified.claims);
    token_verified_done(&verified);
    buf_done(&token);
}

static void test_verify_rejects_other_authority(void **state) {
    (void)state;
    struct buf token;
    struct token_claims claims = full_claims();
    struct token_verified verified;
    struct bytes text = sign_claims(&token, &claims);
    struct token_expectation expected = expectation();
    expected.now_s = NOW + 300;
    assert_string_equal(token_verify(text, &expected, &verified).reason, "token expired");
    expected = expectation();
    expected.now_s = NOW - 61;
    assert_string_equal(token_verify(text, &expected, &verified).reason, "token from the future");
    expected = expectation();
    expected.issuer_base = BYTES_LITERAL("https://vault.example.evil");
    assert_string_equal(token_verify(text, &expected, &verified).reason, "another issuer");
    expected = expectation();
    expected.audience = BYTES_LITERAL("https://other.example");
    assert_string_equal(token_verify(text, &expected, &verified).reason, "another audience");
    expected = expectation();
    ring.keys[0] = stranger;
    assert_int_equal(token_verify(text, &expected, &verified).class, VLT_CRYPTO);
    ring.keys[0] = signer;
    ring.count = 0;
    assert_string_equal(token_verify(text, &expected, &verified).reason,
                        "signed with an unknown key");
    ring.count = 1;
    buf_done(&token);
    // A tenant's token under another tenant's issuer.
    claims.tenant = BYTES_LITERAL("acme");
    text = sign_claims(&token, &claims);
    assert_string_equal(token_verify(text, &expected, &verified).reason, "another issuer");
    buf_done(&token);
}

static vlt_result verify_made(const char *header, const char *payload) {
    struct buf token;
    struct token_verified verified;
    struct token_expectation expected = expectation();
    buf_init(&token, 16384);
    assert_true(vlt_is_ok(
        jws_sign(signer, bytes_of_text(header), bytes_of_text(payload), &token)));
    vlt_result result = token_verify(buf_bytes(&token), &expected, &verified);
    if (vlt_is_ok(result))
        token_verified_done(&verified);
    buf_done(&token);
    return result;
}

#define HEADER "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}"
#define PAYLOAD_BUT_LAST                                                                           \
    "{\"iss\":\"" BASE "\",\"aud\":\"" BASE "\",\"sub\":\"i|s\",\"sub_profile\":\"agent\","        \
    "\"client_id\":\"c\",\"jti\":\"j\",\"tid\":\"default\",\"iat\":1800000000,"                    \
    "\"authorization_details\":[{\"type\":\"credential_use\",\"credential\":\"c\"}]"
#define PAYLOAD(last) PAYLOAD_BUT_LAST "," last "}"

static void test_verify_rejects_other_headers(void **state) {
    (void)state;
    const char *good = PAYLOAD("\"exp\":1800000300");
    assert_true(vlt_is_ok(verify_made(HEADER, good)));
    static const char *const headers[] = {
        "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k1\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"dpop+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"kid\":\"\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"kid\":\"k2\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"es256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"none\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"x\"],\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"alg\":\"ES256\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        if (vlt_is_ok(verify_made(headers[i], good)))
            fail_msg("accepted %s", headers[i]);
    }
}

static void test_verify_rejects_other_claims(void **state) {
    (void)state;
    static const char *const endings[] = {
        "\"exp\":\"1800000300\"",
        "\"exp\":1800000300.5",
        "\"exp\":-1",
        "\"exp\":true",
        "\"nothing\":1", // no exp, and a claim that we never write
        "\"exp\":1800000300,\"cnf\":{}",
        "\"exp\":1800000300,\"cnf\":{\"jwk\":{}}",
        "\"exp\":1800000300,\"cnf\":{\"jkt\":\"AAAA\"}",
        "\"exp\":1800000300,\"cnf\":{\"jkt\":\"WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo\","
        "\"kid\":\"x\"}",
        "\"exp\":1800000300,\"cnf\":{\"kid\":\"WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo\"}",
        "\"exp\":1800000300,\"cnf\":null",
        "\"exp\":1800000300,\"act\":\"x\"",
        "\"exp\":1800000300,\"act\":{\"sub\":\"a\",\"sub_profile\":\"robot\"}",
        "\"exp\":1800000300,\"act\":{\"sub\":\"a\",\"sub_profile\":\"agent\",\"x\":1}",
        "\"exp\":1800000300,\"tags\":{}",
        "\"exp\":1800000300,\"tags\":{\"a\":1}",
        "\"exp\":1800000300,\"tags\":[\"a\"]",
        "\"exp\":1800000300,\"tags\":{\"a b\":\"x\"}",
        "\"exp\":1800000300,\"device\":{}",
        "\"exp\":1800000300,\"device\":{\"managed\":\"true\"}",
        "\"exp\":1800000300,\"device\":{\"lost\":true}",
        "\"exp\":1800000300,\"act\":{\"act\":{\"sub\":\"b\",\"sub_profile\":\"agent\",\"tags\":{"
        "\"a\":\"b\"}},\"sub\":\"a\",\"sub_profile\":\"agent\"}",
        "\"exp\":1800000300,\"groups\":\"ops\"",
        "\"exp\":1800000300,\"groups\":[1]",
        "\"exp\":1800000300,\"groups\":[]",
        "\"exp\":1800000300,\"amr\":[\"\"]",
        "\"exp\":1800000300,\"scope\":\"admin\"",
        "\"exp\":1800000300,\"sub\":\"i|t\""};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        char payload[1024];
        snprintf(payload, sizeof payload, PAYLOAD_BUT_LAST ",%s}", endings[i]);
        if (vlt_is_ok(verify_made(HEADER, payload)))
            fail_msg("accepted %s", endings[i]);
    }
    assert_true(vlt_is_ok(verify_made(
        HEADER, PAYLOAD("\"exp\":1800000300,\"cnf\":{\"x5t#S256\":"
                        "\"WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo\"}"))));
}

static void test_verify_survives_mutation(void **state) {
    (void)state;
    struct buf token;
    struct token_claims claims = full_claims();
    struct token_expectation expected = expectation();
    struct token_verified verified;
    sign_claims(&token, &claims);
    buf_put_byte(&token, 'A');
    assert_false(vlt_is_ok(token_verify(buf_bytes(&token), &expected, &verified)));
    token.size--;
    for (size_t size = 0; size < token.size; size += 7)
        assert_false(vlt_is_ok(token_verify(bytes_of(token.at, size), &expected, &verified)));
    for (size_t at = 0; at < token.size; at += 3) {
        token.at[at] ^= 1;
        assert_false(vlt_is_ok(token_verify(buf_bytes(&token), &expected, &verified)));
        token.at[at] ^= 1;
    }
    buf_done(&token);
}

static void test_sign_rejects_incomplete_claims_and_other_keys(void **state) {
    (void)state;
    struct buf out;
    struct token_claims good = full_claims(), c = good;
    buf_init(&out, TOKEN_BYTES_MAX);
    c.client = bytes_of(NULL, 0);
    assert_int_equal(token_sign(signer, &c, &out).class, VLT_BUG);
    c = good;
    c.detail_count = 0;
    assert_int_equal(token_sign(signer, &c, &out).class, VLT_BUG);
    c = good;
    c.expires_at = c.issued_at;
    assert_int_equal(token_sign(signer, &c, &out).class, VLT_BUG);
    EVP_PKEY *pkey = NULL;
    struct jwk *ed25519 = NULL;
    assert_true(vlt_is_ok(pkey_generate(PKEY_ED25519, &pkey)));
    assert_true(vlt_is_ok(jwk_of_pkey(pkey, "k", &ed25519)));
    assert_int_equal(token_sign(ed25519, &good, &out).class, VLT_BUG);
    jwk_free(ed25519);
    assert_int_equal(out.size, 0);
    buf_done(&out);
}

static void test_sign_rejects_too_large_token(void **state) {
    (void)state;
    static char pattern[TOKEN_PATTERN_MAX];
    struct buf out;
    struct token_claims c = full_claims();
    memset(pattern, 'a', sizeof pattern);
    c.details[0].tools.count = c.details[1].tools.count = TOKEN_LIST_MAX;
    for (size_t i = 0; i < TOKEN_LIST_MAX; i++)
        c.details[0].tools.items[i] = c.details[1].tools.items[i] =
            bytes_of(pattern, sizeof pattern);
    buf_init(&out, 65536);
    assert_int_equal(token_sign(signer, &c, &out).class, VLT_LIMIT);
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims_wire_accepts_what_it_wrote),
        cmocka_unit_test(test_claims_wire_survives_truncation_and_flips),
        cmocka_unit_test(test_claims_json_is_canonical_and_read_by_libjwt),
        cmocka_unit_test(test_claims_check_rejects_contradictions),
        cmocka_unit_test(test_traits_accept_tags_in_any_order),
        cmocka_unit_test(test_traits_reject_disorder),
        cmocka_unit_test(test_issuer_text_accepts_default_and_named_tenants),
        cmocka_unit_test(test_verify_accepts_signed_token),
        cmocka_unit_test(test_verify_rejects_other_authority),
        cmocka_unit_test(test_verify_rejects_other_headers),
        cmocka_unit_test(test_verify_rejects_other_claims),
        cmocka_unit_test(test_verify_survives_mutation),
        cmocka_unit_test(test_sign_rejects_incomplete_claims_and_other_keys),
        cmocka_unit_test(test_sign_rejects_too_large_token),
    };
    return cmocka_run_group_tests_name("token", tests, keys_open, keys_close);
}
