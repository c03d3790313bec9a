// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 module for tests that passes everything to SoftHSM, counts, and
// makes the faults that SoftHSM does not make. Test programs find its control
// block with dlopen and dlsym("p11_shim").
#ifndef VLT_TESTS_DEVICES_P11_SHIM_H
#define VLT_TESTS_DEVICES_P11_SHIM_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>

// The next `times` calls give this code.
struct p11_shim_fault {
    CK_RV rv;
    unsigned times;
};

struct p11_shim {
    unsigned login_count, initialize_count;
    CK_FLAGS token_flags; // added to what C_GetTokenInfo says
    bool has_no_gcm;      // CKM_AES_GCM does not exist
    bool has_broken_gcm;  // CKM_AES_GCM forgets its associated data
    struct p11_shim_fault encrypt, decrypt, find, open_session, login, generate, destroy;
};
extern struct p11_shim p11_shim;

#endif
