// SPDX-License-Identifier: Apache-2.0
// Proof that an attestation key lives in the TPM of an endorsement key, without a
// TPM on this side (MakeCredential, TPM 2.0 Library part 1, 24): a secret is
// encrypted so that only a TPM that holds both keys can give it back
// (ActivateCredential). The secret is the nonce of the evidence that follows, which
// so proves three things at once: it is fresh, both keys are in one TPM, and it was
// made for this verifier.
//
//   nonce  "challenge." secret (32 bytes, base64url) "." first 16 bytes of
//          SHA-256(name of the endorsement key, name of the attestation key)
//
// The verifier keeps the nonce to itself until the evidence is there; the challenge
// needs no secrecy.
#ifndef VLT_TPM_CHALLENGE_H
#define VLT_TPM_CHALLENGE_H

#include <jansson.h>

#include "libvault/tpm/area.h"

#define CHALLENGE_SECRET_BYTES 32
#define CHALLENGE_CREDENTIAL_MAX_BYTES 128 // TPMS_ID_OBJECT
#define CHALLENGE_SEED_MAX_BYTES 256       // TPMU_ENCRYPTED_SECRET
#define CHALLENGE_NONCE_SIZE 80            // text of a nonce
#define CHALLENGE_MAX_BYTES 4096           // file

struct challenge {
    size_t credential_bytes, seed_bytes;
    uint8_t credential[CHALLENGE_CREDENTIAL_MAX_BYTES];
    uint8_t seed[CHALLENGE_SEED_MAX_BYTES];
};

// Makes a challenge for the holder of both keys. VLT_CRYPTO: not such keys.
vlt_result challenge_make(const struct area *endorsement, const struct area *attestation,
                          struct challenge *ret_challenge,
                          char ret_nonce[CHALLENGE_NONCE_SIZE]) VLT_MUST_USE;
// The nonce of a secret that a TPM gave back.
vlt_result challenge_nonce(const uint8_t secret[CHALLENGE_SECRET_BYTES],
                           const struct area *endorsement, const struct area *attestation,
                           char ret_nonce[CHALLENGE_NONCE_SIZE]) VLT_MUST_USE;
// Is it the nonce of a challenge, and for these keys? VLT_DENIED: no nonce of a
// challenge; VLT_CRYPTO: one for other keys.
vlt_result challenge_nonce_check(const char *nonce, const struct area *endorsement,
                                 const struct area *attestation) VLT_MUST_USE;

// The file: {"type":"vaultd TPM challenge 1","credential":…,"seed":…}.
json_t *challenge_json(const struct challenge *challenge);
vlt_result challenge_parse(struct bytes text, struct fault *fault,
                           struct challenge *ret_challenge) VLT_MUST_USE;

#endif
