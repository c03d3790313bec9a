// SPDX-License-Identifier: Apache-2.0
// Answers of the redeemer in shared memory, for all workers of this machine.
//
// An answer is good only in the generation in which its question was asked:
// each change that the watch reports begins a new one, and so does its silence.
// Whatever leaves the cache is wiped.
#include "forward/nginx/vault_module.h"

#include <sys/mman.h>

#define PACKED_MAX 8192

typedef struct {
    ngx_rbtree_t tree;
    ngx_rbtree_node_t sentinel;
    ngx_queue_t used; // most recently used first
    uint64_t generation;
    uint64_t epoch;
    ngx_msec_t heard_at_ms; // last word of the watch, monotonic on this machine
    ngx_uint_t is_watched;
} shared_t;

typedef struct {
    ngx_rbtree_node_t node;
    ngx_queue_t used;
    uint8_t key[VAULT_KEY_BYTES];
    uint64_t generation;
    ngx_msec_t until_ms;
    size_t size;
    uint8_t packed[1];
} entry_t;

static ngx_slab_pool_t *pool_of(const vault_main_conf_t *conf) {
    return (ngx_slab_pool_t *)conf->zone->shm.addr;
}

static shared_t *shared_of(const vault_main_conf_t *conf) {
    return pool_of(conf)->data;
}

static int key_compare(const uint8_t *a, const ngx_rbtree_node_t *b) {
    return ngx_memcmp(a, ((const entry_t *)(const void *)b)->key, VAULT_KEY_BYTES);
}

static void tree_insert(ngx_rbtree_node_t *at, ngx_rbtree_node_t *node,
                        ngx_rbtree_node_t *sentinel) {
    const entry_t *entry = (const entry_t *)(const void *)node;
    for (;;) {
        ngx_rbtree_node_t **next = key_compare(entry->key, at) < 0 ? &at->left : &at->right;
        if (*next == sentinel) {
            *next = node;
            break;
        }
        at = *next;
    }
    node->parent = at;
    node->left = node->right = sentinel;
    ngx_rbt_red(node);
}

static entry_t *find(const shared_t *shared, const uint8_t *key) {
    ngx_rbtree_node_t *at = shared->tree.root;
    while (at != shared->tree.sentinel) {
        int order = key_compare(key, at);
        if (order == 0)
            return (entry_t *)(void *)at;
        at = order < 0 ? at->left : at->right;
    }
    return NULL;
}

static void drop(ngx_slab_pool_t *pool, shared_t *shared, entry_t *entry) {
    ngx_queue_remove(&entry->used);
    ngx_rbtree_delete(&shared->tree, &entry->node);
    explicit_bzero(entry->packed, entry->size);
    ngx_slab_free_locked(pool, entry);
}

static void drop_all(ngx_slab_pool_t *pool, shared_t *shared) {
    while (!ngx_queue_empty(&shared->used))
        drop(pool, shared, ngx_queue_data(ngx_queue_last(&shared->used), entry_t, used));
}

static bool is_good(const shared_t *shared, const entry_t *entry) {
    return entry->generation == shared->generation &&
           (ngx_msec_int_t)(entry->until_ms - ngx_current_msec) > 0;
}

// The worker that watches may have died: then nobody says that it is silent.
static bool is_watched(const shared_t *shared) {
    return shared->is_watched &&
           (ngx_msec_int_t)(ngx_current_msec - shared->heard_at_ms) < VAULT_SILENCE_MS;
}

static ngx_int_t zone_init(ngx_shm_zone_t *zone, void *previous) {
    ngx_slab_pool_t *pool = (ngx_slab_pool_t *)zone->shm.addr;
    if (previous || zone->shm.exists)
        return NGX_OK; // a reload: the new workers go on with it
    shared_t *shared = ngx_slab_calloc(pool, sizeof *shared);
    if (!shared)
        return NGX_ERROR;
    pool->data = shared;
    pool->log_nomem = 0;
    shared->generation = 1;
    ngx_rbtree_init(&shared->tree, &shared->sentinel, tree_insert);
    ngx_queue_init(&shared->used);
    if (madvise(zone->shm.addr, zone->shm.size, MADV_DONTDUMP) == -1)
        ngx_log_error(NGX_LOG_WARN, zone->shm.log, ngx_errno, "vault: MADV_DONTDUMP failed");
    return NGX_OK;
}

char *vault_cache_zone(ngx_conf_t *cf, vault_main_conf_t *main_conf, ngx_str_t size_text) {
    static ngx_str_t name = ngx_string("vault");
    ssize_t size = ngx_parse_size(&size_text);
    if (main_conf->zone)
        return "is duplicate";
    if (size < (ssize_t)(16 * ngx_pagesize))
        return "needs a size of at least 64k";
    main_conf->zone = ngx_shared_memory_add(cf, &name, (size_t)size, &ngx_http_vault_module);
    if (!main_conf->zone)
        return NGX_CONF_ERROR;
    main_conf->zone->init = zone_init;
    main_conf->zone->data = main_conf;
    return NGX_CONF_OK;
}

bool vault_cache_get(vault_ctx_t *ctx, const vault_main_conf_t *conf) {
    ngx_slab_pool_t *pool = pool_of(conf);
    shared_t *shared = shared_of(conf);
    uint8_t *copy = NULL;
    size_t size = 0;
    entry_t *entry = NULL;
    ngx_shmtx_lock(&pool->mutex);
    if (is_watched(shared)) {
        ctx->generation = shared->generation; // before the redeemer is asked: see vault_cache_put
        entry = find(shared, ctx->key);
    }
    if (entry && !is_good(shared, entry)) {
        drop(pool, shared, entry);
    } else if (entry && (copy = ngx_pnalloc(ctx->request->pool, entry->size))) {
        size = entry->size;
        ngx_memcpy(copy, entry->packed, size);
        ngx_queue_remove(&entry->used);
        ngx_queue_insert_head(&shared->used, &entry->used);
    }
    ngx_shmtx_unlock(&pool->mutex);
    if (!copy || vault_wipe_later(ctx, copy, size) != NGX_OK ||
        !vlt_is_ok(answer_unpack(bytes_of(copy, size), &ctx->answer)))
        return false;
    if (answer_holds_for(&ctx->answer, ctx->ask.max_tokens))
        return true;
    ctx->answer = (struct answer){0}; // for other numbers: the redeemer is asked about this one
    return false;
}

static entry_t *entry_new(ngx_slab_pool_t *pool, shared_t *shared, size_t size) {
    entry_t *entry;
    while ((entry = ngx_slab_alloc_locked(pool, offsetof(entry_t, packed) + size)) == NULL) {
        if (ngx_queue_empty(&shared->used))
            return NULL;
        drop(pool, shared, ngx_queue_data(ngx_queue_last(&shared->used), entry_t, used));
    }
    return entry;
}

void vault_cache_put(vault_ctx_t *ctx, const vault_main_conf_t *conf, time_t lifetime_s) {
    ngx_slab_pool_t *pool = pool_of(conf);
    shared_t *shared = shared_of(conf);
    uint8_t packed[PACKED_MAX];
    size_t size = 0;
    if (ctx->generation == 0 || !vlt_is_ok(answer_pack(&ctx->answer, packed, sizeof packed, &size)))
        return;
    ngx_shmtx_lock(&pool->mutex);
    // A revocation may have come while the redeemer answered; and an answer from
    // before the known epoch is older than what the watch said.
    bool is_current = is_watched(shared) && ctx->generation == shared->generation &&
                      ctx->answer.epoch >= shared->epoch;
    entry_t *entry = is_current ? find(shared, ctx->key) : NULL;
    if (entry)
        drop(pool, shared, entry);
    entry = is_current ? entry_new(pool, shared, size) : NULL;
    if (entry) {
        ngx_memzero(entry, offsetof(entry_t, packed));
        ngx_memcpy(entry->key, ctx->key, VAULT_KEY_BYTES);
        ngx_memcpy(entry->packed, packed, size);
        entry->size = size;
        entry->generation = ctx->generation;
        entry->until_ms = ngx_current_msec + (ngx_msec_t)lifetime_s * 1000;
        ngx_rbtree_insert(&shared->tree, &entry->node);
        ngx_queue_insert_head(&shared->used, &entry->used);
    }
    ngx_shmtx_unlock(&pool->mutex);
    explicit_bzero(packed, size);
}

void vault_cache_epoch(const vault_main_conf_t *conf, uint64_t epoch) {
    ngx_slab_pool_t *pool = pool_of(conf);
    shared_t *shared = shared_of(conf);
    ngx_shmtx_lock(&pool->mutex);
    if (!is_watched(shared) || shared->epoch != epoch) {
        shared->generation++;
        drop_all(pool, shared);
    }
    shared->is_watched = 1;
    shared->epoch = epoch;
    shared->heard_at_ms = ngx_current_msec;
    ngx_shmtx_unlock(&pool->mutex);
}

void vault_cache_silence(const vault_main_conf_t *conf) {
    ngx_slab_pool_t *pool = pool_of(conf);
    shared_t *shared = shared_of(conf);
    ngx_shmtx_lock(&pool->mutex);
    shared->generation++;
    shared->is_watched = 0;
    drop_all(pool, shared);
    ngx_shmtx_unlock(&pool->mutex);
}

void vault_cache_sweep(const vault_main_conf_t *conf) {
    ngx_slab_pool_t *pool = pool_of(conf);
    shared_t *shared = shared_of(conf);
    ngx_shmtx_lock(&pool->mutex);
    for (ngx_queue_t *at = ngx_queue_head(&shared->used), *next;
         at != ngx_queue_sentinel(&shared->used); at = next) {
        entry_t *entry = ngx_queue_data(at, entry_t, used);
        next = ngx_queue_next(at);
        if (!is_good(shared, entry))
            drop(pool, shared, entry);
    }
    ngx_shmtx_unlock(&pool->mutex);
}
