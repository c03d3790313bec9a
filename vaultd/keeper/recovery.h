// SPDX-License-Identifier: Apache-2.0
// The offline slot: every data key is wrapped for a recovery key whose private
// half exists only as shares on paper (libvault/crypto/recovery_key.h), so that a
// dead device is not a dead vault. The keeper has the public half and what
// authenticates a slot, under the system data key; opening takes the shares.
//
// A slot is HPKE (RFC 9180, PSK mode) with tenant and number of the data key as
// associated data.
#ifndef VLT_KEEPER_RECOVERY_H
#define VLT_KEEPER_RECOVERY_H

#include "libvault/crypto/recovery_key.h"
#include "libvault/store/record_datakey.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/system_keys.h"

#define RECOVERY_NAME "recovery" // of its record under STORE_META
#define RECOVERY_SHARES_DEFAULT 5
#define RECOVERY_TEXTS_BYTES (RECOVERY_SHARES_MAX * RECOVERY_SHARE_TEXT_SIZE)

struct recovery {
    uint8_t shares, threshold;
    uint8_t point[RECOVERY_POINT_BYTES], id[RECOVERY_ID_BYTES];
    struct secret *psk;
};

// A new one, and its shares as lines of text. They were joined again and gave the
// secret. VLT_MALFORMED: 2 ≤ threshold ≤ shares ≤ RECOVERY_SHARES_MAX, or 1 of 1.
vlt_result recovery_new(unsigned shares, unsigned threshold, struct recovery **ret_recovery,
                        struct secret *ret_texts) VLT_MUST_USE;
void recovery_free(struct recovery *recovery); // wipes; NULL is fine

// Both records of it.
vlt_result recovery_add_records(const struct recovery *recovery, const struct system_keys *keys,
                                int64_t now_s, struct change *change) VLT_MUST_USE;
// Within a snapshot. VLT_NOT_FOUND.
vlt_result recovery_load(struct store *store, const struct system_keys *keys,
                         struct recovery **ret_recovery) VLT_MUST_USE;
// What can be known of it while the vault is sealed; not authenticated. Within a
// snapshot. VLT_NOT_FOUND.
vlt_result recovery_look(struct store *store, uint8_t *ret_shares, uint8_t *ret_threshold,
                         uint8_t ret_id[RECOVERY_ID_BYTES]) VLT_MUST_USE;

// Adds the recovery slot of this data key to `record`; `room` holds its blob and
// has RECORD_SLOT_BLOB_MAX bytes. Does nothing when recovery is NULL.
vlt_result recovery_add_slot(const struct recovery *recovery, uint32_t tenant, uint32_t number,
                             const struct secret *key32, struct record_datakey *record,
                             uint8_t *room) VLT_MUST_USE;
// VLT_NOT_FOUND: no slot for this key. VLT_CRYPTO: altered, or moved.
vlt_result recovery_open_slot(const struct recovery_key *key, uint32_t tenant, uint32_t number,
                              const struct record_datakey *record,
                              struct secret *ret_key32) VLT_MUST_USE;

#endif
