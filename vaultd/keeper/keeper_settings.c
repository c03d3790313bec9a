// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/keeper_settings.h"

#include <string.h>

static vlt_result take_text(struct bytes text, const char *name, char *room, size_t capacity,
                            struct fault *fault) {
    if (bytes_to_text(text, room, capacity))
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "a setting of the keeper is not valid",
                     "%s is too long or holds a NUL character", name);
}

static vlt_result take_device(const struct tell_settings_keeper *tell, struct hsm_settings *device,
                              struct fault *fault) {
    if (bytes_equal_text(tell->device_kind, "tpm"))
        device->kind = HSM_TPM;
    else if (bytes_equal_text(tell->device_kind, "pkcs11"))
        device->kind = HSM_PKCS11;
    else
        return fault_set(fault, VLT_MALFORMED, "a setting of the keeper is not valid",
                         "device kind must be \"tpm\" or \"pkcs11\"");
    VLT_TRY(take_text(tell->device_tcti, "device tcti", device->tcti, sizeof device->tcti, fault));
    VLT_TRY(
        take_text(tell->device_uri, "device uri", device->p11_uri, sizeof device->p11_uri, fault));
    VLT_TRY(take_text(tell->device_module, "device module", device->p11_module,
                      sizeof device->p11_module, fault));
    device->boot_pcrs = tell->device_boot_pcrs;
    memcpy(device->boot_approver, tell->device_boot_approver, sizeof device->boot_approver);
    return take_text(tell->device_pin_file, "device pin_file", device->pin_source,
                     sizeof device->pin_source, fault);
}

static vlt_result add_device(const struct hsm_settings *hsm, struct bytes name,
                             struct keeper_settings *settings, struct fault *fault) {
    if (settings->device_count == KEEPER_DEVICES_MAX)
        return fault_set(fault, VLT_LIMIT, "a setting of the keeper is not valid",
                         "there are more than %d devices", KEEPER_DEVICES_MAX);
    struct keeper_device *device = &settings->devices[settings->device_count++];
    device->hsm = *hsm;
    return take_text(name, "name of a device", device->name, sizeof device->name, fault);
}

// What was decoded as the first device decodes the others, too.
static vlt_result take_devices(const struct tell_settings_keeper *tell,
                               struct keeper_settings *settings, struct fault *fault) {
    struct wire_reader r;
    VLT_TRY(take_device(tell, &settings->device, fault));
    VLT_TRY(add_device(&settings->device,
                       tell->device_name.size ? tell->device_name
                                              : BYTES_LITERAL(RECORD_DEVICE_FIRST),
                       settings, fault));
    wire_reader_init(&r, tell->more_devices);
    while (r.next < r.size && !r.failed) {
        struct tell_settings_keeper one = {.device_name = wire_get_bytes(&r, IPC_TEXT_MAX)};
        struct hsm_settings hsm;
        memset(&hsm, 0, sizeof hsm);
        one.device_kind = wire_get_bytes(&r, IPC_TEXT_MAX);
        one.device_tcti = wire_get_bytes(&r, 2 * IPC_TEXT_MAX);
        one.device_uri = wire_get_bytes(&r, 2 * IPC_TEXT_MAX);
        one.device_module = wire_get_bytes(&r, 2 * IPC_TEXT_MAX);
        one.device_pin_file = wire_get_bytes(&r, 2 * IPC_TEXT_MAX);
        one.device_boot_pcrs = wire_get_u32(&r);
        struct bytes approver = wire_get_raw(&r, sizeof one.device_boot_approver);
        if (approver.size)
            memcpy(one.device_boot_approver, approver.at, approver.size);
        if (r.failed)
            return vlt_fail(VLT_MALFORMED, "the list of devices is damaged");
        VLT_TRY(take_device(&one, &hsm, fault));
        VLT_TRY(add_device(&hsm, one.device_name, settings, fault));
    }
    return vlt_ok();
}

static bool has_signing_device(const struct keeper_settings *settings) {
    for (uint32_t i = 0; i < settings->device_count; i++)
        if (settings->devices[i].hsm.kind == HSM_PKCS11)
            return true;
    return false;
}

vlt_result keeper_settings_decode(struct bytes frame, struct fault *fault,
                                  struct keeper_settings *ret_settings) {
    struct tell_settings_keeper tell;
    struct keeper_settings settings;
    // Compared as a whole on reload: padding must not differ.
    memset(&settings, 0, sizeof settings);
    VLT_TRY(tell_settings_keeper_decode(frame, &tell));
    VLT_TRY(take_text(tell.issuer, "issuer", settings.issuer, sizeof settings.issuer, fault));
    VLT_TRY(take_text(tell.store_path, "store", settings.store_path, sizeof settings.store_path,
                      fault));
    VLT_TRY(take_devices(&tell, &settings, fault));
    settings.device_probe_s = tell.device_probe_s ? tell.device_probe_s : 10;
    settings.device_timeout_s = tell.device_timeout_s ? tell.device_timeout_s : 5;
    settings.device_restart_s = tell.device_restart_s;
    settings.audit_epoch_s = tell.audit_epoch_s ? tell.audit_epoch_s : 600;
    settings.device_grace_s = tell.device_grace_s ? tell.device_grace_s : 3600;
    settings.token_max_lifetime_s = tell.token_max_lifetime_s;
    settings.data_key_idle_s = tell.data_key_idle_s;
    settings.publication_s = tell.publication_s;
    settings.intake_overlap_s = tell.intake_overlap_s;
    settings.checkpoint_overlap_s = tell.checkpoint_overlap_s;
    settings.records_per_s = tell.records_per_s;
    settings.signing_age_s = tell.signing_age_s;
    settings.intake_age_s = tell.intake_age_s;
    settings.checkpoint_age_s = tell.checkpoint_age_s;
    settings.tenant_age_s = tell.tenant_age_s;
    settings.wrapping_age_s = tell.wrapping_age_s;
    settings.system_age_s = tell.system_age_s;
    settings.credential_age_s = tell.credential_age_s;
    settings.retry_s = tell.retry_s;
    settings.signs_in_device = tell.signs_in_device != 0;
    settings.log_level = tell.log_level;
    if (settings.signs_in_device && !has_signing_device(&settings))
        return fault_set(fault, VLT_MALFORMED, "a setting of the keeper is not valid",
                         "only a PKCS#11 device can keep the token signing key");
    if (!settings.issuer[0] || !settings.store_path[0])
        return fault_set(fault, VLT_MALFORMED, "a setting of the keeper is not valid",
                         "issuer and store must not be empty");
    if (settings.token_max_lifetime_s == 0 || settings.token_max_lifetime_s > KEEPER_LIFETIME_MAX_S)
        return fault_set(fault, VLT_MALFORMED, "a setting of the keeper is not valid",
                         "the longest token lifetime must be 1 to %u seconds",
                         KEEPER_LIFETIME_MAX_S);
    *ret_settings = settings;
    return vlt_ok();
}

static bool is_same_device(const struct hsm_settings *a, const struct hsm_settings *b) {
    return a->kind == b->kind && strcmp(a->tcti, b->tcti) == 0 &&
           strcmp(a->p11_uri, b->p11_uri) == 0 && strcmp(a->p11_module, b->p11_module) == 0;
}

vlt_result keeper_settings_check_reload(const struct keeper_settings *current,
                                        const struct keeper_settings *next, struct fault *fault) {
    if (strcmp(current->store_path, next->store_path) != 0)
        return fault_set(fault, VLT_CONFLICT, "a setting needs a restart",
                         "the path of the store can only change with a restart");
    // More devices may come; those that are there stay.
    for (uint32_t i = 0; i < current->device_count; i++)
        if (i >= next->device_count ||
            strcmp(current->devices[i].name, next->devices[i].name) != 0 ||
            !is_same_device(&current->devices[i].hsm, &next->devices[i].hsm))
            return fault_set(fault, VLT_CONFLICT, "a setting needs a restart",
                             "the device %s can only change with a restart",
                             current->devices[i].name);
    return vlt_ok();
}
