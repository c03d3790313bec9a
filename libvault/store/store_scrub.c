// SPDX-License-Identifier: Apache-2.0
// Why it is enough to look at each page of one moment: after store_renew, LMDB's
// memory holds nothing of before, and a page that is copied for a commit is copied
// without its gap. So what is removed never reaches a page that we are done with,
// and a page that comes into use meanwhile is overwritten as a whole.
#include <stdlib.h>

#include "libvault/store/store_scrub_pages.h"

#define STEP_PAGES 256
#define SEARCH_BYTES ((size_t)1 << 20)
#define AGE_COMMITS 3
#define PASSES_MAX 5 // over pages that were not free for everybody yet

enum phase { PHASE_BEGIN, PHASE_GAPS, PHASE_FREE, PHASE_SEARCH, PHASE_DONE };

struct store_scrub {
    struct store *store;
    enum phase phase;
    struct scrub_pages pages;
    MDB_txn *snapshot; // while gaps are cleared
    uint8_t *is_to_do; // a byte for each page that was not in use in the snapshot
    uint64_t number;   // of the next page
    uint64_t later;    // pages of this pass that are not free for everybody yet
    unsigned passes;
    uint8_t needles[STORE_NEEDLES_MAX][STORE_NEEDLE_BYTES];
    size_t needle_count;
    uint64_t searched_bytes;
};

vlt_result store_scrub_new(struct store *store, struct store_scrub **ret_scrub) {
    struct store_scrub *scrub = calloc(1, sizeof *scrub);
    if (!scrub)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    scrub->store = store;
    *ret_scrub = scrub;
    return vlt_ok();
}

static void end_snapshot(struct store_scrub *scrub) {
    if (scrub->snapshot)
        mdb_txn_abort(scrub->snapshot);
    scrub->snapshot = NULL;
}

void store_scrub_free(struct store_scrub *scrub) {
    if (!scrub)
        return;
    end_snapshot(scrub);
    scrub_pages_done(&scrub->pages);
    free(scrub->is_to_do);
    free(scrub);
}

vlt_result store_scrub_find(struct store_scrub *scrub, const uint8_t needle[STORE_NEEDLE_BYTES]) {
    if (scrub->needle_count == STORE_NEEDLES_MAX)
        return vlt_fail(VLT_LIMIT, "too many things to look for");
    memcpy(scrub->needles[scrub->needle_count++], needle, STORE_NEEDLE_BYTES);
    return vlt_ok();
}

void store_scrub_result(const struct store_scrub *scrub, struct store_scrubbed *ret_scrubbed) {
    *ret_scrubbed = scrub->pages.done;
}

static vlt_result commit_nothing(struct store *store) {
    static const uint8_t mark = 1;
    const struct store_change change = {.class = STORE_META,
                                        .name = BYTES_LITERAL("scrubbed"),
                                        .value = bytes_of(&mark, 1),
                                        .expected_revision = STORE_ANY_REVISION};
    return store_commit(store, &change, 1, NULL, NULL);
}

// What is in use again was overwritten as a whole. Seen after each commit: a page
// can be taken by one and freed by the next.
static void forget_used(struct store_scrub *scrub) {
    const struct scrub_pages *pages = &scrub->pages;
    for (uint64_t i = 0; i < pages->count && i <= pages->last_page; i++)
        if (pages->states[i] == SCRUB_IN_USE)
            scrub->is_to_do[i] = 0;
}

static vlt_result look(struct store_scrub *scrub) {
    MDB_txn *txn;
    int code = mdb_txn_begin(scrub->store->env, NULL, MDB_RDONLY, &txn);
    if (code)
        return store_lmdb_result(code);
    vlt_result result = scrub_pages_look(&scrub->pages, scrub->store, txn);
    mdb_txn_abort(txn);
    if (vlt_is_ok(result))
        forget_used(scrub);
    return result;
}

// Some commits, so that what was removed before is free for the last two roots.
static vlt_result age(struct store_scrub *scrub) {
    for (int i = 0; i < AGE_COMMITS; i++) {
        VLT_TRY(commit_nothing(scrub->store));
        if (scrub->is_to_do)
            VLT_TRY(look(scrub));
    }
    return vlt_ok();
}

static vlt_result begin(struct store_scrub *scrub) {
    struct store *store = scrub->store;
    store_readers_check(store); // a reader that died holds nothing up
    VLT_TRY(age(scrub));
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &scrub->snapshot);
    if (code) {
        scrub->snapshot = NULL;
        return store_lmdb_result(code);
    }
    // Not before: the file may have grown by pages that name large values of long ago.
    VLT_TRY(scrub_pages_init(&scrub->pages, store));
    scrub->is_to_do = calloc(1, scrub->pages.count);
    if (!scrub->is_to_do)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(scrub_pages_look(&scrub->pages, store, scrub->snapshot));
    scrub->number = SCRUB_META_PAGES;
    scrub->phase = PHASE_GAPS;
    return vlt_ok();
}

static vlt_result free_begin(struct store_scrub *scrub) {
    end_snapshot(scrub); // what it kept from being reused is free from here on
    scrub->number = SCRUB_META_PAGES;
    scrub->later = 0;
    scrub->phase = PHASE_FREE;
    return age(scrub);
}

// Only pages that are in use in the snapshot are read: they do not change.
static vlt_result step_gaps(struct store_scrub *scrub) {
    struct scrub_pages *pages = &scrub->pages;
    for (unsigned i = 0; i < STEP_PAGES && scrub->number < pages->count; i++) {
        uint64_t run = 1;
        bool is_used =
            scrub->number <= pages->last_page && pages->states[scrub->number] == SCRUB_IN_USE;
        if (is_used)
            VLT_TRY(scrub_pages_clear_gaps(pages, scrub->number, &run));
        else
            scrub->is_to_do[scrub->number] = 1;
        scrub->number += run;
        pages->done.pages += run;
    }
    return scrub->number >= pages->count ? free_begin(scrub) : vlt_ok();
}

static vlt_result sync_cleared(struct store_scrub *scrub, bool is_last) {
    vlt_result result = scrub_pages_sync(&scrub->pages, is_last);
    if (!vlt_is_ok(result))
        scrub->store->zeros_are_synced = false;
    else if (is_last)
        scrub->store->zeros_are_synced = true;
    return result;
}

static vlt_result free_ended(struct store_scrub *scrub) {
    if (scrub->later > 0 && ++scrub->passes >= PASSES_MAX)
        return vlt_fail(VLT_UNAVAILABLE, "somebody reads an old snapshot of the store");
    if (scrub->later > 0)
        return free_begin(scrub);
    scrub->phase = PHASE_SEARCH;
    return sync_cleared(scrub, true);
}

static vlt_result clear_free_page(struct store_scrub *scrub, uint64_t number) {
    struct scrub_pages *pages = &scrub->pages;
    // Pages behind the last one are no part of a commit.
    bool is_free = number > pages->last_page || pages->states[number] == SCRUB_FREE;
    bool is_later = !is_free && pages->states[number] == SCRUB_FREE_LATER;
    scrub->later += is_later;
    if (!is_free)
        return vlt_ok();
    scrub->is_to_do[number] = 0;
    return scrub_pages_clear(pages, number);
}

static vlt_result step_free(struct store_scrub *scrub) {
    unsigned steps = 0;
    VLT_TRY(look(scrub)); // commits since the last step took pages and freed others
    while (steps < STEP_PAGES && scrub->number < scrub->pages.count) {
        uint64_t number = scrub->number++;
        if (!scrub->is_to_do[number])
            continue;
        steps++;
        VLT_TRY(clear_free_page(scrub, number));
    }
    return scrub->number >= scrub->pages.count ? free_ended(scrub) : vlt_ok();
}

// Of the file as it was: what it grew by is new.
static vlt_result step_search(struct store_scrub *scrub) {
    uint64_t count, end = scrub->pages.count * scrub->pages.page_bytes;
    for (size_t i = 0; i < scrub->needle_count; i++) {
        VLT_TRY(scrub_pages_search(&scrub->pages, scrub->needles[i], scrub->searched_bytes,
                                   SEARCH_BYTES, &count));
        scrub->pages.done.left += count;
    }
    scrub->searched_bytes += SEARCH_BYTES;
    if (scrub->needle_count == 0 || scrub->searched_bytes >= end)
        scrub->phase = PHASE_DONE;
    return vlt_ok();
}

vlt_result store_scrub_step(struct store_scrub *scrub, bool *ret_is_done) {
    vlt_result result = vlt_ok();
    if (scrub->phase == PHASE_BEGIN)
        result = begin(scrub);
    else if (scrub->phase == PHASE_GAPS)
        result = step_gaps(scrub);
    else if (scrub->phase == PHASE_FREE)
        result = step_free(scrub);
    else if (scrub->phase == PHASE_SEARCH)
        result = step_search(scrub);
    VLT_TRY(result);
    VLT_TRY(sync_cleared(scrub, false));
    *ret_is_done = scrub->phase == PHASE_DONE;
    return vlt_ok();
}
