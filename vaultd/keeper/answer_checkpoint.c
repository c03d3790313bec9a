// SPDX-License-Identifier: Apache-2.0
// The auditor asks for a signature on a checkpoint of its log. The keeper writes
// the text itself, from typed fields, and signs nothing that is smaller than or
// inconsistent with what it signed before for that log: the last size and root
// are in the store, durable before the signature leaves. Not recorded in the
// log: each checkpoint would make the next one necessary.
#include <stdlib.h>

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/handover.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/epoch_audit.h"
#include "vaultd/keeper/system_keys.h"
#include "vaultd/log/log.h"

#define NAME_PREFIX "checkpoint/" // of the record, before the origin
#define RECORD_SIZE (8 + MERKLE_HASH_SIZE)
#define CHECKPOINT_OLDER_BYTES (32 + 2 * NOTE_ED25519_SIZE) // of answer_sign_checkpoint.older

struct last { // what was signed last
    uint64_t size, revision;
    struct merkle_hash root;
};

struct signing {
    struct commit commit;
    struct keeper *keeper;
    struct ipc_call *call;
    struct checkpoint checkpoint;
    struct store_change change;
    size_t name_bytes;
    uint8_t name[sizeof NAME_PREFIX + NOTE_NAME_MAX], value[RECORD_SIZE];
};

static vlt_result read_last(struct keeper *keeper, struct bytes name, struct last *ret_last) {
    struct last last = {.size = 0};
    struct bytes value;
    struct wire_reader r;
    vlt_result result =
        store_get(keeper->store, STORE_SYSTEM_TENANT, STORE_META, name, &value, &last.revision);
    if (result.class == VLT_NOT_FOUND) {
        *ret_last = last;
        return vlt_ok();
    }
    VLT_TRY(result);
    wire_reader_init(&r, value);
    last.size = wire_get_u64(&r);
    struct bytes root = wire_get_raw(&r, sizeof last.root.at);
    VLT_TRY(wire_reader_end(&r));
    memcpy(last.root.at, root.at, sizeof last.root.at);
    *ret_last = last;
    return vlt_ok();
}

static vlt_result take_proof(struct bytes bytes, struct merkle_proof *ret_proof) {
    if (bytes.size % MERKLE_HASH_SIZE || bytes.size > sizeof ret_proof->hashes)
        return vlt_fail(VLT_MALFORMED, "not a consistency proof");
    ret_proof->count = bytes.size / MERKLE_HASH_SIZE;
    if (bytes.size)
        memcpy(ret_proof->hashes, bytes.at, bytes.size);
    return vlt_ok();
}

// Growth of the log that was signed last, or that same log again.
static vlt_result check_growth(const struct last *last, const struct ask_sign_checkpoint *ask,
                               const struct checkpoint *next) {
    struct merkle_proof proof;
    if (next->size < last->size)
        return vlt_fail(VLT_CONFLICT, "the audit log is behind its last signed checkpoint");
    VLT_TRY(take_proof(ask->proof, &proof));
    if (last->size == 0)
        return vlt_ok();
    if (!vlt_is_ok(
            merkle_consistency_verify(last->size, &last->root, next->size, &next->root, &proof)))
        return vlt_fail(VLT_CONFLICT, "the audit log is not what was signed before");
    return vlt_ok();
}

static vlt_result sign_text(struct jwk *key, const struct buf *text,
                            uint8_t ret_signature[NOTE_ED25519_SIZE]) {
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t size;
    if (buf_failed(text))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(jws_sign_raw(key, buf_bytes(text), signature, &size));
    if (size != NOTE_ED25519_SIZE)
        return vlt_fail(VLT_BUG, "a checkpoint key is not Ed25519");
    memcpy(ret_signature, signature, NOTE_ED25519_SIZE);
    return vlt_ok();
}

// What the present key's predecessors sign, so that whoever trusts one of them
// can go on: the successor of each is the present key.
static vlt_result handover_text(const struct checkpoint *checkpoint, const uint8_t public_key[32],
                                struct buf *out) {
    struct note_key successor;
    VLT_TRY(note_key_init(bytes_of_text(checkpoint->origin), NOTE_ED25519, public_key, &successor));
    handover_put(&successor, out);
    note_key_done(&successor);
    return vlt_ok();
}

static vlt_result sign_older(const struct system_keys *keys, const struct buf *text,
                             const struct buf *handover, struct wire_writer *out) {
    for (size_t i = 0; i < keys->old_checkpoint_count; i++) {
        uint8_t public_key[32], signature[NOTE_ED25519_SIZE];
        VLT_TRY(pkey_ed25519_public(keys->old_checkpoints[i]->pkey, public_key));
        wire_put_raw(out, bytes_of(public_key, sizeof public_key));
        VLT_TRY(sign_text(keys->old_checkpoints[i], text, signature));
        wire_put_raw(out, bytes_of(signature, sizeof signature));
        VLT_TRY(sign_text(keys->old_checkpoints[i], handover, signature));
        wire_put_raw(out, bytes_of(signature, sizeof signature));
    }
    return out->failed ? vlt_fail(VLT_BUG, "there are too many checkpoint keys") : vlt_ok();
}

static vlt_result sign(struct keeper *keeper, const struct checkpoint *checkpoint,
                       uint64_t last_size, struct ipc_call *call) {
    uint8_t signature[NOTE_ED25519_SIZE], older[SYSTEM_CHECKPOINTS_MAX * CHECKPOINT_OLDER_BYTES];
    struct buf text, handover;
    struct wire_writer w;
    struct answer_sign_checkpoint answer = {.last_size = last_size};
    const struct system_keys *keys = keeper->keys;
    if (!keys || !keys->checkpoint)
        return vlt_fail(VLT_UNAVAILABLE, "there is no key that signs checkpoints");
    VLT_TRY(pkey_ed25519_public(keys->checkpoint->pkey, answer.public_key));
    wire_writer_init(&w, older, sizeof older);
    buf_init(&text, 1024);
    buf_init(&handover, 1024);
    checkpoint_put(checkpoint, &text);
    vlt_result result = sign_text(keys->checkpoint, &text, signature);
    if (vlt_is_ok(result))
        result = handover_text(checkpoint, answer.public_key, &handover);
    if (vlt_is_ok(result))
        result = sign_older(keys, &text, &handover, &w);
    if (vlt_is_ok(result)) {
        answer.signature = bytes_of(signature, sizeof signature);
        answer.older = bytes_of(older, w.size);
        reply_sign_checkpoint(call, vlt_ok(), &answer);
    }
    buf_done(&text);
    buf_done(&handover);
    return result;
}

static void committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct signing *signing = (struct signing *)commit; // its first member
    struct keeper *keeper = signing->keeper;
    keeper->in_flight--;
    if (!vlt_is_ok(result))
        keeper_commit_failed(keeper, result);
    else
        result = sign(keeper, &signing->checkpoint, signing->checkpoint.size, signing->call);
    if (vlt_is_ok(result))
        epoch_audit_touch(keeper);
    else
        reply_failure(signing->call, result);
    free(signing);
}

static void remember_and_sign(struct keeper *keeper, struct ipc_call *call, struct bytes name,
                              const struct checkpoint *checkpoint, uint64_t revision) {
    struct signing *signing = calloc(1, sizeof *signing);
    if (!signing) {
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, "no memory for a call"));
        return;
    }
    struct wire_writer w;
    wire_writer_init(&w, signing->value, sizeof signing->value);
    wire_put_u64(&w, checkpoint->size);
    wire_put_raw(&w, bytes_of(checkpoint->root.at, sizeof checkpoint->root.at));
    memcpy(signing->name, name.at, name.size);
    signing->keeper = keeper;
    signing->call = call;
    signing->checkpoint = *checkpoint;
    signing->change = (struct store_change){.tenant = STORE_SYSTEM_TENANT, .class = STORE_META,
                                            .name = bytes_of(signing->name, name.size),
                                            .value = bytes_of(signing->value, w.size),
                                            .expected_revision = revision};
    signing->commit = (struct commit){.changes = &signing->change, .count = 1, .done = committed};
    keeper->in_flight++;
    commit_queue_add(keeper->commits, &signing->commit);
}

static vlt_result take_checkpoint(const struct ask_sign_checkpoint *ask,
                                  struct checkpoint *ret_checkpoint) {
    if (!note_name_is_valid(ask->origin) ||
        !bytes_to_text(ask->origin, ret_checkpoint->origin, sizeof ret_checkpoint->origin) ||
        ask->size == 0 || ask->size > INT64_MAX)
        return vlt_fail(VLT_MALFORMED, "not a checkpoint of a log");
    ret_checkpoint->size = ask->size;
    memcpy(ret_checkpoint->root.at, ask->root, sizeof ret_checkpoint->root.at);
    return vlt_ok();
}

void answer_sign_checkpoint(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_sign_checkpoint ask;
    struct checkpoint next;
    struct last last;
    uint8_t room[sizeof NAME_PREFIX + NOTE_NAME_MAX];
    struct wire_writer name;
    if (!vlt_is_ok(ask_sign_checkpoint_decode(frame, &ask)) ||
        !vlt_is_ok(take_checkpoint(&ask, &next))) {
        ipc_call_refuse(call, "a malformed ask_sign_checkpoint");
        return;
    }
    wire_writer_init(&name, room, sizeof room);
    wire_put_raw(&name, BYTES_LITERAL(NAME_PREFIX));
    wire_put_raw(&name, ask.origin);
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = read_last(keeper, bytes_of(room, name.size), &last);
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result) && ask.old_size != last.size) {
        // The proof does not begin where we are: say where that is.
        const struct answer_sign_checkpoint where = {.last_size = last.size};
        reply_sign_checkpoint(call, vlt_ok(), &where);
        return;
    }
    if (vlt_is_ok(result)) {
        result = check_growth(&last, &ask, &next);
        if (!vlt_is_ok(result))
            log_error("a checkpoint of %llu entries is not signed, the last one had %llu: %s",
                      (unsigned long long)next.size, (unsigned long long)last.size, result.reason);
    }
    bool is_again = vlt_is_ok(result) && next.size == last.size;
    if (is_again)
        result = sign(keeper, &next, last.size, call);
    if (!vlt_is_ok(result))
        reply_failure(call, result);
    else if (!is_again)
        remember_and_sign(keeper, call, bytes_of(room, name.size), &next, last.revision);
}
