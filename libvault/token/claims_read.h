// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/token: the payload of a token back into typed claims. Only
// after its signature was verified.
#ifndef VLT_TOKEN_CLAIMS_READ_H
#define VLT_TOKEN_CLAIMS_READ_H

#include <jansson.h>

#include "libvault/token/claims.h"

// Views into root. Each claim has exactly the type that token_claims_json
// writes, and there is no other claim: an unknown confirmation method must not
// read as none (RFC 7800 section 3.1). VLT_MALFORMED, VLT_LIMIT.
vlt_result claims_read(const json_t *root, struct token_claims *ret_claims) VLT_MUST_USE;

#endif
