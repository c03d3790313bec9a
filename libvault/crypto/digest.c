// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/digest.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

#include "libvault/crypto/algorithms.h"

size_t digest_size(enum digest_kind kind) {
    static const size_t sizes[DIGEST_KIND_COUNT] = {32, 48, 64};
    return sizes[kind];
}

vlt_result digest_parts(enum digest_kind kind, const struct bytes *parts, size_t count,
                        uint8_t *ret_digest) {
    EVP_MD_CTX *context = algorithms_digest_context();
    if (!context)
        return vlt_fail(VLT_UNAVAILABLE, "no digest context");
    uint8_t digest[DIGEST_SIZE_MAX];
    int done = EVP_DigestInit_ex2(context, algorithms()->digest[kind], NULL);
    for (size_t i = 0; done == 1 && i < count; i++)
        done = EVP_DigestUpdate(context, parts[i].at, parts[i].size);
    if (done != 1 || EVP_DigestFinal_ex(context, digest, NULL) != 1)
        return algorithms_failed(VLT_UNAVAILABLE, "digest failed");
    memcpy(ret_digest, digest, digest_size(kind));
    return vlt_ok();
}

vlt_result digest_sha256_parts(const struct bytes *parts, size_t count,
                               uint8_t ret_digest[DIGEST_SHA256_SIZE]) {
    return digest_parts(DIGEST_SHA256, parts, count, ret_digest);
}

vlt_result digest_sha256(struct bytes bytes, uint8_t ret_digest[DIGEST_SHA256_SIZE]) {
    return digest_parts(DIGEST_SHA256, &bytes, 1, ret_digest);
}

// ---- HMAC ----

struct hmac_key {
    enum digest_kind kind;
    EVP_MAC_CTX *context;
    // Beside the key, not in it: a caller's const key still counts its users.
    pthread_mutex_t *lock;
};

static EVP_MAC_CTX *keyed_context(enum digest_kind kind, const uint8_t *key, size_t key_bytes) {
    const struct algorithms *all = algorithms();
    EVP_MAC_CTX *context = all ? EVP_MAC_CTX_new(all->hmac) : NULL;
    char name[16];
    (void)bytes_to_text(bytes_of_text(digest_openssl_name(kind)), name, sizeof name);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
                           OSSL_PARAM_construct_end()};
    // NULL would mean "keep the key of before".
    static const uint8_t no_key[1];
    if (context && EVP_MAC_init(context, key ? key : no_key, key_bytes, params) == 1)
        return context;
    EVP_MAC_CTX_free(context);
    return NULL;
}

static vlt_result finish(EVP_MAC_CTX *context, enum digest_kind kind, const struct bytes *parts,
                         size_t count, uint8_t *ret_mac) {
    uint8_t mac[DIGEST_SIZE_MAX];
    size_t size = 0;
    int done = 1;
    for (size_t i = 0; done == 1 && i < count; i++)
        if (parts[i].size)
            done = EVP_MAC_update(context, parts[i].at, parts[i].size);
    if (done != 1 || EVP_MAC_final(context, mac, &size, sizeof mac) != 1 ||
        size != digest_size(kind))
        return algorithms_failed(VLT_UNAVAILABLE, "HMAC failed");
    memcpy(ret_mac, mac, size);
    secret_cleanse(mac, sizeof mac); // a MAC may be a key in turn
    return vlt_ok();
}

vlt_result hmac_with_key(enum digest_kind kind, const uint8_t *key, size_t key_bytes,
                         const struct bytes *parts, size_t count, uint8_t *ret_mac) {
    EVP_MAC_CTX *context = keyed_context(kind, key, key_bytes);
    if (!context)
        return algorithms_failed(VLT_UNAVAILABLE, "no HMAC context");
    vlt_result result = finish(context, kind, parts, count, ret_mac);
    EVP_MAC_CTX_free(context);
    return result;
}

vlt_result hmac_key_new(enum digest_kind kind, const struct secret *key,
                        struct hmac_key **ret_key) {
    struct hmac_key *made = calloc(1, sizeof *made + sizeof *made->lock);
    if (!made)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    made->kind = kind;
    made->lock = (pthread_mutex_t *)(void *)(made + 1);
    pthread_mutex_init(made->lock, NULL);
    made->context = keyed_context(kind, secret_borrow(key), secret_size(key));
    secret_release(key);
    if (!made->context) {
        hmac_key_free(made);
        return algorithms_failed(VLT_UNAVAILABLE, "no HMAC context");
    }
    *ret_key = made;
    return vlt_ok();
}

void hmac_key_free(struct hmac_key *key) {
    if (!key)
        return;
    EVP_MAC_CTX_free(key->context);
    pthread_mutex_destroy(key->lock);
    free(key);
}

vlt_result hmac_parts(const struct hmac_key *key, const struct bytes *parts, size_t count,
                      uint8_t *ret_mac) {
    pthread_mutex_lock(key->lock);
    // Without a key: starts again from the padded key that is hashed already.
    vlt_result result = EVP_MAC_init(key->context, NULL, 0, NULL) == 1
                            ? finish(key->context, key->kind, parts, count, ret_mac)
                            : algorithms_failed(VLT_UNAVAILABLE, "HMAC failed");
    pthread_mutex_unlock(key->lock);
    return result;
}

vlt_result hmac_sha256(const struct hmac_key *key, struct bytes message,
                       uint8_t ret_mac[DIGEST_SHA256_SIZE]) {
    if (key->kind != DIGEST_SHA256)
        return vlt_fail(VLT_BUG, "not a SHA-256 key");
    return hmac_parts(key, &message, 1, ret_mac);
}

vlt_result hmac_sha256_once(const uint8_t *key, size_t key_bytes, struct bytes message,
                            uint8_t ret_mac[DIGEST_SHA256_SIZE]) {
    return hmac_with_key(DIGEST_SHA256, key, key_bytes, &message, 1, ret_mac);
}
