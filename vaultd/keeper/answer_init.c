// SPDX-License-Identifier: Apache-2.0
// The birth of a vault. The device makes a wrapping key and wraps two data keys;
// everything else is made here; one commit at the end makes it a vault. A crash
// before that leaves an uninitialised store and at most an unused key in the
// device.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/recovery.h"
#include "vaultd/keeper/recovery_sealed.h"
#include "vaultd/keeper/rotate_signer.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/keeper/system_seal.h"
#include "vaultd/keeper/tenants.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

#define FIRST_DATA_KEY 1
#define FIRST_TENANT 1
#define FIRST_TENANT_NAME "default"
#define SHARES_JWE_MAX 4096 // field shares of answer_init

struct init {
    struct keeper *keeper;
    struct change *change;
    struct hsm_key wrapping_key;
    struct system_keys *keys;
    struct epoch_counters counters;
    struct hsm_signer signer; // when the device keeps the token signing key
    bool has_signer;
    struct recovery *recovery;
    struct buf shares; // of it: a JWE to who asked, or to the operator's key
    bool keeps_sealed; // the latter: the store keeps it
    int64_t now_s;
};

static void init_free(struct init *init) {
    init->keeper->is_unsealing = false;
    system_keys_free(init->keys);
    recovery_free(init->recovery);
    buf_done(&init->shares);
    free(init);
}

static void counter_removed(struct device_call *call) {}

// NV memory is scarce: what no store refers to does not stay in the device.
static void remove_counter(struct init *init) {
    struct device_call *call = init->counters.count
                                   ? device_call_new(DEVICE_COUNTER_DESTROY, counter_removed, NULL)
                                   : NULL;
    if (!call)
        return;
    call->counter = init->counters.at[0].counter;
    device_submit(init->keeper->device, call);
}

// What the device made and no store refers to.
static void remove_made(struct init *init) {
    remove_counter(init);
    if (init->has_signer)
        rotate_signer_destroy(init->keeper, &init->signer);
}

static void init_failed(struct init *init, vlt_result result, const struct fault *fault) {
    // Shown by `status`: a reason fits through the channel, this text does not.
    keeper_set_state(init->keeper, KEEPER_UNINITIALISED, fault_or_reason(fault, result));
    init->keeper->in_flight--;
    change_refuse(init->change, result);
    remove_made(init);
    init_free(init);
}

// ---- The commit and after ----

// Reads the keys back from what was committed: a vault that can be unsealed now
// can be unsealed later.
static vlt_result take_over(struct init *init) {
    struct keeper *keeper = init->keeper;
    struct fault fault = {0};
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = system_keys_load(init->keys, keeper->store, &fault);
    store_snapshot_end(keeper->store);
    keeper->next_tenant = FIRST_TENANT + 1;
    if (!vlt_is_ok(result)) {
        keeper_set_state(keeper, KEEPER_SEALED, fault_or_reason(&fault, result));
        return result;
    }
    epoch_begin(keeper, &init->counters);
    unseal_finish(keeper, init->keys);
    init->keys = NULL;
    return vlt_ok();
}

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_init answer = {.note = BYTES_LITERAL("initialised and unsealed")};
    struct init *init = change->context; // NULL: it failed and was freed before
    if (init) {
        if (vlt_is_ok(result))
            result = take_over(init);
        else
            remove_made(init);
        answer.shares = buf_bytes(&init->shares);
    }
    reply_init(change->call, result, vlt_is_ok(result) ? &answer : NULL);
    if (init)
        init_free(init);
}

// ---- Records ----

static vlt_result add_wrapping_key(struct init *init) {
    uint8_t room[RECORD_DEVICE_KEY_MAX + 128], id[HSM_KEY_ID_BYTES];
    enum hsm_kind kind;
    struct record_device record = {.state = RECORD_WRAPPING_ACTIVE,
                                   .created_at = (uint64_t)init->now_s,
                                   .key = bytes_of(init->wrapping_key.at, init->wrapping_key.size),
                                   .device = bytes_of_text(init->keeper->devices->at[0].name)};
    VLT_TRY(hsm_key_facts(&init->wrapping_key, &kind, &record.generation, id));
    record.kind = (uint8_t)kind;
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_device_put(&w, &record);
    if (w.failed)
        return vlt_fail(VLT_BUG, "the record of a wrapping key is too large");
    change_add(init->change, STORE_SYSTEM_TENANT, STORE_DEVICE, bytes_of(id, sizeof id),
               bytes_of(room, w.size), 0);
    return vlt_ok();
}

static vlt_result add_data_key(struct init *init, uint32_t tenant, const struct device_call *call) {
    uint8_t room[RECORD_DATAKEY_MAX], number[4];
    size_t size;
    VLT_TRY(datakey_record(init->recovery, tenant, FIRST_DATA_KEY,
                           init->keeper->device_description.generation, call, room, &size));
    change_add(init->change, tenant, STORE_DATA_KEY, record_datakey_name(FIRST_DATA_KEY, number),
               bytes_of(room, size), 0);
    return vlt_ok();
}

static vlt_result add_key(struct init *init, enum record_key_use use) {
    struct system_key_made made;
    bool is_in_device = use == RECORD_KEY_TOKEN && init->has_signer;
    VLT_TRY(is_in_device
                ? system_key_describe(init->keys, &init->signer, RECORD_KEY_ACTIVE, init->now_s,
                                      &made)
                : system_key_make(init->keys, use, RECORD_KEY_ACTIVE, init->now_s, &made));
    struct bytes kid = bytes_of_text(made.kid);
    change_add(init->change, STORE_SYSTEM_TENANT, system_key_public_class(use), kid,
               bytes_of_text(made.json), 0);
    change_add(init->change, STORE_SYSTEM_TENANT, system_key_secret_class(use), kid,
               bytes_of(made.sealed, made.sealed_bytes), 0);
    system_key_made_done(&made);
    return vlt_ok();
}

static vlt_result add_tenant(struct init *init) {
    uint8_t number[4];
    struct record_tenant tenant = {
        .name = FIRST_TENANT_NAME, .number = FIRST_TENANT, .created_at = init->now_s};
    json_t *json = record_tenant_json(&tenant);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    change_add(init->change, STORE_SYSTEM_TENANT, STORE_TENANT, BYTES_LITERAL(FIRST_TENANT_NAME),
               bytes_of_text(text), 0);
    change_add(init->change, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(TENANTS_NEXT_NAME),
               record_datakey_name(FIRST_TENANT + 1, number), 0);
    free(text);
    return vlt_ok();
}

static vlt_result add_epoch(struct init *init) {
    uint8_t room[SYSTEM_RECORD_MAX];
    size_t size;
    VLT_TRY(epoch_record(init->keys, &init->counters, room, &size));
    change_add(init->change, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(EPOCH_NAME),
               bytes_of(room, size), 0);
    return vlt_ok();
}

static vlt_result add_everything(struct init *init) {
    VLT_TRY(add_epoch(init));
    VLT_TRY(recovery_add_records(init->recovery, init->keys, init->now_s, init->change));
    if (init->keeps_sealed)
        recovery_add_sealed(init->change, buf_bytes(&init->shares));
    VLT_TRY(add_wrapping_key(init));
    VLT_TRY(add_key(init, RECORD_KEY_TOKEN));
    VLT_TRY(add_key(init, RECORD_KEY_CHECKPOINT));
    VLT_TRY(add_key(init, RECORD_KEY_INTAKE));
    return add_tenant(init);
}

static vlt_result open_store(struct keeper *keeper, struct fault *fault) {
    if (keeper->store)
        return vlt_ok();
    VLT_TRY(store_open(keeper->settings.store_path, STORE_CREATE, fault, &keeper->store));
    commit_queue_set_store(keeper->commits, keeper->store);
    return vlt_ok();
}

// ---- Steps, each begun by the end of the one before ----

static vlt_result wrap_fresh(struct init *init, uint32_t tenant,
                             void (*done)(struct device_call *call)) {
    struct device_call *call = device_call_new(DEVICE_WRAP, done, init);
    if (!call)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = secret_set_random(call->secret, HSM_DATA_KEY_BYTES);
    if (vlt_is_ok(result) && tenant == STORE_SYSTEM_TENANT)
        result = system_keys_add_datakey(init->keys, FIRST_DATA_KEY, call->secret, true);
    if (!vlt_is_ok(result)) {
        device_call_free(call);
        return result;
    }
    device_call_set_purpose(call, tenant, FIRST_DATA_KEY);
    device_submit(init->keeper->device, call);
    return vlt_ok();
}

static void commit_everything(struct init *init, struct fault *fault) {
    vlt_result result = add_everything(init);
    if (vlt_is_ok(result))
        result = open_store(init->keeper, fault);
    if (!vlt_is_ok(result)) {
        init_failed(init, result, fault);
        return;
    }
    init->keeper->in_flight--;
    init->change->context = init;
    change_run(init->change);
}

static void signer_made(struct device_call *call) {
    struct init *init = call->context;
    init->signer = call->signer;
    init->has_signer = vlt_is_ok(call->result);
    if (init->has_signer)
        commit_everything(init, &call->fault);
    else
        init_failed(init, call->result, &call->fault);
}

static void counter_made(struct device_call *call) {
    struct init *init = call->context;
    vlt_result result = call->result;
    struct device_call *next = NULL;
    if (vlt_is_ok(result)) {
        init->counters.count = 1;
        init->counters.at[0] =
            (struct epoch_counter){.counter = call->counter, .value = call->value};
        memcpy(init->counters.at[0].device, init->keeper->settings.devices[0].name,
               sizeof init->counters.at[0].device);
    } else if (result.class != VLT_UNAVAILABLE) {
        // Some PKCS#11 devices keep no data objects. Status says so.
        log_warning("no rollback protection: %s", fault_or_reason(&call->fault, result));
        result = vlt_ok();
    }
    // The first device makes the vault. One that is no PKCS#11 device leaves the key in
    // memory, and `rotate signing` moves it into one that joins later.
    const struct keeper_settings *settings = &init->keeper->settings;
    bool wants_signer =
        vlt_is_ok(result) && settings->signs_in_device && settings->device.kind == HSM_PKCS11;
    if (wants_signer && !(next = device_call_new(DEVICE_SIGNER_CREATE, signer_made, init)))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result))
        init_failed(init, result, &call->fault);
    else if (next)
        device_submit(init->keeper->device, next);
    else
        commit_everything(init, &call->fault);
}

static void tenant_key_wrapped(struct device_call *call) {
    struct init *init = call->context;
    vlt_result result = call->result;
    if (vlt_is_ok(result))
        result = add_data_key(init, FIRST_TENANT, call);
    struct device_call *next =
        vlt_is_ok(result) ? device_call_new(DEVICE_COUNTER_CREATE, counter_made, init) : NULL;
    if (vlt_is_ok(result) && !next)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (next)
        device_submit(init->keeper->device, next);
    else
        init_failed(init, result, &call->fault);
}

static void system_key_wrapped(struct device_call *call) {
    struct init *init = call->context;
    vlt_result result = call->result;
    if (vlt_is_ok(result))
        result = add_data_key(init, STORE_SYSTEM_TENANT, call);
    if (vlt_is_ok(result))
        result = wrap_fresh(init, FIRST_TENANT, tenant_key_wrapped);
    if (!vlt_is_ok(result))
        init_failed(init, result, &call->fault);
}

static void key_created(struct device_call *call) {
    struct init *init = call->context;
    struct keeper *keeper = init->keeper;
    vlt_result result = call->result;
    if (vlt_is_ok(result)) {
        init->wrapping_key = call->keys[0];
        result = device_opened(&keeper->devices->at[0], call);
    }
    if (vlt_is_ok(result))
        result = wrap_fresh(init, STORE_SYSTEM_TENANT, system_key_wrapped);
    if (!vlt_is_ok(result))
        init_failed(init, result, &call->fault);
}

// The shares leave this process only sealed: to the key of who asked for them, or
// to that of the operator.
static vlt_result make_recovery(struct init *init, const struct ask_init *ask) {
    struct secret *texts = secret_new(RECOVERY_TEXTS_BYTES);
    vlt_result result = texts ? recovery_new(ask->shares, ask->threshold, &init->recovery, texts)
                              : vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    if (vlt_is_ok(result))
        result = recovery_seal_shares(ask, texts, &init->shares);
    secret_free(texts);
    init->keeps_sealed = ask->keeps_sealed == 1;
    return result;
}

static vlt_result begin(struct keeper *keeper, struct change *change, const struct ask_init *ask) {
    struct init *init = calloc(1, sizeof *init);
    struct device_call *call = init ? device_call_new(DEVICE_CREATE, key_created, init) : NULL;
    if (!call || !(init->keys = system_keys_new())) {
        if (call)
            device_call_free(call);
        free(init);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    init->keeper = keeper;
    init->change = change;
    buf_init(&init->shares, SHARES_JWE_MAX);
    vlt_result result = make_recovery(init, ask);
    if (!vlt_is_ok(result)) {
        device_call_free(call);
        init_free(init);
        return result;
    }
    init->now_s = clock_now_s();
    call->settings = keeper->settings.device;
    keeper->is_unsealing = true; // the device is busy with one birth at a time
    keeper->in_flight++;
    device_submit(keeper->device, call);
    return vlt_ok();
}

void answer_init(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_init ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_init_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_VAULT, &event))) {
        ipc_call_refuse(call, "a malformed ask_init");
        return;
    }
    struct change *change =
        keeper->is_unsealing ? NULL : change_new(keeper, call, &event, answered);
    if (!change) {
        audit_refuse(keeper, call, &event,
                     vlt_fail(VLT_UNAVAILABLE, "init is under way already, or no memory for it"));
        return;
    }
    vlt_result result = begin(keeper, change, &ask);
    if (!vlt_is_ok(result))
        change_refuse(change, result);
}
