// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/rotate_tenant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_credential.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_make.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/reencrypt.h"
#include "vaultd/keeper/slots.h"
#include "vaultd/log/log.h"

#define LOOKS_MAX 20000 // records in one turn of the loop: some milliseconds

static vlt_result read_keys(struct keeper *keeper, uint32_t tenant, struct rotate_datakeys *keys) {
    return tenant == STORE_SYSTEM_TENANT ? vlt_fail(VLT_NOT_FOUND, "there is no such tenant")
                                         : rotate_datakeys_look(keeper, tenant, keys);
}

// ---- For people ----

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
    json_t *json = rotate_datakeys_json(&keys, "tenant");
    if (json)
        add_progress(keeper, tenant, json);
    return json;
}

// ---- A new data key ----

static vlt_result made(struct change *change, uint32_t tenant, uint32_t number,
                       const struct secret *key32) {
    return datakey_keep(change->keeper->datakeys, tenant, number, key32);
}

void rotate_tenant_begin(struct keeper *keeper, uint32_t tenant, const struct rotate_datakeys *keys,
                         struct change *change) {
    datakey_make(keeper, tenant, keys, change, made);
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

// ---- Under way already: on with it, perhaps at another speed ----

struct going_on {
    struct audit_wait wait; // first
    struct ipc_call *call;
    uint32_t tenant, records_per_s;
    uint8_t event[2048]; // for when nothing comes of it after all
    size_t event_bytes;
};

// The record says that it was permitted; the log must also say that nothing came of it.
static void record_failure(struct keeper *keeper, const struct going_on *going_on,
                           vlt_result why) {
    struct audit_event event;
    if (!vlt_is_ok(audit_event_get(bytes_of(going_on->event, going_on->event_bytes), &event)))
        return;
    event.outcome = AUDIT_ERROR;
    event.reason = bytes_of_text(why.reason);
    audit_later(keeper, &event);
}

static void go_on(struct audit_wait *wait, vlt_result result) {
    struct going_on *going_on = (struct going_on *)wait;
    struct keeper *keeper = wait->keeper;
    if (vlt_is_ok(result) && keeper->state != KEEPER_UNSEALED) {
        result = vlt_fail(VLT_UNAVAILABLE, "the vault is sealed");
        record_failure(keeper, going_on, result);
    }
    if (vlt_is_ok(result)) {
        reencrypt_begin(keeper, going_on->tenant, going_on->records_per_s);
        reencrypt_set_rate(keeper, going_on->tenant, going_on->records_per_s);
        rotation_reply(going_on->call, describe(keeper, going_on->tenant));
    } else {
        reply_failure(going_on->call, result);
    }
    free(going_on);
}

static void record_going_on(struct keeper *keeper, struct ipc_call *call,
                            const struct ask_rotate *ask, const struct rotate_datakeys *keys,
                            struct audit_event *event) {
    char key[ROTATE_DATAKEY_TEXT_SIZE], subject[ROTATE_DATAKEY_TEXT_SIZE + 64];
    struct going_on *going_on = calloc(1, sizeof *going_on);
    if (!going_on) {
        audit_refuse(keeper, call, event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    rotate_datakey_text(ask->tenant, keys->active, key);
    if (ask->records_per_s == ROTATION_RATE_DEFAULT)
        snprintf(subject, sizeof subject, "%s goes on", key);
    else if (ask->records_per_s == ROTATION_RATE_UNLIMITED)
        snprintf(subject, sizeof subject, "%s goes on, as fast as it can", key);
    else
        snprintf(subject, sizeof subject, "%s goes on, %" PRIu32 " records/s", key,
                 ask->records_per_s);
    event->subject = bytes_of_text(subject);
    *going_on = (struct going_on){.wait = {.done = go_on},
                                  .call = call,
                                  .tenant = ask->tenant,
                                  .records_per_s = ask->records_per_s};
    struct wire_writer w;
    wire_writer_init(&w, going_on->event, sizeof going_on->event);
    audit_event_put(&w, event);
    going_on->event_bytes = w.failed ? 0 : w.size;
    audit_first(keeper, event, &going_on->wait);
}

void rotate_tenant_ask(struct keeper *keeper, struct ipc_call *call, const struct ask_rotate *ask,
                       struct audit_event *event) {
    struct rotate_datakeys keys;
    vlt_result result = read_keys(keeper, ask->tenant, &keys);
    bool is_under_way = vlt_is_ok(result) && keys.count > 1;
    if (vlt_is_ok(result) && ask->mode == ROTATION_EMERGENCY)
        result = vlt_fail(VLT_MALFORMED, ROTATION_NO_EMERGENCY);
    if (vlt_is_ok(result) && ask->mode == ROTATION_RUN && ask->expected_revision &&
        (is_under_way || ask->expected_revision != keys.active->revision))
        result = vlt_fail(VLT_CONFLICT, "the data key was rotated by somebody else just now");
    if (!vlt_is_ok(result)) {
        audit_refuse(keeper, call, event, result);
    } else if (ask->mode == ROTATION_LOOK) {
        rotation_reply(call, describe(keeper, ask->tenant));
    } else if (is_under_way) {
        record_going_on(keeper, call, ask, &keys, event);
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
        result = ask->tenant == STORE_SYSTEM_TENANT
                     ? vlt_fail(VLT_NOT_FOUND, "there is no such tenant")
                     : rotate_datakeys_read(keeper, ask->tenant, &keys);
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
    char subject[32], name[RECORD_NAME_MAX + 1];
    snprintf(subject, sizeof subject, "tenant %" PRIu32, tenant);
    if (!vlt_is_ok(read_keys(keeper, tenant, &keys)) || keys.count > 1 ||
        !key_age_is_due(keeper, ROTATION_TENANT, subject, keys.active->created_at, age_s, tenant))
        return;
    rotation_event(&event, "rotate.tenant.begin", subject);
    rotation_event_tenant(keeper, &event, tenant, name);
    struct change *change = change_new(keeper, NULL, &event, scheduled);
    if (change)
        rotate_tenant_begin(keeper, tenant, &keys, change);
}
