// SPDX-License-Identifier: Apache-2.0
// The devices of the configuration, each with a thread of its own. A data key has
// a slot for each device that belongs to the vault; any one of them is enough to
// unseal and to serve.
//
//   CLOSED ──opened──▶ WORKS ──does not answer──▶ LOST ──answers again──▶ WORKS
//                        └──answers, but is another device, or its keys were
//                           altered──▶ TAMPERED ──right again──▶ WORKS
//   FOREIGN: the store knows no wrapping key of it (see `vaultctl device add`)
//
// What new data keys are wrapped with, and what everything else that needs one
// device uses, is the first one of the configuration that works: keeper->device.
// It changes when devices come and go; whoever began with a device goes on with
// device_call_thread.
#ifndef VLT_KEEPER_DEVICES_H
#define VLT_KEEPER_DEVICES_H

#include <jansson.h>

#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/keeper.h"

enum device_state { DEVICE_CLOSED, DEVICE_WORKS, DEVICE_LOST, DEVICE_TAMPERED, DEVICE_FOREIGN };

struct device {
    struct keeper *keeper;
    unsigned number; // in the configuration, from 0
    const char *name;
    struct device_thread *thread;
    enum device_state state;
    char why[480]; // it does not work; "" otherwise
    struct hsm_description description;
    bool is_described;
    uint8_t ids[HSM_KEYS_MAX][HSM_KEY_ID_BYTES]; // wrapping keys that are open
    size_t id_count;
    bool is_leaving; // the vault: opens what it has closed, closes nothing any more
    bool is_opening, is_checking;
    uint64_t session; // grows when it is opened or closed: older answers do not count
    bool is_overdue;  // opening it takes too long: nobody waits for it any more
    bool has_worked;  // since the keeper started
    int64_t asked_ms; // when that was begun
    int64_t since_s;  // POSIX seconds, of the state
};

struct devices {
    struct device at[KEEPER_DEVICES_MAX];
    size_t count;
    int64_t none_since_ms; // no device works since then; 0: one does
    struct event *probe;
};

vlt_result devices_new(struct keeper *keeper) VLT_MUST_USE;
#define DEVICES_END_MS 2000 // that a stop waits for calls that are under way
// False: a thread is still in its device; the process must end by _exit.
bool devices_free(struct keeper *keeper);
// Threads for devices that a reload has added.
vlt_result devices_reconfigure(struct keeper *keeper) VLT_MUST_USE;

// Opens those that are not open and that the store has keys of. Each answers by
// itself, to unseal_device_answered.
void devices_open(struct keeper *keeper);
// The vault is sealed: all are closed.
void devices_close(struct keeper *keeper);
bool devices_are_opening(const struct keeper *keeper); // any that is not overdue
// Is there one that the store has keys of?
bool devices_any_known(const struct keeper *keeper);

// The device that has this wrapping key open, and works; or NULL.
struct device *devices_of_id(struct keeper *keeper, const uint8_t id[HSM_KEY_ID_BYTES]);
struct device *devices_of_name(struct keeper *keeper, struct bytes name); // or NULL
// A slot that a working device can open, not one of the set `avoid` (bit n: device
// n). VLT_NOT_FOUND: none has this key; VLT_UNAVAILABLE: none of those works.
vlt_result devices_slot(struct keeper *keeper, const struct record_datakey *record,
                        unsigned avoid, const struct record_slot **ret_slot,
                        struct device **ret_device) VLT_MUST_USE;

// It was opened, or made a wrapping key: from now on it works. Called on success
// only. The keys are all that are open in it.
vlt_result device_opened(struct device *device, const struct device_call *call) VLT_MUST_USE;
// One more key, or one less, is open in it.
void device_add_id(struct device *device, const uint8_t id[HSM_KEY_ID_BYTES],
                   const struct hsm_description *description);
void device_forget_id(struct device *device, const uint8_t id[HSM_KEY_ID_BYTES]);
// It gave its known answer.
void device_works(struct device *device);
// It answered that it failed, or does not answer. `class` tells lost from tampered.
void device_failed(struct device *device, enum vlt_class class, const char *why);
void device_is_foreign(struct device *device); // the store knows no key of it
void device_close(struct device *device);      // its thread lets go of it
// It is being removed from the vault; or was, and is a stranger from now on.
void device_leaves(struct device *device);
void device_left(struct device *device);
// Opening it takes too long: who waits for it goes on. It still counts when it opens.
void device_overdue(struct device *device);
// Looks at it now and not only with the next probe.
void device_check(struct device *device);
// It made a wrapping key that no record names and that wrapped nothing: away with it. The
// log says so when it stays.
void device_destroy_unused(struct device *device, const struct hsm_key *key);

json_t *devices_entry_json(const struct device *device);
json_t *devices_json(const struct keeper *keeper); // for status: an array
const char *device_state_name(enum device_state state);

#endif
