// SPDX-License-Identifier: Apache-2.0
// An administrator unseals what refuses to be: an old copy of the store that was
// restored on purpose, or a store whose device is gone. Recorded before anything
// is done.
#include <stdlib.h>

#include "libvault/crypto/jwe.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/epoch.h"
#include "vaultd/keeper/recover_run.h"
#include "vaultd/keeper/recovery_sealed.h"
#include "vaultd/keeper/unseal.h"
#include "vaultd/log/log.h"

#define KID "recover"

// ---- The key to which the recovery secret is sealed ----

static vlt_result key_fresh(struct keeper *keeper) {
    if (keeper->recover_key)
        return vlt_ok();
    return pkey_generate(PKEY_P256, &keeper->recover_key);
}

// What is borrowed by the answer lives as long as `sealed`.
static vlt_result describe(struct keeper *keeper, struct answer_recovery_key *answer,
                           uint8_t sealed[RECOVERY_SEALED_MAX]) {
    uint8_t id[RECOVERY_ID_BYTES];
    BIGNUM *x = NULL, *y = NULL;
    VLT_TRY(key_fresh(keeper));
    bool is_known = EVP_PKEY_get_bn_param(keeper->recover_key, "qx", &x) == 1 &&
                    EVP_PKEY_get_bn_param(keeper->recover_key, "qy", &y) == 1 &&
                    BN_bn2binpad(x, answer->x, sizeof answer->x) == sizeof answer->x &&
                    BN_bn2binpad(y, answer->y, sizeof answer->y) == sizeof answer->y;
    BN_free(x);
    BN_free(y);
    if (!is_known)
        return vlt_fail(VLT_BUG, "a fresh key has no coordinates");
    answer->kid = BYTES_LITERAL(KID);
    if (!keeper->store)
        return vlt_fail(VLT_CONFLICT, "the store can not be used: see the log");
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result =
        recovery_look(keeper->store, &answer->shares, &answer->threshold, id);
    struct bytes kept = recovery_look_sealed(keeper->store);
    if (kept.size > 0)
        memcpy(sealed, kept.at, kept.size);
    answer->sealed = bytes_of(sealed, kept.size);
    store_snapshot_end(keeper->store);
    return result;
}

void answer_recovery_key(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_recovery_key ask;
    struct answer_recovery_key answer = {.shares = 0};
    if (!vlt_is_ok(ask_recovery_key_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_recovery_key");
        return;
    }
    uint8_t sealed[RECOVERY_SEALED_MAX];
    vlt_result result = describe(keeper, &answer, sealed);
    reply_recovery_key(call, result, vlt_is_ok(result) ? &answer : NULL);
}

// ---- Recovering ----

struct recovering {
    struct audit_wait wait; // first
    struct unseal_wait unsealed;
    struct keeper *keeper;
    struct ipc_call *call;
    bool accepts_rollback, has_key;
    struct recovery_key key;
    uint32_t data_keys;
};

static struct recovering *recovering_of(struct unseal_wait *wait) {
    return (struct recovering *)(void *)((char *)wait - offsetof(struct recovering, unsealed));
}

static void finish(struct recovering *recovering, vlt_result result, const char *note) {
    struct answer_recover answer = {.data_keys = recovering->data_keys,
                                    .note = bytes_of_text(note)};
    epoch_accept_rollback(recovering->keeper, false);
    reply_recover(recovering->call, result, vlt_is_ok(result) ? &answer : NULL);
    if (recovering->has_key)
        recovery_key_done(&recovering->key);
    free(recovering);
}

static void record_failure(struct keeper *keeper, const char *why) {
    struct audit_event event = {.kind = AUDIT_VAULT,
                                .outcome = AUDIT_ERROR,
                                .operation = BYTES_LITERAL("vault.recover"),
                                .reason = bytes_of_text(why)};
    audit_later(keeper, &event);
}

// A try that failed is no failure of this call: its reason is for people.
static void unsealed(struct unseal_wait *wait, vlt_result result) {
    struct recovering *recovering = recovering_of(wait);
    struct keeper *keeper = recovering->keeper;
    if (vlt_is_ok(result)) {
        EVP_PKEY_free(keeper->recover_key);
        keeper->recover_key = NULL;
        finish(recovering, result, "");
        return;
    }
    record_failure(keeper, keeper->why);
    finish(recovering, vlt_ok(), keeper->why[0] ? keeper->why : result.reason);
}

static void unseal(struct recovering *recovering) {
    struct keeper *keeper = recovering->keeper;
    keeper->is_sealed_by_hand = false;
    recovering->unsealed.done = unsealed;
    unseal_wait_for(keeper, &recovering->unsealed);
    unseal_begin(keeper);
}

static void rewrapped(vlt_result result, const struct fault *fault, uint32_t data_keys,
                      void *context) {
    struct recovering *recovering = context;
    recovering->data_keys = data_keys;
    if (vlt_is_ok(result)) {
        log_notice("%u data keys were recovered and wrapped for this device", data_keys);
        unseal(recovering);
        return;
    }
    const char *why = fault_or_reason(fault, result);
    log_error("recovery failed: %s", why);
    record_failure(recovering->keeper, why);
    finish(recovering, vlt_ok(), why);
}

static void recorded(struct audit_wait *wait, vlt_result result) {
    struct recovering *recovering = (struct recovering *)wait;
    struct keeper *keeper = recovering->keeper;
    if (vlt_is_ok(result) && (keeper->state != KEEPER_SEALED || keeper->is_unsealing))
        result = vlt_fail(VLT_CONFLICT, "the vault is being unsealed at this moment: try again");
    if (!vlt_is_ok(result)) {
        finish(recovering, result, "");
        return;
    }
    epoch_accept_rollback(keeper, recovering->accepts_rollback);
    if (!recovering->has_key) {
        unseal(recovering);
        return;
    }
    recovering->has_key = false; // taken
    event_del(keeper->retry);
    recover_run(keeper, &recovering->key, rewrapped, recovering);
}

// ---- What was sent ----

static vlt_result open_secret(struct keeper *keeper, const struct ask_recover *ask,
                              struct secret *ret_secret) {
    static struct jwe_intake_fields fields; // large; the loop is one thread
    if (!keeper->recover_key || !bytes_equal_text(ask->kid, KID))
        return vlt_fail(VLT_CONFLICT, "the shares are sealed to a key that is gone: try again");
    if (ask->jwe_header.size > sizeof fields.aad || ask->ciphertext.size > sizeof fields.ciphertext)
        return vlt_fail(VLT_MALFORMED, "the sealed recovery secret is too long");
    memcpy(fields.epk_x, ask->epk_x, sizeof fields.epk_x);
    memcpy(fields.epk_y, ask->epk_y, sizeof fields.epk_y);
    memcpy(fields.iv, ask->iv, sizeof fields.iv);
    memcpy(fields.tag, ask->tag, sizeof fields.tag);
    fields.aad_bytes = ask->jwe_header.size;
    fields.ciphertext_bytes = ask->ciphertext.size;
    if (ask->jwe_header.size)
        memcpy(fields.aad, ask->jwe_header.at, ask->jwe_header.size);
    memcpy(fields.ciphertext, ask->ciphertext.at, ask->ciphertext.size);
    VLT_TRY(jwe_intake_open(keeper->recover_key, &fields, ret_secret));
    return secret_size(ret_secret) == RECOVERY_SECRET_BYTES
               ? vlt_ok()
               : vlt_fail(VLT_MALFORMED, "the sealed recovery secret has a wrong size");
}

static vlt_result check_key(struct keeper *keeper, const struct recovery_key *key) {
    uint8_t shares, threshold, id[RECOVERY_ID_BYTES];
    if (!keeper->store)
        return vlt_fail(VLT_CONFLICT, "the store can not be used: see the log");
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = recovery_look(keeper->store, &shares, &threshold, id);
    store_snapshot_end(keeper->store);
    VLT_TRY(result);
    return secret_equal(bytes_of(id, sizeof id), bytes_of(key->id, sizeof key->id))
               ? vlt_ok()
               : vlt_fail(VLT_DENIED, "the shares do not belong to this vault, or are too few");
}

static vlt_result take_key(struct keeper *keeper, const struct ask_recover *ask,
                           struct recovering *recovering) {
    if (ask->ciphertext.size == 0)
        return ask->accept_rollback ? vlt_ok()
                                    : vlt_fail(VLT_MALFORMED, "there is nothing to recover with");
    struct secret *secret = secret_new(JWE_INTAKE_PLAINTEXT_MAX);
    if (!secret)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = open_secret(keeper, ask, secret);
    if (vlt_is_ok(result))
        result = recovery_key_derive(secret, &recovering->key);
    secret_free(secret);
    VLT_TRY(result);
    recovering->has_key = true;
    return check_key(keeper, &recovering->key);
}

void answer_recover(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_recover ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_recover_decode(frame, &ask)) || ask.accept_rollback > 1 ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_VAULT, &event))) {
        ipc_call_refuse(call, "a malformed ask_recover");
        return;
    }
    struct recovering *recovering = calloc(1, sizeof *recovering);
    vlt_result result = recovering ? take_key(keeper, &ask, recovering)
                                   : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        if (recovering && recovering->has_key)
            recovery_key_done(&recovering->key);
        free(recovering);
        audit_refuse(keeper, call, &event, result);
        return;
    }
    recovering->keeper = keeper;
    recovering->call = call;
    recovering->accepts_rollback = ask.accept_rollback;
    recovering->wait.done = recorded;
    audit_first(keeper, &event, &recovering->wait);
}
