// SPDX-License-Identifier: Apache-2.0
// The identity providers that a tenant trusts, as they are in the store, with
// their keys. Broker and admin role; each process has one book. One thread.
#ifndef VLT_IDENTITY_ISSUER_H
#define VLT_IDENTITY_ISSUER_H

#include "libvault/identity/jwks_cache.h"
#include "libvault/store/record_issuer.h"

struct issuer {
    struct record_issuer record;
    uint64_t revision;   // of the record
    uint64_t serial;     // no two that were ever read into one book have the same
    unsigned algorithms; // set of JWS_BIT
    bool is_spiffe;      // `issuer` is spiffe://TRUST-DOMAIN: JWT-SVIDs, which may lack iss
    struct jwk_set *keys;       // given in the record, or NULL
    struct jwks_entry *fetched; // or fetched, or NULL
};

struct issuer_book;
// The cache must outlive the book. NULL when out of memory.
struct issuer_book *issuer_book_new(struct jwks_cache *cache);
void issuer_book_free(struct issuer_book *book); // NULL is fine

// Within an open snapshot: the tenant's issuer whose `issuer` is exactly `iss`
// and that is not disabled. Records are read again when the store's revision has
// changed. Borrowed until the next call or the end of the turn of the loop.
// VLT_NOT_FOUND: not trusted. VLT_UNAVAILABLE: its record can not be read.
vlt_result issuer_find(struct issuer_book *book, struct store *store, uint32_t tenant,
                       struct bytes iss, const struct issuer **ret_issuer) VLT_MUST_USE;
// The key of this issuer, or NULL; as jwks_entry_find.
struct jwk *issuer_key(const struct issuer *issuer, struct bytes kid);

// With which its tokens may be signed: a set of JWS_BIT.
unsigned issuer_algorithms(const struct record_issuer *record);

// Reads a key set of this issuer. In a SPIFFE bundle only the keys for JWT-SVIDs
// count (use "jwt-svid"), and none is a valid answer: nothing is trusted.
vlt_result issuer_keys_parse(const json_t *document, bool is_spiffe, struct fault *fault,
                             struct jwk_set **ret_keys) VLT_MUST_USE;
bool issuer_is_spiffe(const char *issuer);

#endif
