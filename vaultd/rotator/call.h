// SPDX-License-Identifier: Apache-2.0
// One call to a provider at a time, asynchronous, with libcurl on the role's loop.
//
// https only, TLS 1.2 or later, verified; no redirect, no proxy, no cookies, no
// connection used twice; 64 KiB; a time limit. Memory of libcurl and of the
// answer is the secret heap: the answer may be a new key.
#ifndef VLT_ROTATOR_CALL_H
#define VLT_ROTATOR_CALL_H

#include "libvault/recipe/recipe.h"

struct event_base;
struct call;

vlt_result call_new(struct event_base *base, struct call **ret_call) VLT_MUST_USE;
void call_free(struct call *call); // drops a call that is under way; NULL is fine
// Roots as PEM (empty: the system's); copied.
vlt_result call_configure(struct call *call, struct bytes ca_pem, unsigned timeout_ms) VLT_MUST_USE;

// `status` is 0 and `why` (for the log) is set when there was no answer. The body
// is the callee's until it returns.
typedef void call_done_fn(unsigned status, struct bytes body, const char *why, void *context);
// Sends a rendered request with the credential `value` as its `auth` says. Takes
// nothing. `done` is called exactly once, later, unless this fails.
vlt_result call_begin(struct call *call, const struct recipe_request *request,
                      const struct secret *value, call_done_fn *done, void *context) VLT_MUST_USE;

#endif
