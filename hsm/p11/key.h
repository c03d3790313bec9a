// SPDX-License-Identifier: Apache-2.0
// The wrapping key of a PKCS#11 device: an AES-256 key that the device made
// (C_GenerateKey), sensitive and not extractable from birth, found again by a
// random CKA_ID. It has the two usages of its one mechanism and no other.
//
// Its record holds a known answer: a wrap of a published constant, which proves
// later that the key found is the key of before and that the device is healthy.
//
// The functions are rows of the table in hsm/device.h, which says what each must do.
#ifndef VLT_HSM_P11_KEY_H
#define VLT_HSM_P11_KEY_H

#include "hsm/p11/device.h"

vlt_result p11_key_create(struct hsm *hsm, struct hsm_open_key *key,
                          struct fault *fault) VLT_MUST_USE;
vlt_result p11_key_open(struct hsm *hsm, struct hsm_open_key *key,
                        struct fault *fault) VLT_MUST_USE;
void p11_key_close(struct hsm *hsm, struct hsm_open_key *key);
vlt_result p11_key_destroy(struct hsm *hsm, struct hsm_open_key *key,
                           struct fault *fault) VLT_MUST_USE;
vlt_result p11_key_check(struct hsm *hsm, struct hsm_open_key *key,
                         struct fault *fault) VLT_MUST_USE;
vlt_result p11_key_wrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                        const struct secret *key32, struct fault *fault,
                        struct buf *body) VLT_MUST_USE;
vlt_result p11_key_unwrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                          struct bytes body, struct fault *fault,
                          struct secret *ret_key32) VLT_MUST_USE;

#endif
