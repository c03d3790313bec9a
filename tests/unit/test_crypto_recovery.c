// SPDX-License-Identifier: Apache-2.0
// Shamir's sharing and the shares that people type.
#include "tests/unit/crypto_fixture.h"

#include <ctype.h>
#include <string.h>

#include "libvault/crypto/recovery_key.h"

#define COUNT 5

static void shares_new(struct shamir_share *shares, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        assert_non_null(shares[i].y = secret_new(SHAMIR_SECRET_MAX));
}

static void shares_free(struct shamir_share *shares, unsigned count) {
    for (unsigned i = 0; i < count; i++)
        secret_free(shares[i].y);
}

// Every subset of five shares, for every threshold: as many as are needed give
// the secret, fewer do not.
static void shamir_accepts_every_subset_that_is_large_enough(void **state) {
    uint8_t bytes[32];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 37 + 1);
    struct secret *secret = fixture_secret(bytes, sizeof bytes), *joined = secret_new(32);
    for (unsigned threshold = 1; threshold <= COUNT; threshold++) {
        struct shamir_share shares[COUNT];
        shares_new(shares, COUNT);
        assert_ok(shamir_split(secret, threshold, shares, COUNT));
        for (unsigned set = 1; set < 1u << COUNT; set++) {
            struct shamir_share some[COUNT];
            unsigned count = 0;
            for (unsigned i = 0; i < COUNT; i++)
                if (set >> i & 1)
                    some[count++] = shares[i];
            assert_ok(shamir_join(some, count, joined));
            assert_int_equal(fixture_holds(joined, bytes_of(bytes, sizeof bytes)),
                             count >= threshold);
        }
        shares_free(shares, COUNT);
    }
    secret_free(secret);
    secret_free(joined);
}

// Every value of a byte survives, and 255 shares are all different points.
static void shamir_accepts_every_byte_and_the_most_shares(void **state) {
    static struct shamir_share shares[SHAMIR_SHARES_MAX];
    shares_new(shares, SHAMIR_SHARES_MAX);
    struct secret *joined = secret_new(1);
    for (unsigned value = 0; value < 256; value++) {
        uint8_t byte = (uint8_t)value;
        struct secret *secret = fixture_secret(&byte, 1);
        assert_ok(shamir_split(secret, 3, shares, SHAMIR_SHARES_MAX));
        const struct shamir_share some[] = {shares[254 - value % 200], shares[value % 50],
                                            shares[value % 3 + 51]};
        assert_ok(shamir_join(some, 3, joined));
        assert_true(fixture_holds(joined, bytes_of(&byte, 1)));
        secret_free(secret);
    }
    secret_free(joined);
    shares_free(shares, SHAMIR_SHARES_MAX);
}

// A polynomial that is known: 0x57 + 0x83 x at x = 1 and 2, with the product that
// FIPS 197 section 4.2 gives for 0x57 · 0x02 = 0xae.
static void shamir_accepts_the_field_of_aes(void **state) {
    struct shamir_share shares[2];
    shares_new(shares, 2);
    const uint8_t one = 0x57 ^ 0x83, two = 0x57 ^ 0x1d; // 0x83 · 2 = 0x106 mod 0x11b = 0x1d
    shares[0].x = 1;
    shares[1].x = 2;
    assert_ok(secret_set(shares[0].y, &one, 1));
    assert_ok(secret_set(shares[1].y, &two, 1));
    struct secret *joined = secret_new(1);
    assert_ok(shamir_join(shares, 2, joined));
    assert_true(fixture_holds(joined, BYTES_LITERAL("\x57")));
    secret_free(joined);
    shares_free(shares, 2);
}

static void shamir_rejects_what_can_not_be(void **state) {
    struct shamir_share shares[3];
    struct secret *secret = fixture_secret("0123456789abcdef", 16), *joined = secret_new(16);
    shares_new(shares, 3);
    assert_class(shamir_split(secret, 0, shares, 3), VLT_MALFORMED);
    assert_class(shamir_split(secret, 4, shares, 3), VLT_MALFORMED);
    assert_class(shamir_split(secret, 2, shares, 256), VLT_MALFORMED);
    assert_class(shamir_split(joined, 2, shares, 3), VLT_MALFORMED); // empty
    assert_ok(shamir_split(secret, 2, shares, 3));
    assert_class(shamir_join(shares, 0, joined), VLT_MALFORMED);
    const struct shamir_share twice[] = {shares[0], shares[0]};
    assert_class(shamir_join(twice, 2, joined), VLT_MALFORMED);
    shares[1].x = 0;
    assert_class(shamir_join(shares, 2, joined), VLT_MALFORMED);
    shares[1].x = 2;
    assert_ok(secret_set(shares[1].y, "short", 5));
    assert_class(shamir_join(shares, 2, joined), VLT_MALFORMED);
    shares_free(shares, 3);
    secret_free(secret);
    secret_free(joined);
}

// ---- Shares as text ----

static void share_make(struct recovery_share *share, char *text) {
    uint8_t bytes[RECOVERY_SECRET_BYTES];
    memset(bytes, 0xa7, sizeof bytes);
    *share = (struct recovery_share){.vault = {1, 2, 3, 4}, .threshold = 2, .share = {.x = 3}};
    share->share.y = fixture_secret(bytes, sizeof bytes);
    assert_ok(recovery_share_text(share, text));
}

static void share_accepts_what_a_person_types(void **state) {
    char text[RECOVERY_SHARE_TEXT_SIZE], loud[2 * RECOVERY_SHARE_TEXT_SIZE];
    struct recovery_share share, back = {.share.y = secret_new(RECOVERY_SECRET_BYTES)};
    share_make(&share, text);
    assert_int_equal(strlen(text), RECOVERY_SHARE_TEXT_SIZE - 1);
    size_t out = 0;
    for (const char *c = text; *c; c++) {
        loud[out++] = (char)toupper((unsigned char)*c);
        if (*c == '-')
            loud[out++] = ' ';
    }
    loud[out] = 0;
    assert_ok(recovery_share_parse(bytes_of_text(text), &back));
    assert_ok(recovery_share_parse(bytes_of_text(loud), &back));
    assert_int_equal(back.threshold, 2);
    assert_int_equal(back.share.x, 3);
    assert_memory_equal(back.vault, share.vault, 4);
    assert_true(fixture_holds(back.share.y,
                              bytes_of(secret_borrow(share.share.y), RECOVERY_SECRET_BYTES)));
    secret_release(share.share.y);
    secret_free(share.share.y);
    secret_free(back.share.y);
}

// Each character changed to each other one, left out, and doubled.
static void share_rejects_every_slip(void **state) {
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz2345670189!";
    char text[RECOVERY_SHARE_TEXT_SIZE], slip[RECOVERY_SHARE_TEXT_SIZE + 1];
    struct recovery_share share, back = {.share.y = secret_new(RECOVERY_SECRET_BYTES)};
    share_make(&share, text);
    for (size_t i = 0; text[i]; i++) {
        if (text[i] == '-')
            continue;
        for (const char *c = alphabet; *c; c++) {
            memcpy(slip, text, sizeof text);
            slip[i] = *c;
            if (*c != text[i])
                assert_class(recovery_share_parse(bytes_of_text(slip), &back), VLT_MALFORMED);
        }
        memcpy(slip, text, i);
        strcpy(slip + i, text + i + 1);
        assert_class(recovery_share_parse(bytes_of_text(slip), &back), VLT_MALFORMED);
        memcpy(slip, text, i + 1);
        strcpy(slip + i + 1, text + i);
        assert_class(recovery_share_parse(bytes_of_text(slip), &back), VLT_MALFORMED);
    }
    assert_class(recovery_share_parse(bytes_of(NULL, 0), &back), VLT_MALFORMED);
    secret_free(share.share.y);
    secret_free(back.share.y);
}

static void key_accepts_the_same_secret_twice(void **state) {
    uint8_t bytes[RECOVERY_SECRET_BYTES] = {9};
    struct secret *secret = fixture_secret(bytes, sizeof bytes);
    struct recovery_key one, two;
    assert_ok(recovery_key_derive(secret, &one));
    assert_ok(recovery_key_derive(secret, &two));
    assert_memory_equal(one.point, two.point, sizeof one.point);
    assert_memory_equal(one.id, two.id, sizeof one.id);
    assert_int_equal(EVP_PKEY_eq(one.pkey, two.pkey), 1);
    recovery_key_done(&two);
    bytes[31] = 1;
    assert_ok(secret_set(secret, bytes, sizeof bytes));
    assert_ok(recovery_key_derive(secret, &two));
    assert_memory_not_equal(one.id, two.id, sizeof one.id);
    recovery_key_done(&one);
    recovery_key_done(&two);
    secret_free(secret);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shamir_accepts_every_subset_that_is_large_enough),
        cmocka_unit_test(shamir_accepts_every_byte_and_the_most_shares),
        cmocka_unit_test(shamir_accepts_the_field_of_aes),
        cmocka_unit_test(shamir_rejects_what_can_not_be),
        cmocka_unit_test(share_accepts_what_a_person_types),
        cmocka_unit_test(share_rejects_every_slip),
        cmocka_unit_test(key_accepts_the_same_secret_twice),
    };
    return cmocka_run_group_tests(tests, fixture_open, fixture_close);
}
