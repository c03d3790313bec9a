// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/system_reseal.h"

#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/recovery.h"
#include "vaultd/keeper/system_seal.h"

#define RECORDS_MAX 100 // of one commit; there are some dozens
#define CONTENT_MAX 256 // a private half, or which key in a device

void system_key_context(enum record_key_algorithm algorithm, enum record_key_use use,
                        const char *kid, struct system_key_context *ret_context) {
    struct wire_writer w;
    wire_writer_init(&w, ret_context->at, sizeof ret_context->at);
    if (algorithm == RECORD_KEY_IN_DEVICE)
        record_key_device_context(&w, bytes_of_text(kid));
    else
        record_key_context(&w, system_key_secret_class(use), bytes_of_text(kid), use);
    ret_context->size = w.failed ? 0 : w.size;
}

struct walk {
    struct keeper *keeper;
    struct change *change; // NULL: only counted
    bool with_epoch;
    size_t count;
    vlt_result result;
};

// ---- Keys ----

static vlt_result content_reseal(const struct system_keys *keys,
                                 const struct record_key_secret *secret,
                                 const struct system_key_context *context, uint8_t *sealed) {
    struct bytes aad = bytes_of(context->at, context->size);
    const struct xaes_key *old = system_datakey(keys, secret->data_key);
    const struct xaes_key *new = system_datakey(keys, keys->active_datakey);
    struct secret *content = secret_new(CONTENT_MAX);
    if (!content)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = old && new && context->size
                            ? xaes_open_fresh(old, aad, secret->sealed, content)
                            : vlt_fail(VLT_CRYPTO, "the system data key of a key is missing");
    if (vlt_is_ok(result))
        result = xaes_seal_fresh(new, aad, content, sealed);
    secret_free(content);
    return result;
}

static vlt_result key_reseal(struct walk *walk, const struct record_key *record,
                             const struct record_key_secret *secret, uint64_t revision) {
    const struct system_keys *keys = walk->keeper->keys;
    uint8_t sealed[XAES_SEALED_SIZE(CONTENT_MAX)] = {0}, room[sizeof sealed + 16];
    struct record_key_secret next = {.algorithm = secret->algorithm,
                                     .data_key = keys->active_datakey,
                                     .sealed = bytes_of(sealed, secret->sealed.size)};
    struct system_key_context context;
    struct wire_writer w;
    if (secret->sealed.size > sizeof sealed)
        return vlt_fail(VLT_MALFORMED, "an encrypted key is too large");
    system_key_context(secret->algorithm, record->use, record->kid, &context);
    VLT_TRY(content_reseal(keys, secret, &context, sealed));
    wire_writer_init(&w, room, sizeof room);
    record_key_secret_put(&w, &next);
    change_add(walk->change, STORE_SYSTEM_TENANT, system_key_secret_class(record->use),
               bytes_of_text(record->kid), bytes_of(room, w.size), revision);
    return w.failed ? vlt_fail(VLT_BUG, "an encrypted key is too large") : vlt_ok();
}

static vlt_result look_at_record(struct walk *walk, const struct record_key *record) {
    struct bytes value;
    struct record_key_secret secret;
    uint64_t revision;
    VLT_TRY(store_get(walk->keeper->store, STORE_SYSTEM_TENANT,
                      system_key_secret_class(record->use), bytes_of_text(record->kid), &value,
                      &revision));
    VLT_TRY(record_key_secret_get(value, &secret));
    if (secret.data_key == walk->keeper->keys->active_datakey || walk->count >= RECORDS_MAX)
        return vlt_ok();
    walk->count++;
    return walk->change ? key_reseal(walk, record, &secret, revision) : vlt_ok();
}

static bool look_at_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct walk *walk = context;
    struct record_key record;
    walk->result = record_key_parse(value, NULL, &record);
    if (!vlt_is_ok(walk->result))
        return false;
    walk->result = look_at_record(walk, &record);
    record_key_done(&record);
    return vlt_is_ok(walk->result);
}

static vlt_result look_at_keys(struct walk *walk, enum store_class public_class) {
    VLT_TRY(store_each(walk->keeper->store, STORE_SYSTEM_TENANT, public_class, bytes_of(NULL, 0),
                       bytes_of(NULL, 0), look_at_key, walk));
    return walk->result;
}

// ---- What system_seal encrypts ----

static vlt_result record_reseal(struct walk *walk, const char *name, struct bytes value,
                                uint64_t revision) {
    const struct system_keys *keys = walk->keeper->keys;
    uint8_t room[SYSTEM_RECORD_MAX];
    size_t size = 0;
    struct secret *plain = secret_new(SYSTEM_RECORD_PLAIN_MAX);
    if (!plain)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = system_unseal(keys, name, value, plain);
    if (vlt_is_ok(result)) {
        result = system_seal(keys, name, bytes_of(secret_borrow(plain), secret_size(plain)), room,
                             &size);
        secret_release(plain);
    }
    secret_free(plain);
    VLT_TRY(result);
    change_add(walk->change, STORE_SYSTEM_TENANT, STORE_META, bytes_of_text(name),
               bytes_of(room, size), revision);
    return vlt_ok();
}

static vlt_result look_at_sealed(struct walk *walk, const char *name, bool is_wanted) {
    struct bytes value;
    uint64_t revision;
    vlt_result result = store_get(walk->keeper->store, STORE_SYSTEM_TENANT, STORE_META,
                                  bytes_of_text(name), &value, &revision);
    if (result.class == VLT_NOT_FOUND)
        return vlt_ok(); // a vault without recovery key, or without counter
    VLT_TRY(result);
    if (system_seal_number(value) == walk->keeper->keys->active_datakey && !is_wanted)
        return vlt_ok();
    walk->count++;
    return walk->change ? record_reseal(walk, name, value, revision) : vlt_ok();
}

static vlt_result look_at_all(struct walk *walk) {
    VLT_TRY(look_at_keys(walk, STORE_SIGNING_KEY));
    VLT_TRY(look_at_keys(walk, STORE_INTAKE_KEY));
    VLT_TRY(look_at_sealed(walk, RECOVERY_NAME, false));
    return look_at_sealed(walk, EPOCH_NAME, walk->with_epoch);
}

vlt_result system_reseal_add(struct keeper *keeper, bool with_epoch, struct change *change) {
    struct walk walk = {
        .keeper = keeper, .change = change, .with_epoch = with_epoch, .result = vlt_ok()};
    return look_at_all(&walk);
}

size_t system_reseal_count(struct keeper *keeper) {
    struct walk walk = {.keeper = keeper, .result = vlt_ok()};
    // One that can not be read is looked at again when it is its turn.
    return vlt_is_ok(look_at_all(&walk)) ? walk.count : walk.count + 1;
}
