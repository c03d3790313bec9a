// SPDX-License-Identifier: Apache-2.0
// What the store holds about data keys.
#include "libvault/base/clock.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/recovery.h"

struct newest {
    uint32_t number;
    vlt_result result;
};

static bool look_for_active(struct bytes name, struct bytes value, uint64_t revision,
                            void *context) {
    struct newest *newest = context;
    struct record_datakey record;
    struct wire_reader r;
    newest->result = record_datakey_get(value, &record);
    wire_reader_init(&r, name);
    uint32_t number = wire_get_u32(&r);
    if (vlt_is_ok(newest->result) && record.state == RECORD_WRAPPING_ACTIVE)
        newest->number = number; // names sort by number
    return vlt_is_ok(newest->result);
}

vlt_result datakey_active(struct keeper *keeper, uint32_t tenant, uint32_t *ret_number) {
    struct newest newest = {.result = vlt_ok()};
    VLT_TRY(store_each(keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0), bytes_of(NULL, 0),
                       look_for_active, &newest));
    VLT_TRY(newest.result);
    if (newest.number == 0)
        return vlt_fail(VLT_NOT_FOUND, "the tenant has no data key");
    *ret_number = newest.number;
    return vlt_ok();
}

vlt_result datakey_wrapped_by_known(const struct keeper *keeper,
                                    const uint8_t id[HSM_KEY_ID_BYTES]) {
    for (size_t i = 0; i < keeper->device_id_count; i++)
        if (bytes_equal(bytes_of(id, HSM_KEY_ID_BYTES),
                        bytes_of(keeper->device_ids[i], HSM_KEY_ID_BYTES)))
            return vlt_ok();
    return vlt_fail(VLT_CONFLICT, "the wrapping key is being rotated: try again");
}

vlt_result datakey_record(const struct recovery *recovery, uint32_t tenant, uint32_t number,
                          uint32_t generation, const struct device_call *wrapped, uint8_t *room,
                          size_t *ret_size) {
    uint8_t offline[RECORD_SLOT_BLOB_MAX];
    struct record_datakey record = {.state = RECORD_WRAPPING_ACTIVE,
                                    .created_at = (uint64_t)clock_now_s(),
                                    .slot_count = 1};
    struct record_slot *slot = &record.slots[0];
    slot->generation = generation;
    slot->blob = bytes_of(wrapped->blob, wrapped->blob_bytes);
    VLT_TRY(hsm_blob_key_id(slot->blob, slot->device));
    VLT_TRY(recovery_add_slot(recovery, tenant, number, wrapped->secret, &record, offline));
    struct wire_writer w;
    wire_writer_init(&w, room, RECORD_DATAKEY_MAX);
    record_datakey_put(&w, &record);
    if (w.failed)
        return vlt_fail(VLT_BUG, "a wrapped data key is too large");
    *ret_size = w.size;
    return vlt_ok();
}
