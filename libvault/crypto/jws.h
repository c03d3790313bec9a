// SPDX-License-Identifier: Apache-2.0
// Compact JWS (RFC 7515), verified over raw bytes by OpenSSL with a key parsed
// once. The rules of RFC 8725: the verifier decides the algorithm, never the
// token.
//
// Order for a caller: jws_split → choose the issuer and, by kid, exactly one key
// → jws_verify → only then look at the payload.
#ifndef VLT_CRYPTO_JWS_H
#define VLT_CRYPTO_JWS_H

#include "libvault/crypto/jwk.h"

#define JWS_MAX_BYTES 16384
#define JWS_TYP_SIZE 48
#define JWS_SIGNATURE_MAX 512 // RSA-4096

enum {
    // Reads the header member "jwk" into parts->embedded: DPoP proofs only. Then
    // it is required; else it is refused.
    JWS_EMBEDDED_KEY = 1,
};

struct jws_parts {
    enum jws_alg alg;   // what the header says; known, else jws_split fails
    bool has_kid, has_typ;
    char kid[JWK_KID_SIZE]; // opaque
    char typ[JWS_TYP_SIZE]; // as written
    struct bytes signing_input; // borrowed from the token given to jws_split
    struct bytes header;    // JSON text; owned by the parts, as the next two
    struct bytes payload;   // not yet to be trusted
    struct bytes signature;
    struct jwk *embedded;   // public key of a DPoP proof, or NULL
    bool embedded_is_lent;  // by the jws_headers, until its next use
    uint8_t *memory;
};

// Takes a token apart: at most 16 KiB, exactly two dots, strict base64url, header
// a JSON object with a known alg. Refuses alg none, crit, b64, jwk (but see
// above), jku, x5u, x5c; other members are ignored. VLT_MALFORMED, VLT_LIMIT,
// VLT_DENIED. On success the caller calls jws_parts_done; the token must live as
// long as the parts.
vlt_result jws_split(struct bytes token, unsigned flags, struct jws_parts *ret_parts) VLT_MUST_USE;
// The same, with headers that were read before (jws_headers.h; NULL: none).
struct jws_headers;
vlt_result jws_split_known(struct jws_headers *headers, struct bytes token, unsigned flags,
                           struct jws_parts *ret_parts) VLT_MUST_USE;
void jws_parts_done(struct jws_parts *parts);
// typ equals `expected` ("at+jwt"), ignoring ASCII case and an "application/"
// prefix (RFC 7515 section 4.1.9). False when there is none.
bool jws_typ_is(const struct jws_parts *parts, const char *expected);

// VLT_CRYPTO unless: alg is in allowed_algs (a set of JWS_BIT), fits kind, curve,
// use and "alg" of the key, and the signature is right. ECDSA signatures are r‖s
// of exact width with r and s in 1…n-1. Any thread; threads may share a key.
vlt_result jws_verify(const struct jws_parts *parts, unsigned allowed_algs,
                      struct jwk *key) VLT_MUST_USE;
// The same for other signed things (audit notes, detached content).
vlt_result jws_verify_signature(enum jws_alg alg, struct jwk *key, struct bytes signing_input,
                                struct bytes signature) VLT_MUST_USE;

// Has the set a key that fits one of these algorithms (a set of JWS_BIT)?
bool jws_set_serves(const struct jwk_set *set, unsigned algs);

// The one algorithm with which this private key signs: ES256, ES384, ES512,
// EdDSA, RS256 for RSA. JWS_ALG_UNKNOWN when it can not sign.
enum jws_alg jws_signing_alg(const struct jwk *key);
// Raw signature over signing_input (r‖s for ECDSA).
vlt_result jws_sign_raw(struct jwk *key, struct bytes signing_input,
                        uint8_t ret_signature[JWS_SIGNATURE_MAX], size_t *ret_size) VLT_MUST_USE;
// Appends header.payload.signature to out. The header is JSON text that the
// caller wrote and must name jws_signing_alg(key).
vlt_result jws_sign(struct jwk *key, struct bytes header_json, struct bytes payload_json,
                    struct buf *out) VLT_MUST_USE;

#endif
