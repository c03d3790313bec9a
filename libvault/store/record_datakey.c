// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_datakey.h"

#define DEVICE_VERSION 2
#define DATAKEY_VERSION 1

static bool is_state(uint8_t state) {
    return state == RECORD_WRAPPING_ACTIVE || state == RECORD_WRAPPING_RETIRED;
}

void record_device_put(struct wire_writer *w, const struct record_device *device) {
    wire_put_u8(w, DEVICE_VERSION);
    wire_put_u8(w, device->kind);
    wire_put_u8(w, device->state);
    wire_put_u32(w, device->generation);
    wire_put_u64(w, device->created_at);
    wire_put_bytes(w, device->key);
    wire_put_bytes(w, device->device);
}

vlt_result record_device_get(struct bytes value, struct record_device *ret_device) {
    struct wire_reader r;
    wire_reader_init(&r, value);
    uint8_t version = wire_get_u8(&r);
    if (version > DEVICE_VERSION)
        return vlt_fail(VLT_CONFLICT, "a wrapping key was recorded by a newer version: install it "
                                      "again");
    struct record_device device = {.kind = wire_get_u8(&r)};
    device.state = wire_get_u8(&r);
    device.generation = wire_get_u32(&r);
    device.created_at = wire_get_u64(&r);
    device.key = wire_get_bytes(&r, RECORD_DEVICE_KEY_MAX);
    if (version > 1)
        device.device = wire_get_bytes(&r, RECORD_DEVICE_NAME_MAX);
    else if (device.kind != RECORD_DEVICE_RECOVERY)
        device.device = BYTES_LITERAL(RECORD_DEVICE_FIRST);
    VLT_TRY(wire_reader_end(&r));
    bool is_known = is_state(device.state) || device.state == RECORD_WRAPPING_ENDING ||
                    device.state == RECORD_WRAPPING_LEAVING;
    if (version == 0 || !is_known || device.key.size == 0)
        return vlt_fail(VLT_MALFORMED, "the record of a wrapping key is damaged");
    *ret_device = device;
    return vlt_ok();
}

void record_datakey_put(struct wire_writer *w, const struct record_datakey *datakey) {
    wire_put_u8(w, DATAKEY_VERSION);
    wire_put_u8(w, datakey->state);
    wire_put_u64(w, datakey->created_at);
    wire_put_u8(w, (uint8_t)datakey->slot_count);
    for (size_t i = 0; i < datakey->slot_count; i++) {
        const struct record_slot *slot = &datakey->slots[i];
        wire_put_raw(w, bytes_of(slot->device, sizeof slot->device));
        wire_put_u32(w, slot->generation);
        wire_put_bytes(w, slot->blob);
    }
}

static void get_slot(struct wire_reader *r, struct record_slot *slot) {
    struct bytes device = wire_get_raw(r, sizeof slot->device);
    if (device.size)
        memcpy(slot->device, device.at, sizeof slot->device);
    slot->generation = wire_get_u32(r);
    slot->blob = wire_get_bytes(r, RECORD_SLOT_BLOB_MAX);
}

vlt_result record_datakey_get(struct bytes value, struct record_datakey *ret_datakey) {
    struct wire_reader r;
    wire_reader_init(&r, value);
    uint8_t version = wire_get_u8(&r);
    if (version > DATAKEY_VERSION)
        return vlt_fail(VLT_CONFLICT, "a data key was recorded by a newer version: install it "
                                      "again");
    struct record_datakey datakey = {.state = wire_get_u8(&r)};
    datakey.created_at = wire_get_u64(&r);
    datakey.slot_count = wire_get_u8(&r);
    if (datakey.slot_count == 0 || datakey.slot_count > RECORD_SLOTS_MAX)
        return vlt_fail(VLT_MALFORMED, "a data key has no or too many slots");
    for (size_t i = 0; i < datakey.slot_count; i++)
        get_slot(&r, &datakey.slots[i]);
    VLT_TRY(wire_reader_end(&r));
    if (version == 0 || !is_state(datakey.state))
        return vlt_fail(VLT_MALFORMED, "the record of a data key is damaged");
    *ret_datakey = datakey;
    return vlt_ok();
}

struct bytes record_datakey_name(uint32_t number, uint8_t *room) {
    struct wire_writer w;
    wire_writer_init(&w, room, 4);
    wire_put_u32(&w, number);
    return bytes_of(room, w.size);
}

void record_datakey_context(struct wire_writer *w, uint32_t tenant, uint32_t number) {
    wire_put_text(w, "vaultd data key 1");
    wire_put_u32(w, tenant);
    wire_put_u32(w, number);
}
