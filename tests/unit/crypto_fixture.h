// SPDX-License-Identifier: Apache-2.0
// What the unit tests of libvault/crypto share: a heap, and secrets of text.
#ifndef VLT_TESTS_UNIT_CRYPTO_FIXTURE_H
#define VLT_TESTS_UNIT_CRYPTO_FIXTURE_H

#include "libvault/crypto/crypto.h"
#include "libvault/secret/secret.h"
#include "tests/unit/check.h"

static inline int fixture_open(void **state) {
    assert_true(vlt_is_ok(secret_heap_open(4u << 20, NULL)));
    assert_true(vlt_is_ok(crypto_open()));
    return 0;
}

static inline int fixture_close(void **state) {
    assert_int_equal(secret_heap_used_bytes(), 0); // nothing of a test was left behind
    secret_heap_close();
    return 0;
}

static inline struct secret *fixture_secret(const void *at, size_t size) {
    struct secret *secret = secret_new(size);
    assert_non_null(secret);
    assert_true(vlt_is_ok(secret_set(secret, at, size)));
    return secret;
}

static inline bool fixture_holds(const struct secret *secret, struct bytes expected) {
    bool same = secret_equal(bytes_of(secret_borrow(secret), secret_size(secret)), expected);
    secret_release(secret);
    return same;
}

#endif
