// SPDX-License-Identifier: Apache-2.0
// Where PKCS#11 return values end: the one place that turns a CK_RV into a
// result, a sentence for people, and a judgement about the connection.
#ifndef VLT_HSM_P11_RESULT_H
#define VLT_HSM_P11_RESULT_H

#include <p11-kit/pkcs11.h>

#include "hsm/device.h"

// `doing` completes "device … cannot …". Sets hsm->link.
vlt_result p11_result(struct hsm *hsm, CK_RV rv, const char *doing,
                      struct fault *fault) VLT_MUST_USE;
// The module says for certain that the session or device is gone; every other
// failure of a decryption may be the blob's fault.
bool p11_result_is_lost(CK_RV rv);

#endif
