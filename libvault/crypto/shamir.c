// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/shamir.h"

// No tables and no branches on the operands: a table would show the secret's
// bytes to the cache.
static uint8_t gf_multiply(uint8_t a, uint8_t b) {
    unsigned product = 0, x = a;
    for (unsigned bit = 0; bit < 8; bit++) {
        product ^= x & (0u - (b >> bit & 1u));
        x = x << 1 ^ (0x11bu & (0u - (x >> 7 & 1u)));
    }
    return (uint8_t)product;
}

// a^254: the inverse, since a^255 is 1 for every a but 0.
static uint8_t gf_invert(uint8_t a) {
    uint8_t result = 1, power = a;
    for (unsigned bit = 1; bit < 8; bit++) {
        power = gf_multiply(power, power);
        result = gf_multiply(result, power);
    }
    return result;
}

// Horner's rule, from the highest coefficient down to the secret.
static uint8_t evaluate(const uint8_t *coefficients, unsigned threshold, size_t stride, uint8_t x) {
    uint8_t y = 0;
    for (unsigned i = threshold; i-- > 0;)
        y = gf_multiply(y, x) ^ coefficients[i * stride];
    return y;
}

vlt_result shamir_split(const struct secret *secret, unsigned threshold,
                        struct shamir_share *shares, unsigned count) {
    size_t size = secret_size(secret);
    if (threshold == 0 || threshold > count || count > SHAMIR_SHARES_MAX || size == 0 ||
        size > SHAMIR_SECRET_MAX)
        return vlt_fail(VLT_MALFORMED, "shares can not be made like this");
    // Row i holds the coefficients of x^i for every byte; row 0 is the secret.
    struct secret *rows = secret_new(threshold * size);
    if (!rows)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = secret_set_random(rows, threshold * size);
    if (vlt_is_ok(result)) {
        uint8_t *at = secret_borrow_room(rows);
        memcpy(at, secret_borrow(secret), size);
        secret_release(secret);
        for (unsigned i = 0; i < count; i++) {
            uint8_t *y = secret_borrow_room(shares[i].y);
            shares[i].x = (uint8_t)(i + 1);
            for (size_t byte = 0; byte < size; byte++)
                y[byte] = evaluate(at + byte, threshold, size, shares[i].x);
            secret_release_sized(shares[i].y, size);
        }
        secret_release_sized(rows, threshold * size);
    }
    secret_free(rows);
    return result;
}

// Lagrange's basis polynomial of share `i` at zero.
static uint8_t weight_of(const struct shamir_share *shares, unsigned count, unsigned i) {
    uint8_t weight = 1;
    for (unsigned j = 0; j < count; j++)
        if (j != i)
            weight = gf_multiply(
                weight, gf_multiply(shares[j].x, gf_invert(shares[j].x ^ shares[i].x)));
    return weight;
}

static vlt_result check_shares(const struct shamir_share *shares, unsigned count) {
    if (count == 0 || count > SHAMIR_SHARES_MAX)
        return vlt_fail(VLT_MALFORMED, "there are no shares, or too many");
    for (unsigned i = 0; i < count; i++) {
        if (shares[i].x == 0 || secret_size(shares[i].y) != secret_size(shares[0].y) ||
            secret_size(shares[i].y) > SHAMIR_SECRET_MAX)
            return vlt_fail(VLT_MALFORMED, "a share is damaged");
        for (unsigned j = 0; j < i; j++)
            if (shares[j].x == shares[i].x)
                return vlt_fail(VLT_MALFORMED, "a share was given twice");
    }
    return vlt_ok();
}

vlt_result shamir_join(const struct shamir_share *shares, unsigned count,
                       struct secret *ret_secret) {
    VLT_TRY(check_shares(shares, count));
    size_t size = secret_size(shares[0].y);
    if (secret_capacity(ret_secret) < size)
        return vlt_fail(VLT_BUG, "no room for a joined secret");
    uint8_t *joined = secret_borrow_room(ret_secret);
    memset(joined, 0, size);
    for (unsigned i = 0; i < count; i++) {
        uint8_t weight = weight_of(shares, count, i);
        const uint8_t *y = secret_borrow(shares[i].y);
        for (size_t byte = 0; byte < size; byte++)
            joined[byte] ^= gf_multiply(y[byte], weight);
        secret_release(shares[i].y);
    }
    secret_release_sized(ret_secret, size);
    return vlt_ok();
}
