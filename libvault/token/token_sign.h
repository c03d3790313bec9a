// SPDX-License-Identifier: Apache-2.0
// Makes an access token (RFC 9068): canonical payload, header with alg, kid and
// typ, ES256.
//
// Called by the keeper only, which holds the signing key. Any thread.
#ifndef VLT_TOKEN_TOKEN_SIGN_H
#define VLT_TOKEN_TOKEN_SIGN_H

#include "libvault/crypto/jws.h"
#include "libvault/token/claims.h"

// `key` is a private P-256 key with its kid. Appends the compact token to out.
// VLT_BUG for any other key or for a claim without which RFC 9068 knows no token
// (iss, exp, aud, sub, client_id, iat, jti) or we do not (tid, a detail);
// VLT_LIMIT beyond TOKEN_BYTES_MAX.
vlt_result token_sign(struct jwk *key, const struct token_claims *claims,
                      struct buf *out) VLT_MUST_USE;

// The same in two halves, for a key that is somewhere else (a device): first what
// is to be signed, with the public key's kid in its header, then the signature.
#define TOKEN_SIGNATURE_BYTES 64 // r and s of ES256
vlt_result token_sign_begin(const struct jwk *key, const struct token_claims *claims,
                            struct buf *out) VLT_MUST_USE;
// `out` holds what token_sign_begin appended, and nothing else.
vlt_result token_sign_end(const uint8_t signature[TOKEN_SIGNATURE_BYTES],
                          struct buf *out) VLT_MUST_USE;

#endif
