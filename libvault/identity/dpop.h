// SPDX-License-Identifier: Apache-2.0
// DPoP proofs (RFC 9449): the sender of a request holds the key to which a token
// is, or is to be, bound. Used by the broker (token endpoint) and the redeemer.
//
// Single use is the keeper's business, because there is one keeper and there may
// be several brokers and redeemers: a valid proof has an id that the caller sends
// along, and the keeper refuses an id it has seen.
#ifndef VLT_IDENTITY_DPOP_H
#define VLT_IDENTITY_DPOP_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define DPOP_WINDOW_S 60     // |now − iat| when no nonce vouches for freshness
#define DPOP_NONCE_SLOT_S 120 // a nonce is good for its slot and the next one
#define DPOP_NONCE_TEXT_SIZE 64
#define DPOP_ALGORITHMS "ES256 ES384 RS256 PS256 EdDSA" // for metadata and challenges

// Stateless nonces: a MAC over the time slot. Workers that share a socket must
// have the same key, or they refuse each other's nonces.
#define DPOP_NONCE_KEY_BYTES 32
struct dpop_nonces;
struct jws_headers;
vlt_result dpop_nonces_new(const uint8_t key[DPOP_NONCE_KEY_BYTES],
                           struct dpop_nonces **ret_nonces) VLT_MUST_USE;
void dpop_nonces_free(struct dpop_nonces *nonces);
vlt_result dpop_nonce_text(const struct dpop_nonces *nonces, int64_t now_s,
                           char ret_text[DPOP_NONCE_TEXT_SIZE]) VLT_MUST_USE;
bool dpop_nonce_is_good(const struct dpop_nonces *nonces, struct bytes nonce, int64_t now_s);

struct dpop_expectation {
    struct bytes method;       // of this request, "POST"
    struct bytes uri;          // external URL: configured origin and path; query and fragment
                               // do not count
    struct bytes access_token; // the proof must name it (ath); empty at the token endpoint
    int64_t now_s;
    const struct dpop_nonces *nonces; // NULL: nonces are not asked for, iat decides
    struct jws_headers *headers;      // clients' keys that were read before; may be NULL
};

struct dpop_proof {
    uint8_t thumbprint[32]; // RFC 7638, to compare with cnf.jkt
    uint8_t id[32];         // SHA-256(thumbprint ‖ jti): for the keeper's replay cache
    uint64_t until;         // POSIX seconds after which it is too old anyway
};

enum dpop_outcome {
    DPOP_VALID,
    DPOP_INVALID,   // invalid_dpop_proof
    DPOP_USE_NONCE, // use_dpop_nonce: valid but for a nonce that is missing or old
};

// Checks in the order of RFC 9449 section 4.3. *ret_proof is written only when
// valid; *ret_reason (static, for the log) otherwise.
enum dpop_outcome dpop_verify(struct bytes proof, const struct dpop_expectation *expected,
                              struct dpop_proof *ret_proof, const char **ret_reason);

#endif
