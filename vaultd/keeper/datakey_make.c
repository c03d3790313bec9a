// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/datakey_make.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/log/log.h"

struct making {
    struct change *change;
    datakey_made_fn *made;
    struct secret *key; // while the device proves that it can unwrap it
    uint32_t tenant, number;
};

static void making_fail(struct making *making, struct device_call *call, vlt_result result) {
    if (result.class != VLT_CONFLICT)
        log_error("a data key of tenant %u can not be made: %s", making->tenant,
                  fault_or_reason(&call->fault, result));
    making->change->keeper->in_flight--;
    change_refuse(making->change,
                  result.class == VLT_CONFLICT
                      ? result
                      : vlt_fail(VLT_UNAVAILABLE, "no data key can be wrapped: see "
                                                      "`vaultctl device list`"));
    secret_free(making->key);
    free(making);
}

// The generation is a note for people; the id is what opens it.
static vlt_result add_record(struct making *making, const struct device_call *call) {
    uint8_t room[RECORD_DATAKEY_MAX], number[4];
    struct change *change = making->change;
    const struct keeper *keeper = change->keeper;
    uint8_t device[HSM_KEY_ID_BYTES];
    size_t size;
    if (!keeper->keys) // sealed meanwhile: no offline slot could be made
        return vlt_fail(VLT_UNAVAILABLE, "the vault was sealed");
    VLT_TRY(hsm_blob_key_id(bytes_of(call->blob, call->blob_bytes), device));
    VLT_TRY(datakey_wrapped_by_known(keeper, device));
    VLT_TRY(datakey_record(keeper->keys->recovery, making->tenant, making->number,
                           keeper->device_description.generation, call, room, &size));
    change_add(change, making->tenant, STORE_DATA_KEY, record_datakey_name(making->number, number),
               bytes_of(room, size), 0);
    return vlt_ok();
}

// From here on nobody has to wait for the device because of the new key.
static void unwrapped(struct device_call *call) {
    struct making *making = call->context;
    struct keeper *keeper = making->change->keeper;
    vlt_result result = call->result;
    if (vlt_is_ok(result) && !secret_is_same(call->secret, making->key))
        result = vlt_fail(VLT_CRYPTO, "the device does not give back what it wrapped");
    if (vlt_is_ok(result))
        result = add_record(making, call);
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED)
        result = making->made(making->change, making->tenant, making->number, making->key);
    if (!vlt_is_ok(result)) {
        making_fail(making, call, result);
        return;
    }
    keeper->in_flight--;
    change_run(making->change);
    secret_free(making->key);
    free(making);
}

static void wrapped(struct device_call *call) {
    struct making *making = call->context;
    vlt_result result = call->result;
    struct device_call *proof =
        vlt_is_ok(result) ? device_call_new(DEVICE_UNWRAP, unwrapped, making) : NULL;
    if (vlt_is_ok(result) && !proof)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        making_fail(making, call, result);
        return;
    }
    making->key = call->secret;
    call->secret = NULL;
    memcpy(proof->blob, call->blob, call->blob_bytes);
    proof->blob_bytes = call->blob_bytes;
    device_call_set_purpose(proof, making->tenant, making->number);
    device_submit(device_call_thread(call), proof);
}

static vlt_result add_retirement(struct keeper *keeper, uint32_t tenant,
                                 const struct rotate_datakey *old, struct change *change) {
    uint8_t number[4], room[RECORD_DATAKEY_MAX];
    struct bytes value;
    struct record_datakey record;
    uint64_t revision;
    VLT_TRY(store_get(keeper->store, tenant, STORE_DATA_KEY,
                      record_datakey_name(old->number, number), &value, &revision));
    VLT_TRY(record_datakey_get(value, &record));
    if (revision != old->revision)
        return vlt_fail(VLT_CONFLICT, "the data key was changed by somebody else");
    record.state = RECORD_WRAPPING_RETIRED;
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_datakey_put(&w, &record);
    change_add(change, tenant, STORE_DATA_KEY, record_datakey_name(old->number, number),
               bytes_of(room, w.size), revision);
    return w.failed ? vlt_fail(VLT_BUG, "a wrapped data key is too large") : vlt_ok();
}

static const char *wrapping_device(const struct keeper *keeper) {
    for (size_t i = 0; i < keeper->devices->count; i++)
        if (keeper->devices->at[i].thread == keeper->device)
            return keeper->devices->at[i].name;
    return "";
}

// The log says which key comes after which, and what wraps it.
static void name_keys(const struct keeper *keeper, uint32_t tenant,
                      const struct rotate_datakey *old, uint32_t number, struct change *change) {
    char whose[ROTATE_DATAKEY_TEXT_SIZE], text[256];
    rotate_datakey_text(tenant, old, whose);
    snprintf(text, sizeof text, "%s to %" PRIu32 ", device %s", whose, number,
             wrapping_device(keeper));
    change->event.subject = change_keep(change, bytes_of_text(text));
}

static vlt_result start(struct keeper *keeper, uint32_t tenant, const struct rotate_datakeys *keys,
                        struct change *change, datakey_made_fn *made) {
    uint32_t newest = keys->keys[keys->count - 1].number;
    if (keys->count == ROTATE_DATAKEYS_MAX || newest == UINT32_MAX)
        return vlt_fail(VLT_LIMIT, "there are too many data keys");
    name_keys(keeper, tenant, keys->active, newest + 1, change);
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = add_retirement(keeper, tenant, keys->active, change);
    store_snapshot_end(keeper->store);
    VLT_TRY(result);
    struct making *making = calloc(1, sizeof *making);
    struct device_call *call = making ? device_call_new(DEVICE_WRAP, wrapped, making) : NULL;
    if (!call) {
        free(making);
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a data key");
    }
    *making = (struct making){
        .change = change, .made = made, .tenant = tenant, .number = newest + 1};
    result = secret_set_random(call->secret, HSM_DATA_KEY_BYTES);
    if (!vlt_is_ok(result)) {
        device_call_free(call);
        free(making);
        return result;
    }
    device_call_set_purpose(call, tenant, making->number);
    keeper->in_flight++;
    device_submit(keeper->device, call);
    return vlt_ok();
}

void datakey_make(struct keeper *keeper, uint32_t tenant, const struct rotate_datakeys *keys,
                  struct change *change, datakey_made_fn *made) {
    keeper->wraps_in_flight++; // until the change is answered
    vlt_result result = start(keeper, tenant, keys, change, made);
    if (!vlt_is_ok(result))
        change_refuse(change, result);
}
