// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/device.h"

#include <stdio.h>
#include <stdlib.h>

#include "hsm/p11/counter.h"
#include "hsm/p11/key.h"
#include "hsm/p11/result.h"
#include "hsm/p11/signer.h"
#include "hsm/pin.h"

static void p11_learn(struct hsm *hsm, const struct p11 *p11) {
    const CK_TOKEN_INFO *t = &p11->token;
    struct hsm_description d = {.kind = HSM_PKCS11};
    p11_text(t->label, sizeof t->label, d.label);
    p11_text(t->manufacturerID, sizeof t->manufacturerID, d.manufacturer);
    p11_text(t->model, sizeof t->model, d.model);
    p11_text(t->serialNumber, sizeof t->serialNumber, d.serial);
    (void)snprintf(d.firmware, sizeof d.firmware, "%u.%u", t->firmwareVersion.major,
                   t->firmwareVersion.minor);
    hsm->description = d;
}

// --- objects ----------------------------------------------------------------

CK_RV p11_find(const struct p11 *p11, CK_ATTRIBUTE *template, CK_ULONG count,
               CK_OBJECT_HANDLE found[P11_FOUND_MAX], CK_ULONG *ret_count) {
    CK_RV rv = p11->functions->C_FindObjectsInit(p11->session, template, count);
    if (rv != CKR_OK)
        return rv;
    rv = p11->functions->C_FindObjects(p11->session, found, P11_FOUND_MAX, ret_count);
    CK_RV end = p11->functions->C_FindObjectsFinal(p11->session);
    return rv == CKR_OK ? end : rv;
}

// --- login ------------------------------------------------------------------

// What the device itself tells before a PIN is spent on it.
static vlt_result p11_check_pin_state(const struct hsm *hsm, const struct p11 *p11,
                                      struct fault *fault) {
    const char *label = hsm->description.label;
    CK_FLAGS flags = p11->token.flags;
    if (flags & CKF_USER_PIN_LOCKED)
        return fault_set(
            fault, VLT_DENIED, "PIN is locked",
            "the PIN of device '%s' is locked: its security officer has to set a new one", label);
    if (flags & CKF_USER_PIN_FINAL_TRY)
        return fault_set(fault, VLT_DENIED, "one wrong PIN would lock the device",
                         "one more wrong PIN would lock device '%s', so none is tried: log in once "
                         "with another tool, e.g. pkcs11-tool --login --test",
                         label);
    if (!(flags & CKF_USER_PIN_INITIALIZED) && !(flags & CKF_PROTECTED_AUTHENTICATION_PATH))
        return fault_set(fault, VLT_NOT_FOUND, "device has no PIN yet",
                         "device '%s' has no user PIN yet: initialize it with its own tool", label);
    return vlt_ok();
}

static CK_RV p11_login_pin(struct p11 *p11, const struct secret *pin) {
    CK_UTF8CHAR copy[PIN_MAX_BYTES]; // C_Login takes writable bytes
    size_t size = secret_size(pin);
    memcpy(copy, secret_borrow(pin), size);
    secret_release(pin);
    CK_RV rv = p11->functions->C_Login(p11->session, CKU_USER, copy, size);
    secret_cleanse(copy, sizeof copy);
    return rv;
}

static vlt_result p11_login_with_file(struct hsm *hsm, struct p11 *p11, const char *source,
                                      struct fault *fault) {
    char device[160];
    const struct hsm_description *d = &hsm->description;
    (void)snprintf(device, sizeof device, "%s|%s|%s", d->manufacturer, d->model, d->serial);
    struct secret *pin = NULL;
    VLT_TRY(pin_read(source, fault, &pin));
    CK_RV rv = CKR_PIN_INCORRECT;
    if (!pin_was_refused(device, pin)) {
        rv = p11_login_pin(p11, pin);
        if (rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID || rv == CKR_PIN_LEN_RANGE)
            pin_note_refused(device, pin);
    }
    secret_free(pin);
    p11->is_logged_in = rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
    return p11->is_logged_in ? vlt_ok() : p11_result(hsm, rv, "log in", fault);
}

// PKCS#11 2.40, 5.6: with CKF_PROTECTED_AUTHENTICATION_PATH and no PIN the device
// asks by itself. Once: a wrong PIN counts there, too, and nobody stands at the
// device for every time that we reach it again.
static vlt_result p11_login_on_pad(struct hsm *hsm, struct p11 *p11, struct fault *fault) {
    struct p11_module *module = hsm->module;
    CK_RV rv = CKR_PIN_INCORRECT;
    if (!module->was_pad_refused)
        rv = p11->functions->C_Login(p11->session, CKU_USER, NULL, 0);
    p11->is_logged_in = rv == CKR_OK || rv == CKR_USER_ALREADY_LOGGED_IN;
    if (p11->is_logged_in)
        return vlt_ok();
    bool was_refused = rv == CKR_PIN_INCORRECT || rv == CKR_PIN_INVALID ||
                       rv == CKR_PIN_LEN_RANGE || rv == CKR_FUNCTION_CANCELED ||
                       rv == CKR_FUNCTION_REJECTED;
    if (!was_refused)
        return p11_result(hsm, rv, "log in on its own pad", fault);
    module->was_pad_refused = true;
    return fault_set(fault, VLT_DENIED, "no right PIN was typed on the device",
                     "no right PIN was typed on the pad of device '%s'; it is not asked for again "
                     "by itself: go there and run vaultctl unseal",
                     hsm->description.label);
}

static vlt_result p11_login(struct hsm *hsm, struct p11 *p11, struct fault *fault) {
    if (!(p11->token.flags & CKF_LOGIN_REQUIRED))
        return vlt_ok();
    VLT_TRY(p11_check_pin_state(hsm, p11, fault));
    char source[256];
    VLT_TRY(p11_pin_source(hsm, source));
    if (source[0])
        return p11_login_with_file(hsm, p11, source, fault);
    if (!(p11->token.flags & CKF_PROTECTED_AUTHENTICATION_PATH))
        return fault_set(fault, VLT_NOT_FOUND, "no PIN source",
                         "device '%s' wants a PIN and the configuration does not say where it is: "
                         "give a file or a systemd credential",
                         hsm->description.label);
    return p11_login_on_pad(hsm, p11, fault);
}

// --- reach and drop ---------------------------------------------------------

static void p11_drop(struct hsm *hsm) {
    struct p11 *p11 = hsm->device;
    if (p11 && p11->is_logged_in)
        (void)p11->functions->C_Logout(p11->session);
    if (p11 && p11->has_session)
        (void)p11->functions->C_CloseSession(p11->session);
    // Only this makes a module see a device that went away and came back.
    p11_module_finalize(hsm);
    if (p11)
        EVP_PKEY_free(p11->signer.pkey);
    free(p11);
    hsm->device = NULL;
}

static vlt_result p11_reach(struct hsm *hsm, struct fault *fault) {
    struct p11 *p11 = calloc(1, sizeof *p11);
    if (!p11)
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    hsm->device = p11;
    vlt_result result = p11_module_find(hsm, p11, fault);
    if (vlt_is_ok(result)) {
        p11_learn(hsm, p11);
        CK_RV rv = p11->functions->C_OpenSession(p11->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION,
                                                 NULL, NULL, &p11->session);
        p11->has_session = rv == CKR_OK;
        result = p11_result(hsm, rv, "open a session", fault);
    }
    if (vlt_is_ok(result))
        result = p11_login(hsm, p11, fault);
    if (!vlt_is_ok(result))
        p11_drop(hsm);
    return result;
}

const struct hsm_ops p11_ops = {
    .reach = p11_reach,
    .drop = p11_drop,
    .forget = p11_module_forget,
    .key_create = p11_key_create,
    .key_open = p11_key_open,
    .key_close = p11_key_close,
    .key_destroy = p11_key_destroy,
    .key_check = p11_key_check,
    .wrap = p11_key_wrap,
    .unwrap = p11_key_unwrap,
    .counter_create = p11_counter_create,
    .counter_read = p11_counter_read,
    .counter_advance = p11_counter_advance,
    .counter_destroy = p11_counter_destroy,
    .signer_create = p11_signer_create,
    .sign = p11_signer_sign,
    .signer_destroy = p11_signer_destroy,
};
