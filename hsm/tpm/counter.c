// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/counter.h"

#include <openssl/rand.h>
#include <tss2/tss2_esys.h>

#include "hsm/tpm/device.h"
#include "hsm/tpm/key.h"
#include "hsm/tpm/result.h"

#define COUNTER_TRIES 8 // of finding an index that nobody uses

static TPM2B_NV_PUBLIC tpm_counter_template(uint32_t index) {
    TPM2B_NV_PUBLIC t = {.nvPublic = {.nvIndex = index, .nameAlg = TPM2_ALG_SHA256, .dataSize = 8}};
    t.nvPublic.attributes = TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA |
                            (TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT);
    return t;
}

static vlt_result tpm_counter_define(struct hsm *hsm, const TPM2B_AUTH *auth,
                                     struct record_counter *record, struct fault *fault,
                                     ESYS_TR *ret_index) {
    struct tpm *tpm = hsm->device;
    TSS2_RC rc = TPM2_RC_NV_DEFINED;
    for (unsigned i = 0; i < COUNTER_TRIES && rc == TPM2_RC_NV_DEFINED; i++) {
        uint32_t random = 0;
        if (RAND_bytes((uint8_t *)&random, sizeof random) != 1)
            return vlt_fail(VLT_UNAVAILABLE, "no random bytes");
        record->index =
            RECORD_INDEX_FIRST + random % (RECORD_INDEX_LAST - RECORD_INDEX_FIRST + 1);
        const TPM2B_NV_PUBLIC template = tpm_counter_template(record->index);
        TPM_SEND(rc, Esys_NV_DefineSpace(tpm->esys, ESYS_TR_RH_OWNER, tpm->session, ESYS_TR_NONE,
                                         ESYS_TR_NONE, auth, &template, ret_index));
    }
    if (rc == TPM2_RC_NV_SPACE)
        return fault_set(fault, VLT_LIMIT, "TPM has no room for a counter",
                         "TPM %s has no NV memory left for a rollback counter: remove indices that "
                         "nothing needs (tpm2_nvundefine)",
                         hsm->settings.tcti);
    return tpm_result(hsm, rc, "make a rollback counter", fault);
}

static vlt_result tpm_counter_note_name(struct hsm *hsm, ESYS_TR index, struct fault *fault,
                                        uint8_t name[RECORD_TPM_NAME_BYTES]) {
    struct tpm *tpm = hsm->device;
    TPM2B_NAME *found = NULL;
    VLT_TRY(tpm_result(hsm, Esys_TR_GetName(tpm->esys, index, &found), "name its rollback counter",
                       fault));
    bool fits = found->size == RECORD_TPM_NAME_BYTES;
    if (fits)
        memcpy(name, found->name, RECORD_TPM_NAME_BYTES);
    Esys_Free(found);
    return fits ? vlt_ok() : vlt_fail(VLT_BUG, "name of the rollback counter has a wrong size");
}

static vlt_result tpm_counter_increment(struct hsm *hsm, ESYS_TR index, struct fault *fault) {
    struct tpm *tpm = hsm->device;
    TSS2_RC rc;
    TPM_SEND(rc, Esys_NV_Increment(tpm->esys, index, index, tpm->session, ESYS_TR_NONE,
                                   ESYS_TR_NONE));
    return tpm_result(hsm, rc, "advance the rollback counter", fault);
}

vlt_result tpm_counter_create(struct hsm *hsm, struct record_counter *record, struct fault *fault) {
    struct tpm *tpm = hsm->device;
    TPM2B_AUTH auth;
    ESYS_TR index = ESYS_TR_NONE;
    if (RAND_bytes(record->seed, sizeof record->seed) != 1)
        return vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    VLT_TRY(tpm_derive_auth(hsm, record->seed, fault, &auth));
    vlt_result result = tpm_counter_define(hsm, &auth, record, fault, &index);
    if (vlt_is_ok(result))
        result =
            tpm_result(hsm, Esys_TR_SetAuth(tpm->esys, index, &auth), "use its counter", fault);
    secret_cleanse(&auth, sizeof auth);
    // A counter has no value, and not its final name, before the first step.
    if (vlt_is_ok(result))
        result = tpm_counter_increment(hsm, index, fault);
    if (vlt_is_ok(result))
        result = tpm_counter_note_name(hsm, index, fault, record->name);
    if (index != ESYS_TR_NONE)
        (void)Esys_TR_Close(tpm->esys, &index);
    return result;
}

// Finds the index, makes sure that it is the one of the record, authorizes it.
static vlt_result tpm_counter_open(struct hsm *hsm, const struct record_counter *record,
                                   struct fault *fault, ESYS_TR *ret_index) {
    struct tpm *tpm = hsm->device;
    ESYS_TR index = ESYS_TR_NONE;
    TSS2_RC rc;
    TPM_SEND(rc, Esys_TR_FromTPMPublic(tpm->esys, record->index, ESYS_TR_NONE, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &index));
    if ((rc & ~(TSS2_RC_LAYER_MASK | 0xf40U)) == TPM2_RC_HANDLE)
        return fault_set(fault, VLT_NOT_FOUND, "rollback counter is gone",
                         "TPM %s does not hold the rollback counter of this store: it is another "
                         "TPM, it was cleared, or somebody removed index 0x%08x",
                         hsm->settings.tcti, (unsigned)record->index);
    VLT_TRY(tpm_result(hsm, rc, "find the rollback counter", fault));
    uint8_t name[RECORD_TPM_NAME_BYTES];
    TPM2B_AUTH auth = {.size = 0};
    vlt_result result = tpm_counter_note_name(hsm, index, fault, name);
    if (vlt_is_ok(result) &&
        !bytes_equal(bytes_of(name, sizeof name), bytes_of(record->name, sizeof record->name)))
        result = fault_set(fault, VLT_CONFLICT, "another rollback counter",
                           "index 0x%08x of TPM %s is not the rollback counter of this store",
                           (unsigned)record->index, hsm->settings.tcti);
    if (vlt_is_ok(result))
        result = tpm_derive_auth(hsm, record->seed, fault, &auth);
    if (vlt_is_ok(result))
        result =
            tpm_result(hsm, Esys_TR_SetAuth(tpm->esys, index, &auth), "use its counter", fault);
    secret_cleanse(&auth, sizeof auth);
    if (!vlt_is_ok(result)) {
        (void)Esys_TR_Close(tpm->esys, &index);
        return result;
    }
    *ret_index = index;
    return vlt_ok();
}

vlt_result tpm_counter_read(struct hsm *hsm, const struct record_counter *record,
                            struct fault *fault, uint64_t *ret_value) {
    struct tpm *tpm = hsm->device;
    ESYS_TR index = ESYS_TR_NONE;
    VLT_TRY(tpm_counter_open(hsm, record, fault, &index));
    TPM2B_MAX_NV_BUFFER *found = NULL;
    TSS2_RC rc;
    TPM_SEND(rc, Esys_NV_Read(tpm->esys, index, index, tpm->session, ESYS_TR_NONE, ESYS_TR_NONE, 8,
                              0, &found));
    (void)Esys_TR_Close(tpm->esys, &index);
    VLT_TRY(tpm_result(hsm, rc, "read the rollback counter", fault));
    uint64_t value = 0;
    for (unsigned i = 0; i < 8; i++)
        value = value << 8 | found->buffer[i];
    bool fits = found->size == 8;
    Esys_Free(found);
    if (!fits)
        return vlt_fail(VLT_BUG, "rollback counter has a wrong size");
    *ret_value = value;
    return vlt_ok();
}

vlt_result tpm_counter_advance(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) {
    struct tpm *tpm = hsm->device;
    ESYS_TR index = ESYS_TR_NONE;
    VLT_TRY(tpm_counter_open(hsm, record, fault, &index));
    vlt_result result = tpm_counter_increment(hsm, index, fault);
    (void)Esys_TR_Close(tpm->esys, &index);
    return result;
}

vlt_result tpm_counter_destroy(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault) {
    struct tpm *tpm = hsm->device;
    ESYS_TR index = ESYS_TR_NONE;
    VLT_TRY(tpm_counter_open(hsm, record, fault, &index));
    TSS2_RC rc;
    TPM_SEND(rc, Esys_NV_UndefineSpace(tpm->esys, ESYS_TR_RH_OWNER, index, tpm->session,
                                       ESYS_TR_NONE, ESYS_TR_NONE));
    if (rc != TSS2_RC_SUCCESS)
        (void)Esys_TR_Close(tpm->esys, &index);
    return tpm_result(hsm, rc, "remove the rollback counter", fault);
}
