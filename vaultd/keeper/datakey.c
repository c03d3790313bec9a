// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/datakey_internal.h"

#include <stdlib.h>

#include "libvault/base/clock.h"

struct datakeys *datakeys_new(struct keeper *keeper) {
    struct datakeys *datakeys = calloc(1, sizeof *datakeys);
    if (!datakeys)
        return NULL;
    datakeys->keeper = keeper;
    datakeys->look = evtimer_new(keeper->base, datakeys_look_at_parked, datakeys);
    if (!datakeys->look) {
        free(datakeys);
        return NULL;
    }
    return datakeys;
}

static struct datakey **bucket_of(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    return &datakeys->buckets[(tenant * 2654435761u ^ number) & (DATAKEYS_BUCKETS - 1)];
}

struct datakey *datakeys_entry(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = *bucket_of(datakeys, tenant, number);
    while (entry && (entry->tenant != tenant || entry->number != number))
        entry = entry->next;
    return entry;
}

struct datakey *datakeys_entry_or_new(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = datakeys_entry(datakeys, tenant, number);
    if (entry || !(entry = calloc(1, sizeof *entry)))
        return entry;
    entry->tenant = tenant;
    entry->number = number;
    entry->last = &entry->first;
    struct datakey **bucket = bucket_of(datakeys, tenant, number);
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

static void unload(struct datakeys *datakeys, struct datakey *entry) {
    if (!entry->key)
        return;
    xaes_key_free(entry->key);
    entry->key = NULL;
    datakeys->loaded--;
}

void datakeys_clear(struct datakeys *datakeys) {
    datakeys->generation++;
    for (size_t i = 0; i < DATAKEYS_BUCKETS; i++)
        while (datakeys->buckets[i]) {
            struct datakey *entry = datakeys->buckets[i];
            datakeys->buckets[i] = entry->next;
            unload(datakeys, entry);
            datakeys_unpark(datakeys, entry, vlt_fail(VLT_UNAVAILABLE, CHANNEL_NOT_NOW));
            free(entry);
        }
}

void datakeys_free(struct datakeys *datakeys) {
    if (!datakeys)
        return;
    datakeys_clear(datakeys);
    event_free(datakeys->look);
    free(datakeys);
}

void datakeys_drop_idle(struct datakeys *datakeys) {
    uint32_t idle_s = datakeys->keeper->settings.data_key_idle_s;
    if (idle_s == 0)
        return;
    int64_t oldest_ms = clock_elapsed_ms() - (int64_t)idle_s * 1000;
    for (size_t i = 0; i < DATAKEYS_BUCKETS; i++)
        for (struct datakey **link = &datakeys->buckets[i]; *link;) {
            struct datakey *entry = *link;
            if (entry->loads > 0 || entry->first || entry->used_ms > oldest_ms) {
                link = &entry->next;
                continue;
            }
            *link = entry->next;
            unload(datakeys, entry);
            free(entry);
        }
}

// Room for one more: the one that was unused for longest goes.
static void drop_oldest(struct datakeys *datakeys) {
    struct datakey *oldest = NULL;
    for (size_t i = 0; i < DATAKEYS_BUCKETS; i++)
        for (struct datakey *entry = datakeys->buckets[i]; entry; entry = entry->next)
            if (entry->key && (!oldest || entry->used_ms < oldest->used_ms))
                oldest = entry;
    if (oldest)
        unload(datakeys, oldest);
}

struct xaes_key *datakey_find(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = datakeys_entry(datakeys, tenant, number);
    if (!entry || !entry->key)
        return NULL;
    entry->used_ms = clock_elapsed_ms();
    return entry->key;
}

size_t datakeys_loaded(const struct datakeys *datakeys) {
    return datakeys->loaded;
}

vlt_result datakeys_take(struct datakeys *datakeys, struct datakey *entry,
                         const struct secret *key32) {
    if (entry->key)
        return vlt_ok();
    if (datakeys->loaded >= DATAKEYS_LOADED_MAX)
        drop_oldest(datakeys);
    VLT_TRY(xaes_key_new(key32, &entry->key));
    datakeys->loaded++;
    entry->used_ms = clock_elapsed_ms();
    return vlt_ok();
}

vlt_result datakey_keep(struct datakeys *datakeys, uint32_t tenant, uint32_t number,
                        const struct secret *key32) {
    struct datakey *entry = datakeys_entry_or_new(datakeys, tenant, number);
    return entry ? datakeys_take(datakeys, entry, key32)
                 : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

void datakey_forget(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = datakeys_entry(datakeys, tenant, number);
    if (entry)
        unload(datakeys, entry); // the empty entry goes with those that are idle
}
