// SPDX-License-Identifier: Apache-2.0
// What every HTTPS call of a role to somebody else has in common: what the peer may
// do to us. Used by the fetcher of issuers' keys, the rotator and the shipper.
#ifndef VLT_TRANSFER_TRANSFER_H
#define VLT_TRANSFER_TRANSFER_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

#include "libvault/base/bytes.h"

struct transfer_limits {
    long connect_ms;
    long whole_ms; // of the whole call
};

// https only, TLS 1.2 or later, verified; HTTP/1.1; no redirect, no proxy, no .netrc,
// no signals; the limits. False: libcurl refuses one of them, and the call must not be made.
bool transfer_bound(CURL *easy, const struct transfer_limits *limits);

// Trusts these roots (PEM; copied) and no others. Without it, the system's are trusted.
bool transfer_trust(CURL *easy, struct bytes roots_pem);

// Each call on a connection of its own.
bool transfer_isolate(CURL *easy);

// What may be written down of a call that is over. Path, query, headers and bodies may
// hold a secret and are not here.
struct transfer_facts {
    const char *method;
    struct bytes host;   // with the port, where the URL has one
    unsigned status;     // 0: no answer
    const char *error;   // static; "" when there was an answer
    int64_t took_ms;
};
// Borrowed from `easy`.
void transfer_facts(CURL *easy, CURLcode code, struct transfer_facts *ret_facts);
struct bytes transfer_host(const char *url); // "host:port" of it; empty: there is none

// From now on `told` hears of every call of this process that is over, on the thread that
// made it. Once, before the first.
typedef void transfer_told_fn(CURL *easy, CURLcode code);
void transfer_watch(transfer_told_fn *told);
void transfer_tell(CURL *easy, CURLcode code); // by whoever made the call

#endif
