// SPDX-License-Identifier: Apache-2.0
// Tells a role its own part of the configuration, with the files that it could
// not read itself (TLS keys are root's).
#ifndef VLT_SUPERVISOR_SETTINGS_H
#define VLT_SUPERVISOR_SETTINGS_H

#include "libvault/base/buf.h"
#include "vaultd/ipc/channel.h"
#include "vaultd/supervisor/config.h"

// The contents of every file that the configuration names, read once for each
// load so that all roles get the same generation.
struct settings_files {
    char *broker_certificate, *broker_key, *issuer_ca, *provider_ca;
    char *admin_certificate, *admin_key;
    char *redeemer_certificate, *redeemer_key;
    char *pseudonym_key;
    char *syslog_ca, *syslog_certificate, *syslog_key, *collector_ca, *collector_header;
    // Of device, then of each of more_devices.
    struct settings_boot {
        uint32_t pcrs;        // 0: wrapping keys are not bound
        uint8_t approver[65]; // P-256 point; zero when there is none
    } boot[1 + CONFIG_MORE_DEVICES_MAX];
    uint32_t admin_uids[64];
    size_t admin_uid_count;
    uint8_t nonce_key[32]; // random; a worker must know the nonces of the others
};
vlt_result settings_files_read(const struct config *config, struct fault *fault,
                               struct settings_files *ret_files) VLT_MUST_USE;
void settings_files_done(struct settings_files *files); // wipes the keys
// Files of which the content has changed, by their keys, after ", " where there is text.
void settings_files_changes(const struct settings_files *now, const struct settings_files *before,
                            struct buf *text);
uint8_t settings_log_level(const struct config *config); // LOG_LEVEL_…
void settings_tell(struct channel *channel, enum ipc_role role, const struct config *config,
                   const struct settings_files *files);

#endif
