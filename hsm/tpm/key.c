// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/key.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <tss2/tss2_mu.h>

#include "hsm/pin.h"
#include "hsm/tpm/boot.h"
#include "hsm/tpm/device.h"
#include "hsm/tpm/object.h"

#define TPM_AUTH_BYTES 32
static bool tpm_hmac(struct bytes key, struct bytes first, struct bytes second,
                     uint8_t out[TPM_AUTH_BYTES]) {
    uint8_t both[128];
    unsigned size = 0;
    if (first.size + second.size > sizeof both)
        return false;
    memcpy(both, first.at, first.size);
    if (second.size)
        memcpy(both + first.size, second.at, second.size);
    bool done =
        HMAC(EVP_sha256(), key.at, (int)key.size, both, first.size + second.size, out, &size);
    secret_cleanse(both, sizeof both);
    return done;
}

// --- state ------------------------------------------------------------------

static void tpm_key_free(struct tpm_key *state) {
    if (!state)
        return;
    secret_free(state->auth);
    secret_free(state->psk);
    free(state);
}

static struct tpm_key *tpm_key_new(void) {
    struct tpm_key *state = calloc(1, sizeof *state);
    if (!state)
        return NULL;
    state->auth = secret_new(TPM_AUTH_BYTES);
    state->psk = secret_new(TPM_AUTH_BYTES);
    if (state->auth && state->psk)
        return state;
    tpm_key_free(state);
    return NULL;
}

vlt_result tpm_derive_auth(const struct hsm *hsm, const uint8_t seed[RECORD_SEED_BYTES],
                           struct fault *fault, TPM2B_AUTH *ret_auth) {
    struct secret *pin = NULL;
    if (hsm->settings.pin_source[0])
        VLT_TRY(pin_read(hsm->settings.pin_source, fault, &pin));
    struct bytes pin_bytes = pin ? bytes_of(secret_borrow(pin), secret_size(pin)) : bytes_of("", 0);
    bool done = tpm_hmac(bytes_of(seed, RECORD_SEED_BYTES), BYTES_LITERAL("vaultd tpm auth v1"),
                         pin_bytes, ret_auth->buffer);
    if (pin)
        secret_release(pin);
    secret_free(pin);
    ret_auth->size = TPM_AUTH_BYTES;
    return done ? vlt_ok() : vlt_fail(VLT_BUG, "authorization cannot be derived");
}

static vlt_result tpm_key_derive_auth(const struct hsm *hsm, const struct record_tpm *record,
                                      struct fault *fault, struct secret *auth) {
    TPM2B_AUTH derived;
    VLT_TRY(tpm_derive_auth(hsm, record->seed, fault, &derived));
    vlt_result result = secret_set(auth, derived.buffer, derived.size);
    secret_cleanse(&derived, sizeof derived);
    return result;
}

// psk and known answer, both from one multiplication in the TPM.
static vlt_result tpm_key_derive_psk(struct hsm *hsm, const struct hsm_open_key *key,
                                     struct fault *fault, struct secret *psk,
                                     uint8_t check[RECORD_CHECK_BYTES]) {
    const struct tpm_key *state = key->state;
    struct secret *dh = secret_new(HPKE_DH_BYTES);
    if (!dh)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    vlt_result result = tpm_object_multiply(hsm, key, state->point, fault, dh);
    uint8_t derived[TPM_AUTH_BYTES];
    if (vlt_is_ok(result)) {
        bool done = tpm_hmac(BYTES_LITERAL("vaultd tpm psk v1"),
                             bytes_of(secret_borrow(dh), secret_size(dh)), bytes_of(NULL, 0),
                             derived) &&
                    tpm_hmac(bytes_of(derived, sizeof derived),
                             BYTES_LITERAL("vaultd known answer v1"), bytes_of(NULL, 0), check);
        secret_release(dh);
        result = done ? secret_set(psk, derived, sizeof derived)
                      : vlt_fail(VLT_BUG, "pre-shared key cannot be derived");
    }
    secret_cleanse(derived, sizeof derived);
    secret_free(dh);
    return result;
}

// --- create, open, close ----------------------------------------------------

static vlt_result tpm_key_put_record(const struct hsm *hsm, const struct tpm_key *state,
                                     struct record_tpm *record) {
    const struct tpm *tpm = hsm->device;
    record->public_bytes = record->private_bytes = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(&state->public_area, record->public_area,
                                     sizeof record->public_area,
                                     &record->public_bytes) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(&state->private_area, record->private_area,
                                      sizeof record->private_area,
                                      &record->private_bytes) != TSS2_RC_SUCCESS)
        return vlt_fail(VLT_LIMIT, "wrapping key does not fit its record");
    memcpy(record->primary_name, tpm->primary_name, sizeof record->primary_name);
    return vlt_ok();
}

vlt_result tpm_key_create(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    struct record_tpm *record = &key->record.of.tpm;
    struct tpm_key *state = tpm_key_new();
    if (!state)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    key->record.mechanism = HSM_MECHANISM_ECDH;
    vlt_result result = RAND_bytes(record->seed, sizeof record->seed) == 1
                            ? tpm_key_derive_auth(hsm, record, fault, state->auth)
                            : vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    if (vlt_is_ok(result))
        result = tpm_boot_bind(hsm, fault, &record->boot);
    if (vlt_is_ok(result))
        result = tpm_object_make(hsm, &record->boot, state, fault);
    if (vlt_is_ok(result))
        result = tpm_object_take_public(&record->boot, state, fault);
    if (vlt_is_ok(result))
        result = tpm_key_put_record(hsm, state, record);
    if (vlt_is_ok(result)) {
        memcpy(key->record.id, state->name + 2, sizeof key->record.id);
        key->state = state;
        result = tpm_key_derive_psk(hsm, key, fault, state->psk, record->check);
    }
    if (!vlt_is_ok(result)) {
        tpm_key_free(state);
        key->state = NULL;
    }
    return result;
}

static vlt_result tpm_key_read_record(const struct hsm_open_key *key, struct tpm_key *state,
                                      struct fault *fault) {
    const struct record_tpm *record = &key->record.of.tpm;
    size_t public_bytes = 0, private_bytes = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(record->public_area, record->public_bytes, &public_bytes,
                                       &state->public_area) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Unmarshal(record->private_area, record->private_bytes, &private_bytes,
                                        &state->private_area) != TSS2_RC_SUCCESS ||
        public_bytes != record->public_bytes || private_bytes != record->private_bytes)
        return fault_set(fault, VLT_MALFORMED, "key record is damaged",
                         "the store's record of the wrapping key is damaged: restore it from a "
                         "backup");
    VLT_TRY(tpm_object_take_public(&record->boot, state, fault));
    if (!bytes_equal(bytes_of(state->name + 2, sizeof key->record.id),
                     bytes_of(key->record.id, sizeof key->record.id)))
        return fault_set(fault, VLT_CRYPTO, "key record is altered",
                         "the store's record of the wrapping key names another key than it holds: "
                         "restore it from a backup");
    return vlt_ok();
}

static vlt_result tpm_key_check_pin(const struct hsm *hsm, const struct record_tpm *record,
                                    struct fault *fault) {
    const struct tpm *tpm = hsm->device;
    if (bytes_equal(bytes_of(record->primary_name, sizeof record->primary_name),
                    bytes_of(tpm->primary_name, sizeof tpm->primary_name)))
        return vlt_ok();
    return fault_set(fault, VLT_CONFLICT, "another TPM, or a cleared one",
                     "TPM %s is not the one that made this store, or it was cleared since: attach "
                     "the right TPM, or recover the vault on this one",
                     hsm->settings.tcti);
}

vlt_result tpm_key_open(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct record_tpm *record = &key->record.of.tpm;
    // First of all: nothing secret goes to a TPM that is not the pinned one.
    VLT_TRY(tpm_key_check_pin(hsm, record, fault));
    struct tpm_key *state = tpm_key_new();
    if (!state)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    uint8_t check[RECORD_CHECK_BYTES];
    key->state = state;
    vlt_result result = tpm_key_read_record(key, state, fault);
    if (vlt_is_ok(result))
        result = tpm_key_derive_auth(hsm, record, fault, state->auth);
    if (vlt_is_ok(result))
        result = tpm_key_derive_psk(hsm, key, fault, state->psk, check);
    if (vlt_is_ok(result) &&
        !secret_equal(bytes_of(check, sizeof check), bytes_of(record->check, sizeof record->check)))
        result = fault_set(fault, VLT_CRYPTO, "known answer of the wrapping key differs",
                           "the wrapping key of TPM %s does not give its known answer: the store's "
                           "record was altered; restore it from a backup",
                           hsm->settings.tcti);
    secret_cleanse(check, sizeof check);
    if (!vlt_is_ok(result))
        tpm_key_close(hsm, key);
    return result;
}

void tpm_key_close(struct hsm *hsm, struct hsm_open_key *key) {
    struct tpm *tpm = hsm->device;
    if (tpm && tpm->loaded != ESYS_TR_NONE && hsm->link == HSM_LINK_HELD &&
        bytes_equal(bytes_of(tpm->loaded_id, HSM_KEY_ID_BYTES),
                    bytes_of(key->record.id, HSM_KEY_ID_BYTES)))
        tpm_flush(tpm, &tpm->loaded);
    tpm_key_free(key->state);
    key->state = NULL;
}

vlt_result tpm_key_destroy(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    return vlt_ok(); // the key is nowhere but in its record, which the caller deletes
}

// --- use --------------------------------------------------------------------

vlt_result tpm_key_check(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault) {
    const struct record_tpm *record = &key->record.of.tpm;
    uint8_t check[RECORD_CHECK_BYTES];
    struct secret *psk = secret_new(TPM_AUTH_BYTES);
    if (!psk)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    vlt_result result = tpm_key_derive_psk(hsm, key, fault, psk, check);
    secret_free(psk);
    if (vlt_is_ok(result) && !secret_equal(bytes_of(check, sizeof check),
                                           bytes_of(record->check, sizeof record->check))) {
        hsm->link = HSM_LINK_BROKEN;
        result =
            fault_set(fault, VLT_UNAVAILABLE, "TPM fails its known-answer check",
                      "TPM %s computes wrongly: its wrapping key does not give the known answer "
                      "any more; replace it",
                      hsm->settings.tcti);
    }
    secret_cleanse(check, sizeof check);
    return result;
}

static struct hpke_sender tpm_key_sender(const struct tpm_key *state, struct bytes aad) {
    return (struct hpke_sender){.recipient = state->point,
                                .psk = state->psk,
                                .psk_id = bytes_of(state->name, sizeof state->name),
                                .info = BYTES_LITERAL("vaultd tpm wrap v1"),
                                .aad = aad};
}

vlt_result tpm_key_wrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                        const struct secret *key32, struct fault *fault, struct buf *body) {
    const struct hpke_sender sender = tpm_key_sender(key->state, aad);
    return hpke_encrypt(&sender, key32, body);
}

vlt_result tpm_key_unwrap(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                          struct bytes body, struct fault *fault, struct secret *ret_key32) {
    if (body.size != HPKE_POINT_BYTES + HSM_DATA_KEY_BYTES + HPKE_TAG_BYTES)
        return vlt_fail(VLT_CRYPTO, "wrapped key has a wrong size");
    struct bytes point;
    VLT_TRY(hpke_point(body, &point));
    struct secret *dh = secret_new(HPKE_DH_BYTES);
    if (!dh)
        return fault_set(fault, VLT_LIMIT, "secret memory is exhausted", SECRET_EXHAUSTED);
    const struct hpke_sender sender = tpm_key_sender(key->state, aad);
    vlt_result result = tpm_object_multiply(hsm, key, point.at, fault, dh);
    if (vlt_is_ok(result))
        result = hpke_decrypt(&sender, dh, body, ret_key32);
    secret_free(dh);
    return result;
}
