// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto_fixture.h"

#include "libvault/base/hex.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"

static void pkey_accepts_a_round_trip(void **state) {
    for (int kind = PKEY_P256; kind <= PKEY_ED25519; kind++) {
        EVP_PKEY *made = NULL, *back = NULL;
        struct secret *secret = secret_new(PKEY_PRIVATE_SIZE);
        assert_ok(pkey_generate((enum pkey_kind)kind, &made));
        assert_ok(pkey_to_secret(made, secret));
        assert_int_equal(secret_size(secret), PKEY_PRIVATE_SIZE);
        assert_ok(pkey_of_secret((enum pkey_kind)kind, secret, &back));
        assert_int_equal(EVP_PKEY_eq(made, back), 1);
        struct jwk *signer = NULL, *verifier = NULL;
        uint8_t signature[JWS_SIGNATURE_MAX];
        size_t size = 0;
        assert_ok(jwk_of_pkey(back, "one", &signer));
        assert_ok(jwk_of_pkey(made, "two", &verifier));
        assert_ok(jws_sign_raw(signer, BYTES_LITERAL("message"), signature, &size));
        assert_int_equal(size, 64);
        assert_ok(jws_verify_signature(jws_signing_alg(signer), verifier, BYTES_LITERAL("message"),
                                       bytes_of(signature, size)));
        assert_class(jws_verify_signature(jws_signing_alg(signer), verifier,
                                          BYTES_LITERAL("massage"), bytes_of(signature, size)),
                     VLT_CRYPTO);
        jwk_free(signer);
        jwk_free(verifier);
        secret_free(secret);
    }
}

// RFC 8032 section 7.1, test 1.
static void pkey_accepts_rfc8032(void **state) {
    uint8_t seed[32], expected[32], public_key[32];
    EVP_PKEY *pkey = NULL;
    assert_ok(hex_decode(
        BYTES_LITERAL("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"), seed,
        32));
    assert_ok(hex_decode(
        BYTES_LITERAL("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"), expected,
        32));
    struct secret *secret = fixture_secret(seed, sizeof seed);
    assert_ok(pkey_of_secret(PKEY_ED25519, secret, &pkey));
    assert_ok(pkey_ed25519_public(pkey, public_key));
    assert_memory_equal(public_key, expected, 32);
    EVP_PKEY_free(pkey);
    secret_free(secret);
}

static void pkey_rejects_scalars_out_of_range(void **state) {
    // zero, n and all ones; n-1 is the largest that may be
    static const char *const wrong[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"};
    EVP_PKEY *pkey = NULL;
    uint8_t octets[32];
    for (size_t i = 0; i < 3; i++) {
        assert_ok(hex_decode(bytes_of_text(wrong[i]), octets, 32));
        struct secret *secret = fixture_secret(octets, 32);
        assert_class(pkey_of_secret(PKEY_P256, secret, &pkey), VLT_CRYPTO);
        assert_null(pkey);
        secret_free(secret);
    }
    octets[0] = 1;
    struct secret *shorter = fixture_secret(octets, 31);
    assert_class(pkey_of_secret(PKEY_P256, shorter, &pkey), VLT_CRYPTO);
    assert_class(pkey_of_secret(PKEY_ED25519, shorter, &pkey), VLT_CRYPTO);
    secret_free(shorter);
    assert_ok(hex_decode(bytes_of_text(wrong[1]), octets, 32));
    octets[31]--;
    struct secret *largest = fixture_secret(octets, 32);
    assert_ok(pkey_of_secret(PKEY_P256, largest, &pkey));
    EVP_PKEY_free(pkey);
    secret_free(largest);
}

static void pkey_rejects_the_wrong_kind(void **state) {
    EVP_PKEY *pkey = NULL, *none = NULL;
    uint8_t out[32] = {0};
    struct secret *small = secret_new(31), *room = secret_new(32);
    assert_ok(pkey_generate(PKEY_P256, &pkey));
    assert_class(pkey_ed25519_public(pkey, out), VLT_BUG);
    assert_class(pkey_to_secret(pkey, small), VLT_LIMIT);
    assert_class(pkey_p256_public(out, out, &none), VLT_CRYPTO); // 0,0 is off the curve
    assert_null(none);
    EVP_PKEY *public_only = EVP_PKEY_new_raw_public_key_ex(
        NULL, "ED25519", NULL, (const uint8_t *)"0123456789abcdef0123456789abcdef", 32);
    assert_class(pkey_to_secret(public_only, room), VLT_BUG);
    assert_int_equal(secret_size(room), 0);
    EVP_PKEY_free(public_only);
    EVP_PKEY_free(pkey);
    secret_free(small);
    secret_free(room);
}

static void pkey_accepts_and_rejects_rsa(void **state) {
    uint8_t modulus[513];
    EVP_PKEY *pkey = NULL, *made = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(made, "n", &n), 1);
    assert_int_equal(BN_bn2bin(n, modulus), 256);
    assert_ok(pkey_rsa_public(bytes_of(modulus, 256), 65537, &pkey));
    assert_int_equal(EVP_PKEY_eq(pkey, made), 1);
    EVP_PKEY_free(pkey);
    pkey = NULL;
    assert_class(pkey_rsa_public(bytes_of(modulus, 255), 65537, &pkey), VLT_DENIED); // too small
    assert_class(pkey_rsa_public(bytes_of(modulus, 256), 3, &pkey), VLT_DENIED);
    assert_class(pkey_rsa_public(bytes_of(modulus, 256), 65538, &pkey), VLT_DENIED);
    assert_class(pkey_rsa_public(bytes_of(NULL, 0), 65537, &pkey), VLT_DENIED);
    modulus[255] &= 0xfe;
    assert_class(pkey_rsa_public(bytes_of(modulus, 256), 65537, &pkey), VLT_DENIED); // even
    memset(modulus, 0xff, sizeof modulus);
    assert_class(pkey_rsa_public(bytes_of(modulus, 513), 65537, &pkey), VLT_DENIED); // too large
    assert_null(pkey);
    BN_free(n);
    EVP_PKEY_free(made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pkey_accepts_a_round_trip),
        cmocka_unit_test(pkey_accepts_rfc8032),
        cmocka_unit_test(pkey_rejects_scalars_out_of_range),
        cmocka_unit_test(pkey_rejects_the_wrong_kind),
        cmocka_unit_test(pkey_accepts_and_rejects_rsa),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
