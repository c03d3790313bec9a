// SPDX-License-Identifier: Apache-2.0
// Names in quotes below are the labels of RFC 9180 sections 4.1 and 5.1.
#include "hsm/tpm/hpke.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define HPKE_HASH_BYTES 32
#define HPKE_KEY_BYTES 32
#define HPKE_NONCE_BYTES 12
#define HPKE_LABELED_MAX_BYTES 512

static const uint8_t kem_suite[] = {'K', 'E', 'M', 0x00, 0x10};
static const uint8_t hpke_suite[] = {'H', 'P', 'K', 'E', 0x00, 0x10, 0x00, 0x01, 0x00, 0x02};
#define HPKE_MODE_PSK 0x01

// Everything secret between the shared point and the cipher; wiped as a whole.
struct hpke_keys {
    uint8_t labeled[HPKE_LABELED_MAX_BYTES];
    size_t labeled_bytes;
    uint8_t prk[HPKE_HASH_BYTES];
    uint8_t shared[HPKE_HASH_BYTES];
    uint8_t context[1 + 2 * HPKE_HASH_BYTES];
    uint8_t key[HPKE_HASH_BYTES];
    uint8_t nonce[HPKE_HASH_BYTES]; // the first HPKE_NONCE_BYTES count
    bool failed;
};

static void labeled_put(struct hpke_keys *k, struct bytes bytes) {
    if (bytes.size > sizeof k->labeled - k->labeled_bytes) {
        k->failed = true;
        return;
    }
    if (bytes.size)
        memcpy(k->labeled + k->labeled_bytes, bytes.at, bytes.size);
    k->labeled_bytes += bytes.size;
}

static void labeled_hash(struct hpke_keys *k, struct bytes key, uint8_t out[HPKE_HASH_BYTES]) {
    unsigned size = 0;
    if (k->failed || !HMAC(EVP_sha256(), key.size ? key.at : (const uint8_t *)"", (int)key.size,
                           k->labeled, k->labeled_bytes, out, &size))
        k->failed = true;
}

// LabeledExtract: HKDF-Extract is one HMAC keyed with the salt.
static void hpke_extract(struct hpke_keys *k, struct bytes suite, struct bytes salt,
                         const char *label, struct bytes ikm, uint8_t out[HPKE_HASH_BYTES]) {
    k->labeled_bytes = 0;
    labeled_put(k, BYTES_LITERAL("HPKE-v1"));
    labeled_put(k, suite);
    labeled_put(k, bytes_of_text(label));
    labeled_put(k, ikm);
    labeled_hash(k, salt, out);
}

// LabeledExpand of at most one hash: HKDF-Expand is one HMAC over info and 0x01,
// and a shorter output is its beginning.
static void hpke_expand(struct hpke_keys *k, struct bytes suite, const uint8_t prk[HPKE_HASH_BYTES],
                        const char *label, struct bytes info, uint8_t size,
                        uint8_t out[HPKE_HASH_BYTES]) {
    const uint8_t length[2] = {0, size};
    k->labeled_bytes = 0;
    labeled_put(k, bytes_of(length, sizeof length));
    labeled_put(k, BYTES_LITERAL("HPKE-v1"));
    labeled_put(k, suite);
    labeled_put(k, bytes_of_text(label));
    labeled_put(k, info);
    labeled_put(k, BYTES_LITERAL("\x01"));
    labeled_hash(k, bytes_of(prk, HPKE_HASH_BYTES), out);
}

// Sections 4.1 (ExtractAndExpand) and 5.1 (KeySchedule), mode PSK.
static vlt_result hpke_schedule(const struct hpke_sender *sender, const uint8_t *dh,
                                struct bytes point, struct hpke_keys *k) {
    const struct bytes kem = bytes_of(kem_suite, sizeof kem_suite);
    const struct bytes suite = bytes_of(hpke_suite, sizeof hpke_suite);
    uint8_t kem_context[2 * HPKE_POINT_BYTES];
    memcpy(kem_context, point.at, HPKE_POINT_BYTES);
    memcpy(kem_context + HPKE_POINT_BYTES, sender->recipient, HPKE_POINT_BYTES);
    hpke_extract(k, kem, bytes_of(NULL, 0), "eae_prk", bytes_of(dh, HPKE_DH_BYTES), k->prk);
    hpke_expand(k, kem, k->prk, "shared_secret", bytes_of(kem_context, sizeof kem_context),
                HPKE_HASH_BYTES, k->shared);

    k->context[0] = HPKE_MODE_PSK;
    hpke_extract(k, suite, bytes_of(NULL, 0), "psk_id_hash", sender->psk_id, k->context + 1);
    hpke_extract(k, suite, bytes_of(NULL, 0), "info_hash", sender->info,
                 k->context + 1 + HPKE_HASH_BYTES);
    const uint8_t *psk = secret_borrow(sender->psk);
    hpke_extract(k, suite, bytes_of(k->shared, sizeof k->shared), "secret",
                 bytes_of(psk, secret_size(sender->psk)), k->prk);
    secret_release(sender->psk);
    const struct bytes context = bytes_of(k->context, sizeof k->context);
    hpke_expand(k, suite, k->prk, "key", context, HPKE_KEY_BYTES, k->key);
    hpke_expand(k, suite, k->prk, "base_nonce", context, HPKE_NONCE_BYTES, k->nonce);
    return k->failed ? vlt_fail(VLT_BUG, "HPKE key schedule failed") : vlt_ok();
}

// AES-256-GCM, one message: the nonce of sequence number 0 is the base nonce.
static bool hpke_gcm(const struct hpke_keys *k, struct bytes aad, bool encrypts, struct bytes in,
                     uint8_t *out, uint8_t tag[HPKE_TAG_BYTES]) {
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int size = 0;
    bool done =
        ctx && EVP_CipherInit_ex2(ctx, EVP_aes_256_gcm(), k->key, k->nonce, encrypts, NULL) == 1 &&
        (encrypts || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, HPKE_TAG_BYTES, tag) == 1) &&
        EVP_CipherUpdate(ctx, NULL, &size, aad.at, (int)aad.size) == 1 &&
        EVP_CipherUpdate(ctx, out, &size, in.at, (int)in.size) == 1 && (size_t)size == in.size &&
        EVP_CipherFinal_ex(ctx, out + size, &size) == 1 &&
        (!encrypts || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, HPKE_TAG_BYTES, tag) == 1);
    EVP_CIPHER_CTX_free(ctx);
    return done;
}

static EVP_PKEY *hpke_public(const uint8_t point[HPKE_POINT_BYTES]) {
    EVP_PKEY *pkey = NULL;
    uint8_t copy[HPKE_POINT_BYTES];
    memcpy(copy, point, sizeof copy);
    char group[] = "P-256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy),
        OSSL_PARAM_construct_end()};
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    return pkey;
}

bool hpke_point_is_valid(const uint8_t point[HPKE_POINT_BYTES]) {
    if (point[0] != 0x04)
        return false;
    EVP_PKEY *pkey = hpke_public(point); // decoding checks the curve equation
    EVP_PKEY_free(pkey);
    return pkey != NULL;
}

vlt_result hpke_point(struct bytes body, struct bytes *ret_point) {
    if (body.size <= HPKE_POINT_BYTES + HPKE_TAG_BYTES || !hpke_point_is_valid(body.at))
        return vlt_fail(VLT_CRYPTO, "encapsulated point is not on the curve");
    *ret_point = bytes_of(body.at, HPKE_POINT_BYTES);
    return vlt_ok();
}

// A fresh pair: its public point, and the x coordinate shared with the recipient.
static bool hpke_encapsulate(const uint8_t *recipient, uint8_t point[HPKE_POINT_BYTES],
                             uint8_t dh[HPKE_DH_BYTES]) {
    EVP_PKEY *peer = hpke_public(recipient);
    EVP_PKEY *own = EVP_EC_gen("P-256");
    EVP_PKEY_CTX *ctx = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
    size_t point_bytes = 0, dh_bytes = HPKE_DH_BYTES;
    bool done = peer && ctx &&
                EVP_PKEY_get_octet_string_param(own, OSSL_PKEY_PARAM_PUB_KEY, point,
                                                HPKE_POINT_BYTES, &point_bytes) == 1 &&
                point_bytes == HPKE_POINT_BYTES && EVP_PKEY_derive_init(ctx) == 1 &&
                EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
                EVP_PKEY_derive(ctx, dh, &dh_bytes) == 1 && dh_bytes == HPKE_DH_BYTES;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    return done;
}

vlt_result hpke_encrypt(const struct hpke_sender *sender, const struct secret *plain,
                        struct buf *out) {
    struct hpke_keys k = {.failed = false};
    uint8_t dh[HPKE_DH_BYTES], point[HPKE_POINT_BYTES], tag[HPKE_TAG_BYTES];
    uint8_t cipher[HPKE_PLAIN_MAX_BYTES];
    size_t size = secret_size(plain);
    vlt_result result = size > sizeof cipher || !hpke_encapsulate(sender->recipient, point, dh)
                            ? vlt_fail(VLT_BUG, "HPKE encapsulation failed")
                            : hpke_schedule(sender, dh, bytes_of(point, sizeof point), &k);
    if (vlt_is_ok(result)) {
        if (!hpke_gcm(&k, sender->aad, true, bytes_of(secret_borrow(plain), size), cipher, tag))
            result = vlt_fail(VLT_BUG, "HPKE encryption failed");
        secret_release(plain);
    }
    if (vlt_is_ok(result)) {
        buf_put(out, bytes_of(point, sizeof point));
        buf_put(out, bytes_of(cipher, size));
        buf_put(out, bytes_of(tag, sizeof tag));
    }
    secret_cleanse(&k, sizeof k);
    secret_cleanse(dh, sizeof dh);
    return result;
}

vlt_result hpke_decrypt(const struct hpke_sender *sender, const struct secret *dh,
                        struct bytes body, struct secret *ret_plain) {
    struct bytes point;
    VLT_TRY(hpke_point(body, &point));
    struct bytes cipher = bytes_from(body, HPKE_POINT_BYTES);
    cipher.size -= HPKE_TAG_BYTES;
    if (cipher.size > secret_capacity(ret_plain) || secret_size(dh) != HPKE_DH_BYTES)
        return vlt_fail(VLT_CRYPTO, "wrapped key has a wrong size");
    uint8_t tag[HPKE_TAG_BYTES];
    memcpy(tag, cipher.at + cipher.size, sizeof tag);
    struct hpke_keys k = {.failed = false};
    vlt_result result = hpke_schedule(sender, secret_borrow(dh), point, &k);
    secret_release(dh);
    if (vlt_is_ok(result)) {
        // Into a scratch first: the caller's secret stays as it was on failure.
        uint8_t plain[HPKE_PLAIN_MAX_BYTES];
        result = cipher.size <= sizeof plain &&
                         hpke_gcm(&k, sender->aad, false, cipher, plain, tag)
                     ? secret_set(ret_plain, plain, cipher.size)
                     : vlt_fail(VLT_CRYPTO, "wrapped key does not open");
        secret_cleanse(plain, sizeof plain);
    }
    secret_cleanse(&k, sizeof k);
    return result;
}
