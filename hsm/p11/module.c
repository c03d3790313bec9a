// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/device.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/whoami.h"

#define P11_SLOTS_MAX 64

void p11_text(const CK_UTF8CHAR *padded, size_t width, char *text) {
    while (width && (padded[width - 1] == ' ' || !padded[width - 1]))
        width--;
    for (size_t i = 0; i < width; i++) // a fault or a record is no place for control characters
        text[i] = padded[i] < ' ' || padded[i] == 0x7f ? '?' : (char)padded[i];
    text[width] = 0;
}

// --- the URI ----------------------------------------------------------------

// The caller owns *ret_uri (p11_kit_uri_free).
static vlt_result p11_uri_parse(const struct hsm *hsm, struct fault *fault, P11KitUri **ret_uri) {
    P11KitUri *uri = p11_kit_uri_new();
    int code = uri ? p11_kit_uri_parse(hsm->settings.p11_uri, P11_KIT_URI_FOR_ANY, uri)
                   : P11_KIT_URI_UNEXPECTED;
    const char *trouble =
        code                                ? p11_kit_uri_message(code)
        : p11_kit_uri_any_unrecognized(uri) ? "it has an attribute that RFC 7512 does not define"
        : p11_kit_uri_get_pin_value(uri)
            ? "a PIN (pin-value) does not belong into a configuration: put it into "
              "a file"
            : NULL;
    if (!trouble) {
        *ret_uri = uri;
        return vlt_ok();
    }
    p11_kit_uri_free(uri);
    // The URI itself may hold a PIN: it is not repeated here.
    return fault_set(fault, VLT_MALFORMED, "PKCS#11 URI is not usable",
                     "the PKCS#11 URI in the configuration is not usable: %s", trouble);
}

vlt_result p11_pin_source(const struct hsm *hsm, char source[256]) {
    if (hsm->settings.pin_source[0])
        return bytes_to_text(bytes_of_text(hsm->settings.pin_source), source, 256)
                   ? vlt_ok()
                   : vlt_fail(VLT_LIMIT, "PIN source is too long");
    P11KitUri *uri = NULL;
    VLT_TRY(p11_uri_parse(hsm, NULL, &uri));
    const char *found = p11_kit_uri_get_pin_source(uri);
    bool fits = bytes_to_text(bytes_of_text(found ? found : ""), source, 256);
    p11_kit_uri_free(uri);
    return fits ? vlt_ok() : vlt_fail(VLT_LIMIT, "PIN source is too long");
}

vlt_result p11_object_label(const struct hsm *hsm, uint32_t generation, struct fault *fault,
                            char label[72]) {
    P11KitUri *uri = NULL;
    VLT_TRY(p11_uri_parse(hsm, fault, &uri));
    const CK_ATTRIBUTE *object = p11_kit_uri_get_attribute(uri, CKA_LABEL);
    struct bytes name =
        object ? bytes_of(object->pValue, object->ulValueLen) : BYTES_LITERAL("vaultd");
    char text[56];
    bool fits = name.size && bytes_to_text(name, text, sizeof text);
    p11_kit_uri_free(uri);
    if (!fits)
        return fault_set(fault, VLT_LIMIT, "object label is too long",
                         "object= in the PKCS#11 URI must have 1 to 55 bytes");
    if (generation == 1)
        (void)snprintf(label, 72, "%s", text);
    else
        (void)snprintf(label, 72, "%s-g%u", text, (unsigned)generation);
    return vlt_ok();
}

vlt_result p11_object_id(const struct hsm *hsm, uint32_t generation, struct fault *fault,
                         uint8_t id[HSM_KEY_ID_BYTES]) {
    P11KitUri *uri = NULL;
    VLT_TRY(p11_uri_parse(hsm, fault, &uri));
    const CK_ATTRIBUTE *wanted = p11_kit_uri_get_attribute(uri, CKA_ID);
    vlt_result result = vlt_ok();
    if (!wanted || generation != 1)
        result = RAND_bytes(id, HSM_KEY_ID_BYTES) == 1
                     ? vlt_ok()
                     : vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    else if (wanted->ulValueLen == HSM_KEY_ID_BYTES)
        memcpy(id, wanted->pValue, HSM_KEY_ID_BYTES);
    else
        result = fault_set(fault, VLT_MALFORMED, "object id has a wrong size",
                           "id= in the PKCS#11 URI must have %d bytes; leave it out, and one is "
                           "drawn at random",
                           HSM_KEY_ID_BYTES);
    p11_kit_uri_free(uri);
    return result;
}

// --- slots ------------------------------------------------------------------

struct p11_search {
    P11KitUri *uri;
    unsigned count;   // devices that match
    char others[160]; // labels of those that do not, for the message
};

static bool p11_slot_matches(CK_FUNCTION_LIST *functions, CK_SLOT_ID slot, CK_TOKEN_INFO *token,
                             struct p11_search *search) {
    CK_SLOT_INFO info;
    CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(search->uri);
    if (functions->C_GetSlotInfo(slot, &info) != CKR_OK ||
        functions->C_GetTokenInfo(slot, token) != CKR_OK || !(token->flags & CKF_TOKEN_INITIALIZED))
        return false;
    if ((wanted == (CK_SLOT_ID)-1 || wanted == slot) &&
        p11_kit_uri_match_slot_info(search->uri, &info) &&
        p11_kit_uri_match_token_info(search->uri, token))
        return true;
    char label[33];
    size_t size = strlen(search->others);
    p11_text(token->label, sizeof token->label, label);
    (void)snprintf(search->others + size, sizeof search->others - size, "%s'%s'", size ? ", " : "",
                   label);
    return false;
}

static void p11_search_slots(CK_FUNCTION_LIST *functions, struct p11_search *search,
                             struct p11 *p11) {
    CK_SLOT_ID slots[P11_SLOTS_MAX];
    CK_ULONG count = P11_SLOTS_MAX;
    if (functions->C_GetSlotList(CK_TRUE, slots, &count) != CKR_OK)
        return;
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO token;
        if (!p11_slot_matches(functions, slots[i], &token, search))
            continue;
        if (!search->count++) {
            p11->functions = functions;
            p11->slot = slots[i];
            p11->token = token;
        }
    }
}

// --- modules ----------------------------------------------------------------

static bool p11_module_matches(CK_FUNCTION_LIST *functions, P11KitUri *uri) {
    CK_INFO info;
    const char *wanted = p11_kit_uri_get_module_name(uri);
    char *name = p11_kit_module_get_name(functions);
    // A module that was given by its path has no name.
    bool matches = !wanted || !name || !strcmp(name, wanted);
    free(name);
    return matches && functions->C_GetInfo(&info) == CKR_OK &&
           p11_kit_uri_match_module_info(uri, &info);
}

// A module given by path: it must load and initialize.
static vlt_result p11_search_path(struct hsm *hsm, const char *path, struct p11_search *search,
                                  struct p11 *p11, struct fault *fault) {
    struct p11_module *module = hsm->module;
    if (!module->functions)
        module->functions = p11_kit_module_load(path, P11_KIT_MODULE_CRITICAL);
    if (!module->functions)
        return fault_set(
            fault, VLT_NOT_FOUND, "PKCS#11 module cannot be loaded",
            "PKCS#11 module %s cannot be loaded (%s): correct the path, or install the "
            "package of the device's maker",
            path, p11_kit_message() ? p11_kit_message() : "no reason given");
    CK_RV rv = p11_kit_module_initialize(module->functions);
    if (rv != CKR_OK)
        return fault_set(fault, VLT_UNAVAILABLE, "PKCS#11 module does not start",
                         "PKCS#11 module %s does not start (0x%lx, %s): look at its own "
                         "configuration and daemon, and whether %s, who runs this process, may "
                         "read its files",
                         path, (unsigned long)rv, p11_kit_strerror(rv), whoami().text);
    module->is_initialized = true;
    if (p11_module_matches(module->functions, search->uri))
        p11_search_slots(module->functions, search, p11);
    return vlt_ok();
}

// All modules that p11-kit is configured with, one after the other; the one
// that holds the device stays initialized.
static vlt_result p11_search_all(struct hsm *hsm, struct p11_search *search, struct p11 *p11,
                                 struct fault *fault) {
    struct p11_module *module = hsm->module;
    if (!module->all)
        module->all = p11_kit_modules_load(NULL, 0);
    if (!module->all)
        return fault_set(
            fault, VLT_NOT_FOUND, "no PKCS#11 modules",
            "p11-kit has no PKCS#11 modules: install the device's package, or give its "
            "path (module-path= in the URI)");
    for (CK_FUNCTION_LIST **at = module->all; *at; at++) {
        if (p11_kit_module_initialize(*at) != CKR_OK)
            continue;
        unsigned before = search->count;
        if (p11_module_matches(*at, search->uri))
            p11_search_slots(*at, search, p11);
        if (search->count > before && !module->functions) {
            module->functions = *at;
            module->is_initialized = true;
        } else {
            (void)p11_kit_module_finalize(*at);
        }
    }
    return vlt_ok();
}

static vlt_result p11_search_verdict(const struct p11_search *search, struct fault *fault) {
    if (search->count == 1)
        return vlt_ok();
    if (search->count)
        return fault_set(fault, VLT_CONFLICT, "PKCS#11 URI means several devices",
                         "the PKCS#11 URI means %u devices: add token= or serial= to it",
                         search->count);
    return fault_set(
        fault, VLT_NOT_FOUND, "no device matches the PKCS#11 URI",
        "no device matches the PKCS#11 URI; %s%s: plug the device in, initialize it, or "
        "correct token= in the URI",
        search->others[0] ? "present are " : "none is present", search->others);
}

vlt_result p11_module_find(struct hsm *hsm, struct p11 *p11, struct fault *fault) {
    p11_kit_be_quiet();
    if (!hsm->module && !(hsm->module = calloc(1, sizeof(struct p11_module))))
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    struct p11_search search = {.count = 0};
    VLT_TRY(p11_uri_parse(hsm, fault, &search.uri));
    const char *path = hsm->settings.p11_module[0] ? hsm->settings.p11_module
                                                   : p11_kit_uri_get_module_path(search.uri);
    vlt_result result = path ? p11_search_path(hsm, path, &search, p11, fault)
                             : p11_search_all(hsm, &search, p11, fault);
    if (vlt_is_ok(result))
        result = p11_search_verdict(&search, fault);
    p11_kit_uri_free(search.uri);
    return result;
}

void p11_module_finalize(struct hsm *hsm) {
    struct p11_module *module = hsm->module;
    if (!module || !module->is_initialized)
        return;
    (void)p11_kit_module_finalize(module->functions);
    module->is_initialized = false;
    if (module->all) // which of them holds the device may differ next time
        module->functions = NULL;
}

void p11_module_forget(struct hsm *hsm) {
    struct p11_module *module = hsm->module;
    if (!module)
        return;
    p11_module_finalize(hsm);
    if (module->all)
        p11_kit_modules_release(module->all);
    else if (module->functions)
        p11_kit_module_release(module->functions);
    free(module);
    hsm->module = NULL;
}
