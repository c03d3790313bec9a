// SPDX-License-Identifier: Apache-2.0
// Data keys of tenants: unwrapped by the device on first use, kept as key
// schedules in secret memory, dropped when idle.
//
// Calls that need a key which is not there yet are parked (a copy of their
// frame) and asked again, from their beginning, once the device has answered.
// Nobody else waits.
#ifndef VLT_KEEPER_DATAKEY_H
#define VLT_KEEPER_DATAKEY_H

#include "libvault/crypto/aead.h"
#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/keeper.h"

#define DATAKEYS_LOADED_MAX 4096
#define DATAKEYS_PARKED_MAX 4096 // calls that wait for a device
#define DATAKEYS_WAIT_MS 2000    // each of them, at most; the key is loaded all the same

struct datakeys;
struct datakeys *datakeys_new(struct keeper *keeper); // NULL: out of memory
void datakeys_free(struct datakeys *datakeys);
// Wipes every key and answers every parked call with VLT_UNAVAILABLE.
void datakeys_clear(struct datakeys *datakeys);
// Drops keys that nobody used for settings.data_key_idle_s.
void datakeys_drop_idle(struct datakeys *datakeys);

// The loaded key (borrowed until the next call of this file), or NULL.
struct xaes_key *datakey_find(struct datakeys *datakeys, uint32_t tenant, uint32_t number);
// Number of the key that encrypts what is new: within a snapshot. VLT_NOT_FOUND.
vlt_result datakey_active(struct keeper *keeper, uint32_t tenant,
                          uint32_t *ret_number) VLT_MUST_USE;
// Takes the call: it is asked again when the key is there (then datakey_find
// finds it), or answered VLT_UNAVAILABLE. `frame` is copied. On failure nothing
// was taken and the caller answers: VLT_LIMIT, VLT_UNAVAILABLE (the device failed
// moments ago), VLT_NOT_FOUND (no slot for this device). Within a snapshot.
vlt_result datakey_park(struct datakeys *datakeys, uint32_t tenant, uint32_t number,
                        struct ipc_call *call, unsigned message, struct bytes frame) VLT_MUST_USE;
// Begins to load a key that nobody waits for: look with datakey_find later. Fine
// when it is there or on its way. Results as of datakey_park. Within a snapshot.
vlt_result datakey_want(struct datakeys *datakeys, uint32_t tenant, uint32_t number) VLT_MUST_USE;
// Keeps a key that was made just now, so that nobody has to wait for the device.
vlt_result datakey_keep(struct datakeys *datakeys, uint32_t tenant, uint32_t number,
                        const struct secret *key32) VLT_MUST_USE;
// Wipes a key that was destroyed.
void datakey_forget(struct datakeys *datakeys, uint32_t tenant, uint32_t number);
size_t datakeys_loaded(const struct datakeys *datakeys);

// Is the wrapping key of that id one that the store knows? VLT_CONFLICT: it was
// made a moment ago and its record is not durable yet, so nothing may rely on it.
vlt_result datakey_wrapped_by_known(const struct keeper *keeper,
                                    const uint8_t id[HSM_KEY_ID_BYTES]) VLT_MUST_USE;
// The record of a new data key: what a device wrapped just now (DEVICE_WRAP; the
// call still holds the key) with its wrapping key of `generation`, and the offline
// slot (recovery may be NULL). `room` holds RECORD_DATAKEY_MAX bytes.
struct device_call;
struct recovery;
vlt_result datakey_record(const struct recovery *recovery, uint32_t tenant, uint32_t number,
                          uint32_t generation, const struct device_call *wrapped, uint8_t *room,
                          size_t *ret_size) VLT_MUST_USE;

#endif
