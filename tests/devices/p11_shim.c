// SPDX-License-Identifier: Apache-2.0
#include "tests/devices/p11_shim.h"

#include <dlfcn.h>
#include <stdlib.h>

#define SOFTHSM "/usr/lib/softhsm/libsofthsm2.so"

struct p11_shim p11_shim;
static CK_FUNCTION_LIST *real, ours;

static bool fails(struct p11_shim_fault *fault, CK_RV *rv) {
    if (!fault->times)
        return false;
    fault->times--;
    *rv = fault->rv;
    return true;
}

static CK_RV shim_initialize(void *args) {
    p11_shim.initialize_count++;
    return real->C_Initialize(args);
}

static CK_RV shim_get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    CK_RV rv = real->C_GetTokenInfo(slot, info);
    if (rv == CKR_OK)
        info->flags |= p11_shim.token_flags;
    return rv;
}

static CK_RV shim_open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                               CK_SESSION_HANDLE *session) {
    CK_RV rv;
    return fails(&p11_shim.open_session, &rv)
               ? rv
               : real->C_OpenSession(slot, flags, application, notify, session);
}

static CK_RV shim_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG size) {
    CK_RV rv;
    p11_shim.login_count++;
    return fails(&p11_shim.login, &rv) ? rv : real->C_Login(session, user, pin, size);
}

static CK_RV shim_find(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG count) {
    CK_RV rv;
    return fails(&p11_shim.find, &rv) ? rv : real->C_FindObjectsInit(session, template, count);
}

static CK_RV shim_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                           CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key) {
    CK_RV rv;
    return fails(&p11_shim.generate, &rv)
               ? rv
               : real->C_GenerateKey(session, mechanism, template, count, key);
}

static CK_RV shim_destroy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
    CK_RV rv;
    return fails(&p11_shim.destroy, &rv) ? rv : real->C_DestroyObject(session, object);
}

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

static CK_RV shim_decrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                               CK_OBJECT_HANDLE key) {
    CK_RV rv;
    return fails(&p11_shim.decrypt, &rv)
               ? rv
               : shim_cipher_init(session, mechanism, key, real->C_DecryptInit);
}

__attribute__((visibility("default"))) CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
    if (!real) {
        void *module = dlopen(SOFTHSM, RTLD_NOW | RTLD_LOCAL);
        CK_C_GetFunctionList get = NULL;
        if (module)
            *(void **)&get = dlsym(module, "C_GetFunctionList");
        if (!get || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
    }
    ours = *real;
    ours.C_GetFunctionList = C_GetFunctionList;
    ours.C_Initialize = shim_initialize;
    ours.C_GetTokenInfo = shim_get_token_info;
    ours.C_OpenSession = shim_open_session;
    ours.C_Login = shim_login;
    ours.C_FindObjectsInit = shim_find;
    ours.C_GenerateKey = shim_generate;
    ours.C_DestroyObject = shim_destroy;
    ours.C_EncryptInit = shim_encrypt_init;
    ours.C_DecryptInit = shim_decrypt_init;
    *list = &ours;
    return CKR_OK;
}
