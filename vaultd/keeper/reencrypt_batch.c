// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/reencrypt_batch.h"

#include <stdlib.h>

#include "libvault/crypto/random.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/datakey.h"

struct reencrypt_batch {
    struct commit commit; // first: the queue hands it back
    struct keeper *keeper;
    uint32_t tenant, data_key;
    void (*done)(struct reencrypt_batch *batch, vlt_result result, void *context);
    void *context;
    size_t count;
    struct store_change changes[REENCRYPT_BATCH_MAX];
    uint8_t *memory[REENCRYPT_BATCH_MAX]; // name and value of each change
    uint8_t nonces[REENCRYPT_BATCH_MAX][XAES_NONCE_SIZE];
};

struct reencrypt_batch *
reencrypt_batch_new(struct keeper *keeper, uint32_t tenant, uint32_t data_key,
                    void (*done)(struct reencrypt_batch *batch, vlt_result result, void *context),
                    void *context) {
    struct reencrypt_batch *batch = malloc(sizeof *batch);
    if (!batch)
        return NULL;
    batch->keeper = keeper;
    batch->tenant = tenant;
    batch->data_key = data_key;
    batch->done = done;
    batch->context = context;
    batch->count = 0;
    // All nonces in one call of the generator.
    if (!vlt_is_ok(random_bytes(batch->nonces[0], sizeof batch->nonces))) {
        free(batch);
        return NULL;
    }
    return batch;
}

void reencrypt_batch_free(struct reencrypt_batch *batch) {
    for (size_t i = 0; i < batch->count; i++)
        free(batch->memory[i]);
    free(batch);
}

size_t reencrypt_batch_count(const struct reencrypt_batch *batch) {
    return batch->count;
}

// The version is a part of the name: credential, NUL, u32.
static vlt_result split_name(struct bytes name, struct bytes *ret_credential,
                             uint32_t *ret_version) {
    if (name.size < 6 || name.at[name.size - 5] != 0)
        return vlt_fail(VLT_MALFORMED, "the name of a secret is damaged");
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(name.at + name.size - 4, 4));
    *ret_version = wire_get_u32(&r);
    *ret_credential = bytes_of(name.at, name.size - 5);
    return vlt_ok();
}

static vlt_result find_keys(struct reencrypt_batch *batch, uint32_t old_number,
                            const struct xaes_key **ret_old, const struct xaes_key **ret_new) {
    struct datakeys *datakeys = batch->keeper->datakeys;
    const struct xaes_key *old = datakey_find(datakeys, batch->tenant, old_number);
    const struct xaes_key *new = datakey_find(datakeys, batch->tenant, batch->data_key);
    if (old && new) {
        *ret_old = old;
        *ret_new = new;
        return vlt_ok();
    }
    vlt_result result = vlt_ok();
    if (!old)
        result = datakey_want(datakeys, batch->tenant, old_number);
    if (result.class == VLT_NOT_FOUND)
        return vlt_fail(VLT_CRYPTO, "the data key of a record was destroyed");
    if (!new)
        result = datakey_want(datakeys, batch->tenant, batch->data_key);
    // Whatever else ails the device is in the log; we look again in a moment.
    return vlt_fail(VLT_NOT_FOUND, "a data key is being loaded");
}

static vlt_result context_of(struct reencrypt_batch *batch, struct bytes name,
                             const struct record_credential_secret *secret, uint8_t *room,
                             struct bytes *ret_context) {
    struct bytes credential;
    uint32_t version;
    struct wire_writer w;
    VLT_TRY(split_name(name, &credential, &version));
    wire_writer_init(&w, room, RECORD_CREDENTIAL_CONTEXT_MAX);
    record_credential_context(&w, batch->tenant, credential, version, secret);
    *ret_context = bytes_of(room, w.size);
    return w.failed ? vlt_fail(VLT_MALFORMED, "a credential is too large") : vlt_ok();
}

// Room for name, value as it will be written, and the ciphertext on its way there.
static vlt_result add_change(struct reencrypt_batch *batch, struct bytes name,
                             const struct record_credential_secret *secret, uint64_t revision) {
    size_t value_max = 64 + secret->profile.size + secret->hosts.size + secret->parameters.size +
                       secret->nonce.size + secret->ciphertext.size;
    uint8_t *memory = malloc(name.size + value_max);
    if (!memory)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    memcpy(memory, name.at, name.size);
    struct wire_writer w;
    wire_writer_init(&w, memory + name.size, value_max);
    record_credential_secret_put(&w, secret);
    batch->memory[batch->count] = memory;
    batch->changes[batch->count++] = (struct store_change){.tenant = batch->tenant,
                                                           .class = STORE_CREDENTIAL_SECRET,
                                                           .name = bytes_of(memory, name.size),
                                                           .value = bytes_of(w.at, w.size),
                                                           .expected_revision = revision};
    return vlt_ok();
}

vlt_result reencrypt_batch_add(struct reencrypt_batch *batch, struct bytes name,
                               const struct record_credential_secret *secret, uint64_t revision) {
    static uint8_t context[RECORD_CREDENTIAL_CONTEXT_MAX]; // one loop, one thread
    static uint8_t sealed[IPC_VALUE_MAX + XAES_TAG_SIZE];
    struct secret *plaintext = batch->keeper->plaintext;
    struct record_credential_secret next = *secret;
    const struct xaes_key *old, *new;
    struct bytes aad;
    if (secret->ciphertext.size > sizeof sealed)
        return vlt_fail(VLT_MALFORMED, "a credential is too large");
    VLT_TRY(find_keys(batch, secret->data_key, &old, &new));
    VLT_TRY(context_of(batch, name, secret, context, &aad));
    VLT_TRY(xaes_open(old, secret->nonce.at, aad, secret->ciphertext, plaintext));
    next.data_key = batch->data_key;
    vlt_result result = context_of(batch, name, &next, context, &aad);
    next.nonce = bytes_of(batch->nonces[batch->count], XAES_NONCE_SIZE);
    size_t plaintext_bytes = secret_size(plaintext);
    if (vlt_is_ok(result))
        result =
            xaes_seal(new, next.nonce.at, aad, secret_borrow(plaintext), plaintext_bytes, sealed);
    secret_release(plaintext);
    secret_wipe(plaintext);
    VLT_TRY(result);
    next.ciphertext = bytes_of(sealed, plaintext_bytes + XAES_TAG_SIZE);
    return add_change(batch, name, &next, revision);
}

// What others may hold does not change, so nobody is told: no cache is dropped.
static void committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct reencrypt_batch *batch = (struct reencrypt_batch *)commit;
    batch->keeper->in_flight--;
    batch->done(batch, result, batch->context);
    reencrypt_batch_free(batch);
}

void reencrypt_batch_commit(struct reencrypt_batch *batch) {
    batch->commit =
        (struct commit){.changes = batch->changes, .count = batch->count, .done = committed};
    batch->keeper->in_flight++;
    commit_queue_add(batch->keeper->commits, &batch->commit);
}
