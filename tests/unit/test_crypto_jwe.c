// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/pkey.h"

static struct jwk *new_key(const char *curve, const char *kid) {
    EVP_PKEY *pkey = strcmp(curve, "X25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "X25519")
                                                  : EVP_PKEY_Q_keygen(NULL, NULL, "EC", curve);
    struct jwk *key = NULL;
    assert_ok(jwk_of_pkey(pkey, kid, &key));
    return key;
}

// ---- Intake ----

static void seal(struct jwk *key, const void *value, size_t size, struct buf *out) {
    struct secret *secret = fixture_secret(value, size);
    buf_init(out, JWE_INTAKE_MAX_BYTES);
    assert_ok(jwe_intake_seal(key, secret, out));
    secret_free(secret);
}

static void intake_accepts_what_was_sealed(void **state) {
    static uint8_t value[JWE_INTAKE_PLAINTEXT_MAX];
    static struct jwe_intake_fields fields;
    struct jwk *key = new_key("P-256", "intake-1"), *other = new_key("P-256", "intake-2");
    const size_t sizes[] = {0, 1, 51, 2400, sizeof value};
    memset(value, 'v', sizeof value);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf jwe;
        struct secret *plaintext = secret_new(sizeof value);
        seal(key, value, sizes[i], &jwe);
        assert_ok(jwe_intake_split(buf_bytes(&jwe), &fields));
        assert_string_equal(fields.kid, "intake-1");
        assert_int_equal(fields.ciphertext_bytes, sizes[i]);
        assert_ok(jwe_intake_open(key->pkey, &fields, plaintext));
        assert_true(fixture_holds(plaintext, bytes_of(value, sizes[i])));
        assert_class(jwe_intake_open(other->pkey, &fields, plaintext), VLT_CRYPTO);
        assert_int_equal(secret_size(plaintext), 0);
        secret_free(plaintext);
        buf_done(&jwe);
    }
    jwk_free(key);
    jwk_free(other);
}

static void intake_rejects_to_seal(void **state) {
    struct jwk *p384 = new_key("P-384", "k"), *nameless = new_key("P-256", NULL),
               *key = new_key("P-256", "k");
    struct secret *value = fixture_secret("v", 1),
                  *large = secret_new(JWE_INTAKE_PLAINTEXT_MAX + 1);
    struct buf out;
    buf_init(&out, JWE_INTAKE_MAX_BYTES);
    assert_class(jwe_intake_seal(p384, value, &out), VLT_BUG);
    assert_class(jwe_intake_seal(nameless, value, &out), VLT_BUG);
    assert_ok(secret_set_random(large, JWE_INTAKE_PLAINTEXT_MAX + 1));
    assert_class(jwe_intake_seal(key, large, &out), VLT_LIMIT);
    buf_done(&out);
    secret_free(value);
    secret_free(large);
    jwk_free(p384);
    jwk_free(nameless);
    jwk_free(key);
}

// The keeper does not trust the process that took the JWE apart.
static void intake_rejects_changed_fields(void **state) {
    static struct jwe_intake_fields fields, changed;
    struct jwk *key = new_key("P-256", "k");
    struct secret *plaintext = secret_new(64);
    struct buf jwe;
    seal(key, "sk-secret-value", 15, &jwe);
    assert_ok(jwe_intake_split(buf_bytes(&jwe), &fields));
    const struct {
        size_t at, size;
    } places[] = {{offsetof(struct jwe_intake_fields, epk_x), 32},
                  {offsetof(struct jwe_intake_fields, epk_y), 32},
                  {offsetof(struct jwe_intake_fields, iv), 12},
                  {offsetof(struct jwe_intake_fields, tag), 16},
                  {offsetof(struct jwe_intake_fields, aad), fields.aad_bytes},
                  {offsetof(struct jwe_intake_fields, ciphertext), fields.ciphertext_bytes}};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++)
        for (size_t i = 0; i < places[p].size; i++) {
            changed = fields;
            ((uint8_t *)&changed)[places[p].at + i] ^= 1;
            assert_class(jwe_intake_open(key->pkey, &changed, plaintext), VLT_CRYPTO);
        }
    changed = fields;
    changed.aad_bytes = sizeof changed.aad + 1;
    assert_class(jwe_intake_open(key->pkey, &changed, plaintext), VLT_LIMIT);
    changed = fields;
    changed.ciphertext_bytes = sizeof changed.ciphertext + 1;
    assert_class(jwe_intake_open(key->pkey, &changed, plaintext), VLT_LIMIT);
    struct secret *small = secret_new(14);
    assert_class(jwe_intake_open(key->pkey, &fields, small), VLT_LIMIT);
    assert_ok(jwe_intake_open(key->pkey, &fields, plaintext));
    EVP_PKEY *ed = NULL; // another kind of key
    assert_ok(pkey_generate(PKEY_ED25519, &ed));
    assert_class(jwe_intake_open(ed, &fields, plaintext), VLT_CRYPTO);
    EVP_PKEY_free(ed);
    secret_free(small);
    secret_free(plaintext);
    buf_done(&jwe);
    jwk_free(key);
}

#define EPK                                                                                        \
    "\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"                                             \
    "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_"                      \
    "tue659LNpXW6pCyStikYjKIWI5a0\"}"

static vlt_result split_parts(const char *header, const char *rest) {
    static struct jwe_intake_fields fields;
    struct buf jwe;
    buf_init(&jwe, 1 << 16);
    b64u_encode(bytes_of_text(header), &jwe);
    buf_put_text(&jwe, rest);
    vlt_result result = jwe_intake_split(buf_bytes(&jwe), &fields);
    buf_done(&jwe);
    return result;
}

#define REST "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA"

static void intake_split_rejects(void **state) {
    static const char *const headers[] = {
        "{}",
        "[]",
        "",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\"}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\"," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A128GCM\",\"kid\":\"k\"," EPK "}",
        "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\",\"kid\":\"k\"," EPK "}",
        "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"kid\":\"k\"," EPK "}",
        "{\"alg\":\"RSA1_5\",\"enc\":\"A256GCM\",\"kid\":\"k\"," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":7," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"\"," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"zip\":\"DEF\"," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"crit\":[\"x\"]," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"apu\":\"AA\"," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"jku\":\"https://a\"," EPK "}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"epk\":7}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"epk\":{\"kty\":\"EC\",\"crv\":"
        "\"P-256\"}}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\",\"epk\":{\"kty\":\"EC\",\"crv\":"
        "\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}}",
        "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\"," EPK "," EPK "}",
    };
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        if (vlt_is_ok(split_parts(headers[i], REST)))
            fail_msg("accepted: %s", headers[i]);
    static const char fine[] = "{\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\"," EPK "}";
    static const char *const rests[] = {"",
                                        ".",
                                        "..AAAAAAAAAAAAAAAA.AAAA",
                                        REST ".",
                                        REST "=",
                                        ".AAAA.AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
                                        "..AAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAA",
                                        "..AAAAAAAAAAAAAAAA.A.AAAAAAAAAAAAAAAAAAAAAA",
                                        "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAA",
                                        "..AAAAAAAAAAAAAAAA.AAAA.AAAAAAAAAAAAAAAAAAAAAB"};
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
        if (vlt_is_ok(split_parts(fine, rests[i])))
            fail_msg("accepted: %s", rests[i]);
    assert_ok(split_parts(fine, REST));
    assert_ok(split_parts(
        "{\"typ\":\"JOSE\",\"alg\":\"ECDH-ES\",\"enc\":\"A256GCM\",\"kid\":\"k\"," EPK "}", REST));
    static struct jwe_intake_fields fields;
    static char large[JWE_INTAKE_MAX_BYTES + 1];
    memset(large, 'A', sizeof large);
    assert_class(jwe_intake_split(bytes_of(large, sizeof large), &fields), VLT_LIMIT);
}

static void intake_survives_mutation(void **state) {
    static struct jwe_intake_fields fields;
    struct jwk *key = new_key("P-256", "k");
    struct secret *plaintext = secret_new(64);
    struct buf jwe;
    seal(key, "sk-secret-value", 15, &jwe);
    for (size_t i = 0; i < jwe.size; i++) {
        if (vlt_is_ok(jwe_intake_split(bytes_of(jwe.at, i), &fields)))
            assert_class(jwe_intake_open(key->pkey, &fields, plaintext), VLT_CRYPTO);
        for (unsigned bit = 0; bit < 8; bit++) {
            jwe.at[i] ^= (uint8_t)(1u << bit);
            if (vlt_is_ok(jwe_intake_split(buf_bytes(&jwe), &fields)))
                assert_class(jwe_intake_open(key->pkey, &fields, plaintext), VLT_CRYPTO);
            jwe.at[i] ^= (uint8_t)(1u << bit);
        }
    }
    assert_ok(jwe_intake_split(buf_bytes(&jwe), &fields));
    assert_ok(jwe_intake_open(key->pkey, &fields, plaintext));
    secret_free(plaintext);
    buf_done(&jwe);
    jwk_free(key);
}

// ---- The wider set ----

static struct jwk *new_oct(size_t size) {
    static const uint8_t octets[64] = {1, 2, 3};
    char k[B64U_SIZE(64) + 1], text[128];
    struct jwk *key = NULL;
    b64u_encode_text(bytes_of(octets, size), k);
    snprintf(text, sizeof text, "{\"kty\":\"oct\",\"k\":\"%s\"}", k);
    assert_ok(jwk_parse(bytes_of_text(text), JWK_ALLOW_OCT, NULL, &key));
    return key;
}

static struct jwk *key_for(enum jwe_alg alg, enum jwe_enc enc) {
    static const size_t dir_bytes[JWE_ENC_COUNT] = {0, 16, 24, 32, 32, 48, 64};
    struct jwk *key = NULL;
    switch (alg) {
    case JWE_DIR:
        return new_oct(dir_bytes[enc]);
    case JWE_A128KW:
    case JWE_A128GCMKW:
        return new_oct(16);
    case JWE_A192KW:
    case JWE_A192GCMKW:
        return new_oct(24);
    case JWE_A256KW:
    case JWE_A256GCMKW:
        return new_oct(32);
    case JWE_RSA_OAEP:
    case JWE_RSA_OAEP_256:
        assert_ok(jwk_of_pkey(EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), NULL, &key));
        return key;
    default:
        return new_key(enc == JWE_A128GCM   ? "X25519"
                       : enc == JWE_A192GCM ? "P-521"
                                            : "P-256",
                       NULL);
    }
}

static void jwe_accepts_what_it_encrypted(void **state) {
    struct secret *in = fixture_secret("Live long and prosper.", 22), *out = secret_new(64);
    for (int alg = JWE_DIR; alg < JWE_ALG_COUNT; alg++)
        for (int enc = JWE_A128GCM; enc < JWE_ENC_COUNT; enc++) {
            if (alg >= JWE_RSA_OAEP && enc != JWE_A256GCM)
                continue; // making RSA keys takes long
            struct jwk *key = key_for((enum jwe_alg)alg, (enum jwe_enc)enc);
            struct jwe_parts parts;
            struct buf jwe;
            buf_init(&jwe, 4096);
            assert_ok(jwe_encrypt((enum jwe_alg)alg, (enum jwe_enc)enc, key, in, &jwe));
            assert_ok(jwe_split(buf_bytes(&jwe), &parts));
            assert_ok(jwe_decrypt(&parts, JWE_BIT(alg), JWE_BIT(enc), key, out));
            assert_true(fixture_holds(out, BYTES_LITERAL("Live long and prosper.")));
            // outside the allow-list, each one by itself
            assert_class(
                jwe_decrypt(&parts, JWE_EVERY_ALG & ~JWE_BIT(alg), JWE_EVERY_ENC, key, out),
                VLT_CRYPTO);
            assert_class(
                jwe_decrypt(&parts, JWE_EVERY_ALG, JWE_EVERY_ENC & ~JWE_BIT(enc), key, out),
                VLT_CRYPTO);
            key->use = JWK_USE_SIG;
            assert_class(jwe_decrypt(&parts, JWE_EVERY_ALG, JWE_EVERY_ENC, key, out), VLT_CRYPTO);
            assert_int_equal(secret_size(out), 0);
            jwe_parts_done(&parts);
            buf_done(&jwe);
            jwk_free(key);
        }
    secret_free(in);
    secret_free(out);
}

static void jwe_rejects_by_design(void **state) {
    static const char *const headers[] = {"{\"alg\":\"RSA1_5\",\"enc\":\"A256GCM\"}",
                                          "{\"alg\":\"PBES2-HS256+A128KW\",\"enc\":\"A256GCM\"}",
                                          "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"zip\":\"DEF\"}",
                                          "{\"alg\":\"dir\",\"enc\":\"A256GCM\",\"crit\":[]}",
                                          "{\"alg\":\"none\",\"enc\":\"A256GCM\"}",
                                          "{\"alg\":\"dir\",\"enc\":\"none\"}"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct buf jwe;
        struct jwe_parts parts;
        buf_init(&jwe, 4096);
        b64u_encode(bytes_of_text(headers[i]), &jwe);
        buf_put_text(&jwe, REST);
        assert_class(jwe_split(buf_bytes(&jwe), &parts), VLT_DENIED);
        buf_done(&jwe);
    }
}

// RFC 7516 section 7.2.1: the three headers must not share a name.
static void jwe_join_rejects_repeated_members(void **state) {
    json_t *header = json_pack("{s:s}", "enc", "A256GCM"), *text = json_string("x");
    struct jwe_members members = {.protected_b64 =
                                      BYTES_LITERAL("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0"),
                                  .header = header};
    struct jwe_parts parts;
    assert_class(jwe_join(&members, &parts), VLT_MALFORMED);
    members.header = text;
    assert_class(jwe_join(&members, &parts), VLT_MALFORMED);
    members.header = NULL;
    assert_ok(jwe_join(&members, &parts));
    jwe_parts_done(&parts);
    json_decref(header);
    json_decref(text);
}

static void jwe_survives_mutation(void **state) {
    struct secret *in = fixture_secret("content", 7), *out = secret_new(64);
    const struct {
        enum jwe_alg alg;
        enum jwe_enc enc;
    } kinds[] = {
        {JWE_A256KW, JWE_A128CBC_HS256}, {JWE_A256GCMKW, JWE_A256GCM}, {JWE_DIR, JWE_A256GCM}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct jwk *key = new_oct(32);
        struct jwe_parts parts;
        struct buf jwe;
        buf_init(&jwe, 4096);
        assert_ok(jwe_encrypt(kinds[k].alg, kinds[k].enc, key, in, &jwe));
        for (size_t i = 0; i < jwe.size * 8; i++) {
            jwe.at[i / 8] ^= (uint8_t)(1u << i % 8);
            if (vlt_is_ok(jwe_split(buf_bytes(&jwe), &parts))) {
                assert_class(jwe_decrypt(&parts, JWE_EVERY_ALG, JWE_EVERY_ENC, key, out),
                             VLT_CRYPTO);
                jwe_parts_done(&parts);
            }
            jwe.at[i / 8] ^= (uint8_t)(1u << i % 8);
        }
        for (size_t i = 0; i < jwe.size; i++)
            if (vlt_is_ok(jwe_split(bytes_of(jwe.at, i), &parts))) {
                assert_class(jwe_decrypt(&parts, JWE_EVERY_ALG, JWE_EVERY_ENC, key, out),
                             VLT_CRYPTO);
                jwe_parts_done(&parts);
            }
        buf_done(&jwe);
        jwk_free(key);
    }
    secret_free(in);
    secret_free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intake_accepts_what_was_sealed),
        cmocka_unit_test(intake_rejects_to_seal),
        cmocka_unit_test(intake_rejects_changed_fields),
        cmocka_unit_test(intake_split_rejects),
        cmocka_unit_test(intake_survives_mutation),
        cmocka_unit_test(jwe_accepts_what_it_encrypted),
        cmocka_unit_test(jwe_rejects_by_design),
        cmocka_unit_test(jwe_join_rejects_repeated_members),
        cmocka_unit_test(jwe_survives_mutation),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
