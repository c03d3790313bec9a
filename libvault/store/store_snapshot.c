// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/store_env.h"

static int begin_parked(struct store *store) {
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->parked);
    if (code)
        return code;
    code = mdb_cursor_open(store->parked, store->dbi, &store->cursor);
    if (code) {
        mdb_txn_abort(store->parked);
        store->parked = NULL;
    }
    return code;
}

void store_read_end(struct store *store) {
    if (store->cursor)
        mdb_cursor_close(store->cursor);
    if (store->parked)
        mdb_txn_abort(store->parked);
    store->cursor = NULL;
    store->parked = NULL;
}

vlt_result store_read_begin(struct store *store) {
    int code = 0;
    if (store->parked) {
        code = mdb_txn_renew(store->parked);
        if (!code)
            code = mdb_cursor_renew(store->parked, store->cursor);
        if (!code)
            return vlt_ok();
        // Another process opened the store with a larger map: only allowed to
        // follow with no transaction alive.
        store_read_end(store);
    }
    if (code == MDB_MAP_RESIZED)
        (void)mdb_env_set_mapsize(store->env, 0);
    code = begin_parked(store);
    if (code == MDB_MAP_RESIZED && mdb_env_set_mapsize(store->env, 0) == 0)
        code = begin_parked(store);
    return code ? store_lmdb_result(code) : vlt_ok();
}

vlt_result store_snapshot_begin(struct store *store) {
    if (store->is_in_snapshot)
        return vlt_fail(VLT_BUG, "a snapshot of this store is open already");
    VLT_TRY(store_read_begin(store));
    store->is_in_snapshot = true;
    return vlt_ok();
}

void store_snapshot_end(struct store *store) {
    if (!store->is_in_snapshot)
        return;
    mdb_txn_reset(store->parked);
    store->is_in_snapshot = false;
}

uint64_t store_snapshot_revision(struct store *store) {
    uint64_t revision = 0;
    if (store->is_in_snapshot)
        (void)!vlt_is_ok(store_revision_of(store, store->parked, &revision));
    return revision;
}

vlt_result store_get(struct store *store, uint32_t tenant, enum store_class class,
                     struct bytes name, struct bytes *ret_value, uint64_t *ret_revision) {
    if (!store->is_in_snapshot)
        return vlt_fail(VLT_BUG, "a record is read outside a snapshot");
    struct store_key key;
    VLT_TRY(store_key_build(tenant, class, name, &key));
    MDB_val at = {key.size, key.at}, value;
    int code = mdb_get(store->parked, store->dbi, &at, &value);
    if (code == MDB_NOTFOUND)
        return vlt_fail(VLT_NOT_FOUND, "no such record");
    if (code)
        return store_lmdb_result(code);
    return store_value_split(value, ret_value, ret_revision);
}

vlt_result store_each(struct store *store, uint32_t tenant, enum store_class class,
                      struct bytes prefix, struct bytes after, store_each_fn *each, void *context) {
    if (!store->is_in_snapshot)
        return vlt_fail(VLT_BUG, "records are listed outside a snapshot");
    struct store_key first, last_seen;
    VLT_TRY(store_key_build(tenant, class, prefix, &first));
    VLT_TRY(store_key_build(tenant, class, after, &last_seen));
    MDB_val key = {first.size, first.at}, seen = {last_seen.size, last_seen.at}, value;
    struct bytes wanted = bytes_of(first.at, first.size), skipped = bytes_of(NULL, 0);
    // Begins at the later of the two; `after` itself is not listed.
    if (after.size > 0 && mdb_cmp(store->parked, store->dbi, &seen, &key) >= 0) {
        skipped = bytes_of(last_seen.at, last_seen.size);
        key = seen;
    }
    int code = mdb_cursor_get(store->cursor, &key, &value, MDB_SET_RANGE);
    for (; !code; code = mdb_cursor_get(store->cursor, &key, &value, MDB_NEXT)) {
        struct bytes found = bytes_of(key.mv_data, key.mv_size), body;
        uint64_t revision;
        if (!bytes_begin_with(found, wanted))
            return vlt_ok();
        if (bytes_equal(found, skipped))
            continue;
        VLT_TRY(store_value_split(value, &body, &revision));
        if (!each(bytes_from(found, 5), body, revision, context))
            return vlt_ok();
    }
    return code == MDB_NOTFOUND ? vlt_ok() : store_lmdb_result(code);
}
