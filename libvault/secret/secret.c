// SPDX-License-Identifier: Apache-2.0
#include "libvault/secret/secret.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

#include "libvault/secret/secret_heap.h"

struct secret {
    size_t capacity, size;
    size_t touched; // from here on there are zeros
    uint64_t guard; // the same word stands behind the bytes
    uint8_t at[];
};

static uint64_t guard_word;
static pthread_once_t guard_once = PTHREAD_ONCE_INIT;

// From the kernel, not from OpenSSL: its heap may be adopted later.
static void guard_draw(void) {
    if (getrandom(&guard_word, sizeof guard_word, 0) != (ssize_t)sizeof guard_word)
        abort();
}

static void check_guard(const struct secret *secret) {
    uint64_t behind;
    memcpy(&behind, secret->at + secret->capacity, sizeof behind);
    if (secret->guard != guard_word || behind != guard_word)
        abort();
}

struct secret *secret_new(size_t capacity) {
    pthread_once(&guard_once, guard_draw);
    if (capacity > SIZE_MAX / 8)
        return NULL;
    struct secret *secret = secret_heap_take(sizeof *secret + capacity + sizeof guard_word);
    if (!secret)
        return NULL;
    secret->capacity = capacity;
    secret->size = secret->touched = 0;
    secret->guard = guard_word;
    memset(secret->at, 0, capacity);
    memcpy(secret->at + capacity, &guard_word, sizeof guard_word);
    return secret;
}

void secret_free(struct secret *secret) {
    if (!secret)
        return;
    check_guard(secret);
    secret_heap_give_back(secret);
}

size_t secret_size(const struct secret *secret) { return secret->size; }
size_t secret_capacity(const struct secret *secret) { return secret->capacity; }

vlt_result secret_set(struct secret *secret, const void *at, size_t size) {
    if (size > secret->capacity)
        return vlt_fail(VLT_LIMIT, "secret is too long");
    secret_wipe(secret);
    if (size)
        memcpy(secret->at, at, size);
    secret->size = secret->touched = size;
    return vlt_ok();
}

vlt_result secret_copy(struct secret *to, const struct secret *from) {
    vlt_result result = secret_set(to, secret_borrow(from), secret_size(from));
    secret_release(from);
    return result;
}

vlt_result secret_set_random(struct secret *secret, size_t size) {
    if (size > secret->capacity)
        return vlt_fail(VLT_LIMIT, "secret is too long");
    secret_wipe(secret);
    secret->touched = size;
    if (RAND_priv_bytes(secret->at, (int)size) != 1) {
        secret_wipe(secret);
        return vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    }
    secret->size = size;
    return vlt_ok();
}

void secret_wipe(struct secret *secret) {
    secret_cleanse(secret->at, secret->touched);
    secret->size = secret->touched = 0;
}

const uint8_t *secret_borrow(const struct secret *secret) { return secret->at; }

uint8_t *secret_borrow_room(struct secret *secret) {
    return secret_borrow_room_of(secret, secret->capacity);
}

uint8_t *secret_borrow_room_of(struct secret *secret, size_t size) {
    assert(size <= secret->capacity);
    if (secret->touched < size)
        secret->touched = size;
    return secret->at;
}

void secret_release_sized(struct secret *secret, size_t size) {
    assert(size <= secret->capacity);
    check_guard(secret);
    secret->size = size;
}

void secret_release(const struct secret *secret) { check_guard(secret); }

bool secret_equal(struct bytes a, struct bytes b) {
    return a.size == b.size && CRYPTO_memcmp(a.at, b.at, a.size) == 0;
}

bool secret_is_same(const struct secret *a, const struct secret *b) {
    bool is_same = secret_equal(bytes_of(secret_borrow(a), secret_size(a)),
                                bytes_of(secret_borrow(b), secret_size(b)));
    secret_release(a);
    secret_release(b);
    return is_same;
}

// Not OPENSSL_cleanse, which writes eight bytes at a time: measured on 16 KiB, that
// is most of what the keeper does itself for one redeem. glibc promises just as
// well that the writes are not optimised away.
void secret_cleanse(void *at, size_t size) { explicit_bzero(at, size); }
