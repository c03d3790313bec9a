// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/config_internal.h"

#include <string.h>

static bool set_text(char **text, const char *value) {
    if (*text)
        return true;
    *text = strdup(value); // freed by cyaml_free, which uses free
    return *text != NULL;
}

static void set_number(uint32_t *number, uint32_t value) {
    if (*number == 0)
        *number = value;
}

static bool set_listener_defaults(struct config *c) {
    return set_text(&c->broker.listen, "127.0.0.1:8443") &&
           set_text(&c->broker.tls_certificate, "") && set_text(&c->broker.tls_key, "") &&
           set_text(&c->broker.issuer_ca, "") &&
           set_text(&c->admin.socket, "/run/vaultd/admin.sock") && set_text(&c->admin.listen, "") &&
           set_text(&c->admin.tls_certificate, "") && set_text(&c->admin.tls_key, "") &&
           set_text(&c->admin.oidc_tenant, "") &&
           set_text(&c->redeemer.socket, "/run/vaultd/redeem.sock") &&
           set_text(&c->redeemer.socket_group, "") && set_text(&c->redeemer.listen, "") &&
           set_text(&c->redeemer.tls_certificate, "") && set_text(&c->redeemer.tls_key, "");
}

static bool set_device_defaults(struct config_device *device) {
    return set_text(&device->kind, "") && set_text(&device->tcti, "device:/dev/tpmrm0") &&
           set_text(&device->uri, "") && set_text(&device->module, "") &&
           set_text(&device->pin_file, "") && set_text(&device->boot_approver, "");
}

static bool set_shipping_defaults(struct config_shipping *s) {
    return set_text(&s->positions, "/var/lib/vaultd/shipping") && set_text(&s->syslog, "") &&
           set_text(&s->syslog_ca, "") && set_text(&s->syslog_certificate, "") &&
           set_text(&s->syslog_key, "") && set_text(&s->collector, "") &&
           set_text(&s->collector_ca, "") && set_text(&s->collector_header_file, "") &&
           set_text(&s->file, "");
}

static bool set_text_defaults(struct config *c) {
    for (unsigned i = 0; i < c->more_devices_count; i++)
        if (!set_text(&c->more_devices[i].name, "") || !set_device_defaults(&c->more_devices[i]))
            return false;
    if (!set_text(&c->device.name, "main") || !set_device_defaults(&c->device))
        return false;
    return set_text(&c->store, "/var/lib/vaultd/store") &&
           set_text(&c->profiles, "/usr/share/vaultd/profiles") &&
           set_text(&c->recipes, "/usr/share/vaultd/recipes") &&
           set_text(&c->rotator.provider_ca, "") && set_text(&c->users.rotator, "") &&
           set_text(&c->log_level, "info") && set_text(&c->issuer, "") &&
           set_text(&c->users.group, "") && set_text(&c->users.broker, "") &&
           set_text(&c->users.admin, "") && set_text(&c->users.redeemer, "") &&
           set_text(&c->users.keeper, "") && set_text(&c->users.auditor, "") &&
           set_text(&c->users.shipper, "") && set_text(&c->tokens.signing_key, "memory") &&
           set_text(&c->audit.directory, "/var/lib/vaultd/audit") &&
           set_text(&c->audit.origin, "") && set_text(&c->audit.pseudonym_key, "") &&
           set_text(&c->audit.archive, "");
}

static void set_number_defaults(struct config *c) {
    set_number(&c->drain_ms, 10000);
    set_number(&c->hang_s, 30);
    set_number(&c->broker.workers, 1);
    set_number(&c->broker.max_connections, 4096);
    set_number(&c->broker.request_deadline_ms, 10000);
    set_number(&c->broker.idle_ms, 60000);
    set_number(&c->admin.max_connections, 64);
    set_number(&c->admin.request_deadline_ms, 30000);
    set_number(&c->admin.idle_ms, 60000);
    set_number(&c->redeemer.workers, 1);
    set_number(&c->redeemer.max_connections, 1024);
    set_number(&c->redeemer.request_deadline_ms, 5000);
    set_number(&c->redeemer.idle_ms, 600000);
    set_number(&c->redeemer.cache_max_s, 30);
    set_number(&c->rotator.call_timeout_ms, 10000);
    set_number(&c->rotator.retry_s, 30);
    set_number(&c->keeper.data_key_idle_s, 3600);
    set_number(&c->keeper.secret_heap_kib, 24576);
    set_number(&c->keeper.device_probe_s, 10);
    set_number(&c->keeper.device_grace_s, 3600);
    set_number(&c->keeper.device_timeout_s, 5);
    set_number(&c->keeper.device_restart_s, 300);
    set_number(&c->keeper.audit_epoch_s, 600);
    set_number(&c->rotation.publication_s, 300);
    set_number(&c->rotation.intake_overlap_s, 86400);
    set_number(&c->rotation.checkpoint_overlap_s, 30 * 86400);
    set_number(&c->rotation.records_per_s, 20000);
    set_number(&c->tokens.max_lifetime_s, 3600);
    set_number(&c->tokens.lifetime_s,
               c->tokens.max_lifetime_s < 300 ? c->tokens.max_lifetime_s : 300);
}

bool config_set_defaults(struct config *config) {
    set_number_defaults(config);
    return set_text_defaults(config) && set_listener_defaults(config) &&
           set_shipping_defaults(&config->shipping);
}
