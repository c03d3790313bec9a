// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/key.h"

#include <openssl/rand.h>
#include <stdlib.h>

#include "hsm/p11/result.h"
#include "hsm/p11/wrap.h"

struct p11_key {
    CK_OBJECT_HANDLE object;
};

// What the known answer encloses: any constant does, it is no secret.
static const uint8_t known_key[HSM_DATA_KEY_BYTES] = "vaultd known answer: not secret";
static const struct bytes known_context = {(const uint8_t *)"vaultd known answer v1", 22};

// --- wrap and unwrap by mechanism -------------------------------------------

static CK_OBJECT_HANDLE p11_object(const struct hsm_open_key *key) {
    return ((const struct p11_key *)key->state)->object;
}

vlt_result p11_key_wrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                        const struct secret *key32, struct fault *fault, struct buf *body) {
    return key->record.mechanism == HSM_MECHANISM_GCM
               ? p11_gcm_wrap(hsm, p11_object(key), aad, key32, fault, body)
               : p11_keywrap_wrap(hsm, p11_object(key), aad, key32, fault, body);
}

vlt_result p11_key_unwrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                          struct bytes body, struct fault *fault, struct secret *ret_key32) {
    return key->record.mechanism == HSM_MECHANISM_GCM
               ? p11_gcm_unwrap(hsm, p11_object(key), aad, body, fault, ret_key32)
               : p11_keywrap_unwrap(hsm, p11_object(key), aad, body, fault, ret_key32);
}

// --- the known answer -------------------------------------------------------

static vlt_result p11_answer_make(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    struct record_p11 *record = &key->record.of.p11;
    uint8_t aad[RECORD_AAD_MAX_BYTES];
    size_t aad_bytes = record_aad(&key->record, known_context, aad);
    struct secret *known = secret_new(sizeof known_key);
    struct buf answer;
    buf_init(&answer, sizeof record->check);
    vlt_result result = known ? secret_set(known, known_key, sizeof known_key)
                              : fault_set(fault, VLT_LIMIT, "secret memory is exhausted",
                                          "secret memory is exhausted");
    if (vlt_is_ok(result))
        result = p11_key_wrap(hsm, key, bytes_of(aad, aad_bytes), known, fault, &answer);
    if (vlt_is_ok(result) && !buf_failed(&answer)) {
        memcpy(record->check, answer.at, answer.size);
        record->check_bytes = answer.size;
    }
    buf_done(&answer);
    secret_free(known);
    return result;
}

// VLT_CRYPTO when the device is there but answers otherwise.
static vlt_result p11_answer_check(struct hsm *hsm, struct hsm_open_key *key, struct bytes answer,
                                   struct fault *fault) {
    uint8_t aad[RECORD_AAD_MAX_BYTES];
    size_t aad_bytes = record_aad(&key->record, known_context, aad);
    struct secret *got = secret_new(sizeof known_key);
    if (!got)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", "secret memory is exhausted");
    vlt_result result = p11_key_unwrap(hsm, key, bytes_of(aad, aad_bytes), answer, fault, got);
    if (vlt_is_ok(result) && !secret_equal(bytes_of(secret_borrow(got), secret_size(got)),
                                           bytes_of(known_key, sizeof known_key)))
        result = vlt_fail(VLT_CRYPTO, "known answer differs");
    secret_release(got);
    secret_free(got);
    return result;
}

vlt_result p11_key_check(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct record_p11 *record = &key->record.of.p11;
    vlt_result result =
        p11_answer_check(hsm, key, bytes_of(record->check, record->check_bytes), fault);
    if (result.class != VLT_CRYPTO)
        return result;
    // This key gave this answer when it was opened: now the device is sick.
    hsm->link = HSM_LINK_TRY_AGAIN;
    return fault_set(fault, VLT_UNAVAILABLE, "device fails its known-answer check",
                     "device '%s' does not give its known answer any more; the next call reaches it "
                     "anew",
                     hsm->description.label);
}

// --- attributes -------------------------------------------------------------

// A key that is extractable, or ever was, has perhaps left already.
static vlt_result p11_check_attributes(struct hsm *hsm, CK_OBJECT_HANDLE object,
                                       struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    CK_BBOOL sensitive = CK_FALSE, always = CK_FALSE, extractable = CK_TRUE, never = CK_FALSE;
    CK_KEY_TYPE type = 0;
    CK_ULONG size = 0;
    CK_ATTRIBUTE wanted[] = {{CKA_SENSITIVE, &sensitive, sizeof sensitive},
                             {CKA_ALWAYS_SENSITIVE, &always, sizeof always},
                             {CKA_EXTRACTABLE, &extractable, sizeof extractable},
                             {CKA_NEVER_EXTRACTABLE, &never, sizeof never},
                             {CKA_KEY_TYPE, &type, sizeof type},
                             {CKA_VALUE_LEN, &size, sizeof size}};
    CK_RV rv = p11->functions->C_GetAttributeValue(p11->session, object, wanted,
                                                   sizeof wanted / sizeof *wanted);
    if (rv != CKR_ATTRIBUTE_TYPE_INVALID && rv != CKR_ATTRIBUTE_SENSITIVE)
        VLT_TRY(p11_result(hsm, rv, "show the attributes of the wrapping key", fault));
    if (rv == CKR_OK && sensitive && always && !extractable && never && type == CKK_AES && size == 32)
        return vlt_ok();
    return fault_set(fault, VLT_CRYPTO, "wrapping key is not protected",
                     "the wrapping key in device '%s' is not an AES-256 key that was never "
                     "extractable (sensitive %d, extractable %d, always sensitive %d, never "
                     "extractable %d): it may have been copied; make a new key and rotate",
                     hsm->description.label, sensitive, extractable, always, never);
}

// --- finding ----------------------------------------------------------------

static vlt_result p11_find_absent(struct hsm *hsm, const struct record_p11 *record,
                                  struct fault *fault) {
    const struct hsm_description *d = &hsm->description;
    hsm->link = HSM_LINK_TRY_AGAIN; // a session whose device was away may just see nothing
    if (strcmp(record->serial, d->serial) != 0 || strcmp(record->manufacturer, d->manufacturer) != 0)
        return fault_set(fault, VLT_CONFLICT, "store was made with another device",
                         "this store was made with device '%s' (%s, serial %s), but the URI leads to "
                         "'%s' (%s, serial %s): attach the right device or correct the URI",
                         record->label, record->manufacturer, record->serial, d->label,
                         d->manufacturer, d->serial);
    return fault_set(fault, VLT_NOT_FOUND, "wrapping key is not in the device",
                     "device '%s' does not hold the wrapping key '%s' of this store: it was "
                     "initialized anew or the key was deleted; recover the vault on this device",
                     d->label, record->object);
}

static vlt_result p11_find_by_id(struct hsm *hsm, const struct record_key *record,
                                 struct fault *fault, CK_OBJECT_HANDLE *ret_object) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    uint8_t id[HSM_KEY_ID_BYTES];
    memcpy(id, record->id, sizeof id);
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, id, sizeof id}};
    CK_OBJECT_HANDLE found[P11_FOUND_MAX];
    CK_ULONG count = 0;
    CK_RV rv = p11_find(hsm->device, template, 2, found, &count);
    VLT_TRY(p11_result(hsm, rv, "look for the wrapping key", fault));
    if (!count)
        return p11_find_absent(hsm, &record->of.p11, fault);
    if (count > 1)
        return fault_set(fault, VLT_CONFLICT, "several wrapping keys of one id",
                         "device '%s' holds several keys with the id of wrapping key '%s': delete "
                         "those that are not the vault's",
                         hsm->description.label, record->of.p11.object);
    *ret_object = found[0];
    return vlt_ok();
}

vlt_result p11_key_open(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct record_p11 *record = &key->record.of.p11;
    CK_OBJECT_HANDLE object = 0;
    VLT_TRY(p11_find_by_id(hsm, &key->record, fault, &object));
    VLT_TRY(p11_check_attributes(hsm, object, fault));
    struct p11_key *state = calloc(1, sizeof *state);
    if (!state)
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    state->object = object;
    key->state = state;
    vlt_result result =
        p11_answer_check(hsm, key, bytes_of(record->check, record->check_bytes), fault);
    if (result.class == VLT_CRYPTO)
        result = fault_set(fault, VLT_CONFLICT, "another key, or an altered record",
                           "device '%s' holds a key with the id of wrapping key '%s', but it does "
                           "not give the known answer: it is another key, or the store's record was "
                           "altered",
                           hsm->description.label, record->object);
    if (!vlt_is_ok(result))
        p11_key_close(hsm, key);
    return result;
}

void p11_key_close(struct hsm *hsm, struct hsm_open_key *key) {
    free(key->state);
    key->state = NULL;
}

// --- creating ---------------------------------------------------------------

// One template for the key that stays and for the session key that probes.
static CK_RV p11_generate(const struct p11 *p11, const struct record_key *record, bool stays,
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

// The answer opens, and does not when its last byte or its context changes.
static vlt_result p11_self_test(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    struct record_p11 *record = &key->record.of.p11;
    VLT_TRY(p11_answer_make(hsm, key, fault));
    VLT_TRY(p11_answer_check(hsm, key, bytes_of(record->check, record->check_bytes), fault));
    struct hsm_open_key other = *key;
    other.record.of.p11.check[record->check_bytes - 1] ^= 1;
    vlt_result altered = p11_answer_check(
        hsm, &other, bytes_of(other.record.of.p11.check, record->check_bytes), fault);
    other = *key;
    other.record.id[0] ^= 1; // part of the associated data
    vlt_result elsewhere =
        p11_answer_check(hsm, &other, bytes_of(record->check, record->check_bytes), fault);
    if (altered.class == VLT_CRYPTO && elsewhere.class == VLT_CRYPTO)
        return vlt_ok();
    return fault_set(fault, VLT_UNAVAILABLE, "device does not authenticate",
                     "device '%s' opens altered bytes: its implementation is unusable",
                     hsm->description.label);
}

// Tries one mechanism on a key that vanishes with the session.
static vlt_result p11_probe(struct hsm *hsm, const struct hsm_open_key *key,
                            enum hsm_mechanism mechanism, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    struct p11_key state = {.object = 0};
    struct hsm_open_key probe = {.record = key->record, .state = &state};
    probe.record.mechanism = mechanism;
    CK_RV rv = p11_generate(p11, &probe.record, false, &state.object);
    VLT_TRY(p11_result(hsm, rv, "make a key for a trial", fault));
    vlt_result result = p11_self_test(hsm, &probe, fault);
    (void)p11->functions->C_DestroyObject(p11->session, state.object);
    return result;
}

static vlt_result p11_choose_mechanism(struct hsm *hsm, struct hsm_open_key *key,
                                       struct fault *fault) {
    static const enum hsm_mechanism order[] = {HSM_MECHANISM_GCM, HSM_MECHANISM_KEY_WRAP};
    vlt_result result = vlt_fail(VLT_BUG, "no mechanism to choose from");
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        enum hsm_mechanism wanted = hsm->settings.mechanism;
        if (wanted != HSM_MECHANISM_AUTO && wanted != order[i])
            continue;
        result = p11_probe(hsm, key, order[i], fault);
        if (vlt_is_ok(result)) {
            key->record.mechanism = order[i];
            return result;
        }
    }
    return result;
}

static vlt_result p11_check_free(struct hsm *hsm, const struct record_p11 *record,
                                 struct fault *fault) {
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_LABEL, p11_in(record->object), strlen(record->object)}};
    CK_OBJECT_HANDLE found[P11_FOUND_MAX];
    CK_ULONG count = 0;
    CK_RV rv = p11_find(hsm->device, template, 2, found, &count);
    VLT_TRY(p11_result(hsm, rv, "look for a wrapping key", fault));
    if (!count)
        return vlt_ok();
    return fault_set(fault, VLT_CONFLICT, "wrapping key exists",
                     "device '%s' holds a key '%s' already, perhaps of another vault: choose another "
                     "name with object= in the PKCS#11 URI, or delete the key if nothing needs it",
                     hsm->description.label, record->object);
}

static vlt_result p11_record_begin(struct hsm *hsm, struct record_key *record, struct fault *fault) {
    const struct hsm_description *d = &hsm->description;
    struct record_p11 *p11 = &record->of.p11;
    VLT_TRY(p11_object_label(hsm, record->generation, fault, p11->object));
    bool fits = bytes_to_text(bytes_of_text(d->label), p11->label, sizeof p11->label) &&
                bytes_to_text(bytes_of_text(d->manufacturer), p11->manufacturer,
                              sizeof p11->manufacturer) &&
                bytes_to_text(bytes_of_text(d->model), p11->model, sizeof p11->model) &&
                bytes_to_text(bytes_of_text(d->serial), p11->serial, sizeof p11->serial);
    if (!fits || RAND_bytes(record->id, sizeof record->id) != 1)
        return vlt_fail(VLT_BUG, "record of the wrapping key cannot be begun");
    return vlt_ok();
}

vlt_result p11_key_create(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    VLT_TRY(p11_record_begin(hsm, &key->record, fault));
    VLT_TRY(p11_check_free(hsm, &key->record.of.p11, fault));
    VLT_TRY(p11_choose_mechanism(hsm, key, fault));
    struct p11_key *state = calloc(1, sizeof *state);
    if (!state)
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    key->state = state;
    CK_RV rv = p11_generate(p11, &key->record, true, &state->object);
    vlt_result result = p11_result(hsm, rv, "make a wrapping key", fault);
    if (vlt_is_ok(result)) {
        result = p11_check_attributes(hsm, state->object, fault);
        if (vlt_is_ok(result))
            result = p11_self_test(hsm, key, fault);
        if (!vlt_is_ok(result)) // a key that nobody has a record of must not stay
            (void)p11->functions->C_DestroyObject(p11->session, state->object);
    }
    if (!vlt_is_ok(result))
        p11_key_close(hsm, key);
    return result;
}

vlt_result p11_key_destroy(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    CK_RV rv = p11->functions->C_DestroyObject(p11->session, p11_object(key));
    return p11_result(hsm, rv, "delete the wrapping key", fault);
}
