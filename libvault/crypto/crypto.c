// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/crypto.h"

#include <openssl/err.h>
#include <pthread.h>

#include "libvault/crypto/algorithms.h"

static struct algorithms fetched;
static bool is_complete;
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;
static pthread_key_t context_key;
static _Thread_local EVP_MD_CTX *thread_context;

const char *digest_openssl_name(enum digest_kind kind) {
    static const char *const names[DIGEST_KIND_COUNT] = {"SHA256", "SHA384", "SHA512"};
    return names[kind];
}

static void context_free(void *context) { EVP_MD_CTX_free(context); }

static void fetch_all(void) {
    static const char *const gcm[] = {"AES-128-GCM", "AES-192-GCM", "AES-256-GCM"};
    static const char *const cbc[] = {"AES-128-CBC", "AES-192-CBC", "AES-256-CBC"};
    static const char *const wrap[] = {"AES-128-WRAP", "AES-192-WRAP", "AES-256-WRAP"};
    bool complete = pthread_key_create(&context_key, context_free) == 0;
    for (int i = 0; i < DIGEST_KIND_COUNT; i++) {
        fetched.digest[i] = EVP_MD_fetch(NULL, digest_openssl_name((enum digest_kind)i), NULL);
        complete = complete && fetched.digest[i];
    }
    for (int i = 0; i < ALGORITHM_SIZE_COUNT; i++) {
        fetched.gcm[i] = EVP_CIPHER_fetch(NULL, gcm[i], NULL);
        fetched.cbc[i] = EVP_CIPHER_fetch(NULL, cbc[i], NULL);
        fetched.key_wrap[i] = EVP_CIPHER_fetch(NULL, wrap[i], NULL);
        complete = complete && fetched.gcm[i] && fetched.cbc[i] && fetched.key_wrap[i];
    }
    fetched.ecb_256 = EVP_CIPHER_fetch(NULL, "AES-256-ECB", NULL);
    fetched.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    is_complete = complete && fetched.ecb_256 && fetched.hmac;
}

const struct algorithms *algorithms(void) {
    pthread_once(&fetch_once, fetch_all);
    return is_complete ? &fetched : NULL;
}

vlt_result crypto_open(void) {
    if (!algorithms())
        return algorithms_failed(VLT_UNAVAILABLE, "OpenSSL lacks an algorithm");
    return vlt_ok();
}

bool algorithm_size_of(size_t key_bytes, enum algorithm_size *ret_size) {
    if (key_bytes != 16 && key_bytes != 24 && key_bytes != 32)
        return false;
    *ret_size = (enum algorithm_size)(key_bytes / 8 - 2);
    return true;
}

EVP_MD_CTX *algorithms_digest_context(void) {
    if (thread_context || !algorithms())
        return thread_context;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context && pthread_setspecific(context_key, context) != 0) {
        EVP_MD_CTX_free(context);
        return NULL;
    }
    return thread_context = context;
}

vlt_result algorithms_failed(enum vlt_class class, const char *reason) {
    ERR_clear_error();
    return vlt_fail(class, reason);
}
