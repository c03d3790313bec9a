// SPDX-License-Identifier: Apache-2.0
#include "tests/devices/p11_shim.h"

#include <dlfcn.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/devices/device_fixture.h"

struct p11_shim p11_shim;
static CK_FUNCTION_LIST *real, ours;

static bool is_told_to_hang(void) {
    const char *path = getenv("VAULT_SHIM_HANG");
    if (p11_shim.hangs)
        return true;
    FILE *file = path ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    char text[9] = "";
    (void)!fread(text, 1, sizeof text - 1, file);
    fclose(file);
    while (!strcmp(text, "for ever"))
        poll(NULL, 0, -1);
    return true;
}

static void hang(void) {
    for (bool is_first = true; is_told_to_hang(); is_first = false) {
        p11_shim.hung_count += is_first;
        poll(NULL, 0, 10);
    }
}

// A hang, a delay, then a device that is not there, then the fault that was asked for.
static bool fails(struct p11_shim_fault *fault, CK_RV *rv) {
    hang();
    if (p11_shim.delay_ms) {
        p11_shim.delay_count++;
        poll(NULL, 0, (int)p11_shim.delay_ms);
    }
    if (p11_shim.is_pulled_out) {
        *rv = CKR_DEVICE_REMOVED;
        return true;
    }
    if (!fault || !fault->times)
        return false;
    fault->times--;
    *rv = fault->rv;
    return true;
}

static CK_RV spoil(CK_RV rv, CK_BYTE *out, CK_ULONG *size) {
    if (rv != CKR_OK || !out || !p11_shim.spoil_times)
        return rv;
    p11_shim.spoil_times--;
    if (p11_shim.spoil == P11_SHIM_GARBAGE)
        memset(out, 0xa5, *size);
    else if (p11_shim.spoil == P11_SHIM_SHORT)
        *size -= 1;
    else if (p11_shim.spoil == P11_SHIM_EMPTY)
        *size = 0;
    else if (p11_shim.spoil == P11_SHIM_LONG)
        *size = 100000;
    return rv;
}

// --- the module, its slot, its sessions -------------------------------------

static CK_RV shim_initialize(void *args) {
    p11_shim.initialize_count++;
    p11_shim.session_count = 0;
    return real->C_Initialize(args);
}

static CK_RV shim_finalize(void *reserved) {
    p11_shim.session_count = 0;
    return real->C_Finalize(reserved);
}

static CK_RV shim_get_slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count) {
    hang();
    if (!p11_shim.is_pulled_out)
        return real->C_GetSlotList(present, slots, count);
    *count = 0;
    return CKR_OK;
}

static CK_RV shim_get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *token) {
    CK_RV rv = real->C_GetTokenInfo(slot, token);
    if (rv == CKR_OK)
        token->flags |= p11_shim.token_flags;
    if (rv == CKR_OK && p11_shim.has_pinpad)
        token->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    return rv;
}

static CK_RV shim_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                               CK_SESSION_HANDLE *session) {
    CK_RV rv;
    if (fails(&p11_shim.open_session, &rv))
        return rv;
    rv = real->C_OpenSession(slot, flags, application, notify, session);
    p11_shim.session_count += rv == CKR_OK;
    if (p11_shim.session_count > p11_shim.session_max)
        p11_shim.session_max = p11_shim.session_count;
    return rv;
}

static CK_RV shim_close_session(CK_SESSION_HANDLE session) {
    CK_RV rv = real->C_CloseSession(session);
    p11_shim.session_count -= rv == CKR_OK;
    return rv;
}

static CK_RV shim_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG size) {
    CK_RV rv;
    p11_shim.login_count++;
    p11_shim.pin_count += pin != NULL;
    if (fails(&p11_shim.login, &rv))
        return rv;
    CK_BYTE typed[] = DEVICE_FIXTURE_PIN;
    if (p11_shim.has_pinpad && !pin) // somebody types it there
        return real->C_Login(session, user, typed, sizeof typed - 1);
    return real->C_Login(session, user, pin, size);
}

// --- objects ----------------------------------------------------------------

static CK_RV shim_find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count) {
    CK_RV rv;
    return fails(&p11_shim.find, &rv) ? rv : real->C_FindObjectsInit(session, template, count);
}

static bool is_key_in_device(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
    CK_OBJECT_CLASS class = 0;
    CK_BBOOL stays = CK_FALSE;
    CK_ATTRIBUTE wanted[] = {{CKA_CLASS, &class, sizeof class}, {CKA_TOKEN, &stays, sizeof stays}};
    return real->C_GetAttributeValue(session, object, wanted, 2) == CKR_OK && stays &&
           (class == CKO_SECRET_KEY || class == CKO_PRIVATE_KEY);
}

static CK_RV shim_get_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object,
                                 CK_ATTRIBUTE *template, CK_ULONG count) {
    CK_RV rv;
    for (CK_ULONG i = 0; i < count; i++)
        p11_shim.value_count += template[i].type == CKA_VALUE && is_key_in_device(session, object);
    return fails(&p11_shim.attributes, &rv)
               ? rv
               : real->C_GetAttributeValue(session, object, template, count);
}

static CK_RV shim_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                           CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key) {
    CK_RV rv;
    return fails(&p11_shim.generate, &rv)
               ? rv
               : real->C_GenerateKey(session, mechanism, template, count, key);
}

static CK_RV shim_generate_pair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                                CK_ATTRIBUTE *public_half, CK_ULONG public_count,
                                CK_ATTRIBUTE *private_half, CK_ULONG private_count,
                                CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key) {
    CK_RV rv;
    return fails(&p11_shim.generate, &rv)
               ? rv
               : real->C_GenerateKeyPair(session, mechanism, public_half, public_count,
                                         private_half, private_count, public_key, private_key);
}

static CK_RV shim_destroy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
    CK_RV rv;
    return fails(&p11_shim.destroy, &rv) ? rv : real->C_DestroyObject(session, object);
}

// --- ciphers ----------------------------------------------------------------

static CK_RV shim_cipher_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                              CK_OBJECT_HANDLE key, CK_C_EncryptInit init) {
    if (mechanism->mechanism != CKM_AES_GCM)
        return init(session, mechanism, key);
    if (p11_shim.has_no_gcm)
        return CKR_MECHANISM_INVALID;
    CK_GCM_PARAMS params = *(CK_GCM_PARAMS *)mechanism->pParameter;
    CK_MECHANISM copy = {CKM_AES_GCM, &params, sizeof params};
    if (p11_shim.has_broken_gcm)
        params.aad_len = 1;
    return init(session, &copy, key);
}

static CK_RV shim_encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                               CK_OBJECT_HANDLE key) {
    CK_RV rv;
    return fails(&p11_shim.encrypt, &rv)
               ? rv
               : shim_cipher_init(session, mechanism, key, real->C_EncryptInit);
}

static CK_RV shim_encrypt(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                          CK_ULONG *size) {
    return spoil(real->C_Encrypt(session, in, in_size, out, size), out, size);
}

static CK_RV shim_decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                               CK_OBJECT_HANDLE key) {
    CK_RV rv;
    return fails(&p11_shim.decrypt, &rv)
               ? rv
               : shim_cipher_init(session, mechanism, key, real->C_DecryptInit);
}

static CK_RV shim_decrypt(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                          CK_ULONG *size) {
    return spoil(real->C_Decrypt(session, in, in_size, out, size), out, size);
}

static CK_RV shim_wrap(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                       CK_OBJECT_HANDLE wrapping, CK_OBJECT_HANDLE key, CK_BYTE *out,
                       CK_ULONG *size) {
    CK_RV rv;
    if (p11_shim.has_no_key_wrap)
        return CKR_MECHANISM_INVALID;
    if (fails(&p11_shim.encrypt, &rv))
        return rv;
    return spoil(real->C_WrapKey(session, mechanism, wrapping, key, out, size), out, size);
}

static CK_RV shim_unwrap(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                         CK_OBJECT_HANDLE wrapping, CK_BYTE *in, CK_ULONG in_size,
                         CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key) {
    CK_RV rv;
    return fails(&p11_shim.decrypt, &rv)
               ? rv
               : real->C_UnwrapKey(session, mechanism, wrapping, in, in_size, template, count, key);
}

static CK_RV shim_sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                            CK_OBJECT_HANDLE key) {
    CK_RV rv;
    p11_shim.sign_count++;
    return fails(&p11_shim.sign, &rv) ? rv : real->C_SignInit(session, mechanism, key);
}

static CK_RV shim_sign(CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG in_size, CK_BYTE *out,
                       CK_ULONG *size) {
    return spoil(real->C_Sign(session, in, in_size, out, size), out, size);
}

// --- the module's door ------------------------------------------------------

static void shim_fill(void) {
    ours = *real;
    ours.C_Initialize = shim_initialize;
    ours.C_Finalize = shim_finalize;
    ours.C_GetSlotList = shim_get_slot_list;
    ours.C_GetTokenInfo = shim_get_token_info;
    ours.C_OpenSession = shim_open_session;
    ours.C_CloseSession = shim_close_session;
    ours.C_Login = shim_login;
    ours.C_FindObjectsInit = shim_find;
    ours.C_GetAttributeValue = shim_get_attributes;
    ours.C_GenerateKey = shim_generate;
    ours.C_GenerateKeyPair = shim_generate_pair;
    ours.C_DestroyObject = shim_destroy;
    ours.C_EncryptInit = shim_encrypt_init;
    ours.C_Encrypt = shim_encrypt;
    ours.C_DecryptInit = shim_decrypt_init;
    ours.C_Decrypt = shim_decrypt;
    ours.C_WrapKey = shim_wrap;
    ours.C_UnwrapKey = shim_unwrap;
    ours.C_SignInit = shim_sign_init;
    ours.C_Sign = shim_sign;
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
    if (!real) {
        const char *path = getenv("VAULT_SHIM_MODULE");
        void *module = dlopen(path ? path : DEVICE_FIXTURE_SOFTHSM, RTLD_NOW | RTLD_LOCAL);
        CK_C_GetFunctionList get = NULL;
        if (module)
            *(void **)&get = dlsym(module, "C_GetFunctionList");
        if (!get || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
    }
    shim_fill();
    ours.C_GetFunctionList = C_GetFunctionList;
    *list = &ours;
    return CKR_OK;
}
