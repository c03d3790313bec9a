// SPDX-License-Identifier: Apache-2.0
// What was removed from the store stays in its file: in free pages, and in the
// gaps of pages that are in use. This overwrites all of it with zeros, in place,
// while others read, in small steps with commits between them. Used when wrapped
// keys and ciphertext must be gone for good.
//
//   pages in use, as one snapshot sees them: their gaps (nobody writes such a page
//     while the snapshot is held);
//   all other pages of that moment: when free for everybody, else later;
//   then the file is searched for what must not be in it.
//
// What is zero already is not written again, but by the first scrub of a process and by
// one after a sync that failed: what is read need not be on the disk then.
//
// Knows the file format of LMDB 0.9 (page headers, free list, nodes). Caller: the
// keeper's commit thread, which is the only writer. A step of 1 MiB takes about
// 2 ms in the page cache, its share of the search another.
#ifndef VLT_STORE_STORE_SCRUB_H
#define VLT_STORE_STORE_SCRUB_H

#include "libvault/store/store.h"

#define STORE_NEEDLES_MAX 8 // looked for at the end
#define STORE_NEEDLE_BYTES 16

struct store_scrubbed {
    uint64_t pages, cleared_pages, cleared_bytes; // looked at; of them changed
    uint64_t left;                                // occurrences of the needles
};

struct store_scrub;
// The store must have been renewed (store_renew) and outlive the scrub.
vlt_result store_scrub_new(struct store *store, struct store_scrub **ret_scrub) VLT_MUST_USE;
void store_scrub_free(struct store_scrub *scrub); // between two steps; NULL is fine
// Before the first step. VLT_LIMIT beyond STORE_NEEDLES_MAX.
vlt_result store_scrub_find(struct store_scrub *scrub,
                            const uint8_t needle[STORE_NEEDLE_BYTES]) VLT_MUST_USE;
// The next 1 MiB of the file, with at most one commit since the last step. Commits
// itself: three small ones, up to six times. VLT_UNAVAILABLE: the disk, or somebody
// reads an old snapshot and may need pages that are free since; the rest was
// cleared: begin another scrub later. VLT_MALFORMED: a page is none.
vlt_result store_scrub_step(struct store_scrub *scrub, bool *ret_is_done) VLT_MUST_USE;
void store_scrub_result(const struct store_scrub *scrub, struct store_scrubbed *ret_scrubbed);

// Opens the environment anew: LMDB keeps pages of earlier commits in memory and
// puts what is in their gaps back into the file. On the thread of the snapshots,
// while nothing is committed. VLT_UNAVAILABLE: within a snapshot, or during a
// backup. Afterwards the store may be broken (store_is_broken).
vlt_result store_renew(struct store *store) VLT_MUST_USE;

#endif
