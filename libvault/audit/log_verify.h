// SPDX-License-Identifier: Apache-2.0
// Verification of a log in a folder (C2SP tlog-tiles): the checkpoint is signed,
// every entry gives the hash that its tile holds, every tile gives the hash above
// it, the topmost give the signed root, and entry n says that it is number n.
// Needs nothing but the files and the log's key. Any program.
#ifndef VLT_AUDIT_LOG_VERIFY_H
#define VLT_AUDIT_LOG_VERIFY_H

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/tile.h"

// Entries may have been taken away from a log (log_pruned.h); their hashes stay, so that
// everything else verifies as before. They are read where they are, from the archive if one
// is given, or not at all. That an entry of the log permits what is missing is verified,
// with an archive, too.
struct log_verified {
    struct checkpoint checkpoint;
    uint64_t unread;      // entries below this index were pruned and not seen
    uint64_t prune_entry; // number of the entry that permits what is gone; 0: nothing is
};
struct log_verify {
    int folder;                    // of the log
    bool has_archive;              // what was pruned is read from `archive`
    int archive;                   // folder
    const char *checkpoint;        // file; NULL: as log_checkpoint chooses
    const struct note_key *key;
    const struct checkpoint *from; // one that was verified before, or NULL: only what
                                   // came later is read, and that the log grew from it; of
                                   // bundles before it, only whether they are there
    // May be NULL. Called from time to time.
    void (*progress)(uint64_t entries, uint64_t of, void *context);
    void *context;
};
// The file `checkpoint` of a folder, or of an archive, which has none, its largest
// checkpoints/SIZE; its signature verified; the note itself is appended to `out` unless
// that is NULL. VLT_NOT_FOUND, VLT_CRYPTO, VLT_MALFORMED.
vlt_result log_checkpoint(int folder, const struct note_key *key, struct fault *fault,
                          struct buf *out, struct checkpoint *ret_checkpoint) VLT_MUST_USE;
// The same of that file: an archive has one for each time that something was added.
vlt_result log_checkpoint_file(int folder, const char *file, const struct note_key *key,
                               struct fault *fault, struct buf *out,
                               struct checkpoint *ret_checkpoint) VLT_MUST_USE;
// The largest SIZE of checkpoints/SIZE; 0: there is none.
uint64_t log_checkpoint_newest(int folder);
void log_checkpoint_path(uint64_t size, char ret_path[TILE_PATH_MAX]);
// VLT_CRYPTO: something is not what was signed; the fault names the first bad
// entry or tile, or the bundles of entries that are missing without an entry audit.prune
// (then all else was verified). VLT_NOT_FOUND or VLT_MALFORMED: a file is missing or broken.
vlt_result log_verify(const struct log_verify *what, struct fault *fault,
                      struct log_verified *ret_verified) VLT_MUST_USE;
// Of a log whose checkpoint is known: `count` bundles from that number on, their hash
// tiles and what these give above; with the last bundle the root, too. Errors as above.
vlt_result log_verify_part(int folder, const struct checkpoint *checkpoint, uint64_t bundle,
                           uint64_t count, struct fault *fault) VLT_MUST_USE;

#endif
