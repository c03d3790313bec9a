// SPDX-License-Identifier: Apache-2.0
// The copy is ciphertext where the store is; who holds it and the recovery shares,
// or it and the device, has everything.
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/random.h"
#include "libvault/store/store_copy.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/backup.h"
#include "vaultd/keeper/system_keys.h"

struct backup {
    struct store_export *export;
    EVP_MD_CTX *digest;
    uint64_t number, revision, records, sent;
    int64_t used_ms;
};

void backup_end(struct keeper *keeper) {
    struct backup *backup = keeper->backup;
    keeper->backup = NULL;
    if (!backup)
        return;
    store_export_end(backup->export);
    EVP_MD_CTX_free(backup->digest);
    free(backup);
}

void backup_look(struct keeper *keeper) {
    if (keeper->backup &&
        clock_elapsed_ms() - keeper->backup->used_ms > (int64_t)BACKUP_IDLE_S * 1000)
        backup_end(keeper);
}

// ---- Beginning ----

struct beginning {
    struct audit_wait wait; // first
    struct keeper *keeper;
    struct ipc_call *call;
    uint64_t number; // of the backup
};

static vlt_result begin(struct keeper *keeper) {
    backup_look(keeper);
    if (keeper->backup)
        return vlt_fail(VLT_CONFLICT, "another backup is under way");
    if (!keeper->keys || !keeper->keys->checkpoint)
        return vlt_fail(VLT_UNAVAILABLE, "the vault is sealed");
    struct backup *backup = calloc(1, sizeof *backup);
    if (!backup)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    keeper->backup = backup;
    backup->used_ms = clock_elapsed_ms();
    vlt_result result = random_bytes(&backup->number, sizeof backup->number);
    backup->number >>= 16; // a number that JSON can hold exactly
    backup->digest = EVP_MD_CTX_new();
    if (vlt_is_ok(result) &&
        (!backup->digest || EVP_DigestInit_ex(backup->digest, EVP_sha256(), NULL) != 1))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = store_export_begin(keeper->store, &backup->revision, &backup->records,
                                    &backup->export);
    if (!vlt_is_ok(result))
        backup_end(keeper);
    return result;
}

static void recorded(struct audit_wait *wait, vlt_result result) {
    struct beginning *beginning = (struct beginning *)wait;
    struct keeper *keeper = beginning->keeper;
    struct answer_backup_begin answer = {.number = 0};
    bool is_there = keeper->backup && keeper->backup->number == beginning->number;
    if (vlt_is_ok(result) && !is_there)
        result = vlt_fail(VLT_UNAVAILABLE, "the vault is sealed");
    if (vlt_is_ok(result))
        answer = (struct answer_backup_begin){.number = keeper->backup->number,
                                              .revision = keeper->backup->revision,
                                              .records = keeper->backup->records};
    else if (is_there)
        backup_end(keeper);
    reply_backup_begin(beginning->call, result, vlt_is_ok(result) ? &answer : NULL);
    free(beginning);
}

// The snapshot is taken first, so that the log can say which one left; nothing of it is
// read before that is recorded.
static void record(struct keeper *keeper, struct beginning *beginning, struct audit_event *event) {
    const struct backup *backup = keeper->backup;
    char subject[128];
    snprintf(subject, sizeof subject,
             "backup %" PRIu64 ": store revision %" PRIu64 ", %" PRIu64 " records", backup->number,
             backup->revision, backup->records);
    event->subject = bytes_of_text(subject);
    beginning->number = backup->number;
    beginning->wait.done = recorded;
    audit_first(keeper, event, &beginning->wait);
}

void answer_backup_begin(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_backup_begin ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_backup_begin_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_VAULT, &event))) {
        ipc_call_refuse(call, "a malformed ask_backup_begin");
        return;
    }
    struct beginning *beginning = calloc(1, sizeof *beginning);
    vlt_result result = beginning ? begin(keeper) : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        free(beginning);
        audit_refuse(keeper, call, &event, result);
        return;
    }
    beginning->keeper = keeper;
    beginning->call = call;
    record(keeper, beginning, &event);
}

// ---- Chunks ----

static vlt_result sign(struct keeper *keeper, struct buf *jws) {
    struct backup *backup = keeper->backup;
    struct jwk *key = keeper->keys ? keeper->keys->checkpoint : NULL;
    uint8_t digest[32];
    char hex[65], header[JWK_KID_SIZE + 64], payload[320];
    unsigned size = 0;
    if (!key)
        return vlt_fail(VLT_UNAVAILABLE, "the vault was sealed");
    if (EVP_DigestFinal_ex(backup->digest, digest, &size) != 1)
        return vlt_fail(VLT_CRYPTO, "the digest of a backup failed");
    hex_encode(bytes_of(digest, sizeof digest), hex);
    snprintf(header, sizeof header, "{\"alg\":\"EdDSA\",\"kid\":\"%s\",\"typ\":\"" BACKUP_TYP "\"}",
             key->kid);
    snprintf(payload, sizeof payload,
             "{\"made_at\":%lld,\"records\":%llu,\"revision\":%llu,\"sha256\":\"%s\"}",
             (long long)clock_now_s(), (unsigned long long)backup->sent,
             (unsigned long long)backup->revision, hex);
    VLT_TRY(jws_sign(key, bytes_of_text(header), bytes_of_text(payload), jws));
    return buf_failed(jws) ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok();
}

static vlt_result next(struct keeper *keeper, uint64_t number, struct wire_writer *chunk,
                       struct buf *jws) {
    struct backup *backup = keeper->backup;
    size_t records = 0;
    if (!backup || backup->number != number)
        return vlt_fail(VLT_NOT_FOUND, "there is no such backup under way");
    backup->used_ms = clock_elapsed_ms();
    VLT_TRY(store_export_next(backup->export, chunk, &records));
    backup->sent += records;
    if (records == 0)
        return sign(keeper, jws);
    if (EVP_DigestUpdate(backup->digest, chunk->at, chunk->size) != 1)
        return vlt_fail(VLT_CRYPTO, "the digest of a backup failed");
    return vlt_ok();
}

void answer_backup_next(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    static uint8_t room[STORE_COPY_CHUNK_MAX]; // ciphertext; the loop is one thread
    struct ask_backup_next ask;
    struct wire_writer chunk;
    struct buf jws;
    if (!vlt_is_ok(ask_backup_next_decode(frame, &ask))) {
        ipc_call_refuse(call, "a malformed ask_backup_next");
        return;
    }
    wire_writer_init(&chunk, room, sizeof room);
    buf_init(&jws, 1024);
    vlt_result result = next(keeper, ask.number, &chunk, &jws);
    const struct answer_backup_next answer = {.records = bytes_of(room, chunk.size),
                                              .signature = buf_bytes(&jws)};
    bool is_over = !vlt_is_ok(result) ? result.class != VLT_NOT_FOUND : chunk.size == 0;
    reply_backup_next(call, result, vlt_is_ok(result) ? &answer : NULL);
    buf_done(&jws);
    if (is_over)
        backup_end(keeper);
}
