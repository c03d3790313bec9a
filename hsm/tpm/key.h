// SPDX-License-Identifier: Apache-2.0
// The wrapping key of a TPM: an ECDH P-256 key that the TPM made
// (sensitiveDataOrigin), that works in this TPM under this primary only
// (fixedTPM, fixedParent), that takes no part in dictionary-attack lockout
// (noDA) and that does one thing: TPM2_ECDH_ZGen. Its private part is in the
// store's record, encrypted by the TPM to its primary.
//
//   id     first bytes of the SHA-256 in the key's name, i.e. of its public area
//   auth   HMAC-SHA256(seed, "vaultd tpm auth v1" | PIN): high-entropy even
//          without a PIN, so that noDA gives nothing to guess to somebody who
//          lacks the record
//   psk    HMAC-SHA256("vaultd tpm psk v1", x of d*Q), with private d and public
//          Q: only the device can compute it; computed once when the key opens
//   check  HMAC-SHA256(psk, "vaultd known answer v1"): in the record
//   blob   hsm/tpm/hpke.h, with psk_id = name and info = "vaultd tpm wrap v1"
//
// The functions are rows of the table in hsm/device.h, which says what each must do.
#ifndef VLT_HSM_TPM_KEY_H
#define VLT_HSM_TPM_KEY_H

#include <tss2/tss2_tpm2_types.h>

#include "hsm/device.h"

// The authorization of a seed and of the PIN, if the settings name one. The
// caller cleanses *ret_auth.
vlt_result tpm_derive_auth(const struct hsm *hsm, const uint8_t seed[RECORD_SEED_BYTES],
                           struct fault *fault, TPM2B_AUTH *ret_auth) VLT_MUST_USE;

vlt_result tpm_key_create(struct hsm *hsm, struct hsm_open_key *key,
                          struct fault *fault) VLT_MUST_USE;
vlt_result tpm_key_open(struct hsm *hsm, struct hsm_open_key *key,
                        struct fault *fault) VLT_MUST_USE;
void tpm_key_close(struct hsm *hsm, struct hsm_open_key *key);
vlt_result tpm_key_destroy(struct hsm *hsm, struct hsm_open_key *key,
                           struct fault *fault) VLT_MUST_USE;
vlt_result tpm_key_check(struct hsm *hsm, struct hsm_open_key *key,
                         struct fault *fault) VLT_MUST_USE;
vlt_result tpm_key_wrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                        const struct secret *key32, struct fault *fault,
                        struct buf *body) VLT_MUST_USE;
vlt_result tpm_key_unwrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                          struct bytes body, struct fault *fault,
                          struct secret *ret_key32) VLT_MUST_USE;

#endif
