// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto_fixture.h"

#include <openssl/rsa.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/jws_headers.h"
#include "libvault/crypto/pkey.h"

static struct jwk *new_key(const char *type) {
    EVP_PKEY *pkey = strcmp(type, "RSA") == 0       ? EVP_RSA_gen(2048)
                     : strcmp(type, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
                                                    : EVP_PKEY_Q_keygen(NULL, NULL, "EC", type);
    struct jwk *key = NULL;
    assert_non_null(pkey);
    assert_ok(jwk_of_pkey(pkey, "k1", &key));
    return key;
}

static void put_token(struct buf *out, struct jwk *key, const char *header, const char *payload) {
    buf_init(out, JWS_MAX_BYTES + 4096);
    assert_ok(jws_sign(key, bytes_of_text(header), bytes_of_text(payload), out));
}

static vlt_result split(const struct buf *token, struct jws_parts *parts) {
    return jws_split(buf_bytes(token), 0, parts);
}

// A compact token of our own header, with a signature of 64 zeros.
static vlt_result split_header(const char *header, unsigned flags, struct jws_parts *parts) {
    static const uint8_t zeros[64];
    struct buf token;
    buf_init(&token, 1 << 16);
    b64u_encode(bytes_of_text(header), &token);
    buf_put_text(&token, ".e30.");
    b64u_encode(bytes_of(zeros, 64), &token);
    vlt_result result = jws_split(buf_bytes(&token), flags, parts);
    if (vlt_is_ok(result))
        parts->signing_input = bytes_of(NULL, 0); // the token ends here
    buf_done(&token);
    return result;
}

static void jws_accepts_what_it_signed(void **state) {
    static const char *const types[] = {"P-256", "P-384", "P-521", "ED25519", "RSA"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct jwk *key = new_key(types[i]), *other = new_key(types[i]);
        enum jws_alg alg = jws_signing_alg(key);
        char header[64];
        struct buf token;
        struct jws_parts parts;
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"k1\",\"typ\":\"at+jwt\"}",
                 jws_alg_name(alg));
        for (int again = 0; again < 3; again++) { // the kept context serves again
            put_token(&token, key, header, "{\"sub\":\"x\"}");
            assert_ok(split(&token, &parts));
            assert_int_equal(parts.alg, alg);
            assert_string_equal(parts.kid, "k1");
            assert_true(bytes_equal_text(parts.payload, "{\"sub\":\"x\"}"));
            assert_class(jws_verify(&parts, JWS_BIT(alg), other), VLT_CRYPTO);
            assert_ok(jws_verify(&parts, JWS_BIT(alg), key));
            assert_class(jws_verify(&parts, JWS_ASYMMETRIC & ~JWS_BIT(alg), key), VLT_CRYPTO);
            jws_parts_done(&parts);
            buf_done(&token);
        }
        jwk_free(key);
        jwk_free(other);
    }
}

static void jws_rejects_keys_that_do_not_fit(void **state) {
    struct jwk *p256 = new_key("P-256"), *p384 = new_key("P-384"), *rsa = new_key("RSA");
    struct buf token;
    struct jws_parts parts;
    put_token(&token, p256, "{\"alg\":\"ES256\"}", "{}");
    assert_ok(split(&token, &parts));
    assert_class(jws_verify(&parts, JWS_ASYMMETRIC, p384), VLT_CRYPTO);
    assert_class(jws_verify(&parts, JWS_ASYMMETRIC, rsa), VLT_CRYPTO);
    assert_ok(jws_verify(&parts, JWS_ASYMMETRIC, p256));
    p256->use = JWK_USE_ENC;
    assert_class(jws_verify(&parts, JWS_ASYMMETRIC, p256), VLT_CRYPTO);
    p256->use = JWK_USE_SIG;
    p256->has_alg = true;
    p256->jws_alg = JWS_ES384;
    assert_class(jws_verify(&parts, JWS_ASYMMETRIC, p256), VLT_CRYPTO);
    jws_parts_done(&parts);
    buf_done(&token);
    // RS256 is not PS256, although the key does both
    put_token(&token, rsa, "{\"alg\":\"PS256\"}", "{}");
    assert_ok(split(&token, &parts));
    assert_class(jws_verify(&parts, JWS_ASYMMETRIC, rsa), VLT_CRYPTO);
    jws_parts_done(&parts);
    buf_done(&token);
    jwk_free(p256);
    jwk_free(p384);
    jwk_free(rsa);
}

// The classic: HS256 with the public key as secret, and with any other bytes.
static void jws_rejects_algorithm_confusion(void **state) {
    struct jwk *rsa = new_key("RSA"), *oct = NULL;
    struct jws_parts parts;
    assert_ok(split_header("{\"alg\":\"HS256\"}", 0, &parts));
    assert_class(jws_verify(&parts, JWS_ASYMMETRIC, rsa), VLT_CRYPTO);
    assert_class(jws_verify(&parts, JWS_BIT(JWS_HS256), rsa), VLT_CRYPTO);
    assert_ok(jwk_parse(
        BYTES_LITERAL("{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}"),
        JWK_ALLOW_OCT, NULL, &oct));
    assert_class(jws_verify(&parts, JWS_ASYMMETRIC, oct), VLT_CRYPTO);
    assert_class(jws_verify(&parts, JWS_BIT(JWS_HS256), oct), VLT_CRYPTO); // wrong MAC
    jws_parts_done(&parts);
    jwk_free(rsa);
    jwk_free(oct);
}

static void jws_rejects_headers(void **state) {
    static const char *const wrong[] = {
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"nOnE\"}",
        "{\"alg\":\"\"}",
        "{\"alg\":1}",
        "{\"alg\":null}",
        "{\"alg\":[\"ES256\"]}",
        "{}",
        "[]",
        "\"ES256\"",
        "",
        "{\"alg\":\"es256\"}",
        "{\"alg\":\"ES256K\"}",
        "{\"alg\":\"ES256\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\"}{}",
        "{\"alg\":\"ES256\",\"crit\":[\"exp\"]}",
        "{\"alg\":\"ES256\",\"crit\":[]}",
        "{\"alg\":\"ES256\",\"b64\":false}",
        "{\"alg\":\"ES256\",\"jku\":\"https://a/\"}",
        "{\"alg\":\"ES256\",\"x5u\":\"https://a/\"}",
        "{\"alg\":\"ES256\",\"x5c\":[\"MII\"]}",
        "{\"alg\":\"ES256\",\"jwk\":{}}",
        "{\"alg\":\"ES256\",\"kid\":7}",
        "{\"alg\":\"ES256\",\"kid\":\"\"}",
        "{\"alg\":\"ES256\",\"typ\":7}",
        "{\"alg\":\"ES256\",\"kid\":\"\\u0000\"}",
        "{\"alg\":\"ES256\"",
        "{\"alg\":\"ES256\",\"typ\":\"0123456789012345678901234567890123456789012345678\"}",
    };
    struct jws_parts parts;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (vlt_is_ok(split_header(wrong[i], 0, &parts)))
            fail_msg("accepted: %s", wrong[i]);
    assert_ok(split_header("{\"alg\":\"ES256\",\"x5t\":\"abc\",\"unknown\":{}}", 0, &parts));
    jws_parts_done(&parts);
}

static void jws_rejects_forms(void **state) {
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        "...",
        "a.b",
        "eyJhbGciOiJFUzI1NiJ9.e30",
        "eyJhbGciOiJFUzI1NiJ9.e30.",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA.",
        ".e30.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA.AAAA.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA=",
        "eyJhbGciOiJFUzI1NiJ9.e30=.AAAA",
        " eyJhbGciOiJFUzI1NiJ9.e30.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.AAAA\n",
        "eyJhbGciOiJFUzI1NiJ9.e3 0.AAAA",
        "eyJhbGciOiJFUzI1NiJ9.e30.A+/A",
        "eyJhbGciOiJFUzI1NiJ9.e31.AAAA", // unused bits set
    };
    struct jws_parts parts;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (vlt_is_ok(jws_split(bytes_of_text(wrong[i]), 0, &parts)))
            fail_msg("accepted: %s", wrong[i]);
    assert_ok(jws_split(BYTES_LITERAL("eyJhbGciOiJFUzI1NiJ9..AAAA"), 0, &parts)); // empty payload
    jws_parts_done(&parts);
    static char long_token[JWS_MAX_BYTES + 1];
    memset(long_token, 'A', sizeof long_token);
    assert_class(jws_split(bytes_of(long_token, sizeof long_token), 0, &parts), VLT_LIMIT);
}

static void embedded_key_accepts_dpop_only(void **state) {
    struct jwk *key = new_key("P-256");
    json_t *jwk = NULL;
    assert_ok(jwk_export(key, NULL, NULL, &jwk));
    char *jwk_text = json_dumps(jwk, JSON_COMPACT), header[512];
    snprintf(header, sizeof header, "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":%s}",
             jwk_text);
    struct buf token;
    struct jws_parts parts;
    put_token(&token, key, header, "{}");
    assert_class(split(&token, &parts), VLT_DENIED);
    assert_ok(jws_split(buf_bytes(&token), JWS_EMBEDDED_KEY, &parts));
    assert_ok(jws_verify(&parts, JWS_ASYMMETRIC, parts.embedded));
    assert_int_equal(EVP_PKEY_eq(parts.embedded->pkey, key->pkey), 1);
    jws_parts_done(&parts);
    buf_done(&token);
    // required then, never private, never symmetric
    assert_class(split_header("{\"alg\":\"ES256\"}", JWS_EMBEDDED_KEY, &parts), VLT_MALFORMED);
    assert_false(vlt_is_ok(split_header(
        "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}", JWS_EMBEDDED_KEY, &parts)));
    snprintf(header, sizeof header, "{\"alg\":\"ES256\",\"jwk\":{\"d\":\"AAAA\",%s}", jwk_text + 1);
    assert_false(vlt_is_ok(split_header(header, JWS_EMBEDDED_KEY, &parts)));
    free(jwk_text);
    json_decref(jwk);
    jwk_free(key);
}

// ---- Headers that were read before ----

static char *proof_header(const struct jwk *key) {
    json_t *jwk = NULL;
    char *header = NULL;
    assert_ok(jwk_export(key, NULL, NULL, &jwk));
    char *text = json_dumps(jwk, JSON_COMPACT);
    assert_true(asprintf(&header, "{\"typ\":\"dpop+jwt\",\"alg\":\"ES256\",\"jwk\":%s}", text) > 0);
    free(text);
    json_decref(jwk);
    return header;
}

static void headers_accept_what_was_read_before(void **state) {
    struct jws_headers *headers = jws_headers_new();
    struct jwk *key = new_key("P-256"), *forger = new_key("P-256");
    char *header = proof_header(key);
    struct jwk *first = NULL;
    for (int again = 0; again < 3; again++) {
        struct buf token, forged;
        struct jws_parts parts;
        char payload[16];
        snprintf(payload, sizeof payload, "{\"n\":%d}", again);
        put_token(&token, key, header, payload);
        assert_ok(jws_split_known(headers, buf_bytes(&token), JWS_EMBEDDED_KEY, &parts));
        assert_ok(jws_verify(&parts, JWS_BIT(JWS_ES256), parts.embedded));
        assert_true(bytes_equal_text(parts.payload, payload));
        assert_true(bytes_equal_text(parts.header, header) && jws_typ_is(&parts, "dpop+jwt"));
        assert_true(again == 0 || parts.embedded == first); // the same key, not another one
        first = parts.embedded;
        jws_parts_done(&parts);
        // The header of one key over the signature of another.
        put_token(&forged, forger, header, payload);
        assert_ok(jws_split_known(headers, buf_bytes(&forged), JWS_EMBEDDED_KEY, &parts));
        assert_class(jws_verify(&parts, JWS_BIT(JWS_ES256), parts.embedded), VLT_CRYPTO);
        jws_parts_done(&parts);
        // What was kept as a proof is no other token.
        assert_class(jws_split_known(headers, buf_bytes(&token), 0, &parts), VLT_DENIED);
        buf_done(&token);
        buf_done(&forged);
    }
    free(header);
    jws_headers_free(headers);
    jwk_free(key);
    jwk_free(forger);
}

// More headers than places, with and without keys, refused ones in between: always
// the answer that jws_split gives.
static void headers_survive_eviction(void **state) {
    struct jws_headers *headers = jws_headers_new();
    struct jwk *keys[] = {new_key("P-256"), new_key("P-256"), new_key("P-256")};
    char *proofs[3];
    for (size_t i = 0; i < 3; i++)
        proofs[i] = proof_header(keys[i]);
    for (unsigned i = 0; i < 4 * JWS_HEADERS_PLACES; i++) {
        char header[96], kid[32];
        struct buf token;
        struct jws_parts parts, plain;
        snprintf(kid, sizeof kid, "k%u", i % (2 * JWS_HEADERS_PLACES));
        snprintf(header, sizeof header, "{\"alg\":\"%s\",\"kid\":\"%s\"}",
                 i % 7 ? "ES256" : "none", kid);
        put_token(&token, keys[0], header, "{}");
        vlt_result known = jws_split_known(headers, buf_bytes(&token), 0, &parts);
        assert_int_equal(known.class, jws_split(buf_bytes(&token), 0, &plain).class);
        assert_int_equal(vlt_is_ok(known), i % 7 != 0);
        if (vlt_is_ok(known)) {
            assert_string_equal(parts.kid, kid);
            assert_int_equal(parts.alg, plain.alg);
            assert_false(parts.has_typ);
            jws_parts_done(&parts);
            jws_parts_done(&plain);
        }
        buf_done(&token);
        put_token(&token, keys[i % 3], proofs[i % 3], "{}");
        assert_ok(jws_split_known(headers, buf_bytes(&token), JWS_EMBEDDED_KEY, &parts));
        assert_ok(jws_verify(&parts, JWS_BIT(JWS_ES256), parts.embedded));
        jws_parts_done(&parts);
        buf_done(&token);
    }
    for (size_t i = 0; i < 3; i++) {
        free(proofs[i]);
        jwk_free(keys[i]);
    }
    jws_headers_free(headers);
}

// Longer than what is kept: read each time, and its key is the caller's.
static void headers_accept_what_is_too_long_to_keep(void **state) {
    struct jws_headers *headers = jws_headers_new();
    struct jwk *key = new_key("P-256");
    char *proof = proof_header(key), *header = NULL;
    struct buf token;
    struct jws_parts parts;
    assert_true(asprintf(&header, "{\"long\":\"%0*d\",%s", JWS_HEADER_KEPT_MAX, 0, proof + 1) > 0);
    put_token(&token, key, header, "{}");
    for (int again = 0; again < 2; again++) {
        assert_ok(jws_split_known(headers, buf_bytes(&token), JWS_EMBEDDED_KEY, &parts));
        assert_false(parts.embedded_is_lent);
        assert_ok(jws_verify(&parts, JWS_BIT(JWS_ES256), parts.embedded));
        jws_parts_done(&parts);
    }
    buf_done(&token);
    free(header);
    free(proof);
    jwk_free(key);
    jws_headers_free(headers);
}

static void typ_accepts_case_and_prefix(void **state) {
    static const struct {
        const char *header;
        bool is_it;
    } cases[] = {
        {"{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}", true},
        {"{\"alg\":\"ES256\",\"typ\":\"AT+JWT\"}", true},
        {"{\"alg\":\"ES256\",\"typ\":\"application/at+jwt\"}", true},
        {"{\"alg\":\"ES256\",\"typ\":\"Application/At+Jwt\"}", true},
        {"{\"alg\":\"ES256\",\"typ\":\"application/\"}", false},
        {"{\"alg\":\"ES256\",\"typ\":\"text/at+jwt\"}", false},
        {"{\"alg\":\"ES256\",\"typ\":\"JWT\"}", false},
        {"{\"alg\":\"ES256\",\"typ\":\"at+jwt2\"}", false},
        {"{\"alg\":\"ES256\"}", false},
    };
    struct jws_parts parts;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(split_header(cases[i].header, 0, &parts));
        assert_int_equal(jws_typ_is(&parts, "at+jwt"), cases[i].is_it);
        jws_parts_done(&parts);
    }
}

static void ecdsa_rejects_other_widths_and_ranges(void **state) {
    // n of P-256
    static const uint8_t n[32] = {0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff,
                                  0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                  0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};
    struct jwk *key = new_key("P-256");
    struct bytes message = BYTES_LITERAL("message");
    uint8_t signature[JWS_SIGNATURE_MAX] = {0}, changed[JWS_SIGNATURE_MAX];
    size_t size = 0;
    assert_ok(jws_sign_raw(key, message, signature, &size));
    assert_int_equal(size, 64);
    for (size_t width = 0; width < 140; width++) // shorter, longer, with zeros appended
        assert_int_equal(vlt_is_ok(jws_verify_signature(JWS_ES256, key, message,
                                                        bytes_of(signature, width))), width == 64);
    for (int half = 0; half < 2; half++) {
        memcpy(changed, signature, 64);
        memset(changed + 32 * half, 0, 32); // r or s is zero
        assert_class(jws_verify_signature(JWS_ES256, key, message, bytes_of(changed, 64)),
                     VLT_CRYPTO);
        memcpy(changed + 32 * half, n, 32); // r or s is n
        assert_class(jws_verify_signature(JWS_ES256, key, message, bytes_of(changed, 64)),
                     VLT_CRYPTO);
        memset(changed + 32 * half, 0xff, 32);
        assert_class(jws_verify_signature(JWS_ES256, key, message, bytes_of(changed, 64)),
                     VLT_CRYPTO);
    }
    memset(changed, 0, 64);
    assert_class(jws_verify_signature(JWS_ES256, key, message, bytes_of(changed, 64)), VLT_CRYPTO);
    assert_ok(jws_verify_signature(JWS_ES256, key, message, bytes_of(signature, 64)));
    jwk_free(key);
}

static void jws_rejects_to_sign_without_a_private_key(void **state) {
    struct jwk *key = new_key("P-256"), *public_only = NULL;
    json_t *jwk = NULL;
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t size = 0;
    assert_ok(jwk_export(key, NULL, NULL, &jwk));
    assert_ok(jwk_parse_json(jwk, 0, NULL, &public_only));
    assert_int_equal(jws_signing_alg(public_only), JWS_ALG_UNKNOWN);
    assert_class(jws_sign_raw(public_only, BYTES_LITERAL("m"), signature, &size), VLT_BUG);
    key->use = JWK_USE_ENC; // the intake key must never sign
    assert_class(jws_sign_raw(key, BYTES_LITERAL("m"), signature, &size), VLT_BUG);
    key->use = JWK_USE_SIG;
    struct buf small;
    buf_init(&small, 40);
    assert_class(jws_sign(key, BYTES_LITERAL("{\"alg\":\"ES256\"}"), BYTES_LITERAL("{}"), &small),
                 VLT_LIMIT);
    buf_done(&small);
    json_decref(jwk);
    jwk_free(key);
    jwk_free(public_only);
}

static void jws_survives_mutation(void **state) {
    struct jwk *key = new_key("ED25519");
    struct buf token;
    struct jws_parts parts;
    put_token(&token, key, "{\"alg\":\"EdDSA\",\"kid\":\"k1\"}", "{\"sub\":\"alice\"}");
    for (size_t i = 0; i < token.size; i++) {
        if (vlt_is_ok(jws_split(bytes_of(token.at, i), 0, &parts))) { // truncated
            assert_class(jws_verify(&parts, JWS_ASYMMETRIC, key), VLT_CRYPTO);
            jws_parts_done(&parts);
        }
        for (unsigned bit = 0; bit < 8; bit++) {
            token.at[i] ^= (uint8_t)(1u << bit);
            if (vlt_is_ok(split(&token, &parts))) {
                assert_class(jws_verify(&parts, JWS_ASYMMETRIC, key), VLT_CRYPTO);
                jws_parts_done(&parts);
            }
            token.at[i] ^= (uint8_t)(1u << bit);
        }
    }
    for (unsigned c = 0; c < 256; c++) { // appended
        buf_put_byte(&token, (uint8_t)c);
        if (vlt_is_ok(split(&token, &parts))) {
            assert_class(jws_verify(&parts, JWS_ASYMMETRIC, key), VLT_CRYPTO);
            jws_parts_done(&parts);
        }
        token.size--;
    }
    assert_ok(split(&token, &parts));
    assert_ok(jws_verify(&parts, JWS_ASYMMETRIC, key));
    jws_parts_done(&parts);
    buf_done(&token);
    jwk_free(key);
}

static void *sign_and_verify(void *key) {
    for (int i = 0; i < 100; i++) {
        uint8_t signature[JWS_SIGNATURE_MAX];
        size_t size = 0;
        if (!vlt_is_ok(jws_sign_raw(key, BYTES_LITERAL("m"), signature, &size)) ||
            !vlt_is_ok(jws_verify_signature(JWS_ES256, key, BYTES_LITERAL("m"),
                                            bytes_of(signature, size))))
            return key;
    }
    return NULL;
}

static void jws_survives_threads_on_one_key(void **state) {
    struct jwk *key = new_key("P-256");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify, key), 0);
    for (int i = 0; i < 4; i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
    jwk_free(key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jws_accepts_what_it_signed),
        cmocka_unit_test(jws_rejects_keys_that_do_not_fit),
        cmocka_unit_test(jws_rejects_algorithm_confusion),
        cmocka_unit_test(jws_rejects_headers),
        cmocka_unit_test(jws_rejects_forms),
        cmocka_unit_test(embedded_key_accepts_dpop_only),
        cmocka_unit_test(headers_accept_what_was_read_before),
        cmocka_unit_test(headers_survive_eviction),
        cmocka_unit_test(headers_accept_what_is_too_long_to_keep),
        cmocka_unit_test(typ_accepts_case_and_prefix),
        cmocka_unit_test(ecdsa_rejects_other_widths_and_ranges),
        cmocka_unit_test(jws_rejects_to_sign_without_a_private_key),
        cmocka_unit_test(jws_survives_mutation),
        cmocka_unit_test(jws_survives_threads_on_one_key),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
