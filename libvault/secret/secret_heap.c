// SPDX-License-Identifier: Apache-2.0
// A two-level segregated fit: constant time for every call, neighbours merge
// when they come back, so that years of TLS buffers do not crumble the heap.
#include "libvault/secret/secret_heap.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdlib.h>

#include "libvault/secret/secret.h"

#if defined(__SANITIZE_ADDRESS__)
#define HEAP_LEAK_ROOTS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HEAP_LEAK_ROOTS 1
#endif
#endif
#ifdef HEAP_LEAK_ROOTS
// The leak checker looks only into ordinary memory; ours holds pointers too.
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_register_root_region(at, size) ((void)0)
#define __lsan_unregister_root_region(at, size) ((void)0)
#endif

#define ALIGN 16
#define FINE_BITS 4
#define FINE_COUNT (1u << FINE_BITS)
#define COARSE_COUNT 40u
#define IN_USE 1u // bit 0 of block.size_and_use; sizes are multiples of ALIGN

struct block {
    size_t size_and_use;    // payload bytes, use in bit 0
    struct block *previous; // the block before this one in memory, or NULL
    // payload; while free, it begins with these:
    struct block *next_free, *prev_free;
};
#define HEADER offsetof(struct block, next_free)
#define PAYLOAD_MIN (sizeof(struct block) - HEADER)

static struct {
    pthread_mutex_t lock;
    struct secret_region region;
    size_t used_bytes;
    bool is_adopted; // somebody else's memory functions point here: never unmap
    uint64_t coarse_map;
    uint32_t fine_map[COARSE_COUNT];
    struct block *free_lists[COARSE_COUNT][FINE_COUNT];
} heap = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t size_of(const struct block *b) { return b->size_and_use & ~(size_t)IN_USE; }
static bool is_free(const struct block *b) { return !(b->size_and_use & IN_USE); }
static uint8_t *payload_of(struct block *b) { return (uint8_t *)b + HEADER; }
static struct block *block_of(void *at) { return (struct block *)(void *)((uint8_t *)at - HEADER); }

static struct block *end_of(struct block *b) {
    return (struct block *)(void *)(payload_of(b) + size_of(b));
}

static struct block *following(struct block *b) {
    struct block *end = end_of(b);
    return (uint8_t *)end < heap.region.at + heap.region.size ? end : NULL;
}

// ---- Free lists ----

static void class_of(size_t size, unsigned *ret_coarse, unsigned *ret_fine) {
    if (size < ALIGN * FINE_COUNT) {
        *ret_coarse = 0;
        *ret_fine = (unsigned)(size / ALIGN);
        return;
    }
    unsigned log = 63u - (unsigned)__builtin_clzll(size);
    *ret_coarse = log - 7; // 256 is the first size of class 1
    *ret_fine = (unsigned)(size >> (log - FINE_BITS)) & (FINE_COUNT - 1);
}

static void list_insert(struct block *b) {
    unsigned coarse, fine;
    class_of(size_of(b), &coarse, &fine);
    struct block **head = &heap.free_lists[coarse][fine];
    b->prev_free = NULL;
    b->next_free = *head;
    if (*head)
        (*head)->prev_free = b;
    *head = b;
    heap.fine_map[coarse] |= 1u << fine;
    heap.coarse_map |= UINT64_C(1) << coarse;
}

static void list_remove(struct block *b) {
    unsigned coarse, fine;
    class_of(size_of(b), &coarse, &fine);
    if (b->next_free)
        b->next_free->prev_free = b->prev_free;
    if (b->prev_free) {
        b->prev_free->next_free = b->next_free;
        return;
    }
    heap.free_lists[coarse][fine] = b->next_free;
    if (!b->next_free && !(heap.fine_map[coarse] &= ~(1u << fine)))
        heap.coarse_map &= ~(UINT64_C(1) << coarse);
}

// The first list in which every block is large enough.
static struct block *list_find(size_t size) {
    unsigned coarse, fine;
    if (size >= ALIGN * FINE_COUNT) // round up to the next class
        size += ((size_t)1 << (63u - (unsigned)__builtin_clzll(size) - FINE_BITS)) - 1;
    class_of(size, &coarse, &fine);
    if (coarse >= COARSE_COUNT)
        return NULL;
    uint32_t in_class = heap.fine_map[coarse] & (~0u << fine);
    if (!in_class) {
        uint64_t larger = heap.coarse_map & (~UINT64_C(0) << (coarse + 1));
        if (!larger)
            return NULL;
        coarse = (unsigned)__builtin_ctzll(larger);
        in_class = heap.fine_map[coarse];
    }
    return heap.free_lists[coarse][__builtin_ctz(in_class)];
}

// ---- Blocks ----

static void split(struct block *b, size_t size) {
    size_t rest = size_of(b) - size;
    if (rest < HEADER + PAYLOAD_MIN)
        return;
    b->size_and_use = size;
    struct block *tail = end_of(b);
    tail->size_and_use = rest - HEADER;
    tail->previous = b;
    struct block *after = following(tail);
    if (after)
        after->previous = tail;
    list_insert(tail);
}

static struct block *merge(struct block *left, struct block *right) {
    left->size_and_use = size_of(left) + HEADER + size_of(right);
    struct block *after = following(left);
    if (after)
        after->previous = left;
    return left;
}

static size_t rounded(size_t size) {
    return size < PAYLOAD_MIN ? PAYLOAD_MIN : (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

void *secret_heap_take(size_t size) {
    if (size > SIZE_MAX / 4)
        return NULL;
    size = rounded(size);
    pthread_mutex_lock(&heap.lock);
    struct block *b = heap.region.at ? list_find(size) : NULL;
    if (b) {
        list_remove(b);
        split(b, size);
        heap.used_bytes += size_of(b);
        b->size_and_use |= IN_USE;
    }
    pthread_mutex_unlock(&heap.lock);
    return b ? payload_of(b) : NULL;
}

// A pointer that is not a block in use means that memory is already corrupt: to
// go on would hand secrets to whoever corrupted it.
static struct block *block_in_use(void *at) {
    uint8_t *p = at;
    if (p < heap.region.at + HEADER || p >= heap.region.at + heap.region.size ||
        ((uintptr_t)p & (ALIGN - 1)) || is_free(block_of(at)))
        abort();
    return block_of(at);
}

void secret_heap_give_back(void *at) {
    if (!at)
        return;
    struct block *b = block_in_use(at);
    secret_cleanse(at, size_of(b));
    pthread_mutex_lock(&heap.lock);
    b->size_and_use &= ~(size_t)IN_USE;
    heap.used_bytes -= size_of(b);
    struct block *after = following(b);
    if (after && is_free(after)) {
        list_remove(after);
        b = merge(b, after);
    }
    if (b->previous && is_free(b->previous)) {
        list_remove(b->previous);
        b = merge(b->previous, b);
    }
    list_insert(b);
    pthread_mutex_unlock(&heap.lock);
}

void *secret_heap_resize(void *at, size_t size) {
    if (!at)
        return secret_heap_take(size);
    if (size == 0) {
        secret_heap_give_back(at);
        return NULL;
    }
    size_t old = size_of(block_in_use(at));
    if (size <= old)
        return at;
    void *moved = secret_heap_take(size);
    if (moved) {
        memcpy(moved, at, old);
        secret_heap_give_back(at);
    }
    return moved;
}

// ---- Life of the heap ----

static vlt_result open_heap(size_t heap_bytes, bool only_locked, struct fault *fault) {
    if (heap.region.at)
        return vlt_fail(VLT_BUG, "the secret heap is open already");
    if (heap_bytes >> (COARSE_COUNT + 6))
        return vlt_fail(VLT_BUG, "size of the secret heap");
    VLT_TRY(secret_region_map(heap_bytes, only_locked, fault, &heap.region));
    struct block *all = (struct block *)(void *)heap.region.at;
    all->size_and_use = heap.region.size - HEADER;
    all->previous = NULL;
    list_insert(all);
    __lsan_register_root_region(heap.region.at, heap.region.size);
    return vlt_ok();
}

vlt_result secret_heap_open(size_t heap_bytes, struct fault *fault) {
    return open_heap(heap_bytes, false, fault);
}

vlt_result secret_heap_open_locked(size_t heap_bytes, struct fault *fault) {
    return open_heap(heap_bytes, true, fault);
}

void secret_heap_close(void) {
    // OpenSSL still frees into an adopted heap at exit; the kernel clears the
    // pages when the process is gone.
    if (!heap.region.at || heap.is_adopted)
        return;
    assert(heap.used_bytes == 0);
    __lsan_unregister_root_region(heap.region.at, heap.region.size);
    secret_region_unmap(&heap.region);
    heap.coarse_map = 0;
    memset(heap.fine_map, 0, sizeof heap.fine_map);
    memset(heap.free_lists, 0, sizeof heap.free_lists);
}

enum secret_memory secret_heap_kind(void) { return heap.region.kind; }

const char *secret_heap_kind_text(void) {
    static const char *const texts[] = {"none", "memfd_secret", "mlock"};
    return texts[heap.region.kind];
}

size_t secret_heap_used_bytes(void) {
    pthread_mutex_lock(&heap.lock);
    size_t used = heap.used_bytes;
    pthread_mutex_unlock(&heap.lock);
    return used;
}

// ---- Other people's heaps ----

static void *openssl_malloc(size_t size, const char *file, int line) {
    return secret_heap_take(size);
}
static void *openssl_realloc(void *at, size_t size, const char *file, int line) {
    return secret_heap_resize(at, size);
}
static void openssl_free(void *at, const char *file, int line) { secret_heap_give_back(at); }

vlt_result secret_heap_adopt_openssl(void) {
    if (!heap.region.at)
        return vlt_fail(VLT_BUG, "the secret heap is not open");
    if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
        return vlt_fail(VLT_BUG, "OpenSSL was used before its heap was adopted");
    heap.is_adopted = true;
    return vlt_ok();
}

void secret_heap_adopt(secret_set_mem_functions *set) {
    assert(heap.region.at);
    heap.is_adopted = true;
    set(secret_heap_take, secret_heap_resize, secret_heap_give_back);
}
