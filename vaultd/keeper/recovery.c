// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/recovery.h"

#include <stdlib.h>

#include "hsm/tpm/hpke.h"
#include "vaultd/keeper/system_seal.h"

#define RECORD_BYTES (2 + RECOVERY_POINT_BYTES + 32)

static const char slot_purpose[] = "vaultd recovery slot 1";

void recovery_free(struct recovery *recovery) {
    if (recovery)
        secret_free(recovery->psk);
    free(recovery);
}

static struct recovery *recovery_alloc(void) {
    struct recovery *recovery = calloc(1, sizeof *recovery);
    if (recovery && !(recovery->psk = secret_new(32))) {
        free(recovery);
        return NULL;
    }
    return recovery;
}

// ---- Making ----

struct making {
    struct secret *secret, *joined;
    struct shamir_share shares[RECOVERY_SHARES_MAX];
};

static void making_free(struct making *making) {
    secret_free(making->secret);
    secret_free(making->joined);
    for (size_t i = 0; i < RECOVERY_SHARES_MAX; i++)
        secret_free(making->shares[i].y);
}

static bool making_alloc(struct making *making) {
    making->secret = secret_new(RECOVERY_SECRET_BYTES);
    making->joined = secret_new(RECOVERY_SECRET_BYTES);
    bool is_there = making->secret && making->joined;
    for (size_t i = 0; i < RECOVERY_SHARES_MAX; i++)
        is_there &= (making->shares[i].y = secret_new(RECOVERY_SECRET_BYTES)) != NULL;
    return is_there;
}

// What people will hold is read back as they would type it, and joined.
static vlt_result read_back(struct making *making, const struct recovery *recovery,
                            const struct secret *texts) {
    struct recovery_share share;
    struct bytes rest = bytes_of(secret_borrow(texts), secret_size(texts));
    vlt_result result = vlt_ok();
    for (unsigned i = 0; i < recovery->shares && vlt_is_ok(result); i++) {
        size_t end = bytes_find(rest, '\n');
        share.share.y = making->shares[i].y;
        result = recovery_share_parse(bytes_of(rest.at, end), &share);
        making->shares[i].x = share.share.x;
        rest = bytes_from(rest, end + 1);
    }
    secret_release(texts);
    // The last ones: the first ones would not notice a wrong number of shares.
    if (vlt_is_ok(result))
        result = shamir_join(making->shares + recovery->shares - recovery->threshold,
                             recovery->threshold, making->joined);
    VLT_TRY(result);
    bool is_same = secret_equal(bytes_of(secret_borrow(making->joined), RECOVERY_SECRET_BYTES),
                                bytes_of(secret_borrow(making->secret), RECOVERY_SECRET_BYTES));
    secret_release(making->joined);
    secret_release(making->secret);
    return is_same ? vlt_ok() : vlt_fail(VLT_BUG, "the shares do not give the recovery secret");
}

static vlt_result put_texts(const struct making *making, const struct recovery *recovery,
                            struct secret *texts) {
    char *at = (char *)secret_borrow_room(texts);
    size_t size = 0;
    vlt_result result = vlt_ok();
    for (unsigned i = 0; i < recovery->shares && vlt_is_ok(result); i++) {
        struct recovery_share share = {.threshold = recovery->threshold,
                                       .share = making->shares[i]};
        memcpy(share.vault, recovery->id, sizeof share.vault);
        result = recovery_share_text(&share, at + size);
        size += RECOVERY_SHARE_TEXT_SIZE;
        at[size - 1] = '\n';
    }
    secret_release_sized(texts, vlt_is_ok(result) ? size : 0);
    return result;
}

static vlt_result make(struct making *making, struct recovery *recovery, struct secret *texts) {
    struct recovery_key key;
    VLT_TRY(secret_set_random(making->secret, RECOVERY_SECRET_BYTES));
    VLT_TRY(recovery_key_derive(making->secret, &key));
    memcpy(recovery->point, key.point, sizeof recovery->point);
    memcpy(recovery->id, key.id, sizeof recovery->id);
    vlt_result result = secret_copy(recovery->psk, key.psk);
    recovery_key_done(&key);
    VLT_TRY(result);
    VLT_TRY(shamir_split(making->secret, recovery->threshold, making->shares, recovery->shares));
    VLT_TRY(put_texts(making, recovery, texts));
    return read_back(making, recovery, texts);
}

vlt_result recovery_new(unsigned shares, unsigned threshold, struct recovery **ret_recovery,
                        struct secret *ret_texts) {
    // One of several would make each piece of paper the whole key.
    if (threshold > shares || shares > RECOVERY_SHARES_MAX || threshold < (shares > 1 ? 2 : 1))
        return vlt_fail(VLT_MALFORMED, "a recovery key has 2 to 16 shares of which 2 or more are "
                                       "needed, or a single one");
    struct making making = {0};
    struct recovery *recovery = recovery_alloc();
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (recovery && making_alloc(&making)) {
        recovery->shares = (uint8_t)shares;
        recovery->threshold = (uint8_t)threshold;
        result = make(&making, recovery, ret_texts);
    }
    making_free(&making);
    if (!vlt_is_ok(result)) {
        recovery_free(recovery);
        return result;
    }
    *ret_recovery = recovery;
    return vlt_ok();
}

// ---- Records ----

static vlt_result add_public(const struct recovery *recovery, int64_t now_s,
                             struct change *change) {
    uint8_t key[2 + RECOVERY_POINT_BYTES], room[sizeof key + 64];
    struct wire_writer w;
    wire_writer_init(&w, key, sizeof key);
    wire_put_u8(&w, recovery->shares);
    wire_put_u8(&w, recovery->threshold);
    wire_put_raw(&w, bytes_of(recovery->point, sizeof recovery->point));
    const struct record_device record = {.kind = RECORD_DEVICE_RECOVERY,
                                         .state = RECORD_WRAPPING_ACTIVE,
                                         .created_at = (uint64_t)now_s,
                                         .key = bytes_of(key, w.size)};
    wire_writer_init(&w, room, sizeof room);
    record_device_put(&w, &record);
    if (w.failed)
        return vlt_fail(VLT_BUG, "the record of a recovery key is too large");
    change_add(change, STORE_SYSTEM_TENANT, STORE_DEVICE,
               bytes_of(recovery->id, sizeof recovery->id), bytes_of(room, w.size), 0);
    return vlt_ok();
}

vlt_result recovery_add_records(const struct recovery *recovery, const struct system_keys *keys,
                                int64_t now_s, struct change *change) {
    uint8_t plain[RECORD_BYTES], room[SYSTEM_RECORD_MAX];
    size_t size;
    struct wire_writer w;
    VLT_TRY(add_public(recovery, now_s, change));
    wire_writer_init(&w, plain, sizeof plain);
    wire_put_u8(&w, recovery->shares);
    wire_put_u8(&w, recovery->threshold);
    wire_put_raw(&w, bytes_of(recovery->point, sizeof recovery->point));
    wire_put_raw(&w, bytes_of(secret_borrow(recovery->psk), secret_size(recovery->psk)));
    secret_release(recovery->psk);
    vlt_result result = w.failed ? vlt_fail(VLT_BUG, "the record of a recovery key is too large")
                                 : system_seal(keys, RECOVERY_NAME, bytes_of(plain, w.size), room,
                                               &size);
    secret_cleanse(plain, sizeof plain);
    VLT_TRY(result);
    change_add(change, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(RECOVERY_NAME),
               bytes_of(room, size), STORE_ANY_REVISION);
    return vlt_ok();
}

static vlt_result read_record(struct bytes plain, struct recovery *recovery) {
    struct wire_reader r;
    wire_reader_init(&r, plain);
    recovery->shares = wire_get_u8(&r);
    recovery->threshold = wire_get_u8(&r);
    struct bytes point = wire_get_raw(&r, sizeof recovery->point);
    struct bytes psk = wire_get_raw(&r, 32);
    VLT_TRY(wire_reader_end(&r));
    memcpy(recovery->point, point.at, sizeof recovery->point);
    VLT_TRY(secret_set(recovery->psk, psk.at, psk.size));
    return recovery_key_id(recovery->point, recovery->id);
}

vlt_result recovery_load(struct store *store, const struct system_keys *keys,
                         struct recovery **ret_recovery) {
    struct bytes value;
    VLT_TRY(store_get(store, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(RECOVERY_NAME), &value,
                      NULL));
    struct recovery *recovery = recovery_alloc();
    struct secret *plain = secret_new(SYSTEM_RECORD_PLAIN_MAX);
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (recovery && plain)
        result = system_unseal(keys, RECOVERY_NAME, value, plain);
    if (vlt_is_ok(result)) {
        result = read_record(bytes_of(secret_borrow(plain), secret_size(plain)), recovery);
        secret_release(plain);
    }
    secret_free(plain);
    if (!vlt_is_ok(result)) {
        recovery_free(recovery);
        return result;
    }
    *ret_recovery = recovery;
    return vlt_ok();
}

struct look {
    uint8_t *shares, *threshold, *id;
    bool is_found;
};

static bool look_each(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct look *look = context;
    struct record_device record;
    if (!vlt_is_ok(record_device_get(value, &record)) || record.kind != RECORD_DEVICE_RECOVERY ||
        record.key.size != 2 + RECOVERY_POINT_BYTES || name.size != RECOVERY_ID_BYTES)
        return true;
    *look->shares = record.key.at[0];
    *look->threshold = record.key.at[1];
    memcpy(look->id, name.at, RECOVERY_ID_BYTES);
    look->is_found = true;
    return false;
}

vlt_result recovery_look(struct store *store, uint8_t *ret_shares, uint8_t *ret_threshold,
                         uint8_t ret_id[RECOVERY_ID_BYTES]) {
    struct look look = {.shares = ret_shares, .threshold = ret_threshold, .id = ret_id};
    VLT_TRY(store_each(store, STORE_SYSTEM_TENANT, STORE_DEVICE, bytes_of(NULL, 0),
                       bytes_of(NULL, 0), look_each, &look));
    return look.is_found ? vlt_ok() : vlt_fail(VLT_NOT_FOUND, "the store has no recovery key");
}

// ---- Slots ----

static struct hpke_sender sender_of(const uint8_t *point, const uint8_t *id,
                                    const struct secret *psk, struct bytes aad) {
    return (struct hpke_sender){.recipient = point,
                                .psk = psk,
                                .psk_id = bytes_of(id, RECOVERY_ID_BYTES),
                                .info = bytes_of_text(slot_purpose),
                                .aad = aad};
}

vlt_result recovery_add_slot(const struct recovery *recovery, uint32_t tenant, uint32_t number,
                             const struct secret *key32, struct record_datakey *record,
                             uint8_t *room) {
    uint8_t context[RECORD_DATAKEY_CONTEXT_MAX];
    struct wire_writer w;
    struct buf blob;
    if (!recovery)
        return vlt_ok();
    if (record->slot_count == RECORD_SLOTS_MAX)
        return vlt_fail(VLT_LIMIT, "a data key has too many slots");
    wire_writer_init(&w, context, sizeof context);
    record_datakey_context(&w, tenant, number);
    const struct hpke_sender sender =
        sender_of(recovery->point, recovery->id, recovery->psk, bytes_of(context, w.size));
    buf_init(&blob, RECORD_SLOT_BLOB_MAX);
    vlt_result result = hpke_encrypt(&sender, key32, &blob);
    if (vlt_is_ok(result) && buf_failed(&blob))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result)) {
        struct record_slot *slot = &record->slots[record->slot_count++];
        memcpy(slot->device, recovery->id, sizeof slot->device);
        slot->generation = 0;
        memcpy(room, blob.at, blob.size);
        slot->blob = bytes_of(room, blob.size);
    }
    buf_done(&blob);
    return result;
}

static vlt_result agree(EVP_PKEY *pkey, struct bytes point, struct secret *dh) {
    EVP_PKEY *peer = NULL;
    VLT_TRY(pkey_p256_public(point.at + 1, point.at + 33, &peer));
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(pkey, NULL);
    size_t size = HPKE_DH_BYTES;
    uint8_t *room = secret_borrow_room(dh);
    bool is_done = context && EVP_PKEY_derive_init(context) == 1 &&
                   EVP_PKEY_derive_set_peer(context, peer) == 1 &&
                   EVP_PKEY_derive(context, room, &size) == 1 && size == HPKE_DH_BYTES;
    secret_release_sized(dh, is_done ? HPKE_DH_BYTES : 0);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(peer);
    return is_done ? vlt_ok() : vlt_fail(VLT_CRYPTO, "a recovery slot is damaged");
}

static vlt_result open_blob(const struct recovery_key *key, struct bytes aad, struct bytes blob,
                            struct secret *ret_key32) {
    struct bytes point;
    VLT_TRY(hpke_point(blob, &point));
    struct secret *dh = secret_new(HPKE_DH_BYTES);
    if (!dh)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    const struct hpke_sender sender = sender_of(key->point, key->id, key->psk, aad);
    vlt_result result = agree(key->pkey, point, dh);
    if (vlt_is_ok(result))
        result = hpke_decrypt(&sender, dh, blob, ret_key32);
    secret_free(dh);
    return result;
}

vlt_result recovery_open_slot(const struct recovery_key *key, uint32_t tenant, uint32_t number,
                              const struct record_datakey *record, struct secret *ret_key32) {
    uint8_t context[RECORD_DATAKEY_CONTEXT_MAX];
    struct wire_writer w;
    wire_writer_init(&w, context, sizeof context);
    record_datakey_context(&w, tenant, number);
    for (size_t i = 0; i < record->slot_count; i++)
        if (bytes_equal(bytes_of(record->slots[i].device, RECORD_DEVICE_ID_SIZE),
                        bytes_of(key->id, sizeof key->id)))
            return open_blob(key, bytes_of(context, w.size), record->slots[i].blob, ret_key32);
    return vlt_fail(VLT_NOT_FOUND, "a data key has no slot for this recovery key");
}
