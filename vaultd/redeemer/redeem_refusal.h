// SPDX-License-Identifier: Apache-2.0
// A refusal as a forwarder gets it, which says what it must tell its client:
// status, the error in the shape that provider SDKs understand, and headers such
// as WWW-Authenticate.
#ifndef VLT_REDEEMER_REDEEM_REFUSAL_H
#define VLT_REDEEMER_REDEEM_REFUSAL_H

#include "vaultd/net/http_server.h"

struct redeem_refusal {
    unsigned status;
    const char *type; // "authentication_error", "permission_error", …
    const char *code; // stable, for programs: "invalid_token", …
    const char *message;
    const char *www_authenticate; // may be NULL
    const char *dpop_nonce;       // may be NULL
};

// What a client is told about these kinds of failure. Denied and not found look
// alike: which of the two it was is in the audit log.
extern const struct redeem_refusal redeem_refusal_bad_token, redeem_refusal_bad_proof,
    redeem_refusal_denied, redeem_refusal_unavailable;

// Of a question that failed: unavailable when nobody could decide it, else `otherwise`.
const struct redeem_refusal *redeem_refusal_of(vlt_result result,
                                               const struct redeem_refusal *otherwise);

void redeem_refusal_reply(struct http_exchange *x, const struct redeem_refusal *refusal);
// The same of a decision that is in the audit log as that entry: its receipt.
void redeem_refusal_reply_recorded(struct http_exchange *x, const struct redeem_refusal *refusal,
                                   uint64_t sequence);

#endif
