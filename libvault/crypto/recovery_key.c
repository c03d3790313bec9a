// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/recovery_key.h"

#include <openssl/core_names.h>

#include "libvault/base/wire.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/kdf.h"

#define SHARE_VERSION 1
#define SHARE_BODY_BYTES (1 + 4 + 1 + 1 + RECOVERY_SECRET_BYTES)
#define SHARE_CHECK_BYTES 4
#define SHARE_BYTES (SHARE_BODY_BYTES + SHARE_CHECK_BYTES)
#define SHARE_CHARACTERS 69 // of 43 bytes in base32
#define GROUP 5

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz234567";

vlt_result recovery_key_id(const uint8_t point[RECOVERY_POINT_BYTES],
                           uint8_t ret_id[RECOVERY_ID_BYTES]) {
    uint8_t digest[DIGEST_SHA256_SIZE];
    VLT_TRY(digest_sha256(bytes_of(point, RECOVERY_POINT_BYTES), digest));
    memcpy(ret_id, digest, RECOVERY_ID_BYTES);
    return vlt_ok();
}

static vlt_result derive_pair(const struct secret *secret, struct recovery_key *key) {
    struct secret *scalar = secret_new(PKEY_PRIVATE_SIZE);
    size_t size = 0;
    if (!scalar)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result =
        hkdf_sha256(secret, bytes_of(NULL, 0), BYTES_LITERAL("vaultd recovery key 1"),
                    PKEY_PRIVATE_SIZE, scalar);
    if (vlt_is_ok(result))
        result = pkey_of_secret(PKEY_P256, scalar, &key->pkey);
    secret_free(scalar);
    VLT_TRY(result);
    if (EVP_PKEY_get_octet_string_param(key->pkey, OSSL_PKEY_PARAM_PUB_KEY, key->point,
                                        sizeof key->point, &size) != 1 ||
        size != sizeof key->point)
        return vlt_fail(VLT_CRYPTO, "a recovery key has no public half");
    return recovery_key_id(key->point, key->id);
}

vlt_result recovery_key_derive(const struct secret *secret, struct recovery_key *ret_key) {
    struct recovery_key key = {.psk = secret_new(32)};
    if (!key.psk)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = hkdf_sha256(secret, bytes_of(NULL, 0),
                                    BYTES_LITERAL("vaultd recovery psk 1"), 32, key.psk);
    if (vlt_is_ok(result))
        result = derive_pair(secret, &key);
    if (!vlt_is_ok(result)) {
        recovery_key_done(&key);
        return result;
    }
    *ret_key = key;
    return vlt_ok();
}

void recovery_key_done(struct recovery_key *key) {
    EVP_PKEY_free(key->pkey);
    secret_free(key->psk);
    key->pkey = NULL;
    key->psk = NULL;
}

// ---- Shares as text ----

static void put_base32(const uint8_t *at, char *text) {
    size_t out = 0;
    for (size_t i = 0; i < SHARE_CHARACTERS; i++) {
        size_t bit = i * 5;
        unsigned two =
            (unsigned)at[bit / 8] << 8 | (bit / 8 + 1 < SHARE_BYTES ? at[bit / 8 + 1] : 0);
        if (i && i % GROUP == 0)
            text[out++] = '-';
        text[out++] = alphabet[two >> (11 - bit % 8) & 31];
    }
    text[out] = 0;
}

vlt_result recovery_share_text(const struct recovery_share *share, char *ret_text) {
    uint8_t room[SHARE_BYTES], digest[DIGEST_SHA256_SIZE];
    struct wire_writer w;
    if (secret_size(share->share.y) != RECOVERY_SECRET_BYTES)
        return vlt_fail(VLT_BUG, "a share has a wrong size");
    wire_writer_init(&w, room, sizeof room);
    wire_put_u8(&w, SHARE_VERSION);
    wire_put_raw(&w, bytes_of(share->vault, sizeof share->vault));
    wire_put_u8(&w, share->threshold);
    wire_put_u8(&w, share->share.x);
    wire_put_raw(&w, bytes_of(secret_borrow(share->share.y), RECOVERY_SECRET_BYTES));
    secret_release(share->share.y);
    vlt_result result = digest_sha256(bytes_of(room, SHARE_BODY_BYTES), digest);
    wire_put_raw(&w, bytes_of(digest, SHARE_CHECK_BYTES));
    if (vlt_is_ok(result))
        put_base32(room, ret_text);
    secret_cleanse(room, sizeof room);
    secret_cleanse(digest, sizeof digest);
    return result;
}

static int value_of(uint8_t c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a';
    return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

// false: another character, or another count of them.
static bool get_base32(struct bytes text, uint8_t *at) {
    size_t count = 0;
    memset(at, 0, SHARE_BYTES);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i];
        if (c == '-' || c == ' ' || c == '\t' || c == '\r' || c == '\n')
            continue;
        int value = value_of(c);
        if (value < 0 || count == SHARE_CHARACTERS)
            return false;
        size_t bit = count * 5;
        unsigned two = (unsigned)value << (11 - bit % 8);
        at[bit / 8] |= (uint8_t)(two >> 8);
        if (bit / 8 + 1 < SHARE_BYTES)
            at[bit / 8 + 1] |= (uint8_t)two;
        else if (two & 0xff)
            return false; // bits after the end
        count++;
    }
    return count == SHARE_CHARACTERS;
}

static vlt_result read_share(const uint8_t *at, struct recovery_share *ret_share) {
    uint8_t digest[DIGEST_SHA256_SIZE];
    VLT_TRY(digest_sha256(bytes_of(at, SHARE_BODY_BYTES), digest));
    bool is_whole = secret_equal(bytes_of(digest, SHARE_CHECK_BYTES),
                                 bytes_of(at + SHARE_BODY_BYTES, SHARE_CHECK_BYTES));
    secret_cleanse(digest, sizeof digest);
    if (!is_whole)
        return vlt_fail(VLT_MALFORMED, "the share is mistyped: its check does not fit");
    if (at[0] != SHARE_VERSION || at[5] == 0 || at[6] == 0)
        return vlt_fail(VLT_MALFORMED, "the share was made by another version");
    VLT_TRY(secret_set(ret_share->share.y, at + 7, RECOVERY_SECRET_BYTES));
    memcpy(ret_share->vault, at + 1, sizeof ret_share->vault);
    ret_share->threshold = at[5];
    ret_share->share.x = at[6];
    return vlt_ok();
}

vlt_result recovery_share_parse(struct bytes text, struct recovery_share *ret_share) {
    uint8_t room[SHARE_BYTES];
    vlt_result result = get_base32(text, room)
                            ? read_share(room, ret_share)
                            : vlt_fail(VLT_MALFORMED, "that is not a share: it has 69 letters and "
                                                      "digits in groups of five");
    secret_cleanse(room, sizeof room);
    return result;
}
