// SPDX-License-Identifier: Apache-2.0
// A PKCS#11 module for tests that stands between us and SoftHSM: passes every
// call on, counts, and makes the faults that SoftHSM does not make (error codes,
// delay, garbage, answers too short, a device that is pulled out, a PIN pad).
// Test programs find its control block with dlopen and dlsym("p11_shim"). The
// module behind it is SoftHSM, or what VAULT_SHIM_MODULE names. In a program that
// the test did not load it into, it hangs while the file exists that VAULT_SHIM_HANG
// names; a call that finds "for ever" in it never returns.
#ifndef VLT_TESTS_DEVICES_P11_SHIM_H
#define VLT_TESTS_DEVICES_P11_SHIM_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>

// The next `times` calls give this code.
struct p11_shim_fault {
    CK_RV rv;
    _Atomic unsigned times; // set while the device thread runs
};

// What happens to the output of C_Encrypt, C_Decrypt, C_Sign and C_WrapKey.
enum p11_shim_spoil {
    P11_SHIM_WHOLE,
    P11_SHIM_GARBAGE, // other bytes, of the right size
    P11_SHIM_SHORT,   // one byte less
    P11_SHIM_EMPTY,   // success, and no byte
    P11_SHIM_LONG     // says that it is longer than the room was
};

struct p11_shim {
    // What was called, since somebody set it to 0.
    _Atomic unsigned login_count, initialize_count, sign_count;
    _Atomic unsigned pin_count;   // C_Login with a PIN in it
    _Atomic unsigned value_count; // C_GetAttributeValue of the CKA_VALUE of a key in the device
    _Atomic unsigned session_count, session_max; // that are open now; most at one time
    CK_FLAGS token_flags;                        // added to what C_GetTokenInfo says
    bool has_no_gcm;                             // CKM_AES_GCM does not exist
    bool has_no_key_wrap;                        // CKM_AES_KEY_WRAP does not exist
    bool has_broken_gcm;                         // CKM_AES_GCM forgets its associated data
    bool has_pinpad;            // C_Login without a PIN asks on the device's own pad
    _Atomic bool is_pulled_out; // no device in any slot
    _Atomic unsigned delay_ms;  // of every call
    _Atomic unsigned delay_count;
    _Atomic bool hangs;         // a call does not return before this is false again
    _Atomic unsigned hung_count; // calls that did so
    _Atomic enum p11_shim_spoil spoil;
    _Atomic unsigned spoil_times;
    struct p11_shim_fault encrypt, decrypt, find, open_session, login, generate, destroy, sign,
        attributes;
};
extern struct p11_shim p11_shim;

#endif
