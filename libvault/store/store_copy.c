// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/store_copy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "libvault/store/store_env.h"

#define COMMIT_EACH 2048 // records of one transaction, so that a large store needs no large memory

struct store_export {
    struct store *store;
    MDB_txn *txn;
    MDB_cursor *cursor;
    bool has_begun, is_done;
};

vlt_result store_export_begin(struct store *store, uint64_t *ret_revision, uint64_t *ret_records,
                              struct store_export **ret_export) {
    struct store_export *export = calloc(1, sizeof *export);
    MDB_stat stat;
    uint64_t revision = 0;
    if (!export)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    export->store = store;
    store->export_count++;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &export->txn);
    if (!code)
        code = mdb_cursor_open(export->txn, store->dbi, &export->cursor);
    if (!code)
        code = mdb_stat(export->txn, store->dbi, &stat);
    vlt_result result = code ? store_lmdb_result(code)
                             : store_revision_of(store, export->txn, &revision);
    if (!vlt_is_ok(result)) {
        store_export_end(export);
        return result;
    }
    *ret_revision = revision;
    *ret_records = stat.ms_entries;
    *ret_export = export;
    return vlt_ok();
}

vlt_result store_export_next(struct store_export *export, struct wire_writer *w,
                             size_t *ret_records) {
    size_t count = 0;
    MDB_val key, value;
    // A record that did not fit is under the cursor: MDB_GET_CURRENT gives it again.
    int code = 0;
    while (!export->is_done) {
        code = mdb_cursor_get(export->cursor, &key, &value,
                              export->has_begun ? MDB_GET_CURRENT : MDB_FIRST);
        if (code)
            break;
        export->has_begun = true;
        if (w->capacity - w->size < key.mv_size + value.mv_size + 8)
            break;
        wire_put_bytes(w, bytes_of(key.mv_data, key.mv_size));
        wire_put_bytes(w, bytes_of(value.mv_data, value.mv_size));
        count++;
        code = mdb_cursor_get(export->cursor, &key, &value, MDB_NEXT);
        if (code)
            break;
    }
    if (code == MDB_NOTFOUND) {
        export->is_done = true;
        code = 0;
    }
    if (code)
        return store_lmdb_result(code);
    if (count == 0 && !export->is_done)
        return vlt_fail(VLT_LIMIT, "a record is too large for a backup");
    *ret_records = count;
    return vlt_ok();
}

void store_export_end(struct store_export *export) {
    if (!export)
        return;
    if (export->cursor)
        mdb_cursor_close(export->cursor);
    if (export->txn)
        mdb_txn_abort(export->txn);
    export->store->export_count--;
    free(export);
}

// ---- Into a new one ----

struct store_import {
    struct store *store;
    MDB_txn *txn;
    size_t pending;
};

vlt_result store_import_begin(const char *folder, struct fault *fault,
                              struct store_import **ret_import) {
    struct stat there;
    if (stat(folder, &there) == 0)
        return fault_set(fault, VLT_CONFLICT, "there is something already",
                         "%s is there already: remove it, it is left from another restore", folder);
    struct store_import *import = calloc(1, sizeof *import);
    if (!import)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = store_open(folder, STORE_CREATE, fault, &import->store);
    if (!vlt_is_ok(result)) {
        free(import);
        return result;
    }
    *ret_import = import;
    return vlt_ok();
}

static vlt_result commit_pending(struct store_import *import) {
    int code = import->txn ? mdb_txn_commit(import->txn) : 0;
    import->txn = NULL;
    import->pending = 0;
    return code ? store_lmdb_result(code) : vlt_ok();
}

vlt_result store_import_put(struct store_import *import, struct bytes key, struct bytes value) {
    int code = 0;
    if (!import->txn)
        code = mdb_txn_begin(import->store->env, NULL, 0, &import->txn);
    MDB_val name = {key.size, (void *)(uintptr_t)key.at},
            content = {value.size, (void *)(uintptr_t)value.at};
    if (!code)
        code = mdb_put(import->txn, import->store->dbi, &name, &content, 0);
    if (code)
        return store_lmdb_result(code);
    return ++import->pending == COMMIT_EACH ? commit_pending(import) : vlt_ok();
}

vlt_result store_import_commit(struct store_import *import) {
    VLT_TRY(commit_pending(import));
    int code = mdb_env_sync(import->store->env, 1);
    return code ? store_lmdb_result(code) : vlt_ok();
}

void store_import_free(struct store_import *import) {
    if (!import)
        return;
    if (import->txn)
        mdb_txn_abort(import->txn);
    store_close(import->store);
    free(import);
}

vlt_result store_record_of(struct bytes key, struct bytes value,
                           struct store_record *ret_record) {
    struct wire_reader r;
    wire_reader_init(&r, key);
    struct store_record record = {.tenant = wire_get_u32(&r)};
    record.class = (enum store_class)wire_get_u8(&r);
    if (r.failed || key.size > STORE_KEY_MAX || value.size < STORE_VALUE_HEADER_SIZE ||
        value.size > STORE_VALUE_HEADER_SIZE + STORE_VALUE_MAX)
        return vlt_fail(VLT_MALFORMED, "a record of the backup is damaged");
    record.name = bytes_from(key, r.next);
    uint64_t revision;
    VLT_TRY(store_value_split((MDB_val){value.size, (void *)(uintptr_t)value.at}, &record.value,
                              &revision));
    *ret_record = record;
    return vlt_ok();
}
