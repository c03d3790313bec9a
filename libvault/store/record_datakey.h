// SPDX-License-Identifier: Apache-2.0
// STORE_DEVICE: a wrapping key and the device it lives in. STORE_DATA_KEY: a data
// key, wrapped once for each device that may open it (its slots). Both binary,
// with a version byte of their own, written by the keeper only.
#ifndef VLT_STORE_RECORD_DATAKEY_H
#define VLT_STORE_RECORD_DATAKEY_H

#include "libvault/store/record_tenant.h"

#define RECORD_DEVICE_ID_SIZE 16 // HSM_KEY_ID_BYTES: names one wrapping key of one device
#define RECORD_DEVICE_KEY_MAX 1536
#define RECORD_SLOTS_MAX 8
#define RECORD_SLOT_BLOB_MAX 512
#define RECORD_DATAKEY_MAX 5120 // bytes of a record

// What may be done with a key. `retired` opens what it once closed, no more;
// `ending` (wrapping keys only) opens nothing: the device is about to destroy it.
// `leaving` (wrapping keys only): its device is being removed from the vault; its
// slots go, whether the device answers or not.
enum record_wrapping_state {
    RECORD_WRAPPING_ACTIVE = 1,
    RECORD_WRAPPING_RETIRED,
    RECORD_WRAPPING_ENDING,
    RECORD_WRAPPING_LEAVING
};

// A recovery key is recorded like a wrapping key: its id is in slots, too. `key`:
// shares u8, threshold u8, public point (65 bytes).
#define RECORD_DEVICE_RECOVERY 3

#define RECORD_DEVICE_NAME_MAX 32
#define RECORD_DEVICE_FIRST "main" // of the device that init used, unless it was named

// Its name in the store is its id.
struct record_device {
    uint8_t kind; // enum hsm_kind, or RECORD_DEVICE_RECOVERY
    uint8_t state;
    uint32_t generation;
    uint64_t created_at;
    struct bytes key; // struct hsm_key's bytes; borrowed
    // Name of the device in the configuration; borrowed. Records of version 1 have
    // none and belong to RECORD_DEVICE_FIRST. Empty for a recovery key.
    struct bytes device;
};
void record_device_put(struct wire_writer *w, const struct record_device *device);
vlt_result record_device_get(struct bytes value, struct record_device *ret_device) VLT_MUST_USE;

struct record_slot {
    uint8_t device[RECORD_DEVICE_ID_SIZE];
    uint32_t generation; // of the wrapping key
    struct bytes blob;   // borrowed
};
// Its name in the store is its number (u32, from 1) under its tenant; tenant 0
// has the system data keys.
struct record_datakey {
    uint8_t state; // enum record_wrapping_state
    uint64_t created_at;
    size_t slot_count;
    struct record_slot slots[RECORD_SLOTS_MAX];
};
void record_datakey_put(struct wire_writer *w, const struct record_datakey *datakey);
vlt_result record_datakey_get(struct bytes value, struct record_datakey *ret_datakey) VLT_MUST_USE;
// Name of a data key in the store; `room` holds 4 bytes.
struct bytes record_datakey_name(uint32_t number, uint8_t *room);
// What the device authenticates with the wrapped key: tenant and number.
#define RECORD_DATAKEY_CONTEXT_MAX 64
void record_datakey_context(struct wire_writer *w, uint32_t tenant, uint32_t number);

#endif
