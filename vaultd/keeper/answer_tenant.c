// SPDX-License-Identifier: Apache-2.0
// A new tenant: a number, a data key wrapped by the device, a record; one commit.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/tenants.h"
#include "vaultd/log/log.h"

#define FIRST_DATA_KEY 1

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    change->keeper->wraps_in_flight--;
    if (vlt_is_ok(result))
        slots_touch_tenant(change->keeper, change->number);
    struct answer_tenant_create answer = {.tenant = change->number, .revision = revision};
    reply_tenant_create(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

// The description is the record as the admin role would write it; name, number
// and time are ours.
static vlt_result read_description(struct bytes json, struct record_tenant *tenant) {
    json_t *root;
    if (json.size == 0)
        return vlt_ok();
    VLT_TRY(jsontext_parse(json, &jsontext_token_limits, NULL, &root));
    const json_t *text = json_object_get(root, "description");
    vlt_result result = vlt_ok();
    if (text && (!json_is_string(text) ||
                 !bytes_to_text(bytes_of(json_string_value(text), json_string_length(text)),
                                tenant->description, sizeof tenant->description)))
        result = vlt_fail(VLT_MALFORMED, "the description of a tenant must be a short text");
    json_decref(root);
    return result;
}

static vlt_result add_record(struct change *change, const struct record_tenant *tenant) {
    json_t *json = record_tenant_json(tenant);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    change_add(change, STORE_SYSTEM_TENANT, STORE_TENANT, bytes_of_text(tenant->name),
               bytes_of_text(text), 0);
    free(text);
    return vlt_ok();
}

static void add_next_number(struct change *change, uint32_t next) {
    uint8_t room[4];
    // Numbers are given out in memory; commits are in that order, so the record
    // only grows.
    change_add(change, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(TENANTS_NEXT_NAME),
               record_datakey_name(next, room), STORE_ANY_REVISION);
}

static vlt_result add_data_key(struct change *change, const struct device_call *call) {
    uint8_t record[RECORD_DATAKEY_MAX], number[4];
    const struct keeper *keeper = change->keeper;
    size_t size;
    uint8_t device[HSM_KEY_ID_BYTES];
    if (!keeper->keys) // sealed meanwhile: no offline slot could be made
        return vlt_fail(VLT_UNAVAILABLE, "the vault was sealed");
    VLT_TRY(hsm_blob_key_id(bytes_of(call->blob, call->blob_bytes), device));
    VLT_TRY(datakey_wrapped_by_known(keeper, device));
    VLT_TRY(datakey_record(keeper->keys->recovery, change->number, FIRST_DATA_KEY,
                           keeper->device_description.generation, call, record, &size));
    change_add(change, change->number, STORE_DATA_KEY, record_datakey_name(FIRST_DATA_KEY, number),
               bytes_of(record, size), 0);
    return vlt_ok();
}

static void wrapped(struct device_call *call) {
    struct change *change = call->context;
    vlt_result result = call->result;
    change->keeper->in_flight--;
    if (vlt_is_ok(result))
        result = add_data_key(change, call);
    else
        log_error("the data key of a tenant can not be wrapped: %s",
                  fault_or_reason(&call->fault, result));
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change,
                      result.class == VLT_CONFLICT
                          ? result
                          : vlt_fail(VLT_UNAVAILABLE, "no data key can be wrapped: see "
                                                      "`vaultctl device list`"));
}

static vlt_result prepare(struct keeper *keeper, const struct ask_tenant_create *ask,
                          struct change *change) {
    struct record_tenant tenant = {.created_at = clock_now_s()}, other;
    if (!record_name_is_valid(ask->name) ||
        !bytes_to_text(ask->name, tenant.name, sizeof tenant.name))
        return vlt_fail(VLT_MALFORMED, "this can not be the name of a tenant");
    VLT_TRY(read_description(ask->description, &tenant));
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = record_tenant_find(keeper->store, ask->name, &other);
    store_snapshot_end(keeper->store);
    if (vlt_is_ok(result))
        return vlt_fail(VLT_CONFLICT, "a tenant of this name exists already");
    if (result.class != VLT_NOT_FOUND)
        return result;
    if (keeper->next_tenant == UINT32_MAX)
        return vlt_fail(VLT_LIMIT, "there are no numbers for tenants left");
    change->number = tenant.number = keeper->next_tenant++;
    add_next_number(change, keeper->next_tenant);
    return add_record(change, &tenant);
}

void answer_tenant_create(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_tenant_create ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_tenant_create_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_tenant_create");
        return;
    }
    struct change *change = change_new(keeper, call, &event, answered);
    if (!change) {
        audit_refuse(keeper, call, &event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    keeper->wraps_in_flight++;
    vlt_result result = prepare(keeper, &ask, change);
    struct device_call *wrap =
        vlt_is_ok(result) ? device_call_new(DEVICE_WRAP, wrapped, change) : NULL;
    if (vlt_is_ok(result) && !wrap)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a data key");
    if (wrap)
        result = secret_set_random(wrap->secret, HSM_DATA_KEY_BYTES);
    if (vlt_is_ok(result)) {
        device_call_set_purpose(wrap, change->number, FIRST_DATA_KEY);
        keeper->in_flight++;
        device_submit(keeper->device, wrap);
        return;
    }
    if (wrap)
        device_call_free(wrap);
    change_refuse(change, result);
}
