// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto_fixture.h"

#include <pthread.h>

#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/kdf.h"
#include "libvault/crypto/random.h"

static void assert_hex(const uint8_t *at, size_t size, const char *expected) {
    char text[2 * DIGEST_SIZE_MAX + 1];
    hex_encode(bytes_of(at, size), text);
    assert_string_equal(text, expected);
}

static void sha256_accepts_fips_vectors(void **state) {
    uint8_t digest[DIGEST_SIZE_MAX];
    assert_ok(digest_sha256(BYTES_LITERAL("abc"), digest));
    assert_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_ok(digest_sha256(bytes_of(NULL, 0), digest));
    assert_hex(digest, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    const struct bytes parts[] = {BYTES_LITERAL("a"), {0}, BYTES_LITERAL("bc")};
    assert_ok(digest_sha256_parts(parts, 3, digest));
    assert_hex(digest, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void digest_accepts_each_kind(void **state) {
    static const size_t sizes[] = {32, 48, 64};
    const struct bytes abc = BYTES_LITERAL("abc");
    uint8_t digest[DIGEST_SIZE_MAX];
    for (int kind = 0; kind < DIGEST_KIND_COUNT; kind++)
        assert_int_equal(digest_size((enum digest_kind)kind), sizes[kind]);
    assert_ok(digest_parts(DIGEST_SHA384, &abc, 1, digest));
    assert_hex(digest, 16, "cb00753f45a35e8bb5a03d699ac65007");
    assert_ok(digest_parts(DIGEST_SHA512, &abc, 1, digest));
    assert_hex(digest, 16, "ddaf35a193617abacc417349ae204131");
}

// RFC 4231 test case 2.
static void hmac_accepts_rfc4231(void **state) {
    static const char expected[] =
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    struct secret *secret = fixture_secret("Jefe", 4);
    struct hmac_key *key = NULL;
    uint8_t mac[32];
    struct bytes message = BYTES_LITERAL("what do ya want for nothing?");
    assert_ok(hmac_key_new(DIGEST_SHA256, secret, &key));
    for (int again = 0; again < 3; again++) {
        memset(mac, 0, sizeof mac);
        assert_ok(hmac_sha256(key, message, mac));
        assert_hex(mac, 32, expected);
    }
    assert_ok(hmac_sha256_once((const uint8_t *)"Jefe", 4, message, mac));
    assert_hex(mac, 32, expected);
    assert_ok(hmac_sha256_once(NULL, 0, bytes_of(NULL, 0), mac));
    assert_hex(mac, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
    hmac_key_free(key);
    assert_ok(hmac_key_new(DIGEST_SHA384, secret, &key));
    assert_class(hmac_sha256(key, message, mac), VLT_BUG);
    hmac_key_free(key);
    hmac_key_free(NULL);
    secret_free(secret);
}

static void *mac_often(void *key) {
    uint8_t first[32], mac[32];
    bool fine = vlt_is_ok(hmac_sha256(key, BYTES_LITERAL("m"), first));
    for (int i = 0; i < 2000 && fine; i++)
        fine = vlt_is_ok(hmac_sha256(key, BYTES_LITERAL("m"), mac)) &&
               bytes_equal(bytes_of(first, 32), bytes_of(mac, 32));
    return fine ? NULL : key;
}

static void hmac_survives_threads_on_one_key(void **state) {
    struct secret *secret = fixture_secret("shared", 6);
    struct hmac_key *key = NULL;
    pthread_t threads[3];
    assert_ok(hmac_key_new(DIGEST_SHA256, secret, &key));
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, mac_often, key), 0);
    for (int i = 0; i < 3; i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
    hmac_key_free(key);
    secret_free(secret);
}

static void hkdf_rejects_impossible_sizes(void **state) {
    struct secret *ikm = fixture_secret("ikm", 3), *okm = secret_new(9000);
    struct bytes none = {0};
    assert_class(hkdf_sha256(ikm, none, none, 0, okm), VLT_LIMIT);
    assert_class(hkdf_sha256(ikm, none, none, 255 * 32 + 1, okm), VLT_LIMIT);
    assert_class(hkdf_sha256(ikm, none, none, 9001, okm), VLT_LIMIT);
    assert_ok(hkdf_sha256(ikm, none, none, 255 * 32, okm));
    assert_int_equal(secret_size(okm), 255 * 32);
    secret_free(ikm);
    secret_free(okm);
}

// RFC 7518 appendix C: the derived key of Alice and Bob.
static void concat_kdf_accepts_rfc7518(void **state) {
    static const uint8_t z[] = {158, 86,  217, 29,  129, 113, 53,  211, 114, 131, 66,
                                131, 191, 132, 38,  156, 251, 49,  110, 163, 218, 128,
                                106, 72,  246, 218, 167, 121, 140, 254, 144, 196};
    struct secret *shared = fixture_secret(z, sizeof z), *key = secret_new(32);
    uint8_t expected[16];
    size_t size = 0;
    assert_ok(b64u_decode(BYTES_LITERAL("VqqN6vgjbSBcIijNcacQGg"), expected, 16, &size));
    assert_ok(kdf_concat(shared, BYTES_LITERAL("A128GCM"), BYTES_LITERAL("Alice"),
                         BYTES_LITERAL("Bob"), 16, key));
    assert_true(fixture_holds(key, bytes_of(expected, 16)));
    assert_class(
        kdf_concat(shared, BYTES_LITERAL("A128GCM"), bytes_of(NULL, 0), bytes_of(NULL, 0), 33, key),
        VLT_LIMIT);
    secret_free(shared);
    secret_free(key);
}

static void random_survives_a_glance(void **state) {
    uint8_t a[32], b[32];
    char text[B64U_SIZE(32) + 1];
    assert_ok(random_bytes(a, sizeof a));
    assert_ok(random_bytes(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
    assert_ok(random_text(16, text));
    assert_int_equal(strlen(text), 22);
    assert_class(random_text(33, text), VLT_BUG);
    assert_class(random_text(0, text), VLT_BUG);
    for (int i = 0; i < 4096; i++) {
        assert_ok(random_text(i % 2 ? 16 : 32, text));
        assert_true(text[0] != '-'); // or it would be an option in a command line
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sha256_accepts_fips_vectors),
        cmocka_unit_test(digest_accepts_each_kind),
        cmocka_unit_test(hmac_accepts_rfc4231),
        cmocka_unit_test(hmac_survives_threads_on_one_key),
        cmocka_unit_test(hkdf_rejects_impossible_sizes),
        cmocka_unit_test(concat_kdf_accepts_rfc7518),
        cmocka_unit_test(random_survives_a_glance),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
