// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/jwks_cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <fcntl.h>

#include "libvault/base/clock.h"
#include "libvault/identity/https_fetch.h"
#include "libvault/identity/jwks_document.h"

#define SYSTEM_ROOTS "/etc/ssl/certs/ca-certificates.crt"
#define RETRY_MS 5000 // after a failure, while there is no set at all

struct waiter {
    struct waiter *next;
    jwks_done_fn *done;
    void *context;
};

struct jwks_entry {
    struct jwks_cache *cache;
    size_t holds;
    char issuer[JWKS_URL_SIZE], url[JWKS_URL_SIZE];
    struct jwk_set *keys;
    uint64_t generation;
    int64_t due_ms;  // monotonic: when the set should be fetched again
    int64_t next_ms; // monotonic: no fetch before
    bool is_fetching;
    struct waiter *waiters;
    char fault[160];
};

struct jwks_cache {
    struct fetcher *fetcher;
    jwks_health_fn *health; // NULL: nobody listens
    void *health_context;
    uint64_t generation;
    size_t count;
    struct jwks_entry *entries[JWKS_ENTRIES_MAX];
};

// ---- Roots ----

static vlt_result read_system_roots(struct buf *out, struct fault *fault) {
    int fd = open(SYSTEM_ROOTS, O_RDONLY | O_CLOEXEC);
    uint8_t part[16384];
    ssize_t got = 0;
    while (fd >= 0 && (got = read(fd, part, sizeof part)) > 0)
        buf_put(out, bytes_of(part, (size_t)got));
    if (fd >= 0)
        close(fd);
    if (fd < 0 || got < 0 || buf_failed(out))
        return fault_set(fault, VLT_UNAVAILABLE, "no roots",
                         "cannot read the system's root certificates in " SYSTEM_ROOTS
                         ": install ca-certificates or configure issuer_ca");
    return vlt_ok();
}

vlt_result jwks_cache_set_roots(struct jwks_cache *cache, struct bytes ca_pem,
                                struct fault *fault) {
    struct buf roots;
    if (ca_pem.size)
        return fetcher_set_roots(cache->fetcher, ca_pem);
    buf_init(&roots, 4u << 20);
    vlt_result result = read_system_roots(&roots, fault);
    if (vlt_is_ok(result))
        result = fetcher_set_roots(cache->fetcher, buf_bytes(&roots));
    buf_done(&roots);
    return result;
}

// ---- Life ----

vlt_result jwks_cache_new(struct event_base *base, struct bytes ca_pem, struct fault *fault,
                          struct jwks_cache **ret_cache) {
    struct jwks_cache *cache = calloc(1, sizeof *cache);
    if (!cache)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = fetcher_new(base, &cache->fetcher);
    if (vlt_is_ok(result))
        result = jwks_cache_set_roots(cache, ca_pem, fault);
    if (vlt_is_ok(result))
        *ret_cache = cache;
    else
        jwks_cache_free(cache);
    return result;
}

static void entry_free(struct jwks_entry *entry) {
    while (entry->waiters) {
        struct waiter *waiter = entry->waiters;
        entry->waiters = waiter->next;
        free(waiter);
    }
    jwk_set_free(entry->keys);
    free(entry);
}

void jwks_cache_free(struct jwks_cache *cache) {
    if (!cache)
        return;
    fetcher_free(cache->fetcher);
    for (size_t i = 0; i < cache->count; i++)
        entry_free(cache->entries[i]);
    free(cache);
}

static struct jwks_entry *entry_new(struct jwks_cache *cache, const char *url,
                                    const char *issuer) {
    struct jwks_entry *entry = calloc(1, sizeof *entry);
    if (!entry || !bytes_to_text(bytes_of_text(url), entry->url, sizeof entry->url) ||
        !bytes_to_text(bytes_of_text(issuer), entry->issuer, sizeof entry->issuer)) {
        free(entry);
        return NULL;
    }
    entry->cache = cache;
    return entry;
}

// A place for one more entry: an unused one, or that of an entry that nobody holds.
static struct jwks_entry **find_place(struct jwks_cache *cache) {
    if (cache->count < JWKS_ENTRIES_MAX)
        return &cache->entries[cache->count];
    for (size_t i = 0; i < cache->count; i++) {
        if (!cache->entries[i]->holds && !cache->entries[i]->is_fetching)
            return &cache->entries[i];
    }
    return NULL;
}

vlt_result jwks_entry_hold(struct jwks_cache *cache, const char *url, const char *issuer,
                           struct jwks_entry **ret_entry) {
    for (size_t i = 0; i < cache->count; i++) {
        struct jwks_entry *known = cache->entries[i];
        if (strcmp(known->url, url) == 0 && strcmp(known->issuer, issuer) == 0) {
            known->holds++;
            *ret_entry = known;
            return vlt_ok();
        }
    }
    struct jwks_entry **place = find_place(cache);
    if (!place)
        return vlt_fail(VLT_LIMIT, "too many issuers with a URL");
    struct jwks_entry *entry = entry_new(cache, url, issuer);
    if (!entry)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory, or a URL too long");
    if (place == &cache->entries[cache->count])
        cache->count++;
    else
        entry_free(*place);
    entry->holds = 1;
    *place = *ret_entry = entry;
    return vlt_ok();
}

void jwks_entry_release(struct jwks_entry *entry) {
    if (entry)
        entry->holds--;
}

// ---- Fetching: the document at the URL, then, where it is discovery, the keys ----

// Told once for each change: a broken issuer is asked again and again.
static void note_fault(struct jwks_entry *entry, const char *fault) {
    const struct jwks_cache *cache = entry->cache;
    char before[sizeof entry->fault];
    memcpy(before, entry->fault, sizeof before);
    snprintf(entry->fault, sizeof entry->fault, "%s", fault);
    if (cache->health && strcmp(before, entry->fault) != 0)
        cache->health(entry->issuer, entry->url, entry->fault, cache->health_context);
}

static void fetch_ended(struct jwks_entry *entry, vlt_result result, const struct fault *fault) {
    int64_t now_ms = clock_elapsed_ms();
    struct waiter *waiters = entry->waiters;
    entry->is_fetching = false;
    entry->waiters = NULL;
    entry->next_ms = now_ms + (entry->keys ? JWKS_REFETCH_S * 1000 : RETRY_MS);
    note_fault(entry, vlt_is_ok(result) ? "" : fault_or_reason(fault, result));
    if (!vlt_is_ok(result))
        entry->due_ms = now_ms + JWKS_REFETCH_S * 1000; // the old set stays
    entry->holds++; // a waiter may release the issuer that holds it
    while (waiters) {
        struct waiter *waiter = waiters;
        waiters = waiter->next;
        waiter->done(waiter->context);
        free(waiter);
    }
    entry->holds--;
}

static void take_keys(struct jwks_entry *entry, struct jwk_set *keys, int64_t max_age_s) {
    int64_t keep_s = max_age_s < JWKS_FLOOR_S ? JWKS_FLOOR_S : max_age_s;
    if (keep_s > JWKS_CEILING_S)
        keep_s = JWKS_CEILING_S;
    jwk_set_free(entry->keys);
    entry->keys = keys;
    entry->generation = ++entry->cache->generation;
    entry->due_ms = clock_elapsed_ms() + keep_s * 1000;
}

static void on_keys(vlt_result result, const struct fetch_answer *answer,
                    const struct fault *why, void *context) {
    struct jwks_entry *entry = context;
    struct jwk_set *keys = NULL;
    struct fault fault = *why;
    if (vlt_is_ok(result))
        result = jwks_document_keys(answer->body, entry->issuer, &fault, &keys);
    if (vlt_is_ok(result))
        take_keys(entry, keys, answer->max_age_s);
    fetch_ended(entry, result, &fault);
}

static void on_document(vlt_result result, const struct fetch_answer *answer,
                        const struct fault *why, void *context) {
    struct jwks_entry *entry = context;
    struct jwks_document document = {0};
    struct fault fault = *why;
    if (vlt_is_ok(result))
        result = jwks_document_read(answer->body, entry->issuer, entry->url, &fault, &document);
    if (vlt_is_ok(result) && !document.keys) {
        result = fetcher_get(entry->cache->fetcher, document.jwks_uri, on_keys, entry);
        if (vlt_is_ok(result))
            return;
    }
    if (vlt_is_ok(result))
        take_keys(entry, document.keys, answer->max_age_s);
    fetch_ended(entry, result, &fault);
}

static vlt_result fetch_begin(struct jwks_entry *entry) {
    if (entry->is_fetching)
        return vlt_ok();
    if (clock_elapsed_ms() < entry->next_ms)
        return vlt_fail(VLT_UNAVAILABLE, "fetched a moment ago");
    VLT_TRY(fetcher_get(entry->cache->fetcher, entry->url, on_document, entry));
    entry->is_fetching = true;
    return vlt_ok();
}

struct jwk *jwks_entry_find(struct jwks_entry *entry, struct bytes kid) {
    if (!entry->keys)
        return NULL;
    if (clock_elapsed_ms() >= entry->due_ms && !vlt_is_ok(fetch_begin(entry)))
        entry->due_ms = entry->next_ms; // not now: the old set answers meanwhile
    return jwk_set_find(entry->keys, kid);
}

uint64_t jwks_entry_generation(const struct jwks_entry *entry) { return entry->generation; }

const struct jwk_set *jwks_entry_keys(const struct jwks_entry *entry) { return entry->keys; }

const char *jwks_entry_fault(const struct jwks_entry *entry) { return entry->fault; }

vlt_result jwks_entry_refuse(const struct jwks_entry *entry, struct fault *fault) {
    const char *why = entry->fault[0] ? entry->fault : "asked a moment ago";
    if (entry->keys)
        return fault_set(fault, VLT_DENIED, "the issuer has no such key", "%s%s%s",
                         "the issuer has no such key",
                         entry->fault[0] ? "; its keys can not be fetched again: " : "",
                         entry->fault);
    return fault_set(fault, VLT_UNAVAILABLE, "the issuer's keys can not be fetched",
                     "the issuer's keys can not be fetched: %s", why);
}

void jwks_cache_watch(struct jwks_cache *cache, jwks_health_fn *health, void *context) {
    cache->health = health;
    cache->health_context = context;
}

vlt_result jwks_entry_await(struct jwks_entry *entry, jwks_done_fn *done, void *context) {
    struct waiter *waiter = calloc(1, sizeof *waiter);
    if (!waiter)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = fetch_begin(entry);
    if (!vlt_is_ok(result)) {
        free(waiter);
        return result;
    }
    *waiter = (struct waiter){.next = entry->waiters, .done = done, .context = context};
    entry->waiters = waiter;
    return vlt_ok();
}
