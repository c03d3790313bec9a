// SPDX-License-Identifier: Apache-2.0
// HPKE (RFC 9180) in PSK mode, one message, for wrapping a data key to a key
// that lives in a TPM: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
//
// Why HPKE: the TPM only multiplies points (ECDH_ZGen), and this is the standard
// way to get from a shared point to authenticated encryption with associated
// data. Why the PSK mode: with the public key alone anybody could make a blob
// that unwraps to a key of their choice; the pre-shared key is one that only
// the device can compute (hsm/tpm/key.h).
#ifndef VLT_HSM_TPM_HPKE_H
#define VLT_HSM_TPM_HPKE_H

#include "libvault/base/buf.h"
#include "libvault/secret/secret.h"

#define HPKE_POINT_BYTES 65 // uncompressed P-256 point
#define HPKE_DH_BYTES 32    // its x coordinate
#define HPKE_TAG_BYTES 16
#define HPKE_PLAIN_MAX_BYTES 64

struct hpke_sender {
    const uint8_t *recipient;  // HPKE_POINT_BYTES
    const struct secret *psk;  // at least 32 bytes
    struct bytes psk_id, info, aad;
};

// Appends encapsulated point and ciphertext.
vlt_result hpke_encrypt(const struct hpke_sender *sender, const struct secret *plain,
                        struct buf *out) VLT_MUST_USE;
// `dh` is what the device made of hpke_point(body) and its private key. Sets
// ret_plain. VLT_CRYPTO when anything does not fit.
vlt_result hpke_decrypt(const struct hpke_sender *sender, const struct secret *dh,
                        struct bytes body, struct secret *ret_plain) VLT_MUST_USE;
// The encapsulated point of a body, checked to lie on the curve; VLT_CRYPTO.
vlt_result hpke_point(struct bytes body, struct bytes *ret_point) VLT_MUST_USE;
// Is it a point of P-256 that a peer may send?
bool hpke_point_is_valid(const uint8_t point[HPKE_POINT_BYTES]);

#endif
