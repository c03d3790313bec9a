// SPDX-License-Identifier: Apache-2.0
// The body of POST /v1/redeem (schemas/openapi.yaml), strict: every member has a
// type and a limit; unknown and repeated members are refused by name.
#ifndef VLT_REDEEMER_REDEEM_REQUEST_H
#define VLT_REDEEMER_REDEEM_REQUEST_H

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"

struct redeem_request {
    uint8_t *room; // owned; the views below point into it or into the body
    struct bytes token, proof, destination, method, path, uri, model, tool, source, request_id;
    uint64_t max_tokens; // that the request may produce at most; 0: not known
    bool is_dpop; // the scheme with which the token came
    bool has_certificate;
    uint8_t certificate[32]; // SHA-256 of the client's certificate
};
// VLT_MALFORMED or VLT_LIMIT; the fault names the member.
vlt_result redeem_request_parse(struct bytes body, struct fault *fault,
                                struct redeem_request *ret_request) VLT_MUST_USE;
void redeem_request_done(struct redeem_request *request);

#endif
