// SPDX-License-Identifier: Apache-2.0
// Measured boot: shows what the wrapping key is bound to and what this machine
// booted, and takes states that the approver signed.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/store/record_boot.h"
#include "libvault/tpm/boot_json.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/boot.h"
#include "vaultd/keeper/change.h"
#include "vaultd/log/log.h"

// ---- Showing ----

struct showing {
    struct keeper *keeper;
    struct ipc_call *call;
    const struct device *device;
    struct boot_binding binding; // of the key in use, or of the settings
    bool has_key;
};

static json_t *pcrs_json(uint32_t pcrs) {
    json_t *list = json_array();
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (pcrs >> i & 1)
            json_array_append_new(list, json_integer(i));
    return list;
}

struct listing {
    json_t *list;
    const struct boot_binding *binding;
    const struct boot_state *now;
    const char *state; // what was recognised
    char name[65];
};

static bool list_approval(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct listing *listing = context;
    struct record_boot record;
    if (!vlt_is_ok(record_boot_parse(value, NULL, &record)))
        return true;
    bool counts = record.approval.state.pcrs == listing->binding->created.pcrs &&
                  vlt_is_ok(boot_approval_verify(&record.approval, listing->binding->approver));
    bool is_now = !boot_difference(&record.approval.state, listing->now);
    if (counts && is_now && !listing->state) {
        listing->state = "approved";
        memcpy(listing->name, record.approval.name, sizeof listing->name);
    }
    json_t *json = record_boot_json(&record);
    json_object_set_new(json, "counts", json_boolean(counts)); // for the key in use
    json_object_set_new(json, "now", json_boolean(is_now));
    json_array_append_new(listing->list, json);
    return true;
}

static vlt_result list_approvals(struct keeper *keeper, struct listing *listing) {
    if (!keeper->store)
        return vlt_ok();
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_BOOT_APPROVAL,
                                   bytes_of(NULL, 0), bytes_of(NULL, 0), list_approval, listing);
    store_snapshot_end(keeper->store);
    return result;
}

static json_t *showing_json(const struct showing *showing, const struct boot_state *now,
                            const struct listing *listing) {
    const struct boot_binding *binding = &showing->binding;
    char approver[2 * BOOT_POINT_BYTES + 1];
    hex_encode(bytes_of(binding->approver, BOOT_POINT_BYTES), approver);
    json_t *json = json_pack("{s:s, s:b, s:o, s:O}", "device", showing->device->name, "bound",
                             showing->has_key && binding->created.pcrs != 0, "pcrs",
                             pcrs_json(binding->created.pcrs), "approvals", listing->list);
    if (!json || !binding->created.pcrs)
        return json;
    json_object_set_new(json, "approver", json_string(approver));
    json_object_set_new(json, "now", boot_json_values(now));
    if (!showing->has_key)
        return json;
    json_object_set_new(json, "created", boot_json_values(&binding->created));
    bool is_created = !boot_difference(&binding->created, now);
    json_object_set_new(json, "state",
                        json_string(is_created       ? "creation"
                                    : listing->state ? listing->state
                                                     : "not approved"));
    if (!is_created && listing->state)
        json_object_set_new(json, "name", json_string(listing->name));
    return json;
}

static void show(struct showing *showing, const struct boot_state *now) {
    struct listing listing = {.list = json_array(), .binding = &showing->binding, .now = now};
    vlt_result result = list_approvals(showing->keeper, &listing);
    json_t *json = vlt_is_ok(result) ? showing_json(showing, now, &listing) : NULL;
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (vlt_is_ok(result) && !text)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    const struct answer_boot_show answer = {.description = bytes_of_text(text)};
    reply_boot_show(showing->call, result, vlt_is_ok(result) ? &answer : NULL);
    json_decref(json);
    json_decref(listing.list);
    free(text);
    free(showing);
}

static void pcrs_read(struct device_call *call) {
    struct showing *showing = call->context;
    if (vlt_is_ok(call->result)) {
        show(showing, &call->boot);
        return;
    }
    log_warning("the boot state can not be read: %s", fault_or_reason(&call->fault, call->result));
    reply_boot_show(showing->call, call->result, NULL);
    free(showing);
}

// Before init, and with a key that is not bound, it is told how new keys would be.
static void choose_binding(struct keeper *keeper, struct showing *showing) {
    const struct hsm_settings *device = &keeper->settings.devices[showing->device->number].hsm;
    showing->has_key =
        vlt_is_ok(boot_binding_read(keeper, showing->device->name, &showing->binding)) &&
        showing->binding.created.pcrs != 0;
    if (showing->has_key)
        return;
    showing->binding = (struct boot_binding){.created = {.pcrs = device->boot_pcrs}};
    memcpy(showing->binding.approver, device->boot_approver, BOOT_POINT_BYTES);
}

void answer_boot_show(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_boot_show ask;
    if (!vlt_is_ok(ask_boot_show_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_boot_show");
        return;
    }
    struct showing *showing = calloc(1, sizeof *showing);
    if (!showing) {
        reply_boot_show(call, vlt_fail(VLT_UNAVAILABLE, "out of memory"), NULL);
        return;
    }
    struct device *device = NULL;
    vlt_result result = boot_device(keeper, ask.device, &device);
    if (!vlt_is_ok(result)) {
        free(showing);
        reply_boot_show(call, result, NULL);
        return;
    }
    showing->keeper = keeper;
    showing->call = call;
    showing->device = device;
    choose_binding(keeper, showing);
    if (!showing->binding.created.pcrs) {
        show(showing, &showing->binding.created);
        return;
    }
    struct device_call *read = device_call_new(DEVICE_BOOT_READ, pcrs_read, showing);
    if (!read) {
        free(showing);
        reply_boot_show(call, vlt_fail(VLT_UNAVAILABLE, "out of memory"), NULL);
        return;
    }
    read->settings = keeper->settings.devices[device->number].hsm;
    read->boot.pcrs = showing->binding.created.pcrs;
    device_submit(device->thread, read);
}

// ---- Approving ----

static void approved(struct change *change, vlt_result result, uint64_t revision) {
    const struct answer_boot_approve answer = {.revision = revision};
    struct keeper *keeper = change->keeper;
    reply_boot_approve(change->call, result, vlt_is_ok(result) ? &answer : NULL);
    if (vlt_is_ok(result))
        boot_approved(keeper);
}

static vlt_result read_approval(const struct ask_boot_approve *ask, struct record_boot *record) {
    struct wire_reader r;
    if (!bytes_to_text(ask->name, record->approval.name, sizeof record->approval.name) ||
        !record_name_is_valid(ask->name))
        return vlt_fail(VLT_MALFORMED, "the name of the boot state is not valid");
    wire_reader_init(&r, ask->state);
    boot_state_get(&r, &record->approval.state);
    VLT_TRY(wire_reader_end(&r));
    memcpy(record->approval.signature, ask->signature, sizeof ask->signature);
    record->approved_at = clock_now_s();
    return vlt_ok();
}

// It must be of use for the wrapping key of one of our TPMs; the reason says why not
// of the one that came nearest.
static vlt_result check_approval(struct keeper *keeper, const struct record_boot *record) {
    static const char *const reasons[] = {
        "there is no wrapping key of a TPM",
        "the wrapping key is not bound to measured boot: set device.boot_pcrs, then run "
        "`vaultctl rotate wrapping`",
        "the wrapping key is bound to other PCRs: see `vaultctl device boot`",
        "the signature is not that of the approver with whose key the wrapping key was made, over "
        "these PCR values"};
    static const enum vlt_class classes[] = {VLT_NOT_FOUND, VLT_CONFLICT, VLT_MALFORMED,
                                             VLT_DENIED};
    size_t nearest = 0;
    for (size_t i = 0; i < keeper->devices->count; i++) {
        struct boot_binding binding;
        if (!vlt_is_ok(boot_binding_read(keeper, keeper->devices->at[i].name, &binding)))
            continue;
        size_t near = !binding.created.pcrs                                 ? 1
                      : record->approval.state.pcrs != binding.created.pcrs ? 2
                                                                            : 3;
        if (near == 3 && vlt_is_ok(boot_approval_verify(&record->approval, binding.approver)))
            return vlt_ok();
        nearest = near > nearest ? near : nearest;
    }
    return vlt_fail(classes[nearest], reasons[nearest]);
}

static bool count_approval(struct bytes name, struct bytes value, uint64_t revision,
                           void *context) {
    ++*(size_t *)context;
    return true;
}

static vlt_result check_room(struct keeper *keeper, struct bytes name) {
    size_t count = 0;
    struct bytes value;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result =
        store_get(keeper->store, STORE_SYSTEM_TENANT, STORE_BOOT_APPROVAL, name, &value, NULL);
    if (result.class == VLT_NOT_FOUND)
        result = store_each(keeper->store, STORE_SYSTEM_TENANT, STORE_BOOT_APPROVAL,
                            bytes_of(NULL, 0), bytes_of(NULL, 0), count_approval, &count);
    store_snapshot_end(keeper->store);
    VLT_TRY(result);
    return count < HSM_APPROVALS_MAX
               ? vlt_ok()
               : vlt_fail(VLT_LIMIT, "16 boot states are approved already: give the new one the "
                                     "name of one that is not needed any more");
}

void answer_boot_approve(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_boot_approve ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_boot_approve_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_DEVICE, &event))) {
        ipc_call_refuse(call, "a malformed ask_boot_approve");
        return;
    }
    struct change *change = change_new(keeper, call, &event, approved);
    if (!change) {
        audit_refuse(keeper, call, &event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    struct record_boot record = {.approved_at = 0};
    vlt_result result = read_approval(&ask, &record);
    if (vlt_is_ok(result))
        result = check_approval(keeper, &record);
    if (vlt_is_ok(result))
        result = check_room(keeper, ask.name);
    json_t *json = vlt_is_ok(result) ? record_boot_json(&record) : NULL;
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (vlt_is_ok(result) && !text)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result)) {
        change_add(change, STORE_SYSTEM_TENANT, STORE_BOOT_APPROVAL, ask.name, bytes_of_text(text),
                   STORE_ANY_REVISION);
        change_run(change);
    } else {
        change_refuse(change, result);
    }
    json_decref(json);
    free(text);
}
