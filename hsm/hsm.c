// SPDX-License-Identifier: Apache-2.0
#include "hsm/hsm.h"

#include <stdlib.h>

#include "hsm/device.h"
#include "libvault/base/clock.h"

static bool text_ends(const char *text, size_t capacity) {
    return memchr(text, 0, capacity) != NULL;
}

static vlt_result hsm_check_settings(const struct hsm_settings *s, struct fault *fault) {
    if (!text_ends(s->tcti, sizeof s->tcti) || !text_ends(s->p11_uri, sizeof s->p11_uri) ||
        !text_ends(s->p11_module, sizeof s->p11_module) ||
        !text_ends(s->pin_source, sizeof s->pin_source))
        return fault_set(fault, VLT_BUG, "settings are not terminated",
                         "a device setting has no end");
    if (s->kind == HSM_TPM && s->boot_pcrs)
        VLT_TRY(boot_pcrs_check(s->boot_pcrs, fault));
    if (s->kind == HSM_TPM && s->tcti[0] &&
        (s->mechanism == HSM_MECHANISM_AUTO || s->mechanism == HSM_MECHANISM_ECDH))
        return vlt_ok();
    if (s->kind == HSM_PKCS11 && s->p11_uri[0] && s->mechanism != HSM_MECHANISM_ECDH)
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "device settings are incomplete",
                     "a TPM needs a TCTI configuration, a PKCS#11 device needs a URI, and the "
                     "mechanism must be one of that kind of device");
}

// --- reaching the device ----------------------------------------------------

static void hsm_drop(struct hsm *hsm) {
    if (!hsm->is_reached)
        return;
    for (unsigned i = 0; i < hsm->key_count; i++)
        hsm->ops->key_close(hsm, &hsm->keys[i]);
    hsm->ops->drop(hsm);
    hsm->device = NULL;
    hsm->is_reached = false;
}

// Opening a key, made or found, ends with its known answer.
static void hsm_note_answer(struct hsm *hsm) { hsm->description.known_answer_at = clock_now_s(); }

// Reaches a device that was lost and opens every key anew: whoever answers now
// must prove that it is the device of before.
static vlt_result hsm_reach(struct hsm *hsm, struct fault *fault) {
    if (hsm->is_reached)
        return vlt_ok();
    hsm->link = HSM_LINK_HELD;
    VLT_TRY(hsm->ops->reach(hsm, fault));
    hsm->is_reached = true;
    for (unsigned i = 0; i < hsm->key_count; i++) {
        vlt_result result = hsm->ops->key_open(hsm, &hsm->keys[i], fault);
        if (!vlt_is_ok(result)) {
            hsm_drop(hsm);
            return result;
        }
        hsm_note_answer(hsm);
    }
    return vlt_ok();
}

vlt_result hsm_open(const struct hsm_settings *settings, struct fault *fault,
                    struct hsm **ret_hsm) {
    VLT_TRY(hsm_check_settings(settings, fault));
    struct hsm *hsm = calloc(1, sizeof *hsm);
    if (!hsm)
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    hsm->settings = *settings;
    hsm->ops = settings->kind == HSM_TPM ? &tpm_ops : &p11_ops;
    hsm->description.kind = settings->kind;
    vlt_result result = hsm_reach(hsm, fault);
    if (!vlt_is_ok(result)) {
        hsm_close(hsm);
        return result;
    }
    *ret_hsm = hsm;
    return vlt_ok();
}

void hsm_close(struct hsm *hsm) {
    if (!hsm)
        return;
    hsm_drop(hsm);
    if (hsm->ops->forget)
        hsm->ops->forget(hsm);
    free(hsm->approvals);
    free(hsm);
}

// --- one call, perhaps on a device that has to be reached again -------------

vlt_result hsm_run(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    for (unsigned try_count = 0;; try_count++) {
        VLT_TRY(hsm_reach(hsm, fault));
        hsm->link = HSM_LINK_HELD;
        vlt_result result = call->step(hsm, call, fault);
        if (vlt_is_ok(result) || hsm->link == HSM_LINK_HELD)
            return result;
        bool again = hsm->link == HSM_LINK_TRY_AGAIN && !call->is_once && try_count == 0;
        hsm_drop(hsm);
        if (!again)
            return result;
    }
}

// --- keys -------------------------------------------------------------------

static struct hsm_open_key *hsm_key_by_id(struct hsm *hsm, const uint8_t id[HSM_KEY_ID_BYTES]) {
    for (unsigned i = 0; i < hsm->key_count; i++)
        if (bytes_equal(bytes_of(hsm->keys[i].record.id, HSM_KEY_ID_BYTES),
                        bytes_of(id, HSM_KEY_ID_BYTES)))
            return &hsm->keys[i];
    return NULL;
}

struct hsm_open_key *hsm_newest_key(const struct hsm *hsm) {
    const struct hsm_open_key *newest = NULL;
    for (unsigned i = 0; i < hsm->key_count; i++)
        if (!newest || hsm->keys[i].record.generation > newest->record.generation)
            newest = &hsm->keys[i];
    return newest ? (struct hsm_open_key *)(uintptr_t)newest : NULL;
}

static void hsm_key_forget(struct hsm *hsm, struct hsm_open_key *key) {
    if (hsm->is_reached)
        hsm->ops->key_close(hsm, key);
    *key = hsm->keys[--hsm->key_count];
    secret_cleanse(&hsm->keys[hsm->key_count], sizeof *key);
}

static vlt_result hsm_key_room(struct hsm *hsm, struct fault *fault) {
    if (hsm->key_count < HSM_KEYS_MAX)
        return vlt_ok();
    return fault_set(fault, VLT_LIMIT, "too many open keys",
                     "%d generations of the wrapping key are open already: finish the rotation, "
                     "then remove old ones",
                     HSM_KEYS_MAX);
}

static vlt_result step_create(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->key_create(hsm, call->key, fault);
}

vlt_result hsm_key_create(struct hsm *hsm, uint32_t generation, struct fault *fault,
                          struct hsm_key *ret_key) {
    VLT_TRY(hsm_key_room(hsm, fault));
    if (!generation)
        return vlt_fail(VLT_BUG, "generations count from 1");
    for (unsigned i = 0; i < hsm->key_count; i++)
        if (hsm->keys[i].record.generation == generation)
            return fault_set(fault, VLT_CONFLICT, "wrapping key exists",
                             "generation %u of the wrapping key exists and is open", generation);
    struct hsm_open_key key = {.record = {.kind = hsm->settings.kind, .generation = generation}};
    struct hsm_call call = {.step = step_create, .is_once = true, .key = &key};
    VLT_TRY(hsm_run(hsm, &call, fault));
    struct hsm_open_key *open = &hsm->keys[hsm->key_count++];
    *open = key;
    hsm_note_answer(hsm);
    vlt_result result = hsm_record_encode(&key.record, ret_key);
    if (vlt_is_ok(result))
        return result;
    // A key that the store cannot describe must not stay in the device.
    (void)vlt_is_ok(hsm->ops->key_destroy(hsm, open, NULL));
    hsm_key_forget(hsm, open);
    return result;
}

static vlt_result step_find(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->key_open(hsm, call->key, fault);
}

static vlt_result hsm_key_decode(struct hsm *hsm, const struct hsm_key *key, struct fault *fault,
                                 struct hsm_record *ret_record) {
    if (key->size > sizeof key->at)
        return vlt_fail(VLT_BUG, "key record has no valid size");
    struct hsm_record record;
    vlt_result result = hsm_record_decode(bytes_of(key->at, key->size), &record);
    if (!vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason,
                         "the store's record of the wrapping key is damaged (%s): restore it from "
                         "a backup",
                         result.reason);
    if (record.kind != hsm->settings.kind)
        return fault_set(fault, VLT_CONFLICT, "key belongs to another kind of device",
                         "the store was made with a %s, the configuration names a %s: correct the "
                         "device setting",
                         record.kind == HSM_TPM ? "TPM" : "PKCS#11 device",
                         hsm->settings.kind == HSM_TPM ? "TPM" : "PKCS#11 device");
    *ret_record = record;
    return vlt_ok();
}

vlt_result hsm_key_find(struct hsm *hsm, const struct hsm_key *key, struct fault *fault) {
    struct hsm_open_key found = {.state = NULL};
    VLT_TRY(hsm_key_decode(hsm, key, fault, &found.record));
    struct hsm_open_key *open = hsm_key_by_id(hsm, found.record.id);
    struct hsm_key same;
    if (open && vlt_is_ok(hsm_record_encode(&open->record, &same)) &&
        bytes_equal(bytes_of(same.at, same.size), bytes_of(key->at, key->size)))
        return vlt_ok();
    if (open)
        return fault_set(fault, VLT_CONFLICT, "key is open with another record",
                         "a wrapping key of that id is open, with another record");
    VLT_TRY(hsm_key_room(hsm, fault));
    struct hsm_call call = {.step = step_find, .key = &found};
    VLT_TRY(hsm_run(hsm, &call, fault));
    hsm->keys[hsm->key_count++] = found;
    hsm_note_answer(hsm);
    return vlt_ok();
}

static vlt_result step_destroy(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    return hsm->ops->key_destroy(hsm, call->key, fault);
}

vlt_result hsm_key_destroy(struct hsm *hsm, const struct hsm_key *key, struct fault *fault) {
    struct hsm_record record;
    VLT_TRY(hsm_key_decode(hsm, key, fault, &record));
    if (!hsm_key_by_id(hsm, record.id))
        VLT_TRY(hsm_key_find(hsm, key, fault));
    struct hsm_open_key *open = hsm_key_by_id(hsm, record.id);
    struct hsm_call call = {.step = step_destroy, .is_once = true, .key = open};
    VLT_TRY(hsm_run(hsm, &call, fault));
    hsm_key_forget(hsm, open);
    return vlt_ok();
}

// --- wrap and unwrap --------------------------------------------------------

static vlt_result hsm_check_context(struct bytes context) {
    if (!context.size || context.size > HSM_CONTEXT_MAX_BYTES)
        return vlt_fail(VLT_BUG, "context of a wrapped key is empty or too long");
    return vlt_ok();
}

static vlt_result step_wrap(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    struct hsm_open_key *key = hsm_newest_key(hsm);
    uint8_t header[RECORD_BLOB_HEADER_BYTES], aad[RECORD_AAD_MAX_BYTES];
    record_blob_header(&key->record, header);
    size_t aad_bytes = record_aad(&key->record, call->context, aad);
    struct buf blob;
    buf_init(&blob, HSM_BLOB_MAX_BYTES);
    buf_put(&blob, bytes_of(header, sizeof header));
    vlt_result result =
        hsm->ops->wrap(hsm, key, bytes_of(aad, aad_bytes), call->plain, fault, &blob);
    if (vlt_is_ok(result) && !buf_failed(&blob))
        buf_put(call->ret_blob, buf_bytes(&blob));
    if (vlt_is_ok(result) && (buf_failed(&blob) || buf_failed(call->ret_blob)))
        result = vlt_fail(VLT_LIMIT, "wrapped key does not fit");
    buf_done(&blob);
    return result;
}

vlt_result hsm_wrap(struct hsm *hsm, struct bytes context, const struct secret *key32,
                    struct fault *fault, struct buf *ret_blob) {
    VLT_TRY(hsm_check_context(context));
    if (secret_size(key32) != HSM_DATA_KEY_BYTES)
        return vlt_fail(VLT_BUG, "a data key has 32 bytes");
    if (!hsm->key_count)
        return vlt_fail(VLT_BUG, "no wrapping key is open");
    struct hsm_call call = {
        .step = step_wrap, .context = context, .plain = key32, .ret_blob = ret_blob};
    return hsm_run(hsm, &call, fault);
}

static vlt_result step_unwrap(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    struct record_blob blob;
    VLT_TRY(record_blob_decode(call->blob, &blob));
    uint8_t aad[RECORD_AAD_MAX_BYTES];
    size_t aad_bytes = record_aad(&call->key->record, call->context, aad);
    vlt_result result = hsm->ops->unwrap(hsm, call->key, bytes_of(aad, aad_bytes), blob.body, fault,
                                         call->ret_plain);
    if (result.class != VLT_CRYPTO)
        return result;
    // Devices report a bad tag as a failure of their own (CKR_GENERAL_ERROR,
    // TPM_RC_FAILURE). Only a device that still gives its known answer is
    // allowed to accuse the blob.
    VLT_TRY(hsm->ops->key_check(hsm, call->key, fault));
    return fault_set(fault, VLT_CRYPTO, "wrapped key was altered or belongs elsewhere",
                     "a wrapped data key does not open although the device is healthy: it was "
                     "altered, or moved here from another tenant or key number; restore the store "
                     "from a backup");
}

vlt_result hsm_unwrap(struct hsm *hsm, struct bytes context, struct bytes blob, struct fault *fault,
                      struct secret *ret_key32) {
    VLT_TRY(hsm_check_context(context));
    if (secret_capacity(ret_key32) < HSM_DATA_KEY_BYTES)
        return vlt_fail(VLT_BUG, "no room for a data key");
    struct record_blob decoded;
    VLT_TRY(record_blob_decode(blob, &decoded));
    struct hsm_open_key *key = hsm_key_by_id(hsm, decoded.id);
    if (!key)
        return fault_set(fault, VLT_NOT_FOUND, "wrapped by a key that is not open here",
                         "a wrapped data key names a wrapping key that this device has not opened: "
                         "it was made by another device or another generation of the key");
    if (key->record.mechanism != decoded.mechanism)
        return vlt_fail(VLT_CRYPTO, "wrapped key names another mechanism than its wrapping key");
    struct hsm_call call = {.step = step_unwrap,
                            .key = key,
                            .context = context,
                            .blob = blob,
                            .ret_plain = ret_key32};
    return hsm_run(hsm, &call, fault);
}

// --- health and facts -------------------------------------------------------

static vlt_result step_check(struct hsm *hsm, struct hsm_call *call, struct fault *fault) {
    for (unsigned i = 0; i < hsm->key_count; i++)
        VLT_TRY(hsm->ops->key_check(hsm, &hsm->keys[i], fault));
    if (hsm->key_count > 0)
        hsm_note_answer(hsm);
    return vlt_ok();
}

vlt_result hsm_check(struct hsm *hsm, struct fault *fault) {
    struct hsm_call call = {.step = step_check};
    return hsm_run(hsm, &call, fault);
}

static const char *hsm_mechanism_text(enum hsm_mechanism mechanism) {
    switch (mechanism) {
    case HSM_MECHANISM_ECDH:
        return "ECDH P-256, HPKE with AES-256-GCM";
    case HSM_MECHANISM_GCM:
        return "AES-256-GCM (CKM_AES_GCM)";
    case HSM_MECHANISM_KEY_WRAP:
        return "AES-256 key wrap with HMAC (CKM_AES_KEY_WRAP)";
    case HSM_MECHANISM_SIGNATURE:
        return "AES-256-GCM, key by RSA signature (CKM_SHA256_RSA_PKCS)";
    case HSM_MECHANISM_AUTO:
        break;
    }
    return "";
}

void hsm_describe(const struct hsm *hsm, struct hsm_description *ret_description) {
    struct hsm_description d = hsm->description;
    const struct hsm_open_key *newest = hsm_newest_key(hsm);
    d.key_count = hsm->key_count;
    d.generation = newest ? newest->record.generation : 0;
    if (newest && newest->record.kind == HSM_TPM)
        d.boot_pcrs = newest->record.of.tpm.boot.created.pcrs;
    (void)bytes_to_text(bytes_of_text(d.kind == HSM_TPM ? "TPM 2.0" : "PKCS#11"), d.kind_text,
                        sizeof d.kind_text);
    if (newest)
        (void)bytes_to_text(bytes_of_text(hsm_mechanism_text(newest->record.mechanism)),
                            d.mechanism, sizeof d.mechanism);
    *ret_description = d;
}

vlt_result hsm_key_facts(const struct hsm_key *key, enum hsm_kind *ret_kind,
                         uint32_t *ret_generation, uint8_t ret_id[HSM_KEY_ID_BYTES]) {
    struct hsm_record record;
    if (key->size > sizeof key->at)
        return vlt_fail(VLT_BUG, "key record has no valid size");
    VLT_TRY(hsm_record_decode(bytes_of(key->at, key->size), &record));
    *ret_kind = record.kind;
    *ret_generation = record.generation;
    memcpy(ret_id, record.id, sizeof record.id);
    return vlt_ok();
}

vlt_result hsm_blob_key_id(struct bytes blob, uint8_t ret_id[HSM_KEY_ID_BYTES]) {
    struct record_blob decoded;
    VLT_TRY(record_blob_decode(blob, &decoded));
    memcpy(ret_id, decoded.id, sizeof decoded.id);
    return vlt_ok();
}
