// SPDX-License-Identifier: Apache-2.0
// vaultd.conf: YAML, one schema (schemas/config.schema.json, vaultd.conf(5)).
// Unknown keys, wrong types and values out of range are errors that name the
// line or the key; a value that is left out has the default of config.c.
//
// The supervisor alone reads it and tells each role only its own part.
#ifndef VLT_SUPERVISOR_CONFIG_H
#define VLT_SUPERVISOR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"

// Names that log_level may have, in the order of LOG_LEVEL_…; NULL ends them.
extern const char *const config_log_levels[];

// Names of members are the keys of the file.
struct config_users { // empty texts: all roles run as the user who starts vaultd
    char *group, *broker, *admin, *redeemer, *keeper, *auditor, *rotator;
    char *shipper; // needed only where something is shipped
};
struct config_device {
    char *name; // "" only in a fresh configuration: config.c fills it in
    char *kind; // "tpm" or "pkcs11"
    char *tcti, *uri, *module, *pin_file, *boot_approver;
    char **boot_pcrs; // numbers
    unsigned boot_pcrs_count;
    char **environment; // NAME=value for the keeper: vendor modules take files by it
    unsigned environment_count;
};
struct config_broker {
    char *listen, *tls_certificate, *tls_key, *issuer_ca;
    uint32_t workers, max_connections, request_deadline_ms, idle_ms;
};
#define CONFIG_MORE_DEVICES_MAX 3
#define CONFIG_ADMINS_MAX 63 // besides the one who starts vaultd
struct config_admin {
    char *socket, *listen, *tls_certificate, *tls_key, *oidc_tenant;
    char **allow_users; // names or numbers
    unsigned allow_users_count;
    uint32_t max_connections, request_deadline_ms, idle_ms;
};
struct config_redeemer {
    char *socket, *socket_group, *listen, *tls_certificate, *tls_key;
    uint32_t workers, max_connections, request_deadline_ms, idle_ms, cache_max_s;
};
#define CONFIG_PROGRAMS_MAX 16
struct config_rotator {
    char *provider_ca;
    char **programs; // NAME=/path argument …
    unsigned programs_count;
    uint32_t call_timeout_ms, retry_s;
};
struct config_keeper {
    uint32_t data_key_idle_s, secret_heap_kib, device_probe_s, device_grace_s,
        device_timeout_s, device_restart_s, audit_epoch_s;
};
struct config_audit {
    char *directory, *origin;
    char *pseudonym_key; // file; empty: persons stand in the log as they are
    char *archive;       // folder: what is not there is not pruned; empty: who asks has looked
};
struct config_shipping { // empty: that kind of receiver is not used
    char *positions;     // folder: how far each receiver has got
    char *syslog, *syslog_ca, *syslog_certificate, *syslog_key;
    char *collector, *collector_ca, *collector_header_file;
    char *file;
};
struct config_tokens {
    char *signing_key; // "memory" or "device": where new token signing keys are made
    uint32_t lifetime_s, max_lifetime_s;
};
struct config_rotation { // ages in days; 0: by hand only
    uint32_t publication_s, intake_overlap_s, checkpoint_overlap_s, records_per_s;
    uint32_t signing_days, intake_days, tenant_days, wrapping_days, checkpoint_days,
        system_days;
    uint32_t credential_days;
};
struct config {
    char *issuer, *store, *profiles, *recipes, *log_level;
    uint32_t drain_ms, hang_s;
    struct config_users users;
    struct config_device device;
    struct config_device *more_devices; // of them only name, kind and how to reach them
    unsigned more_devices_count;
    struct config_broker broker;
    struct config_admin admin;
    struct config_redeemer redeemer;
    struct config_rotator rotator;
    struct config_keeper keeper;
    struct config_audit audit;
    struct config_shipping shipping;
    struct config_tokens tokens;
    struct config_rotation rotation;
};

// VLT_NOT_FOUND, VLT_LIMIT, VLT_MALFORMED; the fault names the file, the key's line
// and the key.
// The PCRs that wrapping keys are bound to; bit n: PCR n. VLT_MALFORMED, saying why.
vlt_result config_boot_pcrs(const struct config_device *device, struct fault *fault,
                            uint32_t *ret_pcrs) VLT_MUST_USE;
vlt_result config_load(const char *path, struct fault *fault,
                       struct config **ret_config) VLT_MUST_USE;
// Keys whose values differ, such as "log_level, broker.listen"; added to `text`. Names only:
// the URL of a receiver or an argument of a program may be nobody's business.
void config_changes(const struct config *now, const struct config *before, struct buf *text);
// Is anything shipped to anybody?
bool config_ships(const struct config *config);
// Name of the audit log: audit.origin, or the issuer's.
const char *config_origin(const struct config *config);
void config_free(struct config *config);

#endif
