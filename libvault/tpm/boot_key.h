// SPDX-License-Identifier: Apache-2.0
// The approver of boot states: a P-256 key in a PEM file, public where the vault
// is, private where its owner keeps it. Callers: the supervisor (public), vaultctl.
#ifndef VLT_TPM_BOOT_KEY_H
#define VLT_TPM_BOOT_KEY_H

#include "libvault/tpm/boot.h"

// The point of a public key ("BEGIN PUBLIC KEY") or of the public half of a private
// one. VLT_MALFORMED: not a PEM file with a P-256 key.
vlt_result boot_key_point(struct bytes pem, struct fault *fault,
                          uint8_t ret_point[BOOT_POINT_BYTES]) VLT_MUST_USE;
// Signs with the private key of a PEM file; OpenSSL asks at the terminal for the
// passphrase of one that is encrypted.
vlt_result boot_key_sign(struct bytes pem, const struct boot_state *state, struct fault *fault,
                         uint8_t ret_signature[BOOT_SIGNATURE_BYTES]) VLT_MUST_USE;
// A signature as other programs write it: DER (openssl dgst -sign), or r and s, 64
// bytes. VLT_MALFORMED.
vlt_result boot_signature_read(struct bytes signature,
                               uint8_t ret_signature[BOOT_SIGNATURE_BYTES]) VLT_MUST_USE;

#endif
