// SPDX-License-Identifier: Apache-2.0
// The key under which an answer is kept: SHA-256 of everything that the decision depends
// on, but for the number of tokens (the answer says for which it holds). Of the whole
// token, so that a forged one never meets a kept answer; and a hash, so that no token is
// in the shared memory.
//
// Clients send one question many times over a connection, so each connection remembers
// its last one: comparing costs a tenth of hashing. It is wiped with the connection.
#include "forward/nginx/vault_module.h"

#include <openssl/evp.h>

#define PARTS 8
#define SIZES_BYTES (PARTS * sizeof(uint32_t))
#define REMEMBERED_MAX 4096 // longer questions are hashed each time

typedef struct {
    uint64_t serial; // of what is remembered, in this worker; 0: nothing is
    size_t capacity;
    uint8_t *question; // NULL: none
    uint8_t key[VAULT_KEY_BYTES];
} memory_t;

// A question is the sizes of its parts, then the parts. The token comes first.
static struct bytes part_of(const struct ask *ask, size_t index) {
    static const size_t offsets[PARTS] = {
        offsetof(struct ask, token),       offsetof(struct ask, method),
        offsetof(struct ask, path),        offsetof(struct ask, model),
        offsetof(struct ask, tool),        offsetof(struct ask, destination),
        offsetof(struct ask, source),      offsetof(struct ask, client_certificate)};
    struct bytes part;
    ngx_memcpy(&part, (const uint8_t *)ask + offsets[index], sizeof part);
    return part;
}

static size_t question_size(const struct ask *ask) {
    size_t size = SIZES_BYTES;
    for (size_t i = 0; i < PARTS; i++)
        size += part_of(ask, i).size;
    return size;
}

static void question_write(const struct ask *ask, uint8_t *to) {
    uint8_t *at = to + SIZES_BYTES;
    for (size_t i = 0; i < PARTS; i++) {
        struct bytes part = part_of(ask, i);
        uint32_t size = (uint32_t)part.size;
        to = ngx_cpymem(to, &size, sizeof size);
        if (part.size)
            at = ngx_cpymem(at, part.at, part.size);
    }
}

static uint32_t remembered_size(const memory_t *memory, size_t index) {
    uint32_t size;
    ngx_memcpy(&size, memory->question + index * sizeof size, sizeof size);
    return size;
}

// Sixteen bytes at once (GCC's and clang's vectors), because this is the price of what is
// remembered.
typedef uint64_t lanes __attribute__((vector_size(16)));

static inline lanes difference(const uint8_t *a, const uint8_t *b) {
    lanes from, to;
    ngx_memcpy(&from, a, sizeof from);
    ngx_memcpy(&to, b, sizeof to);
    return from ^ to;
}

static inline lanes difference_of_64(const uint8_t *a, const uint8_t *b) {
    return difference(a, b) | difference(a + 16, b + 16) | difference(a + 32, b + 32) |
           difference(a + 48, b + 48);
}

// In constant time: clients of a proxy before this one may share its connection, and
// the time must not tell them how much of another's token they guessed.
static bool token_is(struct bytes token, const uint8_t *remembered) {
    lanes all = {0};
    uint8_t rest = 0;
    size_t at = 0;
    for (; token.size - at >= 64; at += 64)
        all |= difference_of_64(token.at + at, remembered + at);
    if (at) { // the last 64, whatever of them was compared before
        at = token.size;
        all |= difference_of_64(token.at + at - 64, remembered + at - 64);
    }
    for (; at < token.size; at++)
        rest |= token.at[at] ^ remembered[at];
    return (all[0] | all[1] | rest) == 0;
}

static bool is_remembered(const memory_t *memory, const vault_ctx_t *ctx) {
    const uint8_t *at = memory->question + SIZES_BYTES;
    if (!memory->serial)
        return false;
    for (size_t i = 0; i < PARTS; i++) {
        struct bytes part = part_of(&ctx->ask, i);
        if (part.size != remembered_size(memory, i))
            return false;
        bool is_same = i == 0 ? memory->serial == ctx->known_as || token_is(part, at)
                              : bytes_equal(part, bytes_of(at, part.size));
        if (!is_same)
            return false;
        at += part.size;
    }
    return true;
}

static void forget(void *at) {
    memory_t *memory = at;
    if (memory->question) {
        explicit_bzero(memory->question, memory->capacity);
        ngx_free(memory->question);
    }
    *memory = (memory_t){0};
}

static ngx_pool_t *pool_of(const ngx_http_request_t *r) {
#if (NGX_HTTP_V2)
    if (r->stream)
        return r->stream->connection->connection->pool;
#endif
    return r->connection->pool;
}

// NULL: none yet.
static memory_t *memory_of(const ngx_http_request_t *r) {
    const ngx_pool_cleanup_t *at = pool_of(r)->cleanup;
    while (at && at->handler != forget)
        at = at->next;
    return at ? at->data : NULL;
}

// NULL: out of memory.
static memory_t *memory_new(const ngx_http_request_t *r) {
    ngx_pool_cleanup_t *at = ngx_pool_cleanup_add(pool_of(r), sizeof(memory_t));
    if (!at)
        return NULL;
    *(memory_t *)at->data = (memory_t){0};
    at->handler = forget;
    return at->data;
}

bool vault_key_knows(vault_ctx_t *ctx) {
    const memory_t *memory = memory_of(ctx->request);
    struct bytes token = ctx->ask.token;
    if (!memory || !memory->serial || token.size != remembered_size(memory, 0) ||
        !token_is(token, memory->question + SIZES_BYTES))
        return false;
    ctx->known_as = memory->serial;
    return true;
}

static bool hash(const uint8_t *text, size_t size, uint8_t *ret_key) {
    static EVP_MD_CTX *digest; // of this worker, with everything that OpenSSL looks up
    static EVP_MD *sha256;
    if (!digest) {
        digest = EVP_MD_CTX_new();
        sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    }
    return digest && sha256 && EVP_DigestInit_ex(digest, sha256, NULL) &&
           EVP_DigestUpdate(digest, text, size) && EVP_DigestFinal_ex(digest, ret_key, NULL);
}

// Hashes the question where it is then remembered.
static bool learn(memory_t *memory, const struct ask *ask, size_t size) {
    static uint64_t serials;
    if (memory->capacity < size) {
        forget(memory);
        memory->question = ngx_alloc(size, ngx_cycle->log);
        memory->capacity = memory->question ? size : 0;
    }
    memory->serial = 0; // until the key is known
    if (!memory->question)
        return false;
    question_write(ask, memory->question);
    if (!hash(memory->question, size, memory->key))
        return false;
    memory->serial = ++serials;
    return true;
}

bool vault_key_make(vault_ctx_t *ctx) {
    memory_t *memory = memory_of(ctx->request);
    if (!memory || !is_remembered(memory, ctx)) {
        size_t size = question_size(&ctx->ask);
        if (size > REMEMBERED_MAX) {
            uint8_t *room = ngx_pnalloc(ctx->request->pool, size);
            if (room)
                question_write(&ctx->ask, room);
            return room && hash(room, size, ctx->key);
        }
        if ((!memory && !(memory = memory_new(ctx->request))) || !learn(memory, &ctx->ask, size))
            return false;
    }
    ngx_memcpy(ctx->key, memory->key, VAULT_KEY_BYTES);
    return true;
}
