// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/config_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/tpm/boot.h"
#include "vaultd/supervisor/config_address.h"

struct checking {
    const struct config_file *file;
    struct fault *fault;
};

static vlt_result refuse(const struct checking *checking, const char *key, const char *why) {
    return config_file_refuse(checking->file, key, why, checking->fault);
}

static vlt_result check_range(const struct checking *checking, const char *key, uint32_t value,
                              uint32_t low, uint32_t high) {
    char why[80];
    if (value >= low && value <= high)
        return vlt_ok();
    snprintf(why, sizeof why, "%u is not between %u and %u", value, low, high);
    return refuse(checking, key, why);
}

vlt_result config_boot_pcrs(const struct config_device *device, struct fault *fault,
                            uint32_t *ret_pcrs) {
    uint32_t pcrs = 0;
    for (unsigned i = 0; i < device->boot_pcrs_count; i++) {
        char *end;
        unsigned long number = strtoul(device->boot_pcrs[i], &end, 10);
        bool is_number = device->boot_pcrs[i][0] >= '0' && device->boot_pcrs[i][0] <= '9' && !*end;
        if (!is_number || number >= BOOT_PCRS)
            return fault_set(fault, VLT_MALFORMED, "no such PCR", "must be PCRs from 0 to 23");
        pcrs |= 1u << number;
    }
    if (pcrs)
        VLT_TRY(boot_pcrs_check(pcrs, fault));
    *ret_pcrs = pcrs;
    return vlt_ok();
}

static vlt_result check_boot(const struct checking *checking, const struct config_device *device,
                             const char *key) {
    uint32_t pcrs = 0;
    struct fault why = {0};
    if (!vlt_is_ok(config_boot_pcrs(device, &why, &pcrs)))
        return refuse(checking, key, why.text);
    if (pcrs && strcmp(device->kind, "tpm") != 0)
        return refuse(checking, key, "needs kind tpm: nothing else knows what the machine booted");
    if (pcrs && !device->boot_approver[0])
        return refuse(checking, key,
                      "needs boot_approver beside it, or the next upgrade of the operating system "
                      "would lose the vault");
    return vlt_ok();
}

static vlt_result check_device(const struct checking *checking,
                               const struct config_device *device) {
    VLT_TRY(check_boot(checking, device, "device.boot_pcrs"));
    for (unsigned i = 0; i < device->environment_count; i++)
        if (device->environment[i][0] == '=' || !strchr(device->environment[i], '='))
            return refuse(checking, "device.environment", "every entry must be NAME=value");
    if (strcmp(device->kind, "pkcs11") == 0)
        return device->uri[0]
                   ? vlt_ok()
                   : refuse(checking, "device.uri",
                            "is required for kind pkcs11, for example pkcs11:token=vaultd");
    if (strcmp(device->kind, "tpm") == 0)
        return vlt_ok();
    return refuse(checking, "device.kind", "must be tpm or pkcs11");
}

static vlt_result check_signing_key(const struct checking *checking, const struct config *c) {
    const char *place = c->tokens.signing_key;
    if (strcmp(place, "memory") != 0 && strcmp(place, "device") != 0)
        return refuse(checking, "tokens.signing_key", "must be memory or device");
    bool has_hsm = strcmp(c->device.kind, "pkcs11") == 0;
    for (unsigned i = 0; i < c->more_devices_count; i++)
        has_hsm |= strcmp(c->more_devices[i].kind, "pkcs11") == 0;
    if (strcmp(place, "device") == 0 && !has_hsm)
        return refuse(checking, "tokens.signing_key",
                      "device needs a device of kind pkcs11: a TPM signs too slowly");
    return vlt_ok();
}

// What the roles open: they stand in the root folder, where "here" means another place.
static vlt_result check_paths(const struct checking *checking, const struct config *c) {
    const struct {
        const char *key, *path;
    } paths[] = {
        {"store", c->store},
        {"profiles", c->profiles},
        {"recipes", c->recipes},
        {"audit.directory", c->audit.directory},
        {"audit.archive", c->audit.archive[0] ? c->audit.archive : "/"},
        {"shipping.positions", c->shipping.positions},
        {"admin.socket", c->admin.socket},
        {"redeemer.socket", c->redeemer.socket},
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i].path[0] != '/')
            return refuse(checking, paths[i].key, "must be an absolute path");
    return vlt_ok();
}

static bool is_device_name(const char *name) {
    size_t size = strlen(name);
    return size >= 1 && size <= 32 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == size && name[0] != '-';
}

static const char *more_device_trouble(const struct config *c, unsigned number) {
    const struct config_device *device = &c->more_devices[number];
    if (!is_device_name(device->name))
        return "every entry needs a name of 1 to 32 of a-z, 0-9 and -";
    bool is_taken = strcmp(device->name, c->device.name) == 0;
    for (unsigned i = 0; i < number; i++)
        is_taken |= strcmp(device->name, c->more_devices[i].name) == 0;
    if (is_taken)
        return "two devices have the same name; that of device is main unless it says otherwise";
    if (strcmp(device->kind, "tpm") != 0 && strcmp(device->kind, "pkcs11") != 0)
        return "the kind of every entry must be tpm or pkcs11";
    if (device->kind[0] == 'p' && !device->uri[0])
        return "an entry of kind pkcs11 needs a uri, for example pkcs11:token=spare";
    return NULL;
}

static vlt_result check_more_devices(const struct checking *checking, const struct config *c) {
    if (!is_device_name(c->device.name))
        return refuse(checking, "device.name", "must be 1 to 32 of a-z, 0-9 and -");
    for (unsigned i = 0; i < c->more_devices_count; i++) {
        const char *trouble = more_device_trouble(c, i);
        if (trouble)
            return refuse(checking, "more_devices", trouble);
        VLT_TRY(check_boot(checking, &c->more_devices[i], "more_devices.boot_pcrs"));
    }
    return vlt_ok();
}

static vlt_result check_tls(const struct checking *checking, const char *key, const char *listen,
                            const char *certificate, const char *tls_key) {
    if (listen[0] && (!certificate[0] || !tls_key[0]))
        return refuse(checking, key, "needs tls_certificate and tls_key beside it");
    struct addrinfo *address = listen[0] ? config_address_find(listen) : NULL;
    if (listen[0] && !address)
        return refuse(checking, key, "must be an IP address and a port, such as 0.0.0.0:8443");
    if (address)
        freeaddrinfo(address);
    return vlt_ok();
}

static vlt_result check_users(const struct checking *checking, const struct config_users *users) {
    const char *const names[] = {users->broker,  users->admin,   users->redeemer, users->keeper,
                                 users->auditor, users->rotator, users->shipper};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (size_t k = 0; k < i; k++)
            if (names[i][0] && strcmp(names[i], names[k]) == 0)
                return refuse(checking, "users",
                              "each process needs a user of its own, or the system does not "
                              "protect one from the other");
    // The shipper is not among them: check_shipping asks for it where something is shipped.
    const char *const together[] = {users->group,  users->broker,  users->admin,  users->redeemer,
                                    users->keeper, users->auditor, users->rotator};
    const size_t all = sizeof together / sizeof *together;
    size_t given = 0;
    for (size_t i = 0; i < all; i++)
        given += together[i][0] != 0;
    if (given != all && (given != 0 || users->shipper[0]))
        return refuse(checking, "users",
                      "name a group and a user for each of broker, admin, redeemer, keeper, "
                      "auditor and rotator, or none of them");
    return vlt_ok();
}

static vlt_result check_programs(const struct checking *checking,
                                 const struct config_rotator *rotator) {
    if (rotator->programs_count > CONFIG_PROGRAMS_MAX)
        return refuse(checking, "rotator.programs", "must be at most 16 programs");
    for (unsigned i = 0; i < rotator->programs_count; i++) {
        const char *equals = strchr(rotator->programs[i], '=');
        if (!equals || equals == rotator->programs[i] || equals - rotator->programs[i] > 63 ||
            equals[1] != '/')
            return refuse(checking, "rotator.programs",
                          "every entry must be NAME=/path/of/program, and arguments");
    }
    return vlt_ok();
}

static vlt_result check_shipping(const struct checking *checking, const struct config *c) {
    const struct config_shipping *s = &c->shipping;
    if (!config_ships(c))
        return vlt_ok();
    const char *colon = strrchr(s->syslog, ':');
    if (s->syslog[0] && (!colon || colon == s->syslog || !colon[1]))
        return refuse(checking, "shipping.syslog",
                      "must be HOST:PORT, for example logs.example.com:6514");
    if (!s->syslog_certificate[0] != !s->syslog_key[0])
        return refuse(checking, "shipping.syslog_certificate",
                      "needs syslog_key beside it, and the other way round");
    if (s->collector[0] && strncmp(s->collector, "https://", 8) != 0)
        return refuse(checking, "shipping.collector", "must be an https URL");
    if (s->file[0] && s->file[0] != '/')
        return refuse(checking, "shipping.file", "must be an absolute path");
    if (c->users.auditor[0] && !c->users.shipper[0])
        return refuse(checking, "users.shipper",
                      "is needed beside the other users: deploy/create-users makes vault-shipper");
    return vlt_ok();
}

// Clients compare it as it is (RFC 8414 section 2: https, no query, no fragment).
static bool is_issuer(const char *issuer) {
    size_t size = strlen(issuer);
    for (size_t i = 0; i < size; i++)
        if (issuer[i] <= ' ' || issuer[i] > '~' || issuer[i] == '?' || issuer[i] == '#')
            return false;
    return strncmp(issuer, "https://", 8) == 0 && size >= 10 && issuer[size - 1] != '/';
}

static vlt_result check_top(const struct checking *checking, const struct config *c) {
    if (!is_issuer(c->issuer))
        return refuse(checking, "issuer",
                      "must be the https URL that clients use for the broker, without a slash at "
                      "the end, a query or a fragment");
    for (const char *const *name = config_log_levels; *name; name++)
        if (strcmp(c->log_level, *name) == 0)
            return vlt_ok();
    return refuse(checking, "log_level", "must be error, warning, notice, info or debug");
}

static vlt_result check_listeners(const struct checking *checking, const struct config *c) {
    VLT_TRY(check_tls(checking, "broker.listen", c->broker.listen, c->broker.tls_certificate,
                      c->broker.tls_key));
    VLT_TRY(check_tls(checking, "admin.listen", c->admin.listen, c->admin.tls_certificate,
                      c->admin.tls_key));
    VLT_TRY(check_tls(checking, "redeemer.listen", c->redeemer.listen, c->redeemer.tls_certificate,
                      c->redeemer.tls_key));
    if (c->admin.allow_users_count > CONFIG_ADMINS_MAX)
        return refuse(checking, "admin.allow_users", "must be at most 63 users");
    if (c->admin.listen[0] && !c->admin.oidc_tenant[0])
        return refuse(checking, "admin.oidc_tenant",
                      "is required with admin.listen: it names the tenant whose issuers and "
                      "policies admit administrators");
    return vlt_ok();
}

static vlt_result check_ranges(const struct checking *checking, const struct config *c) {
    const struct {
        const char *key;
        uint32_t value, low, high;
    } ranges[] = {
        {"drain_ms", c->drain_ms, 1, 600000},
        {"hang_s", c->hang_s, 3, 3600},
        {"broker.workers", c->broker.workers, 1, 16},
        {"broker.max_connections", c->broker.max_connections, 1, 65536},
        {"broker.request_deadline_ms", c->broker.request_deadline_ms, 100, 600000},
        {"broker.idle_ms", c->broker.idle_ms, 100, 3600000},
        {"admin.max_connections", c->admin.max_connections, 1, 1024},
        {"admin.request_deadline_ms", c->admin.request_deadline_ms, 100, 600000},
        {"admin.idle_ms", c->admin.idle_ms, 100, 3600000},
        {"redeemer.workers", c->redeemer.workers, 1, 16},
        {"redeemer.max_connections", c->redeemer.max_connections, 1, 65536},
        {"redeemer.request_deadline_ms", c->redeemer.request_deadline_ms, 100, 600000},
        {"redeemer.idle_ms", c->redeemer.idle_ms, 100, 3600000},
        {"redeemer.cache_max_s", c->redeemer.cache_max_s, 1, 300},
        {"rotator.call_timeout_ms", c->rotator.call_timeout_ms, 100, 60000},
        {"rotator.retry_s", c->rotator.retry_s, 1, 3600},
        {"keeper.data_key_idle_s", c->keeper.data_key_idle_s, 1, 31536000},
        {"keeper.secret_heap_kib", c->keeper.secret_heap_kib, 4096, 1048576},
        {"keeper.device_probe_s", c->keeper.device_probe_s, 1, 3600},
        {"keeper.device_grace_s", c->keeper.device_grace_s, 1, 31536000},
        {"keeper.device_timeout_s", c->keeper.device_timeout_s, 1, 600},
        {"keeper.audit_epoch_s", c->keeper.audit_epoch_s, 1, 86400},
        {"keeper.device_restart_s", c->keeper.device_restart_s, 5, 31536000},
        {"rotation.publication_s", c->rotation.publication_s, 1, 2592000},
        {"rotation.intake_overlap_s", c->rotation.intake_overlap_s, 1, 2592000},
        {"rotation.checkpoint_overlap_s", c->rotation.checkpoint_overlap_s, 1, 31536000},
        {"rotation.records_per_s", c->rotation.records_per_s, 1, UINT32_MAX},
        {"rotation.signing_days", c->rotation.signing_days, 0, 3650},
        {"rotation.intake_days", c->rotation.intake_days, 0, 3650},
        {"rotation.tenant_days", c->rotation.tenant_days, 0, 3650},
        {"rotation.wrapping_days", c->rotation.wrapping_days, 0, 3650},
        {"rotation.credential_days", c->rotation.credential_days, 0, 3650},
        {"rotation.checkpoint_days", c->rotation.checkpoint_days, 0, 3650},
        {"rotation.system_days", c->rotation.system_days, 0, 3650},
        {"tokens.max_lifetime_s", c->tokens.max_lifetime_s, 1, 86400},
        {"tokens.lifetime_s", c->tokens.lifetime_s, 1, c->tokens.max_lifetime_s},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        VLT_TRY(
            check_range(checking, ranges[i].key, ranges[i].value, ranges[i].low, ranges[i].high));
    return vlt_ok();
}

vlt_result config_check(const struct config_file *file, const struct config *c,
                        struct fault *fault) {
    const struct checking *checking = &(struct checking){file, fault};
    VLT_TRY(check_top(checking, c));
    VLT_TRY(check_paths(checking, c));
    VLT_TRY(check_device(checking, &c->device));
    VLT_TRY(check_more_devices(checking, c));
    VLT_TRY(check_signing_key(checking, c));
    VLT_TRY(check_users(checking, &c->users));
    VLT_TRY(check_shipping(checking, c));
    VLT_TRY(check_programs(checking, &c->rotator));
    VLT_TRY(check_listeners(checking, c));
    return check_ranges(checking, c);
}
