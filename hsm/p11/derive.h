// SPDX-License-Identifier: Apache-2.0
// Wrapping with a device that has neither AES-GCM nor AES key wrap, but an RSA
// key that signs (many smart cards, libtpm2-pkcs11). See
// docs/decisions/0005-pkcs11-wraps-by-signature.md.
//
//   body = nonce[32], ciphertext[32], tag[16]
//   signature = RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017, 8.2) by the device over
//               "vaultd wrap by signature v1" | nonce
//   key = HKDF-SHA256(signature, salt nonce, info "vaultd wrap by signature v1")
//   ciphertext, tag = AES-256-GCM(key, IV of zeros: each key encrypts once,
//               associated data: the context)
//
// The signature of one message is one number, which nobody can compute without
// the device, public key or not: so only the device's user can open a body, and
// only the device's user can make one that opens.
#ifndef VLT_HSM_P11_DERIVE_H
#define VLT_HSM_P11_DERIVE_H

#include "hsm/p11/device.h"

#include "libvault/crypto/jwk.h"

#define P11_DERIVE_NONCE_BYTES 32
#define P11_DERIVE_BODY_BYTES (P11_DERIVE_NONCE_BYTES + HSM_DATA_KEY_BYTES + 16)

struct p11_pair {
    CK_OBJECT_HANDLE object; // the private half
    struct jwk *public_half; // every signature is verified: a constant would be no secret
};
// Reads the public half. VLT_CRYPTO when it is a weak one (below 2048 bits, ROCA).
// The caller frees ret_pair->public_half (jwk_free).
vlt_result p11_derive_open(struct hsm *hsm, CK_OBJECT_HANDLE object, struct fault *fault,
                           struct p11_pair *ret_pair) VLT_MUST_USE;
vlt_result p11_derive_wrap(struct hsm *hsm, const struct p11_pair *pair, struct bytes aad,
                           const struct secret *key32, struct fault *fault,
                           struct buf *body) VLT_MUST_USE;
vlt_result p11_derive_unwrap(struct hsm *hsm, const struct p11_pair *pair, struct bytes aad,
                             struct bytes body, struct fault *fault,
                             struct secret *ret_key32) VLT_MUST_USE;

#endif
