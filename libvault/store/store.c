// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/store_env.h"
#include "libvault/store/store_scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_MAP_USUAL ((size_t)1 << 40)
#define STORE_READERS_MAX 512
#define STORE_FOLDER_MODE 0750
#define STORE_SHARED_READ 0640  // data.mdb: the other roles of the group read it
#define STORE_SHARED_WRITE 0660 // lock.mdb: they enter themselves as readers

static const char meta_format[] = "format";
static const char meta_revision[] = "revision";

vlt_result store_lmdb_result(int code) {
    switch (code) {
    case MDB_MAP_FULL:
        return vlt_fail(VLT_UNAVAILABLE, "the store has reached the size of its map");
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EIO: // also what LMDB makes of a write that was cut short
        return vlt_fail(VLT_UNAVAILABLE, "the disk of the store is full or fails");
    case EACCES:
    case EPERM:
        return vlt_fail(VLT_UNAVAILABLE, "no permission to open the store");
    case EROFS:
        return vlt_fail(VLT_UNAVAILABLE, "the store is on a read-only file system");
    case ENOMEM:
        return vlt_fail(VLT_UNAVAILABLE, "out of memory for the store");
    case MDB_READERS_FULL:
        return vlt_fail(VLT_UNAVAILABLE, "too many readers of the store: restart vaultd");
    case MDB_PANIC:
        return vlt_fail(VLT_UNAVAILABLE, "the store failed while it was written: restart");
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
        return vlt_fail(VLT_MALFORMED, "the file is not a store or is damaged: restore a backup");
    case MDB_BAD_VALSIZE:
        return vlt_fail(VLT_BUG, "the store refuses the size of a key");
    default:
        return vlt_fail(VLT_UNAVAILABLE, "the store can not be read or written");
    }
}

static size_t usual_map_bytes(void) {
#ifdef VAULT_SANITIZED
    return (size_t)4 << 30; // sanitizers leave little address space
#else
    struct rlimit address_space;
    if (getrlimit(RLIMIT_AS, &address_space) == 0 && address_space.rlim_cur != RLIM_INFINITY &&
        address_space.rlim_cur / 4 < STORE_MAP_USUAL)
        return (size_t)(address_space.rlim_cur / 4) & ~(size_t)0xffff;
    return STORE_MAP_USUAL;
#endif
}

static vlt_result path_join(const char *folder, const char *name, char path[PATH_MAX]) {
    int size = snprintf(path, PATH_MAX, "%s/%s", folder, name);
    if (size < 0 || size >= PATH_MAX)
        return vlt_fail(VLT_LIMIT, "the path of the store is too long");
    return vlt_ok();
}

// A store exists when its file has content: LMDB makes an empty file before it
// writes the first page, and a crash between the two leaves no store.
static vlt_result check_present(const char *folder, enum store_mode mode, struct fault *fault) {
    char path[PATH_MAX];
    VLT_TRY(path_join(folder, "data.mdb", path));
    struct stat file;
    int code = stat(path, &file) == 0 ? 0 : errno;
    if (code == 0 && file.st_size > 0)
        return vlt_ok();
    if (code == ENOTDIR)
        return fault_set(fault, VLT_MALFORMED, "the store is no folder",
                         "%s is a file and no folder: give the path of the store's folder, or move "
                         "away what is there",
                         folder);
    if (mode == STORE_CREATE && (code == 0 || code == ENOENT)) {
        // The process's umask is for its private files; this folder is shared.
        if (mkdir(folder, STORE_FOLDER_MODE) == 0 ? chmod(folder, STORE_FOLDER_MODE) == 0
                                                  : errno == EEXIST)
            return vlt_ok();
        return fault_set(fault, VLT_UNAVAILABLE, "can not make the folder of the store",
                         "can not make the folder %s: %s", folder, strerror(errno));
    }
    if (code == EACCES)
        return fault_set(fault, VLT_UNAVAILABLE, "no permission to open the store",
                         "no permission to look at %s", path);
    return fault_set(fault, VLT_NOT_FOUND, "no store there", "there is no store in %s yet", folder);
}

// LMDB would let two processes write in turns; the keeper's caches would not
// survive that. The lock ends with the process, however it ends.
static vlt_result lock_writer(struct store *store, const char *folder, struct fault *fault) {
    char path[PATH_MAX];
    VLT_TRY(path_join(folder, "writer.lock", path));
    store->writer_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (store->writer_lock < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "can not open the lock of the store",
                         "can not open %s: %s", path, strerror(errno));
    if (flock(store->writer_lock, LOCK_EX | LOCK_NB) != 0)
        return fault_set(fault, VLT_CONFLICT, "another process writes this store",
                         "another process holds %s: is a second vaultd running?", path);
    return vlt_ok();
}

static vlt_result share_files(struct store *store, const char *folder, struct fault *fault) {
    char path[PATH_MAX];
    VLT_TRY(path_join(folder, "lock.mdb", path));
    mdb_filehandle_t file;
    int code = mdb_env_get_fd(store->env, &file);
    if (code || fchmod(file, STORE_SHARED_READ) != 0 || chmod(path, STORE_SHARED_WRITE) != 0)
        return fault_set(fault, VLT_UNAVAILABLE, "can not set the mode of the store's files",
                         "can not set the modes of data.mdb and lock.mdb in %s: %s", folder,
                         strerror(code ? code : errno));
    return vlt_ok();
}

static vlt_result open_environment(struct store *store, const char *folder, enum store_mode mode,
                                   size_t map_bytes, struct fault *fault) {
    // NOTLS: a snapshot belongs to the store and not to a thread, so that the
    // keeper reads on its loop while its commit thread writes.
    unsigned flags = MDB_NOTLS | (mode == STORE_READ ? MDB_RDONLY : 0);
    int code = mdb_env_create(&store->env);
    if (!code)
        code = mdb_env_set_mapsize(store->env, map_bytes ? map_bytes : usual_map_bytes());
    if (!code)
        code = mdb_env_set_maxreaders(store->env, STORE_READERS_MAX);
    if (!code)
        code = mdb_env_open(store->env, folder, flags, STORE_SHARED_WRITE);
    if (!code)
        return vlt_ok();
    vlt_result result = store_lmdb_result(code);
    return fault_set(fault, result.class, result.reason, "can not open the store in %s: %s", folder,
                     mdb_strerror(code));
}

static vlt_result open_database(struct store *store, struct fault *fault) {
    MDB_txn *txn;
    unsigned flags = store->writer_lock < 0 ? MDB_RDONLY : 0;
    int code = mdb_txn_begin(store->env, NULL, flags, &txn);
    if (code == MDB_MAP_RESIZED && mdb_env_set_mapsize(store->env, 0) == 0)
        code = mdb_txn_begin(store->env, NULL, flags, &txn);
    if (!code) {
        code = mdb_dbi_open(txn, NULL, 0, &store->dbi);
        // The unnamed database always exists; nothing was written.
        mdb_txn_abort(txn);
    }
    if (!code)
        return vlt_ok();
    vlt_result result = store_lmdb_result(code);
    return fault_set(fault, result.class, result.reason, "can not read the store: %s",
                     mdb_strerror(code));
}

static vlt_result write_format(struct store *store, struct fault *fault) {
    uint8_t room[4];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    wire_put_u32(&w, STORE_FORMAT);
    struct store_change change = {.class = STORE_META,
                                  .name = bytes_of_text(meta_format),
                                  .value = bytes_of(room, sizeof room)};
    vlt_result result = store_commit(store, &change, 1, NULL, NULL);
    if (vlt_is_ok(result))
        return result;
    return fault_set(fault, result.class, result.reason, "can not write to the new store: %s",
                     result.reason);
}

static vlt_result check_format(struct store *store, enum store_mode mode, struct fault *fault) {
    VLT_TRY(store_snapshot_begin(store));
    struct bytes value;
    uint32_t format = 0;
    vlt_result result =
        store_get(store, STORE_SYSTEM_TENANT, STORE_META, bytes_of_text(meta_format), &value, NULL);
    if (vlt_is_ok(result)) {
        struct wire_reader r;
        wire_reader_init(&r, value);
        format = wire_get_u32(&r);
        if (!vlt_is_ok(wire_reader_end(&r)) || format == 0)
            result = fault_set(fault, VLT_MALFORMED, "the format of the store can not be read",
                               "the format record of the store is damaged");
    }
    store_snapshot_end(store);
    if (result.class == VLT_NOT_FOUND) {
        if (mode == STORE_CREATE)
            return write_format(store, fault);
        return fault_set(fault, VLT_NOT_FOUND, "no store there", "the store is empty");
    }
    VLT_TRY(result);
    if (format > STORE_FORMAT)
        return fault_set(fault, VLT_CONFLICT, "the store was written by a newer version",
                         "the store has format %u and this vaultd knows formats up to %u: install "
                         "the newer version again, or restore a backup made by this one",
                         format, STORE_FORMAT);
    return vlt_ok();
}

vlt_result store_open_sized(const char *folder, enum store_mode mode, size_t map_bytes,
                            struct fault *fault, struct store **ret_store) {
    VLT_TRY(check_present(folder, mode, fault));
    struct store *store = calloc(1, sizeof *store);
    if (!store)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    store->writer_lock = -1;
    store->map_bytes = map_bytes;
    vlt_result result = vlt_ok();
    if (mode != STORE_READ) {
        store->value_room = malloc(STORE_VALUE_HEADER_SIZE + STORE_VALUE_MAX);
        result = store->value_room ? lock_writer(store, folder, fault)
                                   : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    if (vlt_is_ok(result))
        result = open_environment(store, folder, mode, map_bytes, fault);
    if (vlt_is_ok(result) && mode != STORE_READ)
        result = share_files(store, folder, fault);
    if (vlt_is_ok(result))
        result = open_database(store, fault);
    if (vlt_is_ok(result))
        result = check_format(store, mode, fault);
    if (!vlt_is_ok(result)) {
        store_close(store);
        return result;
    }
    *ret_store = store;
    return vlt_ok();
}

vlt_result store_open(const char *folder, enum store_mode mode, struct fault *fault,
                      struct store **ret_store) {
    return store_open_sized(folder, mode, 0, fault, ret_store);
}

void store_close(struct store *store) {
    if (!store)
        return;
    if (store->cursor)
        mdb_cursor_close(store->cursor);
    if (store->parked)
        mdb_txn_abort(store->parked);
    if (store->env)
        mdb_env_close(store->env);
    if (store->writer_lock >= 0)
        close(store->writer_lock);
    free(store->value_room);
    free(store);
}

vlt_result store_renew(struct store *store) {
    char folder[PATH_MAX];
    const char *path = NULL;
    if (store->is_in_snapshot || store->export_count > 0)
        return vlt_fail(VLT_UNAVAILABLE, "the store is being read");
    if (mdb_env_get_path(store->env, &path) != 0 ||
        !bytes_to_text(bytes_of_text(path), folder, sizeof folder))
        return vlt_fail(VLT_BUG, "the store does not know its path");
    store_read_end(store);
    mdb_env_close(store->env);
    store->env = NULL;
    vlt_result result = open_environment(store, folder, STORE_WRITE, store->map_bytes, NULL);
    if (vlt_is_ok(result))
        result = open_database(store, NULL);
    store->is_broken |= !vlt_is_ok(result);
    return result;
}

vlt_result store_revision_of(struct store *store, MDB_txn *txn, uint64_t *ret_revision) {
    struct store_key key;
    VLT_TRY(store_key_build(STORE_SYSTEM_TENANT, STORE_META, bytes_of_text(meta_revision), &key));
    MDB_val name = {key.size, key.at}, value;
    int code = mdb_get(txn, store->dbi, &name, &value);
    if (code == MDB_NOTFOUND) {
        *ret_revision = 0;
        return vlt_ok();
    }
    if (code)
        return store_lmdb_result(code);
    struct bytes body;
    // The record that holds the revision is itself written by each commit, so
    // its own revision is the answer.
    return store_value_split(value, &body, ret_revision);
}

vlt_result store_measure(struct store *store, struct store_size *ret_size) {
    MDB_stat stat;
    MDB_envinfo envinfo;
    bool was_in_snapshot = store->is_in_snapshot;
    if (!was_in_snapshot)
        VLT_TRY(store_snapshot_begin(store));
    struct store_size size = {.revision = store_snapshot_revision(store)};
    int code = mdb_stat(store->parked, store->dbi, &stat);
    if (!was_in_snapshot)
        store_snapshot_end(store);
    if (!code)
        code = mdb_env_info(store->env, &envinfo);
    if (code)
        return store_lmdb_result(code);
    size.records = stat.ms_entries;
    size.used_bytes = (uint64_t)(envinfo.me_last_pgno + 1) * stat.ms_psize;
    size.map_bytes = envinfo.me_mapsize;
    *ret_size = size;
    return vlt_ok();
}

void store_readers_check(struct store *store) {
    int dead_count;
    // A failure means only that the next call finds them.
    (void)mdb_reader_check(store->env, &dead_count);
}
