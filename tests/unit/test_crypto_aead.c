// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/crypto_fixture.h"

#include <pthread.h>

#include "libvault/base/hex.h"
#include "libvault/crypto/aead.h"
#include "libvault/crypto/random.h"

static struct xaes_key *key_of(uint8_t fill) {
    uint8_t octets[XAES_KEY_SIZE];
    struct xaes_key *key = NULL;
    memset(octets, fill, sizeof octets);
    struct secret *secret = fixture_secret(octets, sizeof octets);
    assert_ok(xaes_key_new(secret, &key));
    secret_free(secret);
    return key;
}

static const uint8_t nonce[] = "ABCDEFGHIJKLMNOPQRSTUVWX";

// The two vectors of the C2SP specification: they differ in the carry of K1.
static void xaes_accepts_the_published_vectors(void **state) {
    static const struct {
        uint8_t key;
        const char *aad, *sealed;
    } vectors[] = {
        {1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
        {3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct xaes_key *key = key_of(vectors[i].key);
        uint8_t out[28], expected[28];
        assert_ok(hex_decode(bytes_of_text(vectors[i].sealed), expected, sizeof expected));
        assert_ok(xaes_seal(key, nonce, bytes_of_text(vectors[i].aad),
                            (const uint8_t *)"XAES-256-GCM", 12, out));
        assert_memory_equal(out, expected, sizeof expected);
        struct secret *plaintext = secret_new(12);
        assert_ok(xaes_open(key, nonce, bytes_of_text(vectors[i].aad), bytes_of(out, sizeof out),
                            plaintext));
        assert_true(fixture_holds(plaintext, BYTES_LITERAL("XAES-256-GCM")));
        secret_free(plaintext);
        xaes_key_free(key);
    }
}

static void xaes_accepts_what_it_sealed(void **state) {
    struct xaes_key *key = key_of(9);
    static uint8_t content[3000], sealed[XAES_SEALED_SIZE(sizeof content)];
    assert_ok(random_bytes(content, sizeof content));
    const size_t sizes[] = {0, 1, 15, 16, 17, 200, sizeof content};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct secret *in = fixture_secret(content, sizes[i]), *out = secret_new(sizes[i]);
        assert_ok(xaes_seal_fresh(key, BYTES_LITERAL("here"), in, sealed));
        struct bytes whole = bytes_of(sealed, XAES_SEALED_SIZE(sizes[i]));
        assert_ok(xaes_open_fresh(key, BYTES_LITERAL("here"), whole, out));
        assert_true(fixture_holds(out, bytes_of(content, sizes[i])));
        assert_class(xaes_open_fresh(key, BYTES_LITERAL("there"), whole, out), VLT_CRYPTO);
        assert_int_equal(secret_size(out), 0);
        secret_free(in);
        secret_free(out);
    }
    xaes_key_free(key);
}

static void xaes_rejects_every_change(void **state) {
    struct xaes_key *key = key_of(9);
    uint8_t sealed[XAES_SEALED_SIZE(20) + 1];
    struct secret *in = fixture_secret("12345678901234567890", 20), *out = secret_new(64);
    size_t size = XAES_SEALED_SIZE(20);
    assert_ok(xaes_seal_fresh(key, BYTES_LITERAL("aad"), in, sealed));
    for (size_t bit = 0; bit < size * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_class(xaes_open_fresh(key, BYTES_LITERAL("aad"), bytes_of(sealed, size), out),
                     VLT_CRYPTO);
        for (size_t i = 0; i < 20; i++) // what GCM decrypted in vain is gone
            assert_int_equal(secret_borrow(out)[i], 0);
        secret_release(out);
        sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++)
        assert_class(xaes_open_fresh(key, BYTES_LITERAL("aad"), bytes_of(sealed, cut), out),
                     VLT_CRYPTO);
    sealed[size] = 0;
    assert_class(xaes_open_fresh(key, BYTES_LITERAL("aad"), bytes_of(sealed, size + 1), out),
                 VLT_CRYPTO);
    assert_ok(xaes_open_fresh(key, BYTES_LITERAL("aad"), bytes_of(sealed, size), out));
    secret_free(in);
    secret_free(out);
    xaes_key_free(key);
}

static void xaes_rejects_wrong_sizes(void **state) {
    struct xaes_key *key = NULL;
    struct secret *shorter = fixture_secret("0123456789abcdef0123456789abcde", 31);
    assert_class(xaes_key_new(shorter, &key), VLT_BUG);
    assert_null(key);
    secret_free(shorter);
    xaes_key_free(NULL);
    key = key_of(1);
    uint8_t sealed[XAES_SEALED_SIZE(8)];
    struct secret *in = fixture_secret("12345678", 8), *small = secret_new(7);
    assert_ok(xaes_seal_fresh(key, bytes_of(NULL, 0), in, sealed));
    assert_class(xaes_open_fresh(key, bytes_of(NULL, 0), bytes_of(sealed, sizeof sealed), small),
                 VLT_LIMIT);
    secret_free(in);
    secret_free(small);
    xaes_key_free(key);
}

static void gcm_rejects_what_is_unsafe(void **state) {
    struct secret *key = fixture_secret("0123456789abcdef", 16),
                  *odd = fixture_secret("0123456789", 10);
    struct secret *out = secret_new(16);
    uint8_t ciphertext[4], tag[AEAD_TAG_SIZE];
    struct bytes iv = BYTES_LITERAL("123456789012"), none = {0};
    const uint8_t *four = (const uint8_t *)"abcd";
    assert_class(aes_gcm_seal(key, none, none, four, 4, ciphertext, tag), VLT_CRYPTO);
    assert_class(aes_gcm_seal(odd, iv, none, four, 4, ciphertext, tag), VLT_CRYPTO);
    assert_ok(aes_gcm_seal(key, iv, none, four, 4, ciphertext, tag));
    assert_ok(aes_gcm_open(key, iv, none, bytes_of(ciphertext, 4), bytes_of(tag, 16), out));
    for (size_t size = 0; size < 16; size++) // a short tag is easier to guess
        assert_class(aes_gcm_open(key, iv, none, bytes_of(ciphertext, 4), bytes_of(tag, size), out),
                     VLT_CRYPTO);
    secret_free(key);
    secret_free(odd);
    secret_free(out);
}

static void *seal_and_open(void *key) {
    struct secret *in = secret_new(100), *out = secret_new(100);
    uint8_t sealed[XAES_SEALED_SIZE(100)];
    bool fine = in && out;
    for (int i = 0; i < 500 && fine; i++)
        fine = vlt_is_ok(secret_set_random(in, 100)) &&
               vlt_is_ok(xaes_seal_fresh(key, BYTES_LITERAL("a"), in, sealed)) &&
               vlt_is_ok(xaes_open_fresh(key, BYTES_LITERAL("a"), bytes_of(sealed, sizeof sealed),
                                         out)) &&
               fixture_holds(out, bytes_of(secret_borrow(in), 100));
    secret_free(in);
    secret_free(out);
    return fine ? NULL : key;
}

static void xaes_survives_threads_on_one_key(void **state) {
    struct xaes_key *key = key_of(5);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, key), 0);
    for (int i = 0; i < 3; i++) {
        void *problem = NULL;
        pthread_join(threads[i], &problem);
        assert_null(problem);
    }
    xaes_key_free(key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xaes_accepts_the_published_vectors),
        cmocka_unit_test(xaes_accepts_what_it_sealed),
        cmocka_unit_test(xaes_rejects_every_change),
        cmocka_unit_test(xaes_rejects_wrong_sizes),
        cmocka_unit_test(gcm_rejects_what_is_unsafe),
        cmocka_unit_test(xaes_survives_threads_on_one_key),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
