// SPDX-License-Identifier: Apache-2.0
// Answers to a forwarder. A refusal says what the forwarder must tell its
// client: status, the error in the shape that provider SDKs understand, and
// headers such as WWW-Authenticate.
#ifndef VLT_REDEEMER_ANSWER_H
#define VLT_REDEEMER_ANSWER_H

#include "vaultd/net/http_server.h"

struct refusal {
    unsigned status;
    const char *type; // "authentication_error", "permission_error", …
    const char *code; // stable, for programs: "token_expired", …
    const char *message;
    const char *www_authenticate; // may be NULL
    const char *dpop_nonce;       // may be NULL
};

// What a client is told about these kinds of failure. Denied and not found look
// alike: which of the two it was is in the audit log.
extern const struct refusal refusal_no_token, refusal_bad_token, refusal_bad_proof, refusal_denied,
    refusal_unavailable;

// Of a question that failed: unavailable when nobody could decide it, else `otherwise`.
const struct refusal *refusal_of(vlt_result result, const struct refusal *otherwise);

void answer_refuse(struct http_exchange *x, const struct refusal *refusal);
// The same of a decision that is in the audit log as that entry: its receipt.
void answer_refuse_recorded(struct http_exchange *x, const struct refusal *refusal,
                            uint64_t sequence);

#endif
