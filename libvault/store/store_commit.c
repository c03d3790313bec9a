// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/store_env.h"

static const char meta_revision[] = "revision";

static vlt_result check_shape(const struct store_commit_group *group, size_t *ret_conflict) {
    if (group->count == 0 || group->count > STORE_CHANGES_MAX)
        return vlt_fail(VLT_LIMIT, "a commit has no or too many changes");
    for (size_t i = 0; i < group->count; i++) {
        const struct store_change *change = &group->changes[i];
        *ret_conflict = i;
        if (change->name.size > STORE_NAME_MAX)
            return vlt_fail(VLT_LIMIT, "the name of a record is too long");
        if (!change->remove && change->value.size > STORE_VALUE_MAX)
            return vlt_fail(VLT_LIMIT, "the value of a record is too long");
        // Two changes of one record: which of them should win nobody could say.
        for (size_t j = 0; j < i; j++)
            if (group->changes[j].tenant == change->tenant &&
                group->changes[j].class == change->class &&
                bytes_equal(group->changes[j].name, change->name))
                return vlt_fail(VLT_MALFORMED, "a commit changes one record twice");
    }
    return vlt_ok();
}

static vlt_result check_revision(struct store *store, MDB_txn *txn,
                                 const struct store_change *change) {
    if (change->expected_revision == STORE_ANY_REVISION)
        return vlt_ok();
    struct store_key key;
    VLT_TRY(store_key_build(change->tenant, change->class, change->name, &key));
    MDB_val at = {key.size, key.at}, value;
    int code = mdb_get(txn, store->dbi, &at, &value);
    uint64_t revision = 0; // absent
    if (!code) {
        struct bytes body;
        VLT_TRY(store_value_split(value, &body, &revision));
    } else if (code != MDB_NOTFOUND) {
        return store_lmdb_result(code);
    }
    if (revision == change->expected_revision)
        return vlt_ok();
    return vlt_fail(VLT_CONFLICT, change->expected_revision == 0
                                      ? "a record of this name exists already"
                                      : "the record was changed by somebody else");
}

static vlt_result check_group(struct store *store, MDB_txn *txn,
                              const struct store_commit_group *group, size_t *ret_conflict) {
    VLT_TRY(check_shape(group, ret_conflict));
    for (size_t i = 0; i < group->count; i++) {
        *ret_conflict = i;
        VLT_TRY(check_revision(store, txn, &group->changes[i]));
    }
    return vlt_ok();
}

static vlt_result write_change(struct store *store, MDB_txn *txn, const struct store_change *change,
                               uint64_t revision) {
    struct store_key key;
    VLT_TRY(store_key_build(change->tenant, change->class, change->name, &key));
    MDB_val at = {key.size, key.at};
    if (change->remove) {
        int code = mdb_del(txn, store->dbi, &at, NULL);
        return code && code != MDB_NOTFOUND ? store_lmdb_result(code) : vlt_ok();
    }
    struct wire_writer w;
    wire_writer_init(&w, store->value_room, STORE_VALUE_HEADER_SIZE + STORE_VALUE_MAX);
    wire_put_u8(&w, STORE_VALUE_FORMAT);
    wire_put_u64(&w, revision);
    wire_put_raw(&w, change->value);
    MDB_val value = {w.size, w.at};
    int code = mdb_put(txn, store->dbi, &at, &value, 0);
    return code ? store_lmdb_result(code) : vlt_ok();
}

static vlt_result write_group(struct store *store, MDB_txn *txn,
                              const struct store_commit_group *group, uint64_t revision) {
    for (size_t i = 0; i < group->count; i++)
        VLT_TRY(write_change(store, txn, &group->changes[i], revision));
    struct store_change own = {.class = STORE_META, .name = bytes_of_text(meta_revision)};
    return write_change(store, txn, &own, revision);
}

static vlt_result run_groups(struct store *store, MDB_txn *txn, struct store_commit_group *groups,
                             size_t count, size_t *ret_conflict, size_t *ret_written) {
    uint64_t revision;
    VLT_TRY(store_revision_of(store, txn, &revision));
    for (size_t i = 0; i < count; i++) {
        // A group is compared against what the groups before it wrote. It writes
        // nothing unless all of it may be written, so a conflict needs no undo.
        groups[i].result = check_group(store, txn, &groups[i], ret_conflict);
        if (!vlt_is_ok(groups[i].result))
            continue;
        VLT_TRY(write_group(store, txn, &groups[i], revision + 1));
        groups[i].revision = ++revision;
        (*ret_written)++;
    }
    return vlt_ok();
}

static void fail_groups(struct store_commit_group *groups, size_t count, vlt_result result) {
    for (size_t i = 0; i < count; i++)
        if (vlt_is_ok(groups[i].result))
            groups[i].result = result;
}

static vlt_result commit_groups(struct store *store, struct store_commit_group *groups,
                                size_t count, size_t *ret_conflict) {
    for (size_t i = 0; i < count; i++)
        groups[i].result = vlt_ok();
    if (store->writer_lock < 0)
        return vlt_fail(VLT_BUG, "this store was opened for reading");
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);
    store->is_broken |= code == MDB_PANIC;
    if (code)
        return store_lmdb_result(code);
    size_t written = 0;
    vlt_result result = run_groups(store, txn, groups, count, ret_conflict, &written);
    if (!vlt_is_ok(result) || written == 0) {
        mdb_txn_abort(txn);
        return result;
    }
    // Returns after the pages and then the root that points to them are on disk.
    code = mdb_txn_commit(txn);
    return code ? store_lmdb_result(code) : vlt_ok();
}

bool store_is_broken(const struct store *store) {
    return store->is_broken;
}

vlt_result store_commit_groups(struct store *store, struct store_commit_group *groups,
                               size_t count) {
    size_t conflict = 0;
    vlt_result result = commit_groups(store, groups, count, &conflict);
    if (!vlt_is_ok(result))
        fail_groups(groups, count, result);
    return result;
}

vlt_result store_commit(struct store *store, const struct store_change *changes, size_t count,
                        uint64_t *ret_revision, size_t *ret_conflict) {
    struct store_commit_group group = {.changes = changes, .count = count};
    size_t conflict = 0;
    vlt_result result = commit_groups(store, &group, 1, &conflict);
    if (vlt_is_ok(result))
        result = group.result;
    if (vlt_is_ok(result) && ret_revision)
        *ret_revision = group.revision;
    if (!vlt_is_ok(result) && ret_conflict)
        *ret_conflict = conflict;
    return result;
}
