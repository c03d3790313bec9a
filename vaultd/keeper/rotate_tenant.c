// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_tenant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_credential.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/reencrypt.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/log/log.h"

#define LOOKS_MAX 20000 // records in one turn of the loop: some milliseconds

// ---- What there is ----

struct reading {
    struct rotate_datakeys *keys;
    vlt_result result;
};

static bool read_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct reading *reading = context;
    struct rotate_datakeys *keys = reading->keys;
    struct record_datakey record;
    struct wire_reader r;
    reading->result = record_datakey_get(value, &record);
    if (vlt_is_ok(reading->result) && keys->count == ROTATE_DATAKEYS_MAX)
        reading->result = vlt_fail(VLT_LIMIT, "the tenant has too many data keys");
    if (!vlt_is_ok(reading->result))
        return false;
    wire_reader_init(&r, name);
    struct rotate_datakey *key = &keys->keys[keys->count++];
    *key = (struct rotate_datakey){.number = wire_get_u32(&r),
                                   .state = record.state,
                                   .created_at = (int64_t)record.created_at,
                                   .revision = revision};
    if (record.state == RECORD_WRAPPING_ACTIVE)
        keys->active = key; // names sort by number
    return true;
}

vlt_result rotate_datakeys_read(struct keeper *keeper, uint32_t tenant,
                                struct rotate_datakeys *ret_keys) {
    *ret_keys = (struct rotate_datakeys){.count = 0};
    struct reading reading = {.keys = ret_keys, .result = vlt_ok()};
    if (tenant == STORE_SYSTEM_TENANT)
        return vlt_fail(VLT_NOT_FOUND, "there is no such tenant");
    VLT_TRY(store_each(keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0), bytes_of(NULL, 0),
                       read_key, &reading));
    VLT_TRY(reading.result);
    return ret_keys->active ? vlt_ok() : vlt_fail(VLT_NOT_FOUND, "there is no such tenant");
}

static vlt_result read_keys(struct keeper *keeper, uint32_t tenant, struct rotate_datakeys *keys) {
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_datakeys_read(keeper, tenant, keys);
    store_snapshot_end(keeper->store);
    return result;
}

// ---- For people ----

static json_t *key_json(const struct rotate_datakey *key) {
    char number[16];
    snprintf(number, sizeof number, "%" PRIu32, key->number);
    return json_pack("{s:s, s:I, s:I}", "key", number, "created_at", (json_int_t)key->created_at,
                     "revision", (json_int_t)key->revision);
}

static void add_progress(const struct keeper *keeper, uint32_t tenant, json_t *json) {
    struct reencrypt_progress p;
    if (!reencrypt_look(keeper, tenant, &p))
        return;
    json_object_set_new(json, "state", json_string(p.phase));
    json_object_set_new(json, "records", json_integer((json_int_t)p.records));
    json_object_set_new(json, "remaining", json_integer((json_int_t)p.remaining));
    json_object_set_new(json, "done", json_integer((json_int_t)p.done));
    json_object_set_new(json, "records_per_s", json_integer((json_int_t)p.records_per_s));
    json_object_set_new(json, "left_s", json_integer((json_int_t)p.left_s));
    if (p.damaged)
        json_object_set_new(json, "damaged", json_integer((json_int_t)p.damaged));
}

static json_t *describe(struct keeper *keeper, uint32_t tenant) {
    struct rotate_datakeys keys;
    if (!vlt_is_ok(read_keys(keeper, tenant, &keys)))
        return NULL;
    json_t *retired = json_array();
    for (size_t i = 0; i < keys.count; i++)
        if (&keys.keys[i] != keys.active)
            json_array_append_new(retired, key_json(&keys.keys[i]));
    bool is_under_way = keys.count > 1;
    json_t *json = json_pack("{s:s, s:b, s:s, s:o, s:o}", "kind", "tenant", "is_under_way",
                             is_under_way, "state", is_under_way ? "waiting" : "steady", "active",
                             key_json(keys.active), "retired", retired);
    if (json)
        add_progress(keeper, tenant, json);
    return json;
}

// ---- A new data key ----

struct making {
    struct change *change;
    struct secret *key; // while the device proves that it can unwrap it
    uint32_t tenant, number;
};

static void making_fail(struct making *making, struct device_call *call, vlt_result result) {
    if (result.class != VLT_CONFLICT)
        log_error("a data key of tenant %u can not be made: %s", making->tenant,
                  fault_or_reason(&call->fault, result));
    making->change->keeper->in_flight--;
    change_refuse(making->change,
                  result.class == VLT_CONFLICT
                      ? result
                      : vlt_fail(VLT_UNAVAILABLE, "no data key can be wrapped: see "
                                                      "`vaultctl device list`"));
    secret_free(making->key);
    free(making);
}

// The generation is a note for people; the id is what opens it.
static vlt_result add_record(struct making *making, const struct device_call *call) {
    uint8_t room[RECORD_DATAKEY_MAX], number[4];
    struct change *change = making->change;
    const struct keeper *keeper = change->keeper;
    uint8_t device[HSM_KEY_ID_BYTES];
    size_t size;
    if (!keeper->keys) // sealed meanwhile: no offline slot could be made
        return vlt_fail(VLT_UNAVAILABLE, "the vault was sealed");
    VLT_TRY(hsm_blob_key_id(bytes_of(call->blob, call->blob_bytes), device));
    VLT_TRY(datakey_wrapped_by_known(keeper, device));
    VLT_TRY(datakey_record(keeper->keys->recovery, making->tenant, making->number,
                           keeper->device_description.generation, call, room, &size));
    change_add(change, making->tenant, STORE_DATA_KEY, record_datakey_name(making->number, number),
               bytes_of(room, size), 0);
    return vlt_ok();
}

static bool is_same_key(const struct secret *a, const struct secret *b) {
    bool is_same = secret_equal(bytes_of(secret_borrow(a), secret_size(a)),
                                bytes_of(secret_borrow(b), secret_size(b)));
    secret_release(a);
    secret_release(b);
    return is_same;
}

// From here on nobody has to wait for the device because of the new key.
static void unwrapped(struct device_call *call) {
    struct making *making = call->context;
    struct keeper *keeper = making->change->keeper;
    vlt_result result = call->result;
    if (vlt_is_ok(result) && !is_same_key(call->secret, making->key))
        result = vlt_fail(VLT_CRYPTO, "the device does not give back what it wrapped");
    if (vlt_is_ok(result))
        result = add_record(making, call);
    if (vlt_is_ok(result) && keeper->state == KEEPER_UNSEALED)
        result = datakey_keep(keeper->datakeys, making->tenant, making->number, making->key);
    if (!vlt_is_ok(result)) {
        making_fail(making, call, result);
        return;
    }
    keeper->in_flight--;
    change_run(making->change);
    secret_free(making->key);
    free(making);
}

static void wrapped(struct device_call *call) {
    struct making *making = call->context;
    vlt_result result = call->result;
    struct device_call *proof =
        vlt_is_ok(result) ? device_call_new(DEVICE_UNWRAP, unwrapped, making) : NULL;
    if (vlt_is_ok(result) && !proof)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        making_fail(making, call, result);
        return;
    }
    making->key = call->secret;
    call->secret = NULL;
    memcpy(proof->blob, call->blob, call->blob_bytes);
    proof->blob_bytes = call->blob_bytes;
    device_call_set_purpose(proof, making->tenant, making->number);
    device_submit(device_call_thread(call), proof);
}

static vlt_result add_retirement(struct keeper *keeper, uint32_t tenant,
                                 const struct rotate_datakey *old, struct change *change) {
    uint8_t number[4], room[RECORD_DATAKEY_MAX];
    struct bytes value;
    struct record_datakey record;
    uint64_t revision;
    VLT_TRY(store_get(keeper->store, tenant, STORE_DATA_KEY,
                      record_datakey_name(old->number, number), &value, &revision));
    VLT_TRY(record_datakey_get(value, &record));
    if (revision != old->revision)
        return vlt_fail(VLT_CONFLICT, "the data key was changed by somebody else");
    record.state = RECORD_WRAPPING_RETIRED;
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_datakey_put(&w, &record);
    change_add(change, tenant, STORE_DATA_KEY, record_datakey_name(old->number, number),
               bytes_of(room, w.size), revision);
    return w.failed ? vlt_fail(VLT_BUG, "a wrapped data key is too large") : vlt_ok();
}

static vlt_result start(struct keeper *keeper, uint32_t tenant, const struct rotate_datakeys *keys,
                        struct change *change) {
    uint32_t newest = keys->keys[keys->count - 1].number;
    if (keys->count == ROTATE_DATAKEYS_MAX || newest == UINT32_MAX)
        return vlt_fail(VLT_LIMIT, "the tenant has too many data keys");
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = add_retirement(keeper, tenant, keys->active, change);
    store_snapshot_end(keeper->store);
    VLT_TRY(result);
    struct making *making = calloc(1, sizeof *making);
    struct device_call *call = making ? device_call_new(DEVICE_WRAP, wrapped, making) : NULL;
    if (!call) {
        free(making);
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a data key");
    }
    *making = (struct making){.change = change, .tenant = tenant, .number = newest + 1};
    result = secret_set_random(call->secret, HSM_DATA_KEY_BYTES);
    if (!vlt_is_ok(result)) {
        device_call_free(call);
        free(making);
        return result;
    }
    device_call_set_purpose(call, tenant, making->number);
    keeper->in_flight++;
    device_submit(keeper->device, call);
    return vlt_ok();
}

void rotate_tenant_begin(struct keeper *keeper, uint32_t tenant, const struct rotate_datakeys *keys,
                         struct change *change) {
    keeper->wraps_in_flight++; // until the change is answered
    vlt_result result = start(keeper, tenant, keys, change);
    if (!vlt_is_ok(result))
        change_refuse(change, result);
}

// ---- Asked for ----

struct asked {
    uint32_t tenant, records_per_s;
};

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    struct asked *asked = change->context;
    keeper->wraps_in_flight--;
    keeper->rotations->is_dirty = true;
    if (vlt_is_ok(result)) {
        slots_touch_tenant(keeper, asked->tenant);
        reencrypt_begin(keeper, asked->tenant, asked->records_per_s);
        rotation_reply(change->call, describe(keeper, asked->tenant));
    } else {
        // Two at once: the number of the new key is taken.
        reply_failure(change->call,
                      result.class == VLT_CONFLICT
                          ? vlt_fail(VLT_CONFLICT, "the data key was rotated by somebody else "
                                                   "just now")
                          : result);
    }
    free(asked);
}

static void begin(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                  const struct rotate_datakeys *keys, struct audit_event *event) {
    struct asked *asked = malloc(sizeof *asked);
    struct change *change = asked ? change_new(keeper, call, event, answered) : NULL;
    if (!change) {
        free(asked);
        audit_refuse(keeper, call, event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    *asked = (struct asked){ask->tenant, ask->records_per_s};
    change->context = asked;
    rotate_tenant_begin(keeper, ask->tenant, keys, change);
}

void rotate_tenant_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                       struct audit_event *event) {
    struct rotate_datakeys keys;
    vlt_result result = read_keys(keeper, ask->tenant, &keys);
    bool is_under_way = vlt_is_ok(result) && keys.count > 1;
    if (vlt_is_ok(result) && ask->mode == ROTATION_EMERGENCY)
        result = vlt_fail(VLT_MALFORMED, "only signing and intake keys have an emergency");
    if (vlt_is_ok(result) && ask->mode == ROTATION_RUN && ask->expected_revision &&
        (is_under_way || ask->expected_revision != keys.active->revision))
        result = vlt_fail(VLT_CONFLICT, "the data key was rotated by somebody else just now");
    if (!vlt_is_ok(result)) {
        audit_refuse(keeper, call, event, result);
    } else if (ask->mode == ROTATION_LOOK) {
        rotation_reply(call, describe(keeper, ask->tenant));
    } else if (is_under_way) { // go on, perhaps at another speed
        reencrypt_begin(keeper, ask->tenant, ask->records_per_s);
        reencrypt_set_rate(keeper, ask->records_per_s);
        rotation_reply(call, describe(keeper, ask->tenant));
    } else {
        begin(keeper, call, ask, &keys, event);
    }
}

// ---- Destroyed by hand: nothing may name it ----

struct looking {
    uint32_t number;
    size_t looks;
    bool is_named;
};

static bool look_for_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct record_credential_secret secret;
    struct looking *looking = context;
    looking->is_named = !vlt_is_ok(record_credential_secret_get(value, &secret)) ||
                        secret.data_key == looking->number;
    return !looking->is_named && ++looking->looks < LOOKS_MAX;
}

static vlt_result check_unused(struct keeper *keeper, uint32_t tenant,
                               const struct rotate_datakeys *keys, uint32_t number) {
    const struct rotate_datakey *key = NULL;
    for (size_t i = 0; i < keys->count; i++)
        if (keys->keys[i].number == number)
            key = &keys->keys[i];
    if (!key)
        return vlt_fail(VLT_NOT_FOUND, "there is no such key");
    if (key->state == RECORD_WRAPPING_ACTIVE)
        return vlt_fail(VLT_CONFLICT, "the key is in use: rotate it first");
    struct looking looking = {.number = number};
    VLT_TRY(store_each(keeper->store, tenant, STORE_CREDENTIAL_SECRET, bytes_of(NULL, 0),
                       bytes_of(NULL, 0), look_for_key, &looking));
    if (looking.is_named || datakey_use_of_other(keeper, tenant, keys->active->number))
        return vlt_fail(VLT_CONFLICT, "credentials are encrypted with the key");
    // Looking at all of many would stop everybody else: the background job does it.
    if (keeper->rotations->reencrypt || looking.looks == LOOKS_MAX)
        return vlt_fail(VLT_CONFLICT, "records are being re-encrypted: the key goes when none "
                                      "names it");
    return vlt_ok();
}

static void destroyed(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_key_destroy answer = {.revision = revision};
    if (vlt_is_ok(result))
        datakey_forget(change->keeper->datakeys, change->changes[0].tenant, change->number);
    reply_key_destroy(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

static vlt_result number_of(struct bytes text, uint32_t *ret_number) {
    uint64_t number = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || number > UINT32_MAX)
            return vlt_fail(VLT_NOT_FOUND, "there is no such key");
        number = number * 10 + (uint64_t)(text.at[i] - '0');
    }
    if (number == 0 || number > UINT32_MAX)
        return vlt_fail(VLT_NOT_FOUND, "there is no such key");
    *ret_number = (uint32_t)number;
    return vlt_ok();
}

void rotate_tenant_destroy(struct keeper *keeper, struct ipc_call *call,
                           const struct ask_key_destroy *ask, struct audit_event *event) {
    struct rotate_datakeys keys;
    uint8_t room[4];
    uint32_t number = 0;
    vlt_result result = number_of(ask->key, &number);
    if (vlt_is_ok(result))
        result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = rotate_datakeys_read(keeper, ask->tenant, &keys);
        if (vlt_is_ok(result))
            result = check_unused(keeper, ask->tenant, &keys, number);
        store_snapshot_end(keeper->store);
    }
    struct change *change = vlt_is_ok(result) ? change_new(keeper, call, event, destroyed) : NULL;
    if (vlt_is_ok(result) && !change)
        result = vlt_fail(VLT_UNAVAILABLE, "no memory for a change");
    if (!change) {
        audit_refuse(keeper, call, event, result);
        return;
    }
    change->number = number;
    change_add_removal(change, ask->tenant, STORE_DATA_KEY, record_datakey_name(number, room),
                       STORE_ANY_REVISION);
    change_run(change);
}

// ---- By age ----

static void scheduled(struct change *change, vlt_result result, uint64_t revision) {
    change->keeper->wraps_in_flight--;
    change->keeper->rotations->is_dirty = true;
}

void rotate_tenant_schedule(struct keeper *keeper, uint32_t tenant, uint32_t age_s) {
    struct rotate_datakeys keys;
    struct audit_event event;
    char subject[32];
    snprintf(subject, sizeof subject, "tenant %" PRIu32, tenant);
    if (!vlt_is_ok(read_keys(keeper, tenant, &keys)) || keys.count > 1 ||
        !key_age_is_due(keeper, ROTATION_TENANT, subject, keys.active->created_at, age_s, tenant))
        return;
    rotation_event(&event, "rotate.tenant.begin", subject);
    struct change *change = change_new(keeper, NULL, &event, scheduled);
    if (change)
        rotate_tenant_begin(keeper, tenant, &keys, change);
}
