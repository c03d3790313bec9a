// SPDX-License-Identifier: Apache-2.0
// libvault/identity: DPoP proofs (RFC 9449 section 4.3) and nonces.
#include "tests/unit/identity_fixture.h"

#include "libvault/base/b64u.h"
#include "libvault/crypto/digest.h"
#include "libvault/identity/dpop.h"
#include "libvault/identity/dpop_uri.h"

#define NOW 1800000000
#define URI "https://vault.example/oauth2/token"
#define CLAIMS "\"jti\":\"j1\",\"htm\":\"POST\",\"htu\":\"" URI "\",\"iat\":1800000000"

static struct jwk *key;
static struct dpop_nonces *nonces;

static int open_all(void **state) {
    assert_true(vlt_is_ok(secret_heap_open(1u << 20, NULL)));
    key = idp_key_p256(NULL);
    assert_true(vlt_is_ok(dpop_nonces_new((const uint8_t[32]){1}, &nonces)));
    return 0;
}
static int close_all(void **state) {
    jwk_free(key);
    dpop_nonces_free(nonces);
    return 0;
}

static struct dpop_expectation expectation(void) {
    return (struct dpop_expectation){
        .method = BYTES_LITERAL("POST"), .uri = BYTES_LITERAL(URI), .now_s = NOW};
}

// A proof with these claims; `typ`, and more header members, may be replaced.
static char *prove(const char *typ, const char *more, const char *claims) {
    struct buf out, header, payload;
    json_t *jwk = NULL;
    assert_true(vlt_is_ok(jwk_export(key, NULL, NULL, &jwk)));
    char *text = json_dumps(jwk, JSON_COMPACT);
    buf_init(&out, 16384);
    buf_init(&header, 4096);
    buf_init(&payload, 4096);
    buf_put_format(&header, "{\"alg\":\"ES256\",\"typ\":\"%s\"%s,\"jwk\":%s}", typ, more, text);
    buf_put_format(&payload, "{%s}", claims);
    assert_true(vlt_is_ok(jws_sign(key, buf_bytes(&header), buf_bytes(&payload), &out)));
    char *proof = strdup(buf_text(&out));
    free(text);
    json_decref(jwk);
    buf_done(&out);
    buf_done(&header);
    buf_done(&payload);
    return proof;
}

static enum dpop_outcome check(char *proof, const struct dpop_expectation *expected,
                               struct dpop_proof *ret_proof) {
    const char *reason = NULL;
    enum dpop_outcome outcome = dpop_verify(bytes_of_text(proof), expected, ret_proof, &reason);
    if (outcome != DPOP_VALID)
        assert_non_null(reason);
    free(proof);
    return outcome;
}

static void test_dpop_accepts_valid_proof(void **state) {
    struct dpop_expectation expected = expectation();
    struct dpop_proof first, second;
    uint8_t thumbprint[32], id[32];
    assert_int_equal(check(prove("dpop+jwt", "", CLAIMS), &expected, &first), DPOP_VALID);
    assert_true(vlt_is_ok(jwk_thumbprint(key, thumbprint)));
    assert_memory_equal(first.thumbprint, thumbprint, 32);
    const struct bytes parts[] = {bytes_of(thumbprint, 32), BYTES_LITERAL("j1")};
    assert_true(vlt_is_ok(digest_sha256_parts(parts, 2, id)));
    assert_memory_equal(first.id, id, 32);
    // It is known for as long as it could be used again.
    assert_true(first.until >= NOW + 2 * DPOP_WINDOW_S);
    // The same jti in another spelling of the proof is the same proof.
    assert_int_equal(check(prove("dpop+jwt", "", CLAIMS ",\"x\":1"), &expected, &second),
                     DPOP_VALID);
    assert_memory_equal(second.id, id, 32);
    assert_int_equal(check(prove("dpop+jwt", "", CLAIMS ".75"), &expected, &second), DPOP_VALID);
}

// RFC 9449 section 4.1.
static void test_dpop_accepts_proof_of_the_standard(void **state) {
    static const char published[] =
        "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0"
        "VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10"
        "NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoi"
        "UE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-"
        "GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    char jkt[B64U_SIZE(32) + 1];
    struct dpop_expectation expected = {.method = BYTES_LITERAL("POST"),
                                        .uri = BYTES_LITERAL("https://server.example.com/token"),
                                        .now_s = 1562262616};
    struct dpop_proof proof;
    assert_int_equal(check(strdup(published), &expected, &proof), DPOP_VALID);
    b64u_encode_text(bytes_of(proof.thumbprint, 32), jkt);
    assert_string_equal(jkt, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    expected.method = BYTES_LITERAL("GET");
    assert_int_equal(check(strdup(published), &expected, &proof), DPOP_INVALID);
}

static void test_dpop_rejects_wrong_claims(void **state) {
    static const char *const wrongs[] = {
        "\"htm\":\"POST\",\"htu\":\"" URI "\",\"iat\":1800000000",
        "\"jti\":\"\",\"htm\":\"POST\",\"htu\":\"" URI "\",\"iat\":1800000000",
        "\"jti\":1,\"htm\":\"POST\",\"htu\":\"" URI "\",\"iat\":1800000000",
        "\"jti\":\"j\",\"htm\":\"post\",\"htu\":\"" URI "\",\"iat\":1800000000",
        "\"jti\":\"j\",\"htm\":\"GET\",\"htu\":\"" URI "\",\"iat\":1800000000",
        "\"jti\":\"j\",\"htu\":\"" URI "\",\"iat\":1800000000",
        "\"jti\":\"j\",\"htm\":\"POST\",\"htu\":\"https://vault.example/oauth2/"
        "revoke\",\"iat\":1800000000",
        "\"jti\":\"j\",\"htm\":\"POST\",\"htu\":\"https://evil.example/oauth2/"
        "token\",\"iat\":1800000000",
        "\"jti\":\"j\",\"htm\":\"POST\",\"htu\":\"" URI "\"",
        "\"jti\":\"j\",\"htm\":\"POST\",\"htu\":\"" URI "\",\"iat\":1800000061",
        "\"jti\":\"j\",\"htm\":\"POST\",\"htu\":\"" URI "\",\"iat\":1799999939",
        "\"jti\":\"j\",\"htm\":\"POST\",\"htu\":\"" URI "\",\"iat\":\"1800000000\"",
        CLAIMS ",\"htm\":\"POST\"",
        CLAIMS ",\"nonce\":1"};
    struct dpop_expectation expected = expectation();
    struct dpop_proof proof;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        if (check(prove("dpop+jwt", "", wrongs[i]), &expected, &proof) != DPOP_INVALID)
            fail_msg("accepted %s", wrongs[i]);
}

static void test_dpop_rejects_other_headers(void **state) {
    struct dpop_expectation expected = expectation();
    struct dpop_proof proof;
    assert_int_equal(check(prove("JWT", "", CLAIMS), &expected, &proof), DPOP_INVALID);
    assert_int_equal(check(prove("at+jwt", "", CLAIMS), &expected, &proof), DPOP_INVALID);
    assert_int_equal(check(prove("dpop+jwt", ",\"crit\":[\"a\"]", CLAIMS), &expected, &proof),
                     DPOP_INVALID);
    assert_int_equal(check(prove("dpop+jwt", ",\"alg\":\"none\"", CLAIMS), &expected, &proof),
                     DPOP_INVALID);
    assert_int_equal(check(strdup("a.b.c"), &expected, &proof), DPOP_INVALID);
    assert_int_equal(check(strdup(""), &expected, &proof), DPOP_INVALID);
    // No key inside.
    assert_int_equal(check(idp_sign(key, "dpop+jwt", "{" CLAIMS "}"), &expected, &proof),
                     DPOP_INVALID);
}

static void test_dpop_rejects_private_and_foreign_key(void **state) {
    struct dpop_expectation expected = expectation();
    struct dpop_proof proof;
    struct jwk *own = key, *other = idp_key_p256(NULL);
    char *text = prove("dpop+jwt", "", CLAIMS);
    key = other;
    char *foreign = prove("dpop+jwt", "", CLAIMS);
    key = own;
    // Header and payload of one key, signature of the other.
    struct buf mixed;
    buf_init(&mixed, 8192);
    buf_put(&mixed, bytes_of(text, (size_t)(strrchr(text, '.') - text)));
    buf_put_text(&mixed, strrchr(foreign, '.'));
    assert_int_equal(check(strdup(buf_text(&mixed)), &expected, &proof), DPOP_INVALID);
    buf_done(&mixed);
    free(text);
    free(foreign);
    jwk_free(other);
}

static void test_dpop_rejects_other_access_token(void **state) {
    struct dpop_expectation expected = expectation();
    struct dpop_proof proof;
    uint8_t hash[32];
    char ath[64], claims[512];
    expected.access_token = BYTES_LITERAL("the-token");
    assert_true(vlt_is_ok(digest_sha256(expected.access_token, hash)));
    b64u_encode_text(bytes_of(hash, 32), ath);
    snprintf(claims, sizeof claims, CLAIMS ",\"ath\":\"%s\"", ath);
    assert_int_equal(check(prove("dpop+jwt", "", claims), &expected, &proof), DPOP_VALID);
    expected.access_token = BYTES_LITERAL("another");
    assert_int_equal(check(prove("dpop+jwt", "", claims), &expected, &proof), DPOP_INVALID);
    assert_int_equal(check(prove("dpop+jwt", "", CLAIMS), &expected, &proof), DPOP_INVALID);
}

static void test_dpop_nonce_accepts_this_slot_and_the_one_before(void **state) {
    struct dpop_expectation expected = expectation();
    struct dpop_proof proof;
    char nonce[DPOP_NONCE_TEXT_SIZE], claims[512];
    expected.nonces = nonces;
    assert_int_equal(check(prove("dpop+jwt", "", CLAIMS), &expected, &proof), DPOP_USE_NONCE);
    assert_true(vlt_is_ok(dpop_nonce_text(nonces, NOW, nonce)));
    snprintf(claims, sizeof claims, CLAIMS ",\"nonce\":\"%s\"", nonce);
    assert_int_equal(check(prove("dpop+jwt", "", claims), &expected, &proof), DPOP_VALID);
    assert_true(dpop_nonce_is_good(nonces, bytes_of_text(nonce), NOW + DPOP_NONCE_SLOT_S));
    assert_false(dpop_nonce_is_good(nonces, bytes_of_text(nonce), NOW + 2 * DPOP_NONCE_SLOT_S));
    assert_false(dpop_nonce_is_good(nonces, bytes_of_text(nonce), NOW - DPOP_NONCE_SLOT_S));
    assert_false(dpop_nonce_is_good(nonces, BYTES_LITERAL(""), NOW));
    // Another process's nonce.
    struct dpop_nonces *others = NULL;
    assert_true(vlt_is_ok(dpop_nonces_new((const uint8_t[32]){2}, &others)));
    assert_false(dpop_nonce_is_good(others, bytes_of_text(nonce), NOW));
    dpop_nonces_free(others);
}

static void test_dpop_uri_accepts_equivalent_spellings(void **state) {
    static const char *const same[] = {"https://vault.example/oauth2/token",
                                       "HTTPS://VAULT.example:443/oauth2/token",
                                       "https://vault.example/oauth2/%74oken",
                                       "https://vault.example/oauth2/token?x=1",
                                       "https://vault.example/oauth2/token#f"};
    static const char *const other[] = {"http://vault.example/oauth2/token",
                                        "https://vault.example:444/oauth2/token",
                                        "https://vault.example/oauth2/TOKEN",
                                        "https://vault.example/oauth2%2Ftoken",
                                        "https://vault.example/oauth2/token/",
                                        "https://u@vault.example/oauth2/token",
                                        "https://vault.example.evil/oauth2/token",
                                        "ftp://vault.example/oauth2/token",
                                        "/oauth2/token",
                                        ""};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(dpop_uri_equal(bytes_of_text(same[i]), BYTES_LITERAL(URI)));
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (dpop_uri_equal(bytes_of_text(other[i]), BYTES_LITERAL(URI)))
            fail_msg("accepted %s", other[i]);
}

static void test_dpop_survives_mutation(void **state) {
    struct dpop_expectation expected = expectation();
    struct dpop_proof proof;
    char *good = prove("dpop+jwt", "", CLAIMS);
    size_t size = strlen(good);
    for (size_t at = 0; at < size; at += 2) {
        char *copy = strdup(good);
        copy[at] ^= 1;
        assert_int_equal(check(copy, &expected, &proof), DPOP_INVALID);
    }
    for (size_t cut = 0; cut < size; cut += 3)
        assert_int_equal(check(strndup(good, cut), &expected, &proof), DPOP_INVALID);
    free(good);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dpop_accepts_valid_proof),
        cmocka_unit_test(test_dpop_accepts_proof_of_the_standard),
        cmocka_unit_test(test_dpop_rejects_wrong_claims),
        cmocka_unit_test(test_dpop_rejects_other_headers),
        cmocka_unit_test(test_dpop_rejects_private_and_foreign_key),
        cmocka_unit_test(test_dpop_rejects_other_access_token),
        cmocka_unit_test(test_dpop_nonce_accepts_this_slot_and_the_one_before),
        cmocka_unit_test(test_dpop_uri_accepts_equivalent_spellings),
        cmocka_unit_test(test_dpop_survives_mutation),
    };
    return cmocka_run_group_tests_name("identity_dpop", tests, open_all, close_all);
}
