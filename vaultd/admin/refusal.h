// SPDX-License-Identifier: Apache-2.0
// A change that an administrator asks for and does not get is in the audit log, whoever
// refuses it. What the keeper refuses it records itself; what this role refuses by itself
// (a request that is malformed, a name that is not there or is taken, a state that has
// changed since it was read, a keeper that is away) is recorded here, between the
// handler's answer and its leaving. No handler has to think of it.
//
// Reads are not watched: one that finds nothing changes nothing and tells nothing.
#ifndef VLT_ADMIN_REFUSAL_H
#define VLT_ADMIN_REFUSAL_H

#include "vaultd/admin/admin.h"

// From now on an answer of 400 and more to x is recorded first. `operation` is static, as
// the log calls it. When it can not be recorded, who asked is told that with 503.
// false: out of memory; it has replied.
bool refusal_watch(struct admin *admin, struct http_exchange *x,
                   const struct http_parameters *parameters, const char *operation);
// What it is, where the path alone does not say it. Static.
void refusal_name(struct http_exchange *x, const char *operation);
// What is watched; NULL: nothing is.
const char *refusal_operation(struct http_exchange *x);
// Somebody else has the event of this change and records what comes of it; or did not
// hear of it after all. Nothing of an exchange that is not watched.
void refusal_told(struct http_exchange *x);
void refusal_untold(struct http_exchange *x);

// For http_router.too_large.
void refusal_too_large(struct http_exchange *x, const struct http_route *route,
                       const struct http_parameters *parameters, void *ctx);

#endif
