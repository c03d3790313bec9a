// SPDX-License-Identifier: Apache-2.0
// Internal to store_scrub: the pages of LMDB's file, which of them are free, and
// clearing what nobody reads.
#ifndef VLT_STORE_STORE_SCRUB_PAGES_H
#define VLT_STORE_STORE_SCRUB_PAGES_H

#include "libvault/store/store_env.h"
#include "libvault/store/store_scrub.h"

#define SCRUB_META_PAGES 2
#define SCRUB_CHUNK_PAGES 64

enum scrub_page { // of a page of the file
    SCRUB_IN_USE,
    SCRUB_FREE,      // for everybody
    SCRUB_FREE_LATER // an older reader, or the root before the last, may need it
};

struct scrub_pages {
    int fd;
    size_t page_bytes;
    uint64_t last_page; // of a commit
    uint64_t count;     // pages of the file when it was initialised: those that are looked at
    uint8_t *states;    // enum scrub_page, a byte for each page
    uint8_t *chunk;     // SCRUB_CHUNK_PAGES
    uint64_t chunk_first, chunk_count;
    // Zeros that are read are on the disk, too. Not so after a sync that failed: the kernel
    // keeps what it could not write, and calls it written (fsync(2), EIO). It outlives the
    // process, so a new one does not know either.
    bool zeros_are_synced;
    uint64_t unsynced_bytes;
    struct store_scrubbed done;
};

vlt_result scrub_pages_init(struct scrub_pages *pages, struct store *store) VLT_MUST_USE;
void scrub_pages_done(struct scrub_pages *pages);
// The states of this moment, and the last page.
vlt_result scrub_pages_look(struct scrub_pages *pages, struct store *store,
                            MDB_txn *txn) VLT_MUST_USE;
// All of a page that is free.
vlt_result scrub_pages_clear(struct scrub_pages *pages, uint64_t number) VLT_MUST_USE;
// The gap of a page in use, and what lies behind the large values that it names, to
// the end of the pages that are theirs. ret_run: how many pages this one is the first
// of. VLT_MALFORMED: it is no page, or it names a large value whose pages are not whole.
vlt_result scrub_pages_clear_gaps(struct scrub_pages *pages, uint64_t number,
                                  uint64_t *ret_run) VLT_MUST_USE;
// What was cleared is on the disk. Small amounts wait for the next call, unless
// `is_last`.
vlt_result scrub_pages_sync(struct scrub_pages *pages, bool is_last) VLT_MUST_USE;
// How often the needle begins within `size` bytes from there.
vlt_result scrub_pages_search(struct scrub_pages *pages, const uint8_t needle[STORE_NEEDLE_BYTES],
                              uint64_t from, size_t size, uint64_t *ret_count) VLT_MUST_USE;

#endif
