// SPDX-License-Identifier: Apache-2.0
// From sealed to unsealed and back: reach the device, open its wrapping keys,
// unwrap the system data keys, decrypt the vault's own keys.
#ifndef VLT_KEEPER_UNSEAL_H
#define VLT_KEEPER_UNSEAL_H

#include "vaultd/keeper/keeper.h"

vlt_result unseal_new(struct keeper *keeper) VLT_MUST_USE; // the retry timer
void unseal_done(struct keeper *keeper);

// Opens the store and chooses the first state: UNINITIALISED, or SEALED and
// under way to UNSEALED.
void unseal_at_start(struct keeper *keeper);
// Another try, 1 to 60 s from now: used by the try that failed.
void unseal_retry_later(struct keeper *keeper);
// Tries once, and again later where that can do no harm: a device that is
// missing or does not answer. A wrong PIN, another device or an altered record
// waits for a person. Does nothing while a try is under way.
void unseal_begin(struct keeper *keeper);
// Called once, when the try that is under way (or the next one) ends. Embed.
struct unseal_wait {
    void (*done)(struct unseal_wait *wait, vlt_result result);
    struct unseal_wait *next;
};
void unseal_wait_for(struct keeper *keeper, struct unseal_wait *wait);
// A device that devices_open asked has opened, or failed.
struct device;
void unseal_device_answered(struct keeper *keeper, struct device *device, vlt_result result,
                            const struct fault *fault);
// Wipes every key and closes the devices.
void unseal_undo(struct keeper *keeper, const char *why);
// The vault is usable: takes the keys. Used by unseal and by init.
void unseal_finish(struct keeper *keeper, struct system_keys *keys);
// Records that the vault unsealed itself, if that was not possible before.
void unseal_record(struct keeper *keeper);

#endif
