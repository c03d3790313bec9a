// SPDX-License-Identifier: Apache-2.0
#include "hsm/p11/key.h"

#include <stdlib.h>

#include "hsm/p11/derive.h"
#include "hsm/p11/object.h"
#include "hsm/p11/result.h"
#include "hsm/p11/wrap.h"

struct p11_key {
    struct p11_pair pair; // an AES key is its object alone
};

// What the known answer encloses: any constant does, it is no secret.
static const uint8_t known_key[HSM_DATA_KEY_BYTES] = "vaultd known answer: not secret";
static const struct bytes known_context = {(const uint8_t *)"vaultd known answer v1", 22};

// --- wrap and unwrap by mechanism -------------------------------------------

static CK_OBJECT_HANDLE p11_object(const struct hsm_open_key *key) {
    return ((const struct p11_key *)key->state)->pair.object;
}

static const struct p11_pair *p11_pair(const struct hsm_open_key *key) {
    return &((const struct p11_key *)key->state)->pair;
}

static vlt_result p11_key_wrap_only(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                                    const struct secret *key32, struct fault *fault,
                                    struct buf *body) {
    switch (key->record.mechanism) {
    case HSM_MECHANISM_GCM:
        return p11_gcm_wrap(hsm, p11_object(key), aad, key32, fault, body);
    case HSM_MECHANISM_KEY_WRAP:
        return p11_keywrap_wrap(hsm, p11_object(key), aad, key32, fault, body);
    default:
        return p11_derive_wrap(hsm, p11_pair(key), aad, key32, fault, body);
    }
}

vlt_result p11_key_unwrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                          struct bytes body, struct fault *fault, struct secret *ret_key32) {
    switch (key->record.mechanism) {
    case HSM_MECHANISM_GCM:
        return p11_gcm_unwrap(hsm, p11_object(key), aad, body, fault, ret_key32);
    case HSM_MECHANISM_KEY_WRAP:
        return p11_keywrap_unwrap(hsm, p11_object(key), aad, body, fault, ret_key32);
    default:
        return p11_derive_unwrap(hsm, p11_pair(key), aad, body, fault, ret_key32);
    }
}

// A wrap that does not open is a data key lost, and nobody would notice until it is
// needed: so the device opens it again. Wraps are rare.
vlt_result p11_key_wrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                        const struct secret *key32, struct fault *fault, struct buf *body) {
    size_t begin = body->size;
    struct secret *again = secret_new(HSM_DATA_KEY_BYTES);
    if (!again)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    vlt_result result = p11_key_wrap_only(hsm, key, aad, key32, fault, body);
    if (vlt_is_ok(result)) {
        vlt_result opened =
            p11_key_unwrap(hsm, key, aad, bytes_from(buf_bytes(body), begin), fault, again);
        if (!vlt_is_ok(opened) ? opened.class == VLT_CRYPTO : !secret_is_same(key32, again)) {
            hsm->link = HSM_LINK_TRY_AGAIN;
            opened = fault_set(fault, VLT_UNAVAILABLE, "device does not open what it wrapped",
                               "device '%s' does not give back a key that it has just wrapped: it "
                               "is broken; the next call reaches it anew",
                               hsm->description.label);
        }
        result = opened;
    }
    secret_free(again);
    return result;
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
                                          SECRET_EXHAUSTED);
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
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
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
    return fault_set(
        fault, VLT_UNAVAILABLE, "device fails its known-answer check",
        "device '%s' does not give its known answer any more; the next call reaches it "
        "anew",
        hsm->description.label);
}

// --- opening ----------------------------------------------------------------

// Key state for an object that was found or made.
static vlt_result p11_key_state(struct hsm *hsm, struct hsm_open_key *key, CK_OBJECT_HANDLE object,
                                struct fault *fault) {
    struct p11_key *state = calloc(1, sizeof *state);
    if (!state)
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    state->pair.object = object;
    vlt_result result = key->record.mechanism == HSM_MECHANISM_SIGNATURE
                            ? p11_derive_open(hsm, object, fault, &state->pair)
                            : vlt_ok();
    if (vlt_is_ok(result))
        key->state = state;
    else
        free(state);
    return result;
}

// A key that gave its answer before, and is the same record: the device is sick. A
// key that is opened for the first time may be another one.
static vlt_result p11_key_wrong_answer(struct hsm *hsm, const struct hsm_open_key *key,
                                       struct fault *fault) {
    bool was_open = key >= hsm->keys && key < hsm->keys + hsm->key_count;
    if (was_open)
        return fault_set(fault, VLT_UNAVAILABLE, "device fails its known-answer check",
                         "device '%s' does not give its known answer any more; the next call "
                         "reaches it anew",
                         hsm->description.label);
    return fault_set(fault, VLT_CONFLICT, "another key, or an altered record",
                     "device '%s' holds a key with the id of wrapping key '%s', but it does "
                     "not give the known answer: it is another key, or the store's record was "
                     "altered",
                     hsm->description.label, key->record.of.p11.object);
}

vlt_result p11_key_open(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct record_p11 *record = &key->record.of.p11;
    CK_OBJECT_HANDLE object = 0;
    VLT_TRY(p11_object_find(hsm, &key->record, fault, &object));
    VLT_TRY(p11_object_check(hsm, &key->record, object, fault));
    VLT_TRY(p11_key_state(hsm, key, object, fault));
    vlt_result result =
        p11_answer_check(hsm, key, bytes_of(record->check, record->check_bytes), fault);
    if (result.class == VLT_CRYPTO)
        result = p11_key_wrong_answer(hsm, key, fault);
    if (!vlt_is_ok(result))
        p11_key_close(hsm, key);
    return result;
}

void p11_key_close(struct hsm *hsm, struct hsm_open_key *key) {
    struct p11_key *state = key->state;
    if (state)
        jwk_free(state->pair.public_half);
    free(state);
    key->state = NULL;
}

// --- creating ---------------------------------------------------------------

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
    struct p11_key state = {.pair = {.object = 0}};
    struct hsm_open_key probe = {.record = key->record, .state = &state};
    probe.record.mechanism = mechanism;
    CK_RV rv = p11_object_generate(p11, &probe.record, false, &state.pair.object);
    VLT_TRY(p11_result(hsm, rv, "make a key for a trial", fault));
    vlt_result result = p11_self_test(hsm, &probe, fault);
    (void)p11->functions->C_DestroyObject(p11->session, state.pair.object);
    return result;
}

// A pair takes seconds to make and devices without AES seldom have session keys:
// the key that stays is tried instead, and removed when it fails (p11_key_create).
static vlt_result p11_probe_signature(struct hsm *hsm, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    CK_MECHANISM_INFO info;
    CK_RV rv = p11->functions->C_GetMechanismInfo(p11->slot, CKM_SHA256_RSA_PKCS, &info);
    if (rv == CKR_OK)
        rv = p11->functions->C_GetMechanismInfo(p11->slot, CKM_RSA_PKCS_KEY_PAIR_GEN, &info);
    return p11_result(hsm, rv, "wrap data keys: it has no RSA signatures, too", fault);
}

static vlt_result p11_choose_mechanism(struct hsm *hsm, struct hsm_open_key *key,
                                       struct fault *fault) {
    static const enum hsm_mechanism order[] = {HSM_MECHANISM_GCM, HSM_MECHANISM_KEY_WRAP,
                                               HSM_MECHANISM_SIGNATURE};
    struct p11 *p11 = hsm->device;
    vlt_result result = vlt_fail(VLT_BUG, "no mechanism to choose from");
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        enum hsm_mechanism wanted = hsm->settings.mechanism;
        if (wanted != HSM_MECHANISM_AUTO && wanted != order[i])
            continue;
        hsm->link = HSM_LINK_HELD;
        p11->is_lost = false;
        result = order[i] == HSM_MECHANISM_SIGNATURE ? p11_probe_signature(hsm, fault)
                                                     : p11_probe(hsm, key, order[i], fault);
        if (vlt_is_ok(result))
            key->record.mechanism = order[i];
        // A device that went away has said nothing about what it can do.
        if (vlt_is_ok(result) || p11->is_lost)
            return result;
    }
    return result;
}

static vlt_result p11_record_begin(struct hsm *hsm, struct hsm_record *record,
                                   struct fault *fault) {
    const struct hsm_description *d = &hsm->description;
    struct record_p11 *p11 = &record->of.p11;
    VLT_TRY(p11_object_label(hsm, record->generation, fault, p11->object));
    VLT_TRY(p11_object_id(hsm, record->generation, fault, record->id));
    bool fits = bytes_to_text(bytes_of_text(d->label), p11->label, sizeof p11->label) &&
                bytes_to_text(bytes_of_text(d->manufacturer), p11->manufacturer,
                              sizeof p11->manufacturer) &&
                bytes_to_text(bytes_of_text(d->model), p11->model, sizeof p11->model) &&
                bytes_to_text(bytes_of_text(d->serial), p11->serial, sizeof p11->serial);
    if (!fits)
        return vlt_fail(VLT_BUG, "record of the wrapping key cannot be begun");
    return vlt_ok();
}

vlt_result p11_key_create(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    VLT_TRY(p11_record_begin(hsm, &key->record, fault));
    VLT_TRY(p11_object_check_free(hsm, &key->record, fault));
    VLT_TRY(p11_choose_mechanism(hsm, key, fault));
    CK_OBJECT_HANDLE object = 0;
    CK_RV rv = p11_object_generate(p11, &key->record, true, &object);
    VLT_TRY(p11_result(hsm, rv, "make a wrapping key", fault));
    vlt_result result = p11_object_check(hsm, &key->record, object, fault);
    if (vlt_is_ok(result))
        result = p11_key_state(hsm, key, object, fault);
    if (vlt_is_ok(result))
        result = p11_self_test(hsm, key, fault);
    if (!vlt_is_ok(result)) { // a key that nobody has a record of must not stay
        (void)p11_object_destroy(p11, &key->record, object);
        p11_key_close(hsm, key);
    }
    return result;
}

vlt_result p11_key_destroy(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct p11 *p11 = hsm->device;
    CK_RV rv = p11_object_destroy(p11, &key->record, p11_object(key));
    return p11_result(hsm, rv, "delete the wrapping key", fault);
}
