// SPDX-License-Identifier: Apache-2.0
// What an administrator wants to know about the vault. Never a secret.
#include <jansson.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/credential_age.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/device_probe.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/key_age.h"
#include "vaultd/keeper/system_keys.h"

static json_t *device_json(const struct keeper *keeper) {
    const struct hsm_description *device = &keeper->device_description;
    if (!keeper->is_device_known)
        return json_null();
    json_t *boot_pcrs = json_array();
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (device->boot_pcrs >> i & 1)
            json_array_append_new(boot_pcrs, json_integer(i));
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:o}", "kind",
                     device->kind_text, "label", device->label, "manufacturer",
                     device->manufacturer, "model", device->model, "serial", device->serial,
                     "firmware", device->firmware, "mechanism", device->mechanism, "generation",
                     (int)device->generation, "known_answer_at",
                     (json_int_t)device->known_answer_at, "boot_pcrs", boot_pcrs);
}

static json_t *store_json(struct keeper *keeper) {
    struct store_size size;
    if (!keeper->store || !vlt_is_ok(store_measure(keeper->store, &size)))
        return json_null();
    return json_pack("{s:s, s:I, s:I, s:I}", "path", keeper->settings.store_path, "revision",
                     (json_int_t)size.revision, "records", (json_int_t)size.records, "used_bytes",
                     (json_int_t)size.used_bytes);
}

static json_t *keys_json(const struct keeper *keeper) {
    const struct system_keys *keys = keeper->keys;
    if (!keys)
        return json_null();
    json_t *intake = json_array();
    for (size_t i = 0; i < keys->intake_count; i++)
        json_array_append_new(intake, json_string(keys->intake[i].kid));
    bool is_in_device = system_keys_signer(keys, keys->signing->kid) != NULL;
    json_t *json = json_pack("{s:s, s:s, s:s, s:o}", "signing", keys->signing->kid, "signing_in",
                     is_in_device ? "device" : "memory", "checkpoint",
                     keys->checkpoint ? keys->checkpoint->kid : "", "intake", intake);
    if (json && keeper->sign_trouble[0])
        json_object_set_new(json, "signing_trouble", json_string(keeper->sign_trouble));
    return json;
}

static json_t *status_json(struct keeper *keeper) {
    json_t *status =
        json_pack("{s:s, s:s, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:I}", "state",
                  keeper_state_name(keeper->state), "secret_memory", secret_heap_kind_text(),
                  "secret_bytes", (json_int_t)secret_heap_used_bytes(), "uptime_s",
                  (json_int_t)((clock_elapsed_ms() - keeper->started_ms) / 1000), "device",
                  device_json(keeper), "store", store_json(keeper), "keys", keys_json(keeper),
                  "devices", devices_json(keeper), "rollback_protection", epoch_json(keeper),
                  "data_keys_loaded", (json_int_t)datakeys_loaded(keeper->datakeys),
                  "calls_in_flight", (json_int_t)keeper->in_flight);
    if (status)
        json_object_set_new(status, "old_credentials", credential_age_json(keeper));
    if (status)
        json_object_set_new(status, "old_keys", key_age_json(keeper));
    if (status && keeper->why[0])
        json_object_set_new(status, "reason", json_string(keeper->why));
    if (status && device_grace_left_s(keeper) >= 0)
        json_object_set_new(status, "seals_in_s", json_integer(device_grace_left_s(keeper)));
    if (status && keeper->keys)
        json_object_set_new(status, "unsealed_at", json_integer(keeper->unsealed_at));
    return status;
}

// That this call is let in when the vault is open, and only then, is the answer.
void answer_serving(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    const struct answer_serving answer = {0};
    reply_serving(call, vlt_ok(), &answer);
}

void answer_status(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_status ask;
    if (!vlt_is_ok(ask_status_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_status");
        return;
    }
    json_t *status = status_json(keeper);
    char *text = status ? json_dumps(status, JSON_COMPACT) : NULL;
    json_decref(status);
    struct answer_status answer = {.state = (uint8_t)keeper->state,
                                   .description = bytes_of_text(text)};
    reply_status(call, text ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory"),
                 text ? &answer : NULL);
    free(text);
}
