// SPDX-License-Identifier: Apache-2.0
// The wrapping key as an object in the device: how it is made, found, judged and
// removed. What it looks like depends on its one mechanism: an AES-256 key, or an
// RSA pair (HSM_MECHANISM_SIGNATURE).
#ifndef VLT_HSM_P11_OBJECT_H
#define VLT_HSM_P11_OBJECT_H

#include "hsm/p11/device.h"

// One template for the key that stays and for the session key that probes.
CK_RV p11_object_generate(const struct p11 *p11, const struct hsm_record *record, bool stays,
                          CK_OBJECT_HANDLE *ret_object);
// The one with the id of the record. VLT_NOT_FOUND; VLT_CONFLICT when this is
// another device or holds several.
vlt_result p11_object_find(struct hsm *hsm, const struct hsm_record *record, struct fault *fault,
                           CK_OBJECT_HANDLE *ret_object) VLT_MUST_USE;
// VLT_CRYPTO unless it was made in the device and never could leave it.
vlt_result p11_object_check(struct hsm *hsm, const struct hsm_record *record,
                            CK_OBJECT_HANDLE object, struct fault *fault) VLT_MUST_USE;
// VLT_CONFLICT when label or id of the record is taken.
vlt_result p11_object_check_free(struct hsm *hsm, const struct hsm_record *record,
                                 struct fault *fault) VLT_MUST_USE;
// Both halves of a pair.
CK_RV p11_object_destroy(const struct p11 *p11, const struct hsm_record *record,
                         CK_OBJECT_HANDLE object);

#endif
