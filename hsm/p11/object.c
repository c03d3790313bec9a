// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/object.h"

#include "hsm/p11/result.h"

#define RSA_BITS 3072          // 128 bits of security (NIST SP 800-57, part 1, table 2)
#define RSA_BITS_AT_LEAST 2048 // what older TPMs and cards can do

static bool is_pair(const struct hsm_record *record) {
    return record->mechanism == HSM_MECHANISM_SIGNATURE;
}

// --- making -----------------------------------------------------------------

static CK_RV p11_secret_generate(const struct p11 *p11, const struct hsm_record *record, bool stays,
                                 CK_OBJECT_HANDLE *ret_object) {
    bool is_gcm = record->mechanism == HSM_MECHANISM_GCM;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE, token = stays ? CK_TRUE : CK_FALSE;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_ULONG size = 32;
    const char *label = record->of.p11.object;
    CK_ATTRIBUTE template[] = {
        {CKA_CLASS, &class, sizeof class},
        {CKA_KEY_TYPE, &type, sizeof type},
        {CKA_VALUE_LEN, &size, sizeof size},
        {CKA_TOKEN, &token, sizeof token},
        {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &no, sizeof no},
        {is_gcm ? CKA_ENCRYPT : CKA_WRAP, &yes, sizeof yes},
        {is_gcm ? CKA_DECRYPT : CKA_UNWRAP, &yes, sizeof yes},
        {is_gcm ? CKA_WRAP : CKA_ENCRYPT, &no, sizeof no},
        {is_gcm ? CKA_UNWRAP : CKA_DECRYPT, &no, sizeof no},
        {CKA_LABEL, p11_in(label), strlen(label)},
        {CKA_ID, p11_in(record->id), sizeof record->id},
    };
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    return p11->functions->C_GenerateKey(p11->session, &mechanism, template,
                                         sizeof template / sizeof *template, ret_object);
}

static CK_ULONG p11_rsa_bits(const struct p11 *p11) {
    CK_MECHANISM_INFO info;
    CK_RV rv = p11->functions->C_GetMechanismInfo(p11->slot, CKM_RSA_PKCS_KEY_PAIR_GEN, &info);
    return rv == CKR_OK && info.ulMaxKeySize >= RSA_BITS ? RSA_BITS : RSA_BITS_AT_LEAST;
}

static CK_RV p11_pair_generate(const struct p11 *p11, const struct hsm_record *record,
                               CK_OBJECT_HANDLE *ret_object) {
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ULONG bits = p11_rsa_bits(p11);
    static const uint8_t exponent[] = {1, 0, 1};
    const char *label = record->of.p11.object;
    CK_ATTRIBUTE public_half[] = {{CKA_TOKEN, &yes, sizeof yes},
                                  {CKA_MODULUS_BITS, &bits, sizeof bits},
                                  {CKA_PUBLIC_EXPONENT, p11_in(exponent), sizeof exponent},
                                  {CKA_LABEL, p11_in(label), strlen(label)},
                                  {CKA_ID, p11_in(record->id), sizeof record->id}};
    CK_ATTRIBUTE private_half[] = {{CKA_TOKEN, &yes, sizeof yes},
                                   {CKA_PRIVATE, &yes, sizeof yes},
                                   {CKA_SENSITIVE, &yes, sizeof yes},
                                   {CKA_EXTRACTABLE, &no, sizeof no},
                                   {CKA_SIGN, &yes, sizeof yes},
                                   {CKA_DECRYPT, &no, sizeof no},
                                   {CKA_LABEL, p11_in(label), strlen(label)},
                                   {CKA_ID, p11_in(record->id), sizeof record->id}};
    CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};
    CK_OBJECT_HANDLE public_object = 0;
    return p11->functions->C_GenerateKeyPair(
        p11->session, &mechanism, public_half, sizeof public_half / sizeof *public_half,
        private_half, sizeof private_half / sizeof *private_half, &public_object, ret_object);
}

CK_RV p11_object_generate(const struct p11 *p11, const struct hsm_record *record, bool stays,
                          CK_OBJECT_HANDLE *ret_object) {
    return is_pair(record) ? p11_pair_generate(p11, record, ret_object)
                           : p11_secret_generate(p11, record, stays, ret_object);
}

// --- judging ----------------------------------------------------------------

struct p11_protection {
    CK_BBOOL sensitive, always, extractable, never;
    CK_KEY_TYPE type;
};

static bool is_protected(const struct p11_protection *p) {
    return p->sensitive && p->always && !p->extractable && p->never;
}

// Of an AES key its length, of a pair its modulus.
static CK_RV p11_key_size(const struct p11 *p11, bool pair, CK_OBJECT_HANDLE object,
                          CK_ULONG *ret_bytes) {
    CK_ULONG length = 0;
    uint8_t modulus[1024];
    CK_ATTRIBUTE wanted = {CKA_VALUE_LEN, &length, sizeof length};
    if (pair)
        wanted = (CK_ATTRIBUTE){CKA_MODULUS, modulus, sizeof modulus};
    CK_RV rv = p11->functions->C_GetAttributeValue(p11->session, object, &wanted, 1);
    *ret_bytes = pair ? wanted.ulValueLen : length;
    return rv;
}

// A key that is extractable, or ever was, has perhaps left already.
vlt_result p11_object_check(struct hsm *hsm, const struct hsm_record *record,
                            CK_OBJECT_HANDLE object, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    bool pair = is_pair(record);
    struct p11_protection p = {.extractable = CK_TRUE};
    CK_ULONG bytes = 0;
    CK_ATTRIBUTE wanted[] = {{CKA_SENSITIVE, &p.sensitive, sizeof p.sensitive},
                             {CKA_ALWAYS_SENSITIVE, &p.always, sizeof p.always},
                             {CKA_EXTRACTABLE, &p.extractable, sizeof p.extractable},
                             {CKA_NEVER_EXTRACTABLE, &p.never, sizeof p.never},
                             {CKA_KEY_TYPE, &p.type, sizeof p.type}};
    CK_RV rv = p11->functions->C_GetAttributeValue(p11->session, object, wanted,
                                                   sizeof wanted / sizeof *wanted);
    if (rv == CKR_OK)
        rv = p11_key_size(p11, pair, object, &bytes);
    if (rv != CKR_ATTRIBUTE_TYPE_INVALID && rv != CKR_ATTRIBUTE_SENSITIVE)
        VLT_TRY(p11_result(hsm, rv, "show the attributes of the wrapping key", fault));
    bool is_right = pair ? p.type == CKK_RSA && bytes >= RSA_BITS_AT_LEAST / 8
                         : p.type == CKK_AES && bytes == 32;
    if (rv == CKR_OK && is_protected(&p) && is_right)
        return vlt_ok();
    return fault_set(fault, VLT_CRYPTO, "wrapping key is not protected",
                     "the wrapping key in device '%s' is not an %s key that was never "
                     "extractable (sensitive %d, extractable %d, always sensitive %d, never "
                     "extractable %d): it may have been copied; make a new key and rotate",
                     hsm->description.label, pair ? "RSA" : "AES-256", p.sensitive, p.extractable,
                     p.always, p.never);
}

// --- finding ----------------------------------------------------------------

static vlt_result p11_object_absent(struct hsm *hsm, const struct record_p11 *record,
                                    struct fault *fault) {
    const struct hsm_description *d = &hsm->description;
    hsm->link = HSM_LINK_TRY_AGAIN; // a session whose device was away may just see nothing
    if (strcmp(record->serial, d->serial) != 0 ||
        strcmp(record->manufacturer, d->manufacturer) != 0)
        return fault_set(
            fault, VLT_CONFLICT, "store was made with another device",
            "this store was made with device '%s' (%s, serial %s), but the URI leads to "
            "'%s' (%s, serial %s): attach the right device or correct the URI",
            record->label, record->manufacturer, record->serial, d->label, d->manufacturer,
            d->serial);
    return fault_set(fault, VLT_NOT_FOUND, "wrapping key is not in the device",
                     "device '%s' does not hold the wrapping key '%s' of this store: it was "
                     "initialized anew or the key was deleted; recover the vault on this device",
                     d->label, record->object);
}

static CK_RV p11_object_search(const struct p11 *p11, CK_OBJECT_CLASS class, CK_ATTRIBUTE_TYPE by,
                               struct bytes name, CK_OBJECT_HANDLE found[P11_FOUND_MAX],
                               CK_ULONG *ret_count) {
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {by, p11_in(name.at), name.size}};
    return p11_find(p11, template, 2, found, ret_count);
}

vlt_result p11_object_find(struct hsm *hsm, const struct hsm_record *record, struct fault *fault,
                           CK_OBJECT_HANDLE *ret_object) {
    CK_OBJECT_HANDLE found[P11_FOUND_MAX];
    CK_ULONG count = 0;
    CK_RV rv = p11_object_search(hsm->device, is_pair(record) ? CKO_PRIVATE_KEY : CKO_SECRET_KEY,
                                 CKA_ID, bytes_of(record->id, sizeof record->id), found, &count);
    VLT_TRY(p11_result(hsm, rv, "look for the wrapping key", fault));
    if (!count)
        return p11_object_absent(hsm, &record->of.p11, fault);
    if (count > 1)
        return fault_set(fault, VLT_CONFLICT, "several wrapping keys of one id",
                         "device '%s' holds several keys with the id of wrapping key '%s': delete "
                         "those that are not the vault's",
                         hsm->description.label, record->of.p11.object);
    *ret_object = found[0];
    return vlt_ok();
}

vlt_result p11_object_check_free(struct hsm *hsm, const struct hsm_record *record,
                                 struct fault *fault) {
    static const CK_OBJECT_CLASS classes[] = {CKO_SECRET_KEY, CKO_PRIVATE_KEY};
    const char *label = record->of.p11.object;
    CK_OBJECT_HANDLE found[P11_FOUND_MAX];
    for (size_t i = 0; i < 2; i++) {
        CK_ULONG count = 0;
        CK_RV rv = p11_object_search(hsm->device, classes[i], CKA_LABEL, bytes_of_text(label),
                                     found, &count);
        VLT_TRY(p11_result(hsm, rv, "look for a wrapping key", fault));
        if (!count) {
            rv = p11_object_search(hsm->device, classes[i], CKA_ID,
                                   bytes_of(record->id, sizeof record->id), found, &count);
            VLT_TRY(p11_result(hsm, rv, "look for a wrapping key", fault));
        }
        if (count)
            return fault_set(fault, VLT_CONFLICT, "wrapping key exists",
                             "device '%s' holds a key '%s' already, or one of its id, perhaps of "
                             "another vault: choose another name with object= in the PKCS#11 URI, "
                             "or delete the key if nothing needs it",
                             hsm->description.label, label);
    }
    return vlt_ok();
}

CK_RV p11_object_destroy(const struct p11 *p11, const struct hsm_record *record,
                         CK_OBJECT_HANDLE object) {
    CK_OBJECT_HANDLE found[P11_FOUND_MAX];
    CK_ULONG count = 0;
    if (is_pair(record)) // the public half is of no use alone; without it, nothing is lost
        (void)p11_object_search(p11, CKO_PUBLIC_KEY, CKA_ID,
                                bytes_of(record->id, sizeof record->id), found, &count);
    CK_RV rv = p11->functions->C_DestroyObject(p11->session, object);
    for (CK_ULONG i = 0; i < count && rv == CKR_OK; i++)
        rv = p11->functions->C_DestroyObject(p11->session, found[i]);
    return rv;
}
