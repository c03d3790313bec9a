// SPDX-License-Identifier: Apache-2.0
// restore: a backup into the folder of a vault that does not run. Everything is
// verified before anything is replaced.
#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/backup_file.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "libvault/base/hex.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/jws.h"
#include "libvault/store/record_key.h"
#include "libvault/store/store_copy.h"

// ---- Reading and verifying ----

struct restore {
    FILE *in;
    EVP_MD_CTX *digest;
    uint64_t records;
    struct jws_parts signature;
    bool has_signature;
    json_t *key; // the signer's public key, found in the backup itself
    struct fault fault;
};

static vlt_result damaged(struct restore *restore, const char *what) {
    return fault_set(&restore->fault, VLT_CRYPTO, "the backup is damaged",
                     "the backup is not usable: %s. Nothing was replaced", what);
}

static vlt_result frame_read(struct restore *restore, uint8_t *room, size_t *ret_size) {
    uint8_t length[4];
    if (fread(length, sizeof length, 1, restore->in) != 1)
        return damaged(restore, "it is cut short");
    size_t size =
        (size_t)length[0] << 24 | (size_t)length[1] << 16 | (size_t)length[2] << 8 | length[3];
    if (size > BACKUP_CHUNK_MAX || (size && fread(room, size, 1, restore->in) != 1))
        return damaged(restore, "it is cut short");
    *ret_size = size;
    return vlt_ok();
}

typedef vlt_result record_fn(struct restore *restore, struct bytes key, struct bytes value,
                             void *context);

static vlt_result chunk_each(struct restore *restore, struct bytes chunk, record_fn *each,
                             void *context) {
    struct wire_reader r;
    wire_reader_init(&r, chunk);
    while (r.next < r.size) {
        struct bytes key = wire_get_bytes(&r, BACKUP_CHUNK_MAX),
                     value = wire_get_bytes(&r, BACKUP_CHUNK_MAX);
        if (r.failed)
            return damaged(restore, "a record is cut short");
        VLT_TRY(each(restore, key, value, context));
    }
    return vlt_ok();
}

// Reads from the beginning; `room` has BACKUP_CHUNK_MAX bytes and holds the signature at
// the end.
static vlt_result read_through(struct restore *restore, uint8_t *room, record_fn *each,
                               void *context, size_t *ret_signature_bytes) {
    char begin[sizeof BACKUP_MAGIC - 1];
    size_t size;
    rewind(restore->in);
    if (fread(begin, sizeof begin, 1, restore->in) != 1 ||
        !bytes_equal(bytes_of(begin, sizeof begin), bytes_of(BACKUP_MAGIC, sizeof begin)))
        return damaged(restore, "it is no backup of vaultd");
    for (;;) {
        VLT_TRY(frame_read(restore, room, &size));
        if (size == 0)
            return frame_read(restore, room, ret_signature_bytes);
        if (EVP_DigestUpdate(restore->digest, room, size) != 1)
            return vlt_fail(VLT_CRYPTO, "SHA-256 failed");
        VLT_TRY(chunk_each(restore, bytes_of(room, size), each, context));
    }
}

static vlt_result look_for_key(struct restore *restore, struct bytes key, struct bytes value,
                               void *context) {
    struct store_record record;
    struct record_key signer;
    restore->records++;
    VLT_TRY(store_record_of(key, value, &record));
    if (record.tenant != STORE_SYSTEM_TENANT || record.class != STORE_SIGNING_KEY)
        return vlt_ok();
    VLT_TRY(record_key_parse(record.value, &restore->fault, &signer));
    if (signer.use == RECORD_KEY_CHECKPOINT) {
        json_t *keys = restore->key;
        json_array_append(keys, signer.jwk);
    }
    record_key_done(&signer);
    return vlt_ok();
}

static vlt_result check_payload(struct restore *restore, const uint8_t digest[32]) {
    json_t *payload = NULL;
    char hex[65];
    hex_encode(bytes_of(digest, 32), hex);
    VLT_TRY(jsontext_parse(restore->signature.payload, &jsontext_token_limits, NULL, &payload));
    bool is_right =
        !strcmp(member_text(payload, "sha256"), hex) &&
        (uint64_t)json_integer_value(json_object_get(payload, "records")) == restore->records;
    json_decref(payload);
    return is_right ? vlt_ok() : damaged(restore, "it was altered after it was signed");
}

// The kid is the RFC 7638 thumbprint: a key can not claim another one's.
static vlt_result check_signer(struct restore *restore, const char *pinned) {
    for (size_t i = 0; i < json_array_size(restore->key); i++) {
        struct jwk *key = NULL;
        char kid[JWK_THUMBPRINT_TEXT_SIZE];
        VLT_TRY(jwk_parse_json(json_array_get(restore->key, i), 0, &restore->fault, &key));
        vlt_result result = jwk_thumbprint_text(key, kid);
        bool is_it = vlt_is_ok(result) && !strcmp(kid, restore->signature.kid) &&
                     (!pinned || !strcmp(kid, pinned));
        if (is_it)
            result = jws_verify(&restore->signature, 1u << JWS_EDDSA, key);
        jwk_free(key);
        if (is_it)
            return vlt_is_ok(result) ? result : damaged(restore, "its signature is wrong");
    }
    return damaged(restore, pinned ? "it was signed by another key than --key says"
                                   : "it holds no key that signed it");
}

static vlt_result verify(struct restore *restore, uint8_t *room, const char *pinned) {
    uint8_t digest[32];
    unsigned size = 0;
    size_t signature_bytes = 0;
    if (EVP_DigestInit_ex(restore->digest, EVP_sha256(), NULL) != 1)
        return vlt_fail(VLT_CRYPTO, "SHA-256 failed");
    VLT_TRY(read_through(restore, room, look_for_key, NULL, &signature_bytes));
    if (EVP_DigestFinal_ex(restore->digest, digest, &size) != 1)
        return vlt_fail(VLT_CRYPTO, "SHA-256 failed");
    if (!vlt_is_ok(jws_split(bytes_of(room, signature_bytes), 0, &restore->signature)))
        return damaged(restore, "it has no signature");
    restore->has_signature = true;
    if (!jws_typ_is(&restore->signature, BACKUP_TYP) || !restore->signature.has_kid)
        return damaged(restore, "its signature is of another kind");
    VLT_TRY(check_signer(restore, pinned));
    return check_payload(restore, digest);
}

// ---- Replacing ----

static vlt_result import_record(struct restore *restore, struct bytes key, struct bytes value,
                                void *context) {
    return store_import_put(context, key, value);
}

// Owned by who owned the store: the keeper runs as a user of its own.
static vlt_result own_like(const char *folder, const struct stat *owner, struct fault *fault) {
    static const char *const files[] = {"", "/data.mdb", "/lock.mdb", "/writer.lock"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s%s", folder, files[i]);
        if (chown(path, owner->st_uid, owner->st_gid) != 0 && geteuid() == 0)
            return fault_set(fault, VLT_UNAVAILABLE, "can not change the owner",
                             "can not change the owner of %s: %s", path, strerror(errno));
    }
    return vlt_ok();
}

static vlt_result import_all(struct restore *restore, uint8_t *room, const char *folder) {
    struct store_import *import = NULL;
    size_t signature_bytes;
    VLT_TRY(store_import_begin(folder, &restore->fault, &import));
    vlt_result result = EVP_DigestInit_ex(restore->digest, EVP_sha256(), NULL) == 1
                            ? read_through(restore, room, import_record, import, &signature_bytes)
                            : vlt_fail(VLT_CRYPTO, "SHA-256 failed");
    uint8_t digest[32];
    unsigned size = 0;
    // The file may have changed since it was verified.
    if (vlt_is_ok(result) && EVP_DigestFinal_ex(restore->digest, digest, &size) == 1)
        result = check_payload(restore, digest);
    if (vlt_is_ok(result))
        result = store_import_commit(import);
    store_import_free(import);
    return result;
}

// Moves the old store beside the new one, under a name that is not taken.
static bool move_away(const char *folder, char kept[PATH_MAX]) {
    for (long long at = time(NULL), end = at + 60; at < end; at++) {
        if (snprintf(kept, PATH_MAX, "%s.before-%lld", folder, at) >= PATH_MAX)
            return false;
        if (access(kept, F_OK) != 0)
            return rename(folder, kept) == 0;
    }
    errno = EEXIST;
    return false;
}

static vlt_result replace(struct restore *restore, uint8_t *room, const char *folder,
                          char kept[PATH_MAX]) {
    char fresh[PATH_MAX], parent[PATH_MAX];
    struct stat owner;
    struct store *old = NULL;
    kept[0] = 0;
    if (snprintf(fresh, sizeof fresh, "%s.restoring", folder) >= (int)sizeof fresh ||
        snprintf(parent, sizeof parent, "%s/..", folder) >= (int)sizeof parent)
        return vlt_fail(VLT_LIMIT, "the path of the store is too long");
    bool is_there = stat(folder, &owner) == 0;
    // A vault that runs holds its store; this holds it while it is replaced.
    vlt_result result =
        is_there ? store_open(folder, STORE_WRITE, &restore->fault, &old) : vlt_ok();
    if (!vlt_is_ok(result) && result.class != VLT_NOT_FOUND && result.class != VLT_MALFORMED)
        return result;
    result = import_all(restore, room, fresh);
    if (vlt_is_ok(result) && is_there)
        result = own_like(fresh, &owner, &restore->fault);
    if (vlt_is_ok(result) && is_there && !move_away(folder, kept))
        result = fault_set(&restore->fault, VLT_UNAVAILABLE, "can not move the old store",
                           "can not move %s away: %s", folder, strerror(errno));
    if (vlt_is_ok(result) && rename(fresh, folder) != 0)
        result = fault_set(&restore->fault, VLT_UNAVAILABLE, "can not move the new store",
                           "the restored store is in %s and can not be moved to %s: %s", fresh,
                           folder, strerror(errno));
    store_close(old);
    return result;
}

static int run_restore(struct command *command) {
    const char *path = command->arguments[0], *folder = command_option(command, "--store");
    const char *pinned = command_option(command, "--key");
    char kept[PATH_MAX];
    static uint8_t room[BACKUP_CHUNK_MAX];
    if (!folder)
        return command_usage(command, "--store is missing: the folder of the store to replace");
    struct restore restore = {
        .in = fopen(path, "rbe"), .digest = EVP_MD_CTX_new(), .key = json_array()};
    vlt_result result = vlt_ok();
    if (!restore.in)
        result = fault_set(&restore.fault, VLT_NOT_FOUND, "can not read", "can not read %s: %s",
                           path, strerror(errno));
    if (vlt_is_ok(result))
        result = verify(&restore, room, pinned);
    if (vlt_is_ok(result))
        result = replace(&restore, room, folder, kept);
    int status = EXIT_OK;
    if (!vlt_is_ok(result)) {
        status = command_fail(command, result, &restore.fault);
    } else {
        printf("Restored %llu records, signed by %s.\n", (unsigned long long)restore.records,
               restore.signature.kid);
        if (!pinned)
            printf("Compare that key with `vaultctl status` (checkpoint) of the vault, or give "
                   "--key.\n");
        if (kept[0])
            printf("The store that was there is in %s.\n", kept);
        printf("The device remembers a newer store: after the start, `vaultctl recover "
               "--accept-rollback`, or on\nanother device `vaultctl recover`.\n");
    }
    if (restore.has_signature)
        jws_parts_done(&restore.signature);
    json_decref(restore.key);
    EVP_MD_CTX_free(restore.digest);
    if (restore.in)
        fclose(restore.in);
    return status;
}

static const struct option_spec restore_options[] = {
    {"--store", OPTION_VALUE, "FOLDER", "the folder of the store, as in vaultd.conf", 0},
    {"--key", OPTION_VALUE, "KID", "the checkpoint key that must have signed it", 0},
    {0}};

const struct verb verb_restore = {
    .noun = "restore",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Put a backup in place of the store of a stopped vault",
    .details =
        "Verifies the whole backup first: every record and the signature. The store that is there\n"
        "is moved aside, not removed. Run it as root, or as the keeper's user, while vaultd is "
        "stopped.",
    .examples = "  vaultctl restore /backup/vault-2026-01-31 --store /var/lib/vaultd/store\n",
    .options = restore_options,
    .run = run_restore,
};
