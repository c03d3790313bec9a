// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/store: the LMDB environment behind `struct store`, the
// layout of keys and values, and what LMDB's error codes mean to us.
#ifndef VLT_STORE_STORE_ENV_H
#define VLT_STORE_STORE_ENV_H

#include <lmdb.h>

#include "libvault/store/store.h"

#define STORE_KEY_MAX (5 + STORE_NAME_MAX)
#define STORE_VALUE_FORMAT 1      // first byte of every value
#define STORE_VALUE_HEADER_SIZE 9 // format byte, u64 revision

struct store {
    MDB_env *env;
    MDB_dbi dbi;
    int writer_lock; // descriptor of writer.lock, held for life; -1: reader
    // Snapshot side.
    MDB_txn *parked;    // a read transaction, reset between snapshots
    MDB_cursor *cursor; // of `parked`
    bool is_in_snapshot;
    unsigned export_count; // snapshots of backups
    size_t map_bytes;      // as it was opened with; 0: the usual size
    // Commit side.
    bool is_broken;        // LMDB has declared the environment dead
    bool zeros_are_synced; // a scrub was synced to its end, and no sync failed since
    uint8_t *value_room;   // header and body of the value being written
};

struct store_key {
    uint8_t at[STORE_KEY_MAX];
    size_t size;
};
// VLT_LIMIT when the name is too long.
vlt_result store_key_build(uint32_t tenant, enum store_class class, struct bytes name,
                           struct store_key *ret_key) VLT_MUST_USE;
// Splits a stored value; VLT_CONFLICT when a newer version wrote it.
vlt_result store_value_split(MDB_val value, struct bytes *ret_body,
                             uint64_t *ret_revision) VLT_MUST_USE;
vlt_result store_lmdb_result(int code) VLT_MUST_USE; // not for 0 or MDB_NOTFOUND
// Revision of the store as this transaction sees it; 0 for an empty one.
vlt_result store_revision_of(struct store *store, MDB_txn *txn,
                             uint64_t *ret_revision) VLT_MUST_USE;
// As store_open, with a map of another size than the usual one (tests of a full
// store). 0: the usual one.
vlt_result store_open_sized(const char *folder, enum store_mode mode, size_t map_bytes,
                            struct fault *fault, struct store **ret_store) VLT_MUST_USE;
vlt_result store_read_begin(struct store *store) VLT_MUST_USE; // makes or renews `parked`
void store_read_end(struct store *store);                       // forgets `parked`

#endif
