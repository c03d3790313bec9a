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
#define REMEMBERED_MAX 4096 // longer questions are hashed each time

typedef struct {
    uint64_t serial; // of what is remembered, in this worker; 0: nothing is
    size_t size, capacity;
    uint8_t *question; // sizes of the parts, then the parts; NULL: none
    uint8_t key[VAULT_KEY_BYTES];
} memory_t;

typedef struct {
    struct bytes parts[PARTS];
    uint32_t sizes[PARTS];
    size_t size; // of all, and their sizes
} question_t;

static void question_init(question_t *question, const struct ask *ask) {
    *question =
        (question_t){.parts = {ask->token, ask->method, ask->path, ask->model, ask->tool,
                               ask->destination, ask->client_certificate, ask->source},
                     .size = sizeof question->sizes};
    for (size_t i = 0; i < PARTS; i++) {
        question->sizes[i] = (uint32_t)question->parts[i].size;
        question->size += question->parts[i].size;
    }
}

static void question_write(const question_t *question, uint8_t *at) {
    at = ngx_cpymem(at, question->sizes, sizeof question->sizes);
    for (size_t i = 0; i < PARTS; i++)
        if (question->parts[i].size)
            at = ngx_cpymem(at, question->parts[i].at, question->parts[i].size);
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

// known_as: vault_key_knows has compared the token with what had this serial.
static bool is_remembered(const memory_t *memory, const question_t *question, uint64_t known_as) {
    if (!memory->serial || memory->size != question->size ||
        ngx_memcmp(memory->question, question->sizes, sizeof question->sizes))
        return false;
    const uint8_t *at = memory->question + sizeof question->sizes;
    if (memory->serial != known_as && !token_is(question->parts[0], at))
        return false;
    for (size_t i = 1; i < PARTS; i++) {
        at += question->parts[i - 1].size;
        if (question->parts[i].size &&
            ngx_memcmp(at, question->parts[i].at, question->parts[i].size))
            return false;
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
    uint32_t size;
    if (!memory || !memory->serial)
        return false;
    ngx_memcpy(&size, memory->question, sizeof size);
    if (size != token.size || !token_is(token, memory->question + sizeof(uint32_t[PARTS])))
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
static bool learn(memory_t *memory, const question_t *question) {
    static uint64_t serials;
    if (memory->capacity < question->size) {
        forget(memory);
        memory->question = ngx_alloc(question->size, ngx_cycle->log);
        memory->capacity = memory->question ? question->size : 0;
    }
    memory->serial = 0; // until the key is known
    if (!memory->question)
        return false;
    question_write(question, memory->question);
    if (!hash(memory->question, question->size, memory->key))
        return false;
    memory->size = question->size;
    memory->serial = ++serials;
    return true;
}

bool vault_key_make(vault_ctx_t *ctx) {
    question_t question;
    question_init(&question, &ctx->ask);
    if (question.size > REMEMBERED_MAX) {
        uint8_t *room = ngx_pnalloc(ctx->request->pool, question.size);
        if (room)
            question_write(&question, room);
        return room && hash(room, question.size, ctx->key);
    }
    memory_t *memory = memory_of(ctx->request);
    if (!memory)
        memory = memory_new(ctx->request);
    if (!memory || (!is_remembered(memory, &question, ctx->known_as) && !learn(memory, &question)))
        return false;
    ngx_memcpy(ctx->key, memory->key, VAULT_KEY_BYTES);
    return true;
}
