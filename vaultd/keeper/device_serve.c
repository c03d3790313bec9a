// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/device_serve.h"

// Generations that an interrupted init may have left in a device.
#define GENERATION_TRIES 64

static vlt_result reach(struct hsm **hsm, struct device_call *call) {
    // Settings may have changed (another PIN file): begin anew.
    hsm_close(*hsm);
    *hsm = NULL;
    return hsm_open(&call->settings, &call->fault, hsm);
}

static vlt_result open_keys(struct hsm **hsm, struct device_call *call) {
    VLT_TRY(reach(hsm, call));
    VLT_TRY(hsm_approvals_set(*hsm, call->approvals, call->approval_count));
    for (size_t i = 0; i < call->key_count; i++)
        VLT_TRY(hsm_key_find(*hsm, &call->keys[i], &call->fault));
    return vlt_ok();
}

static vlt_result generate_key(struct hsm *hsm, struct device_call *call, uint32_t first) {
    vlt_result result = vlt_ok();
    // An init or rotation that was cut off before its commit leaves a key that
    // nothing refers to: step over it.
    for (uint32_t i = 0; i < GENERATION_TRIES; i++) {
        call->fault = (struct fault){0};
        result = hsm_key_create(hsm, first + i, &call->fault, &call->keys[0]);
        if (result.class != VLT_CONFLICT)
            break;
    }
    call->key_count = vlt_is_ok(result) ? 1 : 0;
    return result;
}

static vlt_result create_key(struct hsm **hsm, struct device_call *call) {
    VLT_TRY(reach(hsm, call));
    return generate_key(*hsm, call, 1);
}

static vlt_result wrap(struct hsm *hsm, struct device_call *call) {
    struct buf blob;
    buf_init(&blob, HSM_BLOB_MAX_BYTES);
    vlt_result result = hsm_wrap(hsm, bytes_of(call->purpose, call->purpose_bytes),
                                 call->secret, &call->fault, &blob);
    if (vlt_is_ok(result) && buf_failed(&blob))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result)) {
        memcpy(call->blob, blob.at, blob.size);
        call->blob_bytes = blob.size;
    }
    buf_done(&blob);
    return result;
}

// What replaces a blob must be able to do what it could.
static vlt_result prove(struct hsm *hsm, struct device_call *call) {
    struct secret *again = secret_new(HSM_DATA_KEY_BYTES);
    if (!again)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = hsm_unwrap(hsm, bytes_of(call->purpose, call->purpose_bytes),
                                   bytes_of(call->blob, call->blob_bytes), &call->fault, again);
    if (vlt_is_ok(result) && !secret_is_same(call->secret, again))
        result = vlt_fail(VLT_CRYPTO, "the device does not give back what it wrapped");
    secret_free(again);
    return result;
}

static vlt_result wrap_proven(struct hsm *hsm, struct device_call *call) {
    VLT_TRY(wrap(hsm, call));
    return prove(hsm, call);
}

static vlt_result rewrap(struct hsm *hsm, struct device_call *call) {
    VLT_TRY(hsm_unwrap(hsm, bytes_of(call->purpose, call->purpose_bytes),
                       bytes_of(call->blob, call->blob_bytes), &call->fault, call->secret));
    vlt_result result = wrap(hsm, call);
    if (vlt_is_ok(result))
        result = prove(hsm, call);
    secret_wipe(call->secret);
    return result;
}

static vlt_result destroy_key(struct hsm *hsm, struct device_call *call) {
    vlt_result result = hsm_key_destroy(hsm, &call->keys[0], &call->fault);
    return result.class == VLT_NOT_FOUND ? vlt_ok() : result;
}

static vlt_result serve_counter(struct hsm *hsm, struct device_call *call) {
    if (call->kind == DEVICE_COUNTER_CREATE)
        return hsm_counter_create(hsm, &call->fault, &call->counter, &call->value);
    if (call->kind == DEVICE_COUNTER_READ)
        return hsm_counter_read(hsm, &call->counter, &call->fault, &call->value);
    if (call->kind == DEVICE_COUNTER_ADVANCE)
        return hsm_counter_advance(hsm, &call->counter, call->value, &call->fault);
    return hsm_counter_destroy(hsm, &call->counter, &call->fault);
}

static vlt_result serve_signer(struct hsm *hsm, struct device_call *call) {
    if (call->kind == DEVICE_SIGN)
        return hsm_sign(hsm, &call->signer, call->digest, &call->fault, call->signature);
    if (call->kind == DEVICE_SIGNER_CREATE)
        return hsm_signer_create(hsm, &call->fault, &call->signer);
    vlt_result result = hsm_signer_destroy(hsm, call->signer.id, &call->fault);
    return result.class == VLT_NOT_FOUND ? vlt_ok() : result;
}

// The state of the machine can be asked for when no key can be opened: then most of all.
static vlt_result boot_read(struct hsm **hsm, struct device_call *call) {
    struct hsm *used = *hsm;
    if (!used)
        VLT_TRY(hsm_open(&call->settings, &call->fault, &used));
    vlt_result result = hsm_boot_read(used, call->boot.pcrs, &call->fault, &call->boot);
    if (used != *hsm)
        hsm_close(used);
    return result;
}

static vlt_result serve(struct hsm **hsm, struct device_call *call) {
    if (call->kind == DEVICE_OPEN)
        return open_keys(hsm, call);
    if (call->kind == DEVICE_CREATE)
        return create_key(hsm, call);
    if (call->kind == DEVICE_CLOSE) {
        hsm_close(*hsm);
        *hsm = NULL;
        return vlt_ok();
    }
    if (call->kind == DEVICE_BOOT_READ)
        return boot_read(hsm, call);
    if (!*hsm)
        return vlt_fail(VLT_UNAVAILABLE, "no device is open");
    if (call->kind == DEVICE_ATTEST)
        return hsm_attest(*hsm,
                          call->attestation->nonce[0] ? call->attestation->nonce : NULL,
                          call->attestation->nonce[0] ? NULL : &call->attestation->challenge,
                          &call->fault, &call->attestation->evidence);
    if (call->kind == DEVICE_APPROVE)
        return hsm_approvals_set(*hsm, call->approvals, call->approval_count);
    if (call->kind == DEVICE_WRAP)
        return wrap(*hsm, call);
    if (call->kind == DEVICE_WRAP_PROVEN)
        return wrap_proven(*hsm, call);
    if (call->kind == DEVICE_CHECK)
        return hsm_check(*hsm, &call->fault);
    if (call->kind >= DEVICE_SIGNER_CREATE && call->kind <= DEVICE_SIGNER_DESTROY)
        return serve_signer(*hsm, call);
    if (call->kind == DEVICE_GENERATE) {
        VLT_TRY(hsm_boot_bind(*hsm, call->settings.boot_pcrs, call->settings.boot_approver,
                              &call->fault));
        return generate_key(*hsm, call, call->generation);
    }
    if (call->kind == DEVICE_REWRAP)
        return rewrap(*hsm, call);
    if (call->kind == DEVICE_DESTROY)
        return destroy_key(*hsm, call);
    if (call->kind != DEVICE_UNWRAP)
        return serve_counter(*hsm, call);
    return hsm_unwrap(*hsm, bytes_of(call->purpose, call->purpose_bytes),
                      bytes_of(call->blob, call->blob_bytes), &call->fault, call->secret);
}

void device_serve(struct hsm **hsm, struct device_call *call) {
    call->result = serve(hsm, call);
    if (*hsm && (call->kind == DEVICE_GENERATE || call->kind == DEVICE_DESTROY ||
                 call->kind == DEVICE_CHECK))
        hsm_describe(*hsm, &call->description);
    if (call->kind != DEVICE_OPEN && call->kind != DEVICE_CREATE)
        return;
    if (!vlt_is_ok(call->result)) {
        hsm_close(*hsm);
        *hsm = NULL;
    } else {
        hsm_describe(*hsm, &call->description);
    }
}
