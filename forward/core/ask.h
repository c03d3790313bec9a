// SPDX-License-Identifier: Apache-2.0
// The question to the redeemer: POST /v1/redeem, written whole (head and JSON
// body) into the caller's memory. It holds the token: the caller wipes it.
#ifndef VLT_FORWARD_ASK_H
#define VLT_FORWARD_ASK_H

#include "forward/core/carrier.h"

struct ask { // all borrowed; empty means absent
    struct bytes token, proof, client_certificate;
    enum carrier_scheme scheme;
    struct bytes destination, method, path, uri, model, tool, source, request_id;
    uint64_t max_tokens; // 0: not known
};

// Enough room for this question.
size_t ask_capacity(const struct ask *ask);
// *ret_text views the question inside `room`. VLT_LIMIT when it does not fit.
vlt_result ask_write(const struct ask *ask, uint8_t *room, size_t capacity,
                     struct bytes *ret_text) VLT_MUST_USE;
// The question that opens the watch.
struct bytes ask_watch(void);

#endif
