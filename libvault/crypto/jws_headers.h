// SPDX-License-Identifier: Apache-2.0
// Headers of tokens that were read before. The tokens of an issuer's key all begin
// with the same text, and so do the DPoP proofs of a client, whose key stands in
// there (RFC 9449 section 4.2): making an OpenSSL key of it each time costs half
// as much as checking the signature.
//
// A header is found by its whole text, and the same text means the same, so nothing
// here grows old. Refused headers are not kept. For one thread; given to
// jws_split_known by whoever verifies many tokens.
#ifndef VLT_CRYPTO_JWS_HEADERS_H
#define VLT_CRYPTO_JWS_HEADERS_H

#include "libvault/crypto/jws.h"

#define JWS_HEADERS_PLACES 256 // under 1 MiB with a key in each
#define JWS_HEADER_KEPT_MAX 768 // base64url; longer ones are read each time

struct jws_headers *jws_headers_new(void); // NULL: out of memory
void jws_headers_free(struct jws_headers *headers); // NULL is fine

// Of jws.c. `text` is the first part as it stands in the token. find fills alg, kid,
// typ and embedded (lent); false when it was not kept with these flags. keep takes
// the key of parts and leaves it a loan; it may decline, and then changes nothing.
bool jws_headers_find(const struct jws_headers *headers, struct bytes text, unsigned flags,
                      struct jws_parts *parts);
void jws_headers_keep(struct jws_headers *headers, struct bytes text, unsigned flags,
                      struct jws_parts *parts);

#endif
