// SPDX-License-Identifier: Apache-2.0
// One LMDB environment for everything at rest.
//
// The keeper alone writes (STORE_WRITE). Broker, admin and redeemer open it
// read-only for what is not secret; secret classes are ciphertext to them.
// Every key is tenant (u32, big-endian), class (u8), name; every value begins
// with a format byte and the revision (u64) of the commit that wrote it. The
// revision of the store grows by one with each commit, and every record of one
// commit has the same revision.
//
// Shaped after the six verbs of a cluster engine (snapshot, watch,
// compare_and_commit, linearizable_revision, history, presence): all reads go
// through a snapshot, all writes through compare_and_commit.
//
// Never used across fork. All snapshots belong to one thread; commits may come
// from one other thread at the same time (the keeper's commit thread).
#ifndef VLT_STORE_STORE_H
#define VLT_STORE_STORE_H

#include "libvault/base/bytes.h"
#include "libvault/base/fault.h"
#include "libvault/base/wire.h"

#define STORE_FORMAT 1        // schema version of the whole store
#define STORE_NAME_MAX 400    // bytes of the name part of a key
#define STORE_VALUE_MAX 98304 // bytes of one value
#define STORE_SYSTEM_TENANT 0 // tenant number of what belongs to the vault itself

// The class of a record is the fifth byte of its key. Tenant 0 marked (0).
enum store_class {
    STORE_META = 'm',        // (0) schema, ids: name "format", "next_tenant"
    STORE_DEVICE = 'd',      // (0) wrapping key of a device; name: its 16-byte id; record_datakey.h
    STORE_DATA_KEY = 'k',    // name: u32 number; wrapped slots, record_datakey.h
    STORE_SIGNING_KEY = 'g', // (0) name: kid; JSON, record_key.h
    STORE_SIGNING_SECRET = 'G',    // (0) name: kid; ciphertext
    STORE_INTAKE_KEY = 'n',        // (0) name: kid; JSON, record_key.h
    STORE_INTAKE_SECRET = 'N',     // (0) name: kid; ciphertext
    STORE_TENANT = 't',            // (0) name: tenant name; JSON record_tenant
    STORE_ISSUER = 'i',            // name: issuer name; JSON record_issuer
    STORE_POLICY_TEXT = 'p',       // name: SHA-256 of the text, hex; the Cedar text
    STORE_POLICY_SET = 'P',        // name: "active", or u64 version: JSON record_policy_set
    STORE_CREDENTIAL = 'c',        // name: credential name; JSON record_credential
    STORE_CREDENTIAL_STATE = 'a',  // name: credential name; binary, see record_credential.h
    STORE_CREDENTIAL_SECRET = 's', // name: credential name, NUL, u32 version; ciphertext
    STORE_ROTATION_PLAN = 'l',     // name: credential name; JSON record_rotation_plan
    STORE_ROTATION_JOB = 'j',      // name: credential name; JSON record_rotation_job
    STORE_FORWARDER = 'f',         // (0) name: forwarder name; JSON record_forwarder
    STORE_BOOT_APPROVAL = 'b',     // (0) name: of the boot state; JSON record_boot
    STORE_REVOKED_TOKEN = 'r',     // name: jti; u64 expires_at: may be removed after that
    STORE_REVOKED_RULE = 'R'       // name: kind byte, value; u64: tokens issued at or before end
};
// Classes that the admin role may commit through the keeper (ask_commit).
bool store_class_is_plain(enum store_class class);

enum store_mode { STORE_READ, STORE_WRITE, STORE_CREATE };

struct store;
// `folder` holds data.mdb and lock.mdb. STORE_CREATE makes it when absent.
// VLT_NOT_FOUND: no store there. VLT_CONFLICT: written by a newer version (the
// fault says which), or somebody else writes. VLT_UNAVAILABLE: permission, disk.
vlt_result store_open(const char *folder, enum store_mode mode, struct fault *fault,
                      struct store **ret_store) VLT_MUST_USE;
void store_close(struct store *store);

// ---- Snapshot: one read transaction; at most one open at a time for a store ----

// Cheap (renews a parked transaction). Values borrowed from it end with it.
vlt_result store_snapshot_begin(struct store *store) VLT_MUST_USE;
void store_snapshot_end(struct store *store);
uint64_t store_snapshot_revision(struct store *store);
// VLT_NOT_FOUND when absent. ret_revision may be NULL.
vlt_result store_get(struct store *store, uint32_t tenant, enum store_class class,
                     struct bytes name, struct bytes *ret_value,
                     uint64_t *ret_revision) VLT_MUST_USE;
// Calls `each` in key order for names that begin with `prefix` and sort after
// `after` (empty: from the start), until it returns false. `each` may call
// store_get and not store_each.
typedef bool store_each_fn(struct bytes name, struct bytes value, uint64_t revision, void *context);
vlt_result store_each(struct store *store, uint32_t tenant, enum store_class class,
                      struct bytes prefix, struct bytes after, store_each_fn *each,
                      void *context) VLT_MUST_USE;

// ---- Commit: compare and write, all or nothing, durable when it returns ----

#define STORE_ANY_REVISION UINT64_MAX // do not compare
struct store_change {
    uint32_t tenant;
    enum store_class class;
    struct bytes name;
    bool remove;
    struct bytes value;         // unused when remove
    uint64_t expected_revision; // 0: must be absent; STORE_ANY_REVISION
};
#define STORE_CHANGES_MAX 128
// VLT_CONFLICT (nothing written; ret_conflict tells which) or VLT_UNAVAILABLE
// (disk full or failing; nothing written).
vlt_result store_commit(struct store *store, const struct store_change *changes, size_t count,
                        uint64_t *ret_revision, size_t *ret_conflict) VLT_MUST_USE;
// Group commit: several independent commits made durable by one sync. Each has
// its own result; one that conflicts does not disturb the others.
struct store_commit_group {
    const struct store_change *changes;
    size_t count;
    vlt_result result;
    uint64_t revision;
};
vlt_result store_commit_groups(struct store *store, struct store_commit_group *groups,
                               size_t count) VLT_MUST_USE;

// A commit failed in a way after which this process can not write any more (the
// disk refused the root page): open the store anew, best in a new process.
bool store_is_broken(const struct store *store);

// A change on the wire (ask_commit.changes is a list of them).
void store_change_put(struct wire_writer *w, const struct store_change *change);
void store_change_get(struct wire_reader *r, struct store_change *ret_change);

struct store_size {
    uint64_t revision, records, used_bytes, map_bytes;
};
vlt_result store_measure(struct store *store, struct store_size *ret_size) VLT_MUST_USE;
void store_readers_check(struct store *store); // on a timer: clears readers that died

#endif
