// SPDX-License-Identifier: Apache-2.0
// Evidence that a wrapping key lives in a genuine TPM, for somebody who has nothing
// but this file, the nonce and the roots of TPM makers.
//
// Proven, step by step (evidence_verify):
//   1  the endorsement certificate is a TPM maker's, and its key is the endorsement
//      key of the file, of the TCG's template
//   2  the attestation key is of a template that signs only what its TPM says
//   3  both are in one TPM: the nonce is the secret of a challenge (challenge.h), or
//      the caller knows the attestation key from an earlier challenge
//   4  that TPM certified the name of the wrapping key, with this nonce
//      (TPM2_Certify); the name covers attributes and policy, so the key was made
//      there, cannot leave it, does nothing but ECDH, and is bound as the file says
//   5  and quoted PCRs, with this nonce (TPM2_Quote)
// Not proven: that the vault that uses the key is the one you think of, and what
// runs on the machine beyond its PCRs.
//
// A parser of foreign bytes. Callers: hsm/tpm (makes it), the keeper (writes it),
// vaultctl (verifies it).
#ifndef VLT_TPM_EVIDENCE_H
#define VLT_TPM_EVIDENCE_H

#include <jansson.h>

#include "libvault/base/buf.h"
#include "libvault/tpm/area.h"

#define EVIDENCE_MAX_BYTES 65536 // of the file
#define EVIDENCE_CERTIFICATE_MAX_BYTES 4096
#define EVIDENCE_STATEMENT_MAX_BYTES 512
#define EVIDENCE_CHAIN_MAX 4
#define EVIDENCE_NONCE_MIN 8
#define EVIDENCE_NONCE_MAX 128

struct evidence_certificate {
    size_t size;
    uint8_t at[EVIDENCE_CERTIFICATE_MAX_BYTES]; // DER
};

// What a TPM says (TPMS_ATTEST, part 2, 10.12.8) and the attestation key's signature.
struct evidence_statement {
    size_t size;
    uint8_t at[EVIDENCE_STATEMENT_MAX_BYTES];
    uint8_t signature[BOOT_SIGNATURE_BYTES];
};

struct evidence {
    struct evidence_certificate endorsement_certificate;
    struct area endorsement, attestation, wrapping;
    struct boot_binding boot; // created.pcrs 0: it is not bound
    struct evidence_statement certify, quote;
    struct boot_state quoted;
    // Certificates between the endorsement certificate and a root; the TPM has none.
    size_t chain_count;
    struct evidence_certificate chain[EVIDENCE_CHAIN_MAX];
};

// 8 to 128 printable ASCII characters without spaces.
bool evidence_nonce_is_valid(const char *nonce);
// What the TPM is given for a nonce: SHA-256("vaultd attestation v1", NUL, nonce).
vlt_result evidence_qualifier(const char *nonce,
                              uint8_t ret_qualifier[BOOT_DIGEST_BYTES]) VLT_MUST_USE;

json_t *evidence_json(const struct evidence *evidence);
// *ret_evidence is zero after a failure.
vlt_result evidence_parse(struct bytes text, struct fault *fault,
                          struct evidence *ret_evidence) VLT_MUST_USE;

// Steps 2, 4 and 5: keys and statements, without certificates. VLT_CRYPTO.
vlt_result evidence_verify_statements(const struct evidence *evidence, const char *nonce,
                                      struct fault *fault) VLT_MUST_USE;
// Step 1. `roots`: PEM certificates, each of them trusted. VLT_CRYPTO, VLT_MALFORMED (roots).
vlt_result evidence_verify_endorsement(const struct evidence *evidence, struct bytes roots,
                                       struct fault *fault) VLT_MUST_USE;
// Step 3. `known` is the name of an attestation key that was challenged before, or
// NULL. VLT_DENIED: not proven.
vlt_result evidence_verify_binding(const struct evidence *evidence, const char *nonce,
                                   const uint8_t *known, struct fault *fault) VLT_MUST_USE;
// For people: issuer of the endorsement certificate, and SHA-256 of it in hex.
vlt_result evidence_describe_certificate(const struct evidence *evidence, char ret_issuer[256],
                                         char ret_sha256[65]) VLT_MUST_USE;

#endif
