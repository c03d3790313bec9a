// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/config_internal.h"

const char *const config_log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};

// ---- The schema: one line for each key ----

#define TEXT(type, key)                                                                            \
    CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct type, key, 0,    \
                           1024)
#define NUMBER(type, key) CYAML_FIELD_UINT(#key, CYAML_FLAG_OPTIONAL, struct type, key)
#define GROUP(type, key)                                                                           \
    CYAML_FIELD_MAPPING(#key, CYAML_FLAG_OPTIONAL, struct config, key, config_##type##_fields)
#define TEXTS(type, key)                                                                           \
    CYAML_FIELD_SEQUENCE_COUNT(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct type, key,   \
                               key##_count, &text_value, 0, 64)

static const cyaml_schema_value_t text_value = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, 1024),
};
static const cyaml_schema_field_t config_users_fields[] = {
    TEXT(config_users, group),    TEXT(config_users, broker),  TEXT(config_users, admin),
    TEXT(config_users, redeemer), TEXT(config_users, keeper),  TEXT(config_users, auditor),
    TEXT(config_users, shipper),  TEXT(config_users, rotator), CYAML_FIELD_END};
static const cyaml_schema_field_t config_device_fields[] = {
    TEXT(config_device, name),          TEXT(config_device, kind),
    TEXT(config_device, tcti),          TEXT(config_device, uri),
    TEXT(config_device, module),        TEXT(config_device, pin_file),
    TEXTS(config_device, environment),  TEXTS(config_device, boot_pcrs),
    TEXT(config_device, boot_approver), CYAML_FIELD_END};
static const cyaml_schema_field_t config_more_devices_fields[] = {
    TEXT(config_device, name),
    TEXT(config_device, kind),
    TEXT(config_device, tcti),
    TEXT(config_device, uri),
    TEXT(config_device, module),
    TEXT(config_device, pin_file),
    TEXTS(config_device, boot_pcrs),
    TEXT(config_device, boot_approver),
    CYAML_FIELD_END};
static const cyaml_schema_value_t more_device_value = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_device, config_more_devices_fields),
};
static const cyaml_schema_field_t config_broker_fields[] = {
    TEXT(config_broker, listen),
    TEXT(config_broker, tls_certificate),
    TEXT(config_broker, tls_key),
    TEXT(config_broker, issuer_ca),
    NUMBER(config_broker, workers),
    NUMBER(config_broker, max_connections),
    NUMBER(config_broker, idle_ms),
    NUMBER(config_broker, request_deadline_ms),
    CYAML_FIELD_END};
static const cyaml_schema_field_t config_admin_fields[] = {
    TEXT(config_admin, socket),
    TEXT(config_admin, listen),
    TEXT(config_admin, tls_certificate),
    TEXT(config_admin, tls_key),
    TEXT(config_admin, oidc_tenant),
    TEXTS(config_admin, allow_users),
    NUMBER(config_admin, max_connections),
    NUMBER(config_admin, request_deadline_ms),
    NUMBER(config_admin, idle_ms),
    CYAML_FIELD_END};
static const cyaml_schema_field_t config_redeemer_fields[] = {
    TEXT(config_redeemer, socket),
    TEXT(config_redeemer, socket_group),
    TEXT(config_redeemer, listen),
    TEXT(config_redeemer, tls_certificate),
    TEXT(config_redeemer, tls_key),
    NUMBER(config_redeemer, workers),
    NUMBER(config_redeemer, max_connections),
    NUMBER(config_redeemer, request_deadline_ms),
    NUMBER(config_redeemer, idle_ms),
    NUMBER(config_redeemer, cache_max_s),
    CYAML_FIELD_END};
static const cyaml_schema_field_t config_rotator_fields[] = {
    TEXT(config_rotator, provider_ca), TEXTS(config_rotator, programs),
    NUMBER(config_rotator, call_timeout_ms), NUMBER(config_rotator, retry_s), CYAML_FIELD_END};
static const cyaml_schema_field_t config_keeper_fields[] = {
    NUMBER(config_keeper, data_key_idle_s), NUMBER(config_keeper, secret_heap_kib),
    NUMBER(config_keeper, device_probe_s), NUMBER(config_keeper, device_grace_s),
    NUMBER(config_keeper, device_timeout_s), NUMBER(config_keeper, audit_epoch_s),
    NUMBER(config_keeper, device_restart_s), CYAML_FIELD_END};
static const cyaml_schema_field_t config_audit_fields[] = {
    TEXT(config_audit, directory), TEXT(config_audit, origin), TEXT(config_audit, pseudonym_key),
    TEXT(config_audit, archive), CYAML_FIELD_END};
static const cyaml_schema_field_t config_shipping_fields[] = {
    TEXT(config_shipping, positions),    TEXT(config_shipping, syslog),
    TEXT(config_shipping, syslog_ca),    TEXT(config_shipping, syslog_certificate),
    TEXT(config_shipping, syslog_key),   TEXT(config_shipping, collector),
    TEXT(config_shipping, collector_ca), TEXT(config_shipping, collector_header_file),
    TEXT(config_shipping, file),         CYAML_FIELD_END};
static const cyaml_schema_field_t config_tokens_fields[] = {
    TEXT(config_tokens, signing_key), NUMBER(config_tokens, lifetime_s),
    NUMBER(config_tokens, max_lifetime_s), CYAML_FIELD_END};
static const cyaml_schema_field_t config_rotation_fields[] = {
    NUMBER(config_rotation, publication_s),
    NUMBER(config_rotation, intake_overlap_s),
    NUMBER(config_rotation, records_per_s),
    NUMBER(config_rotation, signing_days),
    NUMBER(config_rotation, intake_days),
    NUMBER(config_rotation, tenant_days),
    NUMBER(config_rotation, wrapping_days),
    NUMBER(config_rotation, credential_days),
    NUMBER(config_rotation, checkpoint_overlap_s),
    NUMBER(config_rotation, checkpoint_days),
    NUMBER(config_rotation, system_days),
    CYAML_FIELD_END};
const cyaml_schema_field_t config_fields[] = {
    TEXT(config, issuer),
    TEXT(config, store),
    TEXT(config, profiles),
    TEXT(config, recipes),
    GROUP(rotator, rotator),
    TEXT(config, log_level),
    NUMBER(config, drain_ms),
    NUMBER(config, hang_s),
    GROUP(users, users),
    GROUP(device, device),
    CYAML_FIELD_SEQUENCE_COUNT("more_devices", CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL,
                               struct config, more_devices, more_devices_count, &more_device_value,
                               0, CONFIG_MORE_DEVICES_MAX),
    GROUP(broker, broker),
    GROUP(admin, admin),
    GROUP(redeemer, redeemer),
    GROUP(keeper, keeper),
    GROUP(audit, audit),
    GROUP(shipping, shipping),
    GROUP(tokens, tokens),
    GROUP(rotation, rotation),
    CYAML_FIELD_END};
static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields),
};

const char *config_origin(const struct config *config) {
    return config->audit.origin[0] ? config->audit.origin : config->issuer + strlen("https://");
}

bool config_ships(const struct config *config) {
    return config->shipping.syslog[0] || config->shipping.collector[0] || config->shipping.file[0];
}

// ---- Load ----

static const cyaml_config_t cyaml_settings = {.mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};

static vlt_result load(const struct config_file *file, struct fault *fault,
                       struct config **ret_config) {
    struct bytes text = config_file_text(file);
    struct config *config = NULL;
    VLT_TRY(config_file_check(file, config_fields, fault));
    cyaml_err_t error = cyaml_load_data(text.at, text.size, &cyaml_settings, &config_schema,
                                        (cyaml_data_t **)&config, NULL);
    if (error != CYAML_OK || !config)
        return config_file_refuse(file, "", cyaml_strerror(error), fault);
    vlt_result result =
        config_set_defaults(config) ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = config_check(file, config, fault);
    if (!vlt_is_ok(result)) {
        config_free(config);
        return result;
    }
    *ret_config = config;
    return vlt_ok();
}

vlt_result config_load(const char *path, struct fault *fault, struct config **ret_config) {
    struct config_file *file = NULL;
    VLT_TRY(config_file_open(path, fault, &file));
    vlt_result result = load(file, fault, ret_config);
    config_file_close(file);
    return result;
}

void config_free(struct config *config) {
    cyaml_free(&cyaml_settings, &config_schema, config, 0);
}
