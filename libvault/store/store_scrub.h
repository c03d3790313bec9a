// SPDX-License-Identifier: Apache-2.0
// What was removed from the store stays in its file: in free pages, and in the
// gaps of pages that are in use. This overwrites all of it with zeros, in place,
// while others read. Used when wrapped keys must be gone for good.
//
// Knows the file format of LMDB 0.9 (page headers, free list, nodes). Caller: the
// keeper's commit thread, which is the only writer; nothing may be committed
// meanwhile. Takes about 1 s for each GiB in the page cache, the search as long again.
#ifndef VLT_STORE_STORE_SCRUB_H
#define VLT_STORE_STORE_SCRUB_H

#include "libvault/store/store.h"

struct store_scrubbed {
    uint64_t pages, cleared_pages, cleared_bytes; // looked at; of them changed
};
// VLT_UNAVAILABLE: somebody reads an old snapshot and may need pages that are free
// since; the rest was cleared. Call again.
vlt_result store_scrub(struct store *store, struct store_scrubbed *ret_scrubbed) VLT_MUST_USE;
// How often the bytes occur in the file.
vlt_result store_file_count(struct store *store, struct bytes needle,
                            uint64_t *ret_count) VLT_MUST_USE;
// Opens the environment anew: LMDB keeps pages of earlier commits in memory and
// puts what is in their gaps back into the file. On the thread of the snapshots,
// while nothing is committed. VLT_UNAVAILABLE: within a snapshot, or during a
// backup. Afterwards the store may be broken (store_is_broken).
vlt_result store_renew(struct store *store) VLT_MUST_USE;

#endif
