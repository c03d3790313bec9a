// SPDX-License-Identifier: Apache-2.0
// The keeper's settings, checked and owned.
#ifndef VLT_KEEPER_KEEPER_SETTINGS_H
#define VLT_KEEPER_KEEPER_SETTINGS_H

#include "hsm/hsm.h"
#include "libvault/store/record_datakey.h"
#include "vaultd/ipc/messages.h"

#define KEEPER_LIFETIME_MAX_S 86400 // above this no ceiling may be set

#define KEEPER_DEVICES_MAX 4
struct keeper_device {
    char name[RECORD_DEVICE_NAME_MAX + 1];
    struct hsm_settings hsm;
};

struct keeper_settings {
    char issuer[IPC_TEXT_MAX + 1];
    char store_path[IPC_TEXT_MAX + 1];
    struct hsm_settings device; // the first of `devices`
    struct keeper_device devices[KEEPER_DEVICES_MAX];
    uint32_t device_count;
    uint32_t device_probe_s, device_grace_s, device_timeout_s;
    uint32_t device_restart_s; // 0: never
    uint32_t audit_epoch_s;
    uint32_t token_max_lifetime_s;
    uint32_t data_key_idle_s; // 0: data keys stay until the vault is sealed
    // Rotation; see tell_settings_keeper.
    uint32_t publication_s, intake_overlap_s, checkpoint_overlap_s, records_per_s;
    uint32_t signing_age_s, intake_age_s, tenant_age_s, wrapping_age_s, checkpoint_age_s;
    uint32_t system_age_s;
    uint32_t credential_age_s;
    uint32_t retry_s; // after a provider failed
    bool signs_in_device; // new token signing keys are made in the device, not in memory
    uint8_t log_level;
};

// VLT_MALFORMED with the setting's name in the fault.
vlt_result keeper_settings_decode(struct bytes frame, struct fault *fault,
                                  struct keeper_settings *ret_settings) VLT_MUST_USE;
// VLT_CONFLICT when `next` changes what only a restart can change.
vlt_result keeper_settings_check_reload(const struct keeper_settings *current,
                                        const struct keeper_settings *next,
                                        struct fault *fault) VLT_MUST_USE;

#endif
