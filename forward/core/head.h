// SPDX-License-Identifier: Apache-2.0
// The head that goes to the provider: the proxy's head with every carrier taken
// out, Host set to the destination, and the credential put in. Written straight
// into the caller's memory, which the caller wipes.
#ifndef VLT_FORWARD_HEAD_H
#define VLT_FORWARD_HEAD_H

#include "forward/core/answer.h"
#include "libvault/base/wire.h"

#define HEAD_STRIP_MAX 8

struct head_change {
    struct bytes method, path; // what the vault decided on; anything else is refused
    struct bytes host;         // of the destination, with :port unless it is the scheme's
    struct bytes request_id;   // sent as x-request-id unless the client sent one
    // Of the decision, as it stands in the audit log: sent as x-vault-correlation-id unless
    // x-request-id says the same.
    struct bytes correlation;
    const struct answer *answer;
    size_t strip_count;
    struct bytes strip_headers[HEAD_STRIP_MAX]; // carriers of the profile, beyond the well-known
    size_t strip_query_count;
    struct bytes strip_queries[HEAD_STRIP_MAX];
};

// An upper bound for the new head.
size_t head_capacity(struct bytes head, const struct head_change *change);
// `head`: request line and headers up to and including the empty line.
// VLT_MALFORMED: not such a head, something behind it, or two readings of it; VLT_DENIED: method or
// path are not what was decided on; VLT_LIMIT: no room.
vlt_result head_rewrite(struct bytes head, const struct head_change *change,
                        struct wire_writer *out) VLT_MUST_USE;

#endif
