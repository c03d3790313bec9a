// SPDX-License-Identifier: Apache-2.0
// Key sets of trusted issuers, fetched over verified TLS and kept.
//
// The URL is a discovery document (RFC 8414, OpenID Connect Discovery), whose
// `issuer` must be the issuer and whose jwks_uri must be on the same host, or a
// JWK Set itself (then the host that serves the keys is the one configured).
// https only, no redirect, no proxy, 256 KiB, 100 keys, 5 s.
//
// A set is good for the Cache-Control of its answer, at least 5 minutes, at most
// 24 hours; then it is fetched again while the old one still answers. An unknown
// kid leads to a new fetch at most once a minute. When a fetch fails the old set
// stays. Tenants that trust the same issuer at the same URL share one entry.
//
// Broker and admin role, on the loop's thread.
#ifndef VLT_IDENTITY_JWKS_CACHE_H
#define VLT_IDENTITY_JWKS_CACHE_H

#include "libvault/crypto/jwk.h"

struct event_base;
struct jwks_cache;
struct jwks_entry;

#define JWKS_ENTRIES_MAX 1024
#define JWKS_FLOOR_S 300
#define JWKS_CEILING_S 86400
#define JWKS_REFETCH_S 60

// ca_pem: roots to trust; empty: the system's, read here and never again, so
// that a sandbox may follow. VLT_UNAVAILABLE.
vlt_result jwks_cache_new(struct event_base *base, struct bytes ca_pem, struct fault *fault,
                          struct jwks_cache **ret_cache) VLT_MUST_USE;
void jwks_cache_free(struct jwks_cache *cache); // waiters are dropped; NULL is fine
// For fetches from now on; on failure the old roots stay.
vlt_result jwks_cache_set_roots(struct jwks_cache *cache, struct bytes ca_pem,
                                struct fault *fault) VLT_MUST_USE;

// The entry for this issuer at this URL, made when there is none (nothing is
// fetched yet). Release each hold. VLT_LIMIT when every entry is in use.
vlt_result jwks_entry_hold(struct jwks_cache *cache, const char *url, const char *issuer,
                           struct jwks_entry **ret_entry) VLT_MUST_USE;
void jwks_entry_release(struct jwks_entry *entry); // NULL is fine

// The key, or NULL. Borrowed until the loop runs again. An empty kid finds the
// only key of a set of one. Starts a fetch in the background when the set is due.
struct jwk *jwks_entry_find(struct jwks_entry *entry, struct bytes kid);
// Changes whenever the entry has other keys; 0: it has none yet.
uint64_t jwks_entry_generation(const struct jwks_entry *entry);
// Fetches, if the rules above allow it now, and calls `done` once from the loop
// when the fetch has ended, well or not. VLT_UNAVAILABLE: not now, and `done` is
// not called.
typedef void jwks_done_fn(void *context);
vlt_result jwks_entry_await(struct jwks_entry *entry, jwks_done_fn *done,
                            void *context) VLT_MUST_USE;
// The keys that it has now; NULL: none yet. Borrowed until the loop runs again.
const struct jwk_set *jwks_entry_keys(const struct jwks_entry *entry);
// Why the last fetch failed, for the log; "" when it did not.
const char *jwks_entry_fault(const struct jwks_entry *entry);
// What to make of a key that is not there although it was asked for: VLT_DENIED
// when the issuer's keys are here and it is none of them, VLT_UNAVAILABLE when none
// could ever be fetched; `fault` says why, for the log.
vlt_result jwks_entry_refuse(const struct jwks_entry *entry, struct fault *fault) VLT_MUST_USE;

// Called from the loop when the fetches of an entry begin to fail, fail for another
// reason, or (fault "") succeed again: whoever runs the vault must hear of it.
typedef void jwks_health_fn(const char *issuer, const char *url, const char *fault, void *context);
void jwks_cache_watch(struct jwks_cache *cache, jwks_health_fn *health, void *context);

#endif
