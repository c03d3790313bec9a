// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/issuer.h"

#include <stdlib.h>

#include "libvault/crypto/jose_alg.h"

#define SHELVES 1024 // tenants kept; another one with the same remainder takes over
#define ISSUERS_PER_TENANT 64

struct shelf {
    uint32_t tenant;
    uint64_t store_revision; // at which the issuers were read; 0: never
    size_t count;
    struct issuer *issuers[ISSUERS_PER_TENANT];
};

struct issuer_book {
    struct jwks_cache *cache;
    uint64_t read_count;
    struct shelf *shelves[SHELVES];
};

static void issuer_free(struct issuer *issuer) {
    if (!issuer)
        return;
    record_issuer_done(&issuer->record);
    jwk_set_free(issuer->keys);
    jwks_entry_release(issuer->fetched);
    free(issuer);
}

static void shelf_clear(struct shelf *shelf) {
    for (size_t i = 0; i < shelf->count; i++)
        issuer_free(shelf->issuers[i]);
    *shelf = (struct shelf){0};
}

struct issuer_book *issuer_book_new(struct jwks_cache *cache) {
    struct issuer_book *book = calloc(1, sizeof *book);
    if (book)
        book->cache = cache;
    return book;
}

void issuer_book_free(struct issuer_book *book) {
    for (size_t i = 0; book && i < SHELVES; i++) {
        if (book->shelves[i])
            shelf_clear(book->shelves[i]);
        free(book->shelves[i]);
    }
    free(book);
}

unsigned issuer_algorithms(const struct record_issuer *record) {
    unsigned algorithms = 0;
    for (size_t i = 0; i < record->algorithm_count; i++)
        algorithms |= JWS_BIT(jws_alg_of_name(bytes_of_text(record->algorithms[i])));
    if (issuer_is_spiffe(record->issuer))
        algorithms &= ~JWS_BIT(JWS_EDDSA);
    return algorithms & JWS_ASYMMETRIC;
}

static vlt_result issuer_load(struct issuer_book *book, struct bytes json,
                              struct issuer *issuer) {
    VLT_TRY(record_issuer_parse(json, NULL, &issuer->record));
    issuer->is_spiffe = issuer_is_spiffe(issuer->record.issuer);
    issuer->algorithms = issuer_algorithms(&issuer->record);
    if (issuer->record.jwks)
        return issuer_keys_parse(issuer->record.jwks, issuer->is_spiffe, NULL, &issuer->keys);
    return jwks_entry_hold(book->cache, issuer->record.discovery_url, issuer->record.issuer,
                           &issuer->fetched);
}

// ---- Reading a tenant's issuers ----

struct reading {
    struct issuer_book *book;
    struct shelf *shelf, fresh;
    vlt_result result;
};

// An issuer whose record did not change moves over with its keys.
static struct issuer *take_known(struct shelf *shelf, struct bytes name, uint64_t revision) {
    for (size_t i = 0; i < shelf->count; i++) {
        struct issuer *known = shelf->issuers[i];
        if (known && known->revision == revision && bytes_equal_text(name, known->record.name)) {
            shelf->issuers[i] = NULL;
            return known;
        }
    }
    return NULL;
}

static bool on_record(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct reading *reading = context;
    struct shelf *fresh = &reading->fresh;
    if (fresh->count == ISSUERS_PER_TENANT) {
        reading->result = vlt_fail(VLT_LIMIT, "too many issuers in one tenant");
        return false;
    }
    struct issuer *issuer = take_known(reading->shelf, name, revision);
    if (!issuer) {
        issuer = calloc(1, sizeof *issuer);
        vlt_result result = issuer ? issuer_load(reading->book, value, issuer)
                                   : vlt_fail(VLT_UNAVAILABLE, "out of memory");
        if (!vlt_is_ok(result)) { // one broken record must not end trust in the others
            issuer_free(issuer);
            return true;
        }
        issuer->revision = revision;
        issuer->serial = ++reading->book->read_count;
    }
    fresh->issuers[fresh->count++] = issuer;
    return true;
}

static vlt_result shelf_read(struct issuer_book *book, struct store *store, uint32_t tenant,
                             struct shelf *shelf) {
    struct reading reading = {book, shelf,
                              {.tenant = tenant, .store_revision = store_snapshot_revision(store)},
                              vlt_ok()};
    if (shelf->tenant != tenant)
        shelf_clear(shelf);
    vlt_result result = store_each(store, tenant, STORE_ISSUER, BYTES_LITERAL(""),
                                   BYTES_LITERAL(""), on_record, &reading);
    if (vlt_is_ok(result))
        result = reading.result;
    shelf_clear(shelf);
    if (!vlt_is_ok(result)) {
        shelf_clear(&reading.fresh);
        return vlt_fail(VLT_UNAVAILABLE, result.reason);
    }
    *shelf = reading.fresh;
    return vlt_ok();
}

vlt_result issuer_find(struct issuer_book *book, struct store *store, uint32_t tenant,
                       struct bytes iss, const struct issuer **ret_issuer) {
    struct shelf **place = &book->shelves[tenant % SHELVES];
    if (!*place && !(*place = calloc(1, sizeof **place)))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    struct shelf *shelf = *place;
    uint64_t revision = store_snapshot_revision(store);
    if (shelf->tenant != tenant || shelf->store_revision != revision || !revision)
        VLT_TRY(shelf_read(book, store, tenant, shelf));
    for (size_t i = 0; i < shelf->count; i++) {
        const struct issuer *issuer = shelf->issuers[i];
        if (!issuer->record.disabled && bytes_equal_text(iss, issuer->record.issuer)) {
            *ret_issuer = issuer;
            return vlt_ok();
        }
    }
    return vlt_fail(VLT_NOT_FOUND, "the issuer is not trusted");
}

struct jwk *issuer_key(const struct issuer *issuer, struct bytes kid) {
    return issuer->keys ? jwk_set_find(issuer->keys, kid)
                        : issuer->fetched ? jwks_entry_find(issuer->fetched, kid) : NULL;
}
