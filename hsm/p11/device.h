// SPDX-License-Identifier: Apache-2.0
// One connection to a PKCS#11 device (OASIS PKCS#11 2.40): a module loaded by
// p11-kit, the one slot that the URI means, one logged-in session.
#ifndef VLT_HSM_P11_DEVICE_H
#define VLT_HSM_P11_DEVICE_H

#include <openssl/evp.h>
#include <p11-kit/p11-kit.h>
#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include "hsm/device.h"

// Loaded once and kept until hsm_close; initialized for each connection.
struct p11_module {
    CK_FUNCTION_LIST *functions; // the module in use, or NULL
    CK_FUNCTION_LIST **all;      // p11-kit's configured modules, or NULL
    bool is_initialized;
    bool was_pad_refused; // somebody typed a wrong PIN on the device, or none: not asked again
};

// The signing key that was used last, found once for each connection.
struct p11_signer {
    CK_OBJECT_HANDLE object;
    struct hsm_signer is; // valid when pkey is not NULL
    EVP_PKEY *pkey;       // its public half, owned
};

struct p11 {
    CK_FUNCTION_LIST *functions; // borrowed from the module
    CK_SLOT_ID slot;
    CK_TOKEN_INFO token; // as it was when we came
    CK_SESSION_HANDLE session;
    bool has_session, is_logged_in;
    bool is_lost; // the last failure says for certain that session or device is gone
    struct p11_signer signer;
};

// hsm/p11/module.c: parses the URI, loads the module, finds the slot, so that
// module->functions, p11->slot and p11->token are set.
vlt_result p11_module_find(struct hsm *hsm, struct p11 *p11, struct fault *fault) VLT_MUST_USE;
void p11_module_finalize(struct hsm *hsm);
void p11_module_forget(struct hsm *hsm);
// "pin-source" of the URI when the settings have none; "" when neither has one.
vlt_result p11_pin_source(const struct hsm *hsm, char source[256]) VLT_MUST_USE;
// Label of the wrapping key's object: "object" of the URI or "vaultd", and the
// generation when it is not the first.
vlt_result p11_object_label(const struct hsm *hsm, uint32_t generation, struct fault *fault,
                            char label[72]) VLT_MUST_USE;

// CKA_ID for a new wrapping key: "id" of the URI for the first generation, which
// must have HSM_KEY_ID_BYTES, else drawn at random.
vlt_result p11_object_id(const struct hsm *hsm, uint32_t generation, struct fault *fault,
                         uint8_t id[HSM_KEY_ID_BYTES]) VLT_MUST_USE;

// Objects that match; at most P11_FOUND_MAX are told.
#define P11_FOUND_MAX 4
CK_RV p11_find(const struct p11 *p11, CK_ATTRIBUTE *template, CK_ULONG count,
               CK_OBJECT_HANDLE found[P11_FOUND_MAX], CK_ULONG *ret_count);

// PKCS#11 takes what it only reads by pointers to non-const.
static inline CK_BYTE_PTR p11_in(const void *at) {
    return (CK_BYTE_PTR)(uintptr_t)at;
}

// Blank-padded text of fixed width (PKCS#11 3.2) as a C string.
void p11_text(const CK_UTF8CHAR *padded, size_t width, char *text);

#endif
