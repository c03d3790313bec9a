// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/result.h"

#include <p11-kit/p11-kit.h>

#include "hsm/p11/device.h"

bool p11_result_is_lost(CK_RV rv) {
    switch (rv) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_SLOT_ID_INVALID:
    case CKR_KEY_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
        return true;
    default:
        return false;
    }
}

static const char *p11_advice(CK_RV rv) {
    switch (rv) {
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_DEVICE_REMOVED:
        return "; plug it in or start its daemon, the next call tries again";
    case CKR_DEVICE_MEMORY:
        return "; it is full: delete objects that are not needed";
    case CKR_HOST_MEMORY:
        return "; this machine is out of memory";
    case CKR_SESSION_COUNT:
        return "; other programs use all of its sessions";
    case CKR_TOKEN_WRITE_PROTECTED:
        return "; it is write-protected";
    case CKR_MECHANISM_INVALID:
    case CKR_MECHANISM_PARAM_INVALID:
    case CKR_FUNCTION_NOT_SUPPORTED:
        return "; it lacks what this needs";
    default:
        return "; the next call tries again";
    }
}

vlt_result p11_result(struct hsm *hsm, CK_RV rv, const char *doing, struct fault *fault) {
    if (rv == CKR_OK)
        return vlt_ok();
    const char *label = hsm->description.label;
    switch (rv) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LEN_RANGE:
        return fault_set(fault, VLT_DENIED, "wrong PIN",
                         "device '%s' says that the PIN is wrong; it was tried once and is not "
                         "tried again: correct the PIN file, then restart or reload",
                         label);
    case CKR_PIN_LOCKED:
        return fault_set(
            fault, VLT_DENIED, "PIN is locked",
            "the PIN of device '%s' is locked: its security officer has to set a new one", label);
    case CKR_PIN_EXPIRED:
        return fault_set(fault, VLT_DENIED, "PIN has expired",
                         "the PIN of device '%s' has expired: set a new one with its own tool",
                         label);
    default:
        break;
    }
    // A module that lost its device may say so, or answer CKR_GENERAL_ERROR for
    // ever: only initializing it anew tells, so every failure drops the session.
    bool hopeless = rv == CKR_DEVICE_MEMORY || rv == CKR_TOKEN_WRITE_PROTECTED ||
                    rv == CKR_MECHANISM_INVALID || rv == CKR_MECHANISM_PARAM_INVALID ||
                    rv == CKR_FUNCTION_NOT_SUPPORTED;
    struct p11 *p11 = hsm->device;
    if (p11)
        p11->is_lost = p11_result_is_lost(rv);
    hsm->link = hopeless ? HSM_LINK_HELD : HSM_LINK_TRY_AGAIN;
    return fault_set(fault, VLT_UNAVAILABLE, "PKCS#11 device reports an error",
                     "device '%s' cannot %s (0x%lx, %s)%s", label, doing, (unsigned long)rv,
                     p11_kit_strerror(rv), p11_advice(rv));
}
