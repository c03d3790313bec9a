// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/identity: one GET over verified TLS at a time or many,
// asynchronously, with libcurl's multi interface on a libevent loop.
//
// https only, TLS 1.2 or later, the given roots and no others, no redirect, no
// proxy, no cookies, 256 KiB, 5 s.
#ifndef VLT_IDENTITY_HTTPS_FETCH_H
#define VLT_IDENTITY_HTTPS_FETCH_H

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"

struct event_base;
struct fetcher;

vlt_result fetcher_new(struct event_base *base, struct fetcher **ret_fetcher) VLT_MUST_USE;
void fetcher_free(struct fetcher *fetcher); // drops what is in flight; NULL is fine
// Roots as PEM; copied.
vlt_result fetcher_set_roots(struct fetcher *fetcher, struct bytes ca_pem) VLT_MUST_USE;

struct fetch_answer {
    struct bytes body;
    int64_t max_age_s; // Cache-Control; -1: not said
};
// `answer` (NULL on failure) is valid during the call. A status other than 200
// is a failure. The fault says what happened, for the log.
typedef void fetch_done_fn(vlt_result result, const struct fetch_answer *answer,
                           const struct fault *fault, void *context);
vlt_result fetcher_get(struct fetcher *fetcher, const char *url, fetch_done_fn *done,
                       void *context) VLT_MUST_USE;

#endif
