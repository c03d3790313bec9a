// SPDX-License-Identifier: Apache-2.0
// The two ways in which a PKCS#11 key wraps 32 bytes for one context.
//
//   GCM       body = IV[12], ciphertext[32], tag[16]. The context is associated data.
//   key wrap  body = RFC 3394 wrap of key[32] and HMAC-SHA256(key, "vaultd
//             context v1" | associated data)[32]. RFC 3394 binds no context, so
//             the MAC travels inside. The clear key enters and leaves the
//             device as a session object: only for devices without GCM.
#ifndef VLT_HSM_P11_WRAP_H
#define VLT_HSM_P11_WRAP_H

#include "hsm/p11/device.h"

#define P11_GCM_BODY_BYTES (12 + HSM_DATA_KEY_BYTES + 16)
#define P11_KEY_WRAP_BODY_BYTES (8 + HSM_DATA_KEY_BYTES + 32)

vlt_result p11_gcm_wrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                        const struct secret *key32, struct fault *fault,
                        struct buf *body) VLT_MUST_USE;
vlt_result p11_gcm_unwrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                          struct bytes body, struct fault *fault,
                          struct secret *ret_key32) VLT_MUST_USE;
vlt_result p11_keywrap_wrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                            const struct secret *key32, struct fault *fault,
                            struct buf *body) VLT_MUST_USE;
vlt_result p11_keywrap_unwrap(struct hsm *hsm, CK_OBJECT_HANDLE key, struct bytes aad,
                              struct bytes body, struct fault *fault,
                              struct secret *ret_key32) VLT_MUST_USE;

#endif
