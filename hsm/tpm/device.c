// SPDX-License-Identifier: Apache-2.0
#include "hsm/tpm/device.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <tss2/tss2_sys.h>

#include "hsm/tpm/attest.h"
#include "hsm/tpm/boot.h"
#include "hsm/tpm/counter.h"
#include "hsm/tpm/key.h"
#include "hsm/tpm/object.h"
#include "hsm/tpm/result.h"
#include "libvault/base/hex.h"

#define TPM_TIMEOUT_DEFAULT_MS 20000
#define TPM_PAUSE_TURNS 9 // 10 ms doubling: 5 s in all
// Part 2, 7.2: the high octet of a handle is its type. (The header's own constants
// shift into the sign bit.)
#define TPM_FIRST_TRANSIENT 0x80000000U
#define TPM_FIRST_SESSION 0x02000000U

unsigned tpm_timeout_ms(const struct hsm *hsm) {
    return hsm->settings.timeout_ms ? hsm->settings.timeout_ms : TPM_TIMEOUT_DEFAULT_MS;
}

bool tpm_pause(unsigned turn) {
    if (turn >= TPM_PAUSE_TURNS)
        return false;
    long ms = 10L << turn;
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
    return true;
}

void tpm_wipe_response(struct tpm *tpm) {
    TSS2_SYS_CONTEXT *sys = NULL;
    size_t size = 0;
    const uint8_t *at = NULL;
    if (Esys_GetSysContext(tpm->esys, &sys) == TSS2_RC_SUCCESS &&
        Tss2_Sys_GetRpBuffer(sys, &size, &at) == TSS2_RC_SUCCESS && at)
        secret_cleanse((void *)(uintptr_t)at, size);
}

void tpm_flush(struct tpm *tpm, ESYS_TR *handle) {
    if (*handle != ESYS_TR_NONE && Esys_FlushContext(tpm->esys, *handle) != TSS2_RC_SUCCESS)
        (void)Esys_TR_Close(tpm->esys, handle);
    *handle = ESYS_TR_NONE;
}

// tpm2-tss prints what it does, at debug level with derived keys in it, as an
// environment variable says. Nobody's environment decides that here.
static void tpm_silence(void) { (void)setenv("TSS2_LOG", "all+none", 1); }

// --- what a crashed process of ours left in a TPM without resource manager ---

static void tpm_flush_range(struct tpm *tpm, TPM2_HANDLE first) {
    TPMS_CAPABILITY_DATA *found = NULL;
    TSS2_SYS_CONTEXT *sys = NULL;
    if (Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, TPM2_CAP_HANDLES,
                           first, TPM2_MAX_CAP_HANDLES, NULL, &found) != TSS2_RC_SUCCESS)
        return;
    if (Esys_GetSysContext(tpm->esys, &sys) == TSS2_RC_SUCCESS)
        for (UINT32 i = 0; i < found->data.handles.count; i++)
            (void)Tss2_Sys_FlushContext(sys, found->data.handles.handle[i]);
    Esys_Free(found);
}

// --- reach and drop ---------------------------------------------------------

static vlt_result tpm_start(struct hsm *hsm, struct tpm *tpm, struct fault *fault) {
    TSS2_RC rc = Esys_Initialize(&tpm->esys, tpm_link_tcti(tpm->link), NULL);
    if (rc != TSS2_RC_SUCCESS)
        return tpm_result(hsm, rc, "start a context", fault);
    if (!tpm_link_is_raw(tpm->link))
        return vlt_ok();
    // Firmware or the kernel starts a TPM; a bare one may wait for us.
    TPM_SEND(rc, Esys_Startup(tpm->esys, TPM2_SU_CLEAR));
    if (rc != TSS2_RC_SUCCESS && rc != TPM2_RC_INITIALIZE)
        return tpm_result(hsm, rc, "start up", fault);
    tpm_flush_range(tpm, TPM_FIRST_TRANSIENT);
    tpm_flush_range(tpm, TPM_FIRST_SESSION);
    return vlt_ok();
}

static vlt_result tpm_make_primary(struct hsm *hsm, struct tpm *tpm, struct fault *fault) {
    const TPM2B_PUBLIC template = tpm_object_storage_template();
    const TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    const TPM2B_DATA outside = {.size = 0};
    const TPML_PCR_SELECTION pcrs = {.count = 0};
    TSS2_RC rc;
    TPM_SEND(rc, Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                    ESYS_TR_NONE, &sensitive, &template, &outside, &pcrs,
                                    &tpm->primary, NULL, NULL, NULL, NULL));
    VLT_TRY(tpm_result(hsm, rc, "make its storage key", fault));
    TPM2B_NAME *name = NULL;
    rc = Esys_TR_GetName(tpm->esys, tpm->primary, &name);
    VLT_TRY(tpm_result(hsm, rc, "name its storage key", fault));
    bool fits = name->size == sizeof tpm->primary_name;
    if (fits)
        memcpy(tpm->primary_name, name->name, sizeof tpm->primary_name);
    Esys_Free(name);
    return fits ? vlt_ok() : vlt_fail(VLT_BUG, "name of the TPM's storage key has a wrong size");
}

vlt_result tpm_start_session(struct hsm *hsm, TPM2_SE type, struct fault *fault,
                             ESYS_TR *ret_session) {
    struct tpm *tpm = hsm->device;
    const TPMT_SYM_DEF aes = {
        .algorithm = TPM2_ALG_AES, .keyBits.aes = 128, .mode.aes = TPM2_ALG_CFB};
    TSS2_RC rc;
    TPM_SEND(rc, Esys_StartAuthSession(tpm->esys, tpm->primary, ESYS_TR_NONE, ESYS_TR_NONE,
                                       ESYS_TR_NONE, ESYS_TR_NONE, NULL, type, &aes,
                                       TPM2_ALG_SHA256, ret_session));
    VLT_TRY(tpm_result(hsm, rc, "start a session", fault));
    rc = Esys_TRSess_SetAttributes(
        tpm->esys, *ret_session,
        TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT, 0xff);
    return tpm_result(hsm, rc, "encrypt a session", fault);
}

// --- facts ------------------------------------------------------------------

// Four characters packed into a property, without the padding.
static void tpm_put_letters(char *text, size_t capacity, uint32_t packed) {
    size_t size = strlen(text);
    for (int shift = 24; shift >= 0 && size + 1 < capacity; shift -= 8) {
        char letter = (char)(packed >> shift & 0x7f);
        if (letter > ' ' && letter < 0x7f)
            text[size++] = letter;
    }
    text[size] = 0;
}

static void tpm_note_property(struct hsm_description *d, const TPMS_TAGGED_PROPERTY *p) {
    unsigned high = p->value >> 16, low = p->value & 0xffff;
    size_t size = strlen(d->firmware);
    if (p->property == TPM2_PT_MANUFACTURER)
        tpm_put_letters(d->manufacturer, sizeof d->manufacturer, p->value);
    else if (p->property >= TPM2_PT_VENDOR_STRING_1 && p->property <= TPM2_PT_VENDOR_STRING_4)
        tpm_put_letters(d->model, sizeof d->model, p->value);
    else if (p->property == TPM2_PT_FIRMWARE_VERSION_1)
        (void)snprintf(d->firmware, sizeof d->firmware, "%u.%u", high, low);
    else if (p->property == TPM2_PT_FIRMWARE_VERSION_2)
        (void)snprintf(d->firmware + size, sizeof d->firmware - size, ".%u.%u", high, low);
}

static vlt_result tpm_learn(struct hsm *hsm, struct tpm *tpm, struct fault *fault) {
    struct hsm_description d = {.kind = HSM_TPM};
    TPMS_CAPABILITY_DATA *found = NULL;
    TSS2_RC rc;
    TPM_SEND(rc, Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    TPM2_CAP_TPM_PROPERTIES, TPM2_PT_MANUFACTURER,
                                    TPM2_PT_FIRMWARE_VERSION_2 - TPM2_PT_MANUFACTURER + 1, NULL,
                                    &found));
    VLT_TRY(tpm_result(hsm, rc, "say who made it", fault));
    for (UINT32 i = 0; i < found->data.tpmProperties.count; i++)
        tpm_note_property(&d, &found->data.tpmProperties.tpmProperty[i]);
    Esys_Free(found);
    (void)snprintf(d.label, sizeof d.label, "%.*s", (int)sizeof d.label - 1, hsm->settings.tcti);
    hex_encode(bytes_of(tpm->primary_name + 2, 32), d.serial);
    hsm->description = d;
    return vlt_ok();
}

static void tpm_drop(struct hsm *hsm) {
    struct tpm *tpm = hsm->device;
    if (!tpm)
        return;
    if (tpm->esys) {
        // A TPM that hangs would make each of these wait for the timeout.
        if (hsm->link == HSM_LINK_HELD) {
            tpm_flush(tpm, &tpm->loaded);
            tpm_flush(tpm, &tpm->policy);
            tpm_flush(tpm, &tpm->session);
            tpm_flush(tpm, &tpm->primary);
        }
        Esys_Finalize(&tpm->esys);
    }
    tpm_link_close(tpm->link);
    free(tpm);
    hsm->device = NULL;
}

static vlt_result tpm_reach(struct hsm *hsm, struct fault *fault) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, tpm_silence);
    struct tpm *tpm = calloc(1, sizeof *tpm);
    if (!tpm)
        return fault_set(fault, VLT_LIMIT, "out of memory", "out of memory");
    tpm->primary = tpm->session = tpm->policy = tpm->loaded = ESYS_TR_NONE;
    vlt_result result = tpm_link_open(hsm->settings.tcti, tpm_timeout_ms(hsm), fault, &tpm->link);
    hsm->device = tpm;
    if (vlt_is_ok(result))
        result = tpm_start(hsm, tpm, fault);
    if (vlt_is_ok(result))
        result = tpm_make_primary(hsm, tpm, fault);
    if (vlt_is_ok(result))
        result = tpm_start_session(hsm, TPM2_SE_HMAC, fault, &tpm->session);
    if (vlt_is_ok(result))
        result = tpm_learn(hsm, tpm, fault);
    if (!vlt_is_ok(result))
        tpm_drop(hsm);
    return result;
}

const struct hsm_ops tpm_ops = {
    .reach = tpm_reach,
    .drop = tpm_drop,
    .key_create = tpm_key_create,
    .key_open = tpm_key_open,
    .key_close = tpm_key_close,
    .key_destroy = tpm_key_destroy,
    .key_check = tpm_key_check,
    .wrap = tpm_key_wrap,
    .unwrap = tpm_key_unwrap,
    .counter_create = tpm_counter_create,
    .counter_read = tpm_counter_read,
    .counter_advance = tpm_counter_advance,
    .counter_destroy = tpm_counter_destroy,
    .boot_read = tpm_boot_read,
    .attest = tpm_attest,
};
