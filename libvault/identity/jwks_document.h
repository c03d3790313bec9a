// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/identity: what an issuer's documents say.
#ifndef VLT_IDENTITY_JWKS_DOCUMENT_H
#define VLT_IDENTITY_JWKS_DOCUMENT_H

#include "libvault/crypto/jwk.h"

#define JWKS_URL_SIZE 512

// What the document at an issuer's URL is: exactly one of the two is set.
struct jwks_document {
    struct jwk_set *keys;         // it is a JWK Set; the caller owns it
    char jwks_uri[JWKS_URL_SIZE]; // it is a discovery document
};
// `url` is where it came from: jwks_uri must be https on the same host and port.
// VLT_MALFORMED, VLT_DENIED (another issuer, another host, keys refused).
vlt_result jwks_document_read(struct bytes body, const char *issuer, const char *url,
                              struct fault *fault, struct jwks_document *ret_document) VLT_MUST_USE;
vlt_result jwks_document_keys(struct bytes body, const char *issuer, struct fault *fault,
                              struct jwk_set **ret_keys) VLT_MUST_USE;

#endif
