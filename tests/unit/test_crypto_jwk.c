// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto_fixture.h"

#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/jwk.h"
#include "libvault/crypto/pkey.h"

// RFC 7515 A.3, RFC 8037 A.2, RFC 7638 section 3.1.
#define EC_X "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"
#define EC_Y "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
#define EC_D "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"
#define EC_REST "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}"
#define EC_KEY "{" EC_REST
#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define ED_KEY "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"}"
#define RSA_N                                                                                      \
    "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJEC"  \
    "PebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Qvz"  \
    "qY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZ"  \
    "u0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
#define RSA_KEY "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}"

static vlt_result parse(const char *text, unsigned allow, struct jwk **ret_key) {
    return jwk_parse(bytes_of_text(text), allow, NULL, ret_key);
}

static void assert_refused(const char *text, unsigned allow) {
    struct jwk *key = NULL;
    struct fault fault = {0};
    vlt_result result = jwk_parse(bytes_of_text(text), allow, &fault, &key);
    if (vlt_is_ok(result))
        fail_msg("accepted: %s", text);
    assert_null(key);
    assert_true(strlen(fault_or_reason(&fault, result)) > 5);
}

static void jwk_accepts_each_kind(void **state) {
    static const struct {
        const char *text;
        enum jwk_kty kty;
        enum jwk_curve curve;
    } keys[] = {{EC_KEY, JWK_EC, JWK_P256},
                {ED_KEY, JWK_OKP, JWK_ED25519},
                {RSA_KEY, JWK_RSA, JWK_NO_CURVE}};
    for (size_t i = 0; i < 3; i++) {
        struct jwk *key = NULL;
        assert_ok(parse(keys[i].text, 0, &key));
        assert_int_equal(key->kty, keys[i].kty);
        assert_int_equal(key->curve, keys[i].curve);
        assert_false(key->is_private || key->has_kid || key->has_alg);
        assert_non_null(key->pkey);
        jwk_free(key);
    }
    struct jwk *key = NULL;
    assert_ok(parse("{\"kty\":\"oct\",\"k\":\"AAAA\",\"kid\":\"k\",\"use\":\"enc\"}", JWK_ALLOW_OCT,
                    &key));
    assert_int_equal(secret_size(key->oct), 3);
    assert_int_equal(key->use, JWK_USE_ENC);
    assert_string_equal(key->kid, "k");
    jwk_free(key);
    jwk_free(NULL);
}

static void jwk_rejects_malformed_members(void **state) {
    static const char *const wrong[] = {
        "[]",
        "{}",
        "{\"kty\":1}",
        "{\"kty\":\"\"}",
        "{\"kty\":\"ec\"}",
        "{\"kty\":\"EC\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}",
        // short, long, padded, off the curve, another curve, wrong case of the name
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA" EC_X "\",\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "=\",\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_Y "\",\"y\":\"" EC_X "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"p-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\",\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"P-256\",\"x\":\"" EC_X "\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "AAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":1,\"y\":\"" EC_Y "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"kid\":7}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"use\":\"both\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"use\":[]}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
        "\",\"key_ops\":\"sign\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"key_ops\":[1]}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
        "\",\"key_ops\":[\"verify\",\"deriveKey\"]}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"x\":\"" EC_X
        "\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\"} x",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AAEAAQ\"}", // leading zero
        "{\"kty\":\"oct\",\"k\":\"\"}",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_refused(wrong[i], JWK_ALLOW_OCT);
    char text[1024], kid[JWK_KID_SIZE + 1];
    memset(kid, 'k', JWK_KID_SIZE);
    kid[JWK_KID_SIZE] = 0;
    snprintf(text, sizeof text, "{\"kid\":\"%s\",%s", kid, EC_REST);
    assert_refused(text, 0);
    snprintf(text, sizeof text, "{\"kid\":\"%s\",%s", kid + 1, EC_REST);
    struct jwk *key = NULL;
    assert_ok(parse(text, 0, &key));
    jwk_free(key);
}

static void jwk_rejects_an_alg_that_does_not_fit(void **state) {
    static const char *const fits[] = {"ES256", "ECDH-ES", "ECDH-ES+A128KW"};
    static const char *const wrong[] = {"ES384",    "RS256", "EdDSA", "HS256", "A256GCM", "dir",
                                        "RSA-OAEP", "none",  "es256", "",      "XX"};
    char text[512];
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, "{\"alg\":\"%s\",%s", wrong[i], EC_REST);
        assert_refused(text, 0);
    }
    for (size_t i = 0; i < sizeof fits / sizeof *fits; i++) {
        struct jwk *key = NULL;
        snprintf(text, sizeof text, "{\"alg\":\"%s\",%s", fits[i], EC_REST);
        assert_ok(parse(text, 0, &key));
        assert_true(key->has_alg);
        jwk_free(key);
    }
}

static void jwk_rejects_private_and_symmetric_keys(void **state) {
    static const char private_ec[] = "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X
                                     "\",\"y\":\"" EC_Y "\",\"d\":\"" EC_D "\"}";
    struct jwk *key = NULL;
    assert_class(parse(private_ec, 0, &key), VLT_DENIED);
    assert_class(parse(private_ec, JWK_ALLOW_OCT, &key), VLT_DENIED);
    assert_ok(parse(private_ec, JWK_ALLOW_PRIVATE, &key));
    assert_true(key->is_private);
    jwk_free(key);
    key = NULL;
    // "k" in an asymmetric key, d of another key, an oct where none may be
    assert_refused(
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y "\",\"k\":\"AA\"}", 0);
    assert_refused("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" EC_X "\",\"y\":\"" EC_Y
                   "\",\"d\":\"" EC_X "\"}",
                   JWK_ALLOW_PRIVATE);
    assert_refused("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\",\"d\":\"" EC_X "\"}",
                   JWK_ALLOW_PRIVATE);
    assert_refused("{\"kty\":\"oct\",\"k\":\"AAAA\"}", JWK_ALLOW_PRIVATE);
}

// n of `bits` bits with the given last byte, exponent as text.
static void rsa_text(char *text, size_t capacity, size_t octets, uint8_t top, uint8_t last,
                     const char *e) {
    uint8_t n[1024];
    char n_text[B64U_SIZE(sizeof n) + 1];
    for (size_t i = 0; i < octets; i++)
        n[i] = (uint8_t)(i * 151 + 7);
    n[0] = top;
    n[octets - 1] = last;
    b64u_encode_text(bytes_of(n, octets), n_text);
    snprintf(text, capacity, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", n_text, e);
}

static void jwk_rejects_weak_rsa(void **state) {
    static const struct {
        size_t octets;
        uint8_t top, last;
        const char *e;
        bool is_fine;
    } cases[] = {
        {256, 0xC0, 0x01, "AQAB", true},  {512, 0xC0, 0x01, "AQAB", true},
        {256, 0xC0, 0x01, "Aw", true},                                      // e = 3
        {256, 0x7F, 0x01, "AQAB", false},                                   // 2047 bits
        {128, 0xC0, 0x01, "AQAB", false}, {513, 0x01, 0x01, "AQAB", false}, // 4097 bits
        {256, 0xC0, 0x02, "AQAB", false},                                   // even modulus
        {256, 0xC0, 0x01, "AQ", false},   {256, 0xC0, 0x01, "Ag", false},   // e = 1, e = 2
        {256, 0xC0, 0x01, "AQAA", false}, {256, 0xC0, 0x01, "AQAAAAE", false}, // even, 33 bits
        {256, 0x00, 0x01, "AQAB", false}, {650, 0xC0, 0x01, "AQAB", false},
    };
    char text[2048];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct jwk *key = NULL;
        rsa_text(text, sizeof text, cases[i].octets, cases[i].top, cases[i].last, cases[i].e);
        if (vlt_is_ok(parse(text, 0, &key)) != cases[i].is_fine)
            fail_msg("case %zu", i);
        jwk_free(key);
    }
    struct jwk *key = NULL;
    rsa_text(text, sizeof text, 1024, 0xC0, 0x01, "AQAB"); // RSA-8192: its size is named
    assert_class(parse(text, 0, &key), VLT_DENIED);
}

// The fingerprint must not catch sound keys.
static void jwk_accepts_sound_rsa(void **state) {
    EVP_PKEY *pkey = EVP_RSA_gen(2048);
    struct jwk *key = NULL, *again = NULL;
    json_t *exported = NULL;
    assert_ok(jwk_of_pkey(pkey, "r", &key));
    assert_ok(jwk_export(key, "RS256", "sig", &exported));
    assert_ok(jwk_parse_json(exported, 0, NULL, &again));
    assert_int_equal(EVP_PKEY_eq(key->pkey, again->pkey), 1);
    assert_int_equal(again->jws_alg, JWS_RS256);
    assert_int_equal(again->use, JWK_USE_SIG);
    assert_null(json_object_get(exported, "d"));
    json_decref(exported);
    jwk_free(key);
    jwk_free(again);
}

static void jwk_rejects_weak_ed25519(void **state) {
    // order 4, 1, 2, 8, 8 with either sign, and y not reduced
    static const char *const weak[] = {"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
                                       "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                                       "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA"};
    static const uint8_t octets[][2] = {
        {0xec, 0x7f}, {0xed, 0x7f}, {0xee, 0x7f}, {0xed, 0xff}, {0xff, 0xff}};
    char text[256], x[64];
    for (size_t i = 0; i < 4; i++) {
        snprintf(text, sizeof text, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", weak[i]);
        assert_refused(text, 0);
    }
    for (size_t i = 0; i < sizeof octets / sizeof *octets; i++) {
        uint8_t y[32];
        memset(y, 0xff, sizeof y);
        y[0] = octets[i][0];
        y[31] = octets[i][1];
        b64u_encode_text(bytes_of(y, 32), x);
        snprintf(text, sizeof text, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", x);
        assert_refused(text, 0);
    }
    assert_refused("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"JuiVj8KyJ7BFw_SJ8u-"
                   "Y8NXfrAXTxjM5sTgCiG1T_AU\"}",
                   0);
    assert_refused("{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"xxdqcD1N2E-6PAt2DRBnDyogU_"
                   "osOczGTsf9d5KsA_o\"}",
                   0);
}

// ---- Sets ----

static vlt_result parse_set(const char *keys, struct jwk_set **ret_set) {
    char text[8192];
    snprintf(text, sizeof text, "{\"keys\":[%s]}", keys);
    return jwk_set_parse(bytes_of_text(text), 0, NULL, ret_set);
}

#define WITH_KID(kid, key) "{\"kid\":\"" kid "\"," key
#define ED_REST "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" ED_X "\"}"

static void set_accepts_and_skips(void **state) {
    struct jwk_set *set = NULL;
    assert_ok(parse_set(
        WITH_KID("a", EC_REST) "," WITH_KID(
            "b",
            ED_REST) ",{\"kty\":\"LATTICE\",\"kid\":\"a\"},{\"kty\":\"EC\",\"crv\":\"secp256k1\"},"
                     "{\"use\":\"tls\"," EC_REST ",{\"alg\":\"ES256K\"," EC_REST,
        &set));
    assert_int_equal(set->count, 2);
    assert_ptr_equal(jwk_set_find(set, BYTES_LITERAL("a")), set->keys[0]);
    assert_ptr_equal(jwk_set_find(set, BYTES_LITERAL("b")), set->keys[1]);
    assert_null(jwk_set_find(set, BYTES_LITERAL("c")));
    assert_null(jwk_set_find(set, BYTES_LITERAL("")));
    jwk_set_free(set);
    assert_ok(parse_set(EC_KEY, &set));
    assert_non_null(jwk_set_find(set, BYTES_LITERAL(""))); // the only one
    assert_null(jwk_set_find(set, BYTES_LITERAL("a")));
    jwk_set_free(set);
    assert_ok(parse_set("", &set));
    assert_int_equal(set->count, 0);
    jwk_set_free(set);
    jwk_set_free(NULL);
}

static void set_rejects_as_a_whole(void **state) {
    static const char *const wrong[] = {
        WITH_KID("a", EC_REST) "," WITH_KID("a", ED_REST),                    // one kid twice
        WITH_KID("a", EC_REST) ",{\"kty\":\"oct\",\"k\":\"AAAA\"}",           // symmetric
        WITH_KID("a", EC_REST) ",{\"d\":\"" EC_D "\"," EC_REST,               // private
        WITH_KID("a", EC_REST) ",{\"kty\":\"EC\",\"crv\":\"P-256\"}",         // malformed
        WITH_KID("a", EC_REST) ",{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}", // weak
        WITH_KID("a", EC_REST) ",7", WITH_KID("a", EC_REST) ",null",
    };
    struct jwk_set *set = NULL;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (vlt_is_ok(parse_set(wrong[i], &set)))
            fail_msg("set %zu was accepted", i);
    assert_null(set);
    assert_class(jwk_set_parse(BYTES_LITERAL("[]"), 0, NULL, &set), VLT_MALFORMED);
    assert_class(jwk_set_parse(BYTES_LITERAL("{\"keys\":{}}"), 0, NULL, &set), VLT_MALFORMED);
    assert_class(jwk_set_parse(BYTES_LITERAL("{\"keys\":[]"), 0, NULL, &set), VLT_MALFORMED);
    assert_class(jwk_set_parse(BYTES_LITERAL("{}"), 0, NULL, &set), VLT_MALFORMED);
}

static void set_rejects_too_many_or_too_long(void **state) {
    struct buf text;
    struct jwk_set *set = NULL;
    for (int count = JWKS_MAX_KEYS; count <= JWKS_MAX_KEYS + 1; count++) {
        buf_init(&text, 1 << 20);
        buf_put_text(&text, "{\"keys\":[");
        for (int i = 0; i < count; i++)
            buf_put_format(&text, "%s{\"kid\":\"%d\"," EC_REST, i ? "," : "", i);
        buf_put_text(&text, "]}");
        vlt_result result = jwk_set_parse(buf_bytes(&text), 0, NULL, &set);
        assert_int_equal(result.class, count > JWKS_MAX_KEYS ? VLT_LIMIT : VLT_CLASS_OK);
        if (vlt_is_ok(result))
            jwk_set_free(set);
        buf_done(&text);
    }
    buf_init(&text, 1 << 20);
    buf_put_text(&text, "{\"keys\":[]");
    while (text.size < JWKS_MAX_BYTES)
        buf_put_byte(&text, ' ');
    buf_put_byte(&text, '}');
    assert_class(jwk_set_parse(buf_bytes(&text), 0, NULL, &set), VLT_LIMIT);
    buf_done(&text);
}

// ---- Thumbprint, export ----

static void thumbprint_accepts_published_values(void **state) {
    static const struct {
        const char *key, *thumbprint;
    } values[] = {
        {RSA_KEY, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"},
        {ED_KEY, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"},
        {"{\"kid\":\"ignored\",\"kty\":\"EC\",\"x\":\"l8tFrhx-"
         "34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs\",\"y\":"
         "\"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA\",\"crv\":\"P-256\"}",
         "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},
    };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct jwk *key = NULL;
        char text[JWK_THUMBPRINT_TEXT_SIZE];
        assert_ok(parse(values[i].key, 0, &key));
        assert_ok(jwk_thumbprint_text(key, text));
        assert_string_equal(text, values[i].thumbprint);
        jwk_free(key);
    }
    struct jwk *oct = NULL;
    uint8_t thumbprint[JWK_THUMBPRINT_SIZE];
    json_t *exported = NULL;
    assert_ok(parse("{\"kty\":\"oct\",\"k\":\"AAAA\"}", JWK_ALLOW_OCT, &oct));
    assert_class(jwk_thumbprint(oct, thumbprint), VLT_BUG);
    assert_class(jwk_export(oct, NULL, NULL, &exported), VLT_BUG);
    jwk_free(oct);
}

static void export_survives_a_private_key(void **state) {
    struct jwk *key = NULL;
    json_t *exported = NULL;
    EVP_PKEY *pkey = NULL;
    assert_ok(pkey_generate(PKEY_P256, &pkey));
    assert_ok(jwk_of_pkey(pkey, "kid-1", &key));
    assert_true(key->is_private);
    assert_ok(jwk_export(key, "ES256", "sig", &exported));
    char *text = json_dumps(exported, JSON_COMPACT | JSON_SORT_KEYS);
    assert_null(strstr(text, "\"d\""));
    struct jwk_set *set = NULL;
    char whole[1024];
    snprintf(whole, sizeof whole, "{\"keys\":[%s]}", text);
    assert_ok(jwk_set_parse(bytes_of_text(whole), 0, NULL, &set));
    assert_string_equal(set->keys[0]->kid, "kid-1");
    assert_false(set->keys[0]->is_private);
    jwk_set_free(set);
    free(text);
    json_decref(exported);
    jwk_free(key);
}

// ---- Mutation ----

static void jwk_survives_mutation(void **state) {
    static const char *const keys[] = {EC_KEY, ED_KEY, RSA_KEY};
    char text[1024];
    struct jwk *key = NULL;
    for (size_t k = 0; k < 3; k++) {
        size_t size = strlen(keys[k]);
        for (size_t i = 0; i < size; i++) {
            assert_false(vlt_is_ok(jwk_parse(bytes_of(keys[k], i), 0, NULL, &key))); // truncated
            for (unsigned bit = 0; bit < 8; bit++) {
                memcpy(text, keys[k], size);
                text[i] = (char)(text[i] ^ (char)(1u << bit));
                if (vlt_is_ok(jwk_parse(bytes_of(text, size), 0, NULL, &key)))
                    jwk_free(key);
            }
        }
        snprintf(text, sizeof text, "%s]", keys[k]);
        assert_false(vlt_is_ok(parse(text, 0, &key))); // appended
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jwk_accepts_each_kind),
        cmocka_unit_test(jwk_rejects_malformed_members),
        cmocka_unit_test(jwk_rejects_an_alg_that_does_not_fit),
        cmocka_unit_test(jwk_rejects_private_and_symmetric_keys),
        cmocka_unit_test(jwk_rejects_weak_rsa),
        cmocka_unit_test(jwk_accepts_sound_rsa),
        cmocka_unit_test(jwk_rejects_weak_ed25519),
        cmocka_unit_test(set_accepts_and_skips),
        cmocka_unit_test(set_rejects_as_a_whole),
        cmocka_unit_test(set_rejects_too_many_or_too_long),
        cmocka_unit_test(thumbprint_accepts_published_values),
        cmocka_unit_test(export_survives_a_private_key),
        cmocka_unit_test(jwk_survives_mutation),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
