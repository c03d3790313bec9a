// SPDX-License-Identifier: Apache-2.0
// AWS Signature Version 4: the three headers of one request, from its parts. Only
// what recipes send: a path and query that are already escaped, a body in memory,
// the headers host, x-amz-date, x-amz-security-token and content-type signed.
// Source: AWS General Reference, "Signature Version 4 signing process".
#ifndef VLT_RECIPE_SIGV4_H
#define VLT_RECIPE_SIGV4_H

#include "libvault/base/buf.h"
#include "libvault/secret/secret.h"

struct sigv4_request {
    const char *method, *host, *content_type; // content_type "" without a body
    struct bytes target, body;                // path and query
    const char *region, *service;
    int64_t now_s;
};
struct sigv4_headers {
    char date[17];           // x-amz-date
    char security_token[4097]; // x-amz-security-token; "" without one
    char authorization[512];
};
// `value` is a JSON object with the texts AccessKeyId and SecretAccessKey, and
// SessionToken where there is one: VLT_MALFORMED when it is not. The query must
// be sorted already. Secrets are wiped; the token is the caller's to wipe.
vlt_result sigv4_sign(const struct sigv4_request *request, struct bytes value,
                      struct sigv4_headers *ret_headers) VLT_MUST_USE;

#endif
