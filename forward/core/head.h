// SPDX-License-Identifier: Apache-2.0
// The head that goes to the provider: the proxy's head with every carrier taken
// out, Host set to the destination, and the credential put in. Written straight
// into the caller's memory, which the caller wipes.
#ifndef VLT_FORWARD_HEAD_H
#define VLT_FORWARD_HEAD_H

#include "forward/core/answer.h"
#include "forward/core/profile.h"
#include "libvault/base/wire.h"

#define HEAD_STRIP_MORE_MAX 3
#define HEAD_STRIP_MAX (PROFILE_PLACES_MAX + HEAD_STRIP_MORE_MAX)

// Carriers of a profile beyond the well-known ones: the same for all requests of a location.
struct head_strip {
    size_t header_count, query_count;
    struct bytes headers[HEAD_STRIP_MAX];
    struct bytes queries[HEAD_STRIP_MAX];
};
// NULL: no profile.
void head_strip_init(struct head_strip *strip, const struct profile *profile);
// After init, at most HEAD_STRIP_MORE_MAX different ones: this header (borrowed) is taken out,
// too.
void head_strip_header(struct head_strip *strip, struct bytes name);

struct head_change {
    struct bytes method, path; // what the vault decided on; anything else is refused
    struct bytes host;         // of the destination, with :port unless it is the scheme's
    struct bytes request_id;   // sent as x-request-id unless the client sent one
    // Of the decision, as it stands in the audit log: sent as x-vault-correlation-id unless
    // x-request-id says the same.
    struct bytes correlation;
    const struct answer *answer;
    const struct head_strip *strip;
};

// An upper bound for the new head.
size_t head_capacity(struct bytes head, const struct head_change *change);
// `head`: request line and headers up to and including the empty line.
// VLT_MALFORMED: not such a head, something behind it, or two readings of it; VLT_DENIED: method or
// path are not what was decided on; VLT_LIMIT: no room.
vlt_result head_rewrite(struct bytes head, const struct head_change *change,
                        struct wire_writer *out) VLT_MUST_USE;

#endif
