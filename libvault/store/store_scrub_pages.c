// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/store_scrub_pages.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

// lmdb.h does not describe its file; these are of mdb.c (0.9.x), MDB_page and
// MDB_node, checked against every page before anything is overwritten.
#define PAGE_HEADER 16
#define PAGE_BYTES_MAX (1 << 16)
#define FLAG_BRANCH 0x01
#define FLAG_LEAF 0x02
#define FLAG_OVERFLOW 0x04
#define NODE_HEADER 8
#define NODE_BIG 0x01 // the value is on overflow pages
#define FREE_LIST 0   // the database of free pages
#define SYNC_BYTES (4 << 20) // so that no commit waits long for what we wrote

struct page_header {
    uint64_t number;
    uint16_t pad, flags;
    uint16_t lower, upper; // of an overflow page: its count of pages, u32
};
struct node_header {
    uint16_t low, high, flags, key_bytes; // low and high: size of the value
};

static vlt_result io_failure(void) {
    return vlt_fail(VLT_UNAVAILABLE, "the file of the store can not be read or written");
}

static vlt_result not_a_page(void) {
    return vlt_fail(VLT_MALFORMED, "a page of the store has another format");
}

// ---- Begin and end ----

vlt_result scrub_pages_init(struct scrub_pages *pages, struct store *store) {
    MDB_stat stat;
    struct stat file;
    *pages = (struct scrub_pages){.fd = -1, .zeros_are_synced = store->zeros_are_synced};
    int code = mdb_env_get_fd(store->env, &pages->fd);
    if (!code)
        code = mdb_env_stat(store->env, &stat);
    if (code)
        return store_lmdb_result(code);
    if (fstat(pages->fd, &file) != 0)
        return io_failure();
    pages->page_bytes = stat.ms_psize;
    pages->count = (uint64_t)file.st_size / stat.ms_psize;
    pages->states = calloc(1, pages->count);
    pages->chunk = malloc(SCRUB_CHUNK_PAGES * pages->page_bytes);
    return pages->states && pages->chunk ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

void scrub_pages_done(struct scrub_pages *pages) {
    free(pages->states);
    free(pages->chunk);
}

// ---- Reading and clearing ----

static vlt_result page_at(struct scrub_pages *pages, uint64_t number, uint8_t **ret_page) {
    if (number < pages->chunk_first || number >= pages->chunk_first + pages->chunk_count) {
        ssize_t got = pread(pages->fd, pages->chunk, SCRUB_CHUNK_PAGES * pages->page_bytes,
                            (off_t)(number * pages->page_bytes));
        if (got < (ssize_t)pages->page_bytes)
            return io_failure();
        pages->chunk_first = number;
        pages->chunk_count = (uint64_t)got / pages->page_bytes;
    }
    *ret_page = pages->chunk + (number - pages->chunk_first) * pages->page_bytes;
    return vlt_ok();
}

static bool is_zero(const uint8_t *at, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (at[i])
            return false;
    return true;
}

// A part of one page, whose contents are at hand.
static vlt_result clear(struct scrub_pages *pages, uint64_t number, uint8_t *page, size_t from,
                        size_t to) {
    if (from >= to)
        return vlt_ok();
    bool was_zero = is_zero(page + from, to - from);
    if (was_zero && pages->zeros_are_synced)
        return vlt_ok();
    memset(page + from, 0, to - from);
    off_t at = (off_t)(number * pages->page_bytes + from);
    if (pwrite(pages->fd, page + from, to - from, at) != (ssize_t)(to - from))
        return io_failure();
    pages->unsynced_bytes += to - from;
    if (was_zero)
        return vlt_ok();
    pages->done.cleared_pages++;
    pages->done.cleared_bytes += to - from;
    return vlt_ok();
}

vlt_result scrub_pages_clear(struct scrub_pages *pages, uint64_t number) {
    uint8_t *page;
    VLT_TRY(page_at(pages, number, &page));
    return clear(pages, number, page, 0, pages->page_bytes);
}

vlt_result scrub_pages_sync(struct scrub_pages *pages, bool is_last) {
    if (pages->unsynced_bytes < SYNC_BYTES && !is_last)
        return vlt_ok();
    pages->unsynced_bytes = 0;
    return fdatasync(pages->fd) == 0 ? vlt_ok() : io_failure();
}

// ---- Which pages are free ----

struct readers {
    uint64_t oldest;
};

// "  pid thread txnid\n", txnid "-" when it reads nothing at the moment; or a title.
static int note_reader(const char *line, void *context) {
    struct readers *readers = context;
    unsigned long long transaction;
    if (sscanf(line, "%*d %*s %llu", &transaction) == 1 && transaction < readers->oldest)
        readers->oldest = transaction;
    return 0;
}

static void note_free(struct scrub_pages *pages, const MDB_val *list, enum scrub_page state) {
    uint64_t count = 0, number;
    if (list->mv_size >= sizeof count)
        memcpy(&count, list->mv_data, sizeof count);
    if (count > list->mv_size / sizeof number - 1)
        return;
    for (uint64_t i = 1; i <= count; i++) {
        memcpy(&number, (const uint8_t *)list->mv_data + i * sizeof number, sizeof number);
        if (number >= SCRUB_META_PAGES && number < pages->count)
            pages->states[number] = (uint8_t)state;
    }
}

// Pages that a transaction freed are used by nobody when every reader is of that
// transaction or later; and the one before the last must stay whole, because a
// torn root page makes LMDB go back to it.
vlt_result scrub_pages_look(struct scrub_pages *pages, struct store *store, MDB_txn *txn) {
    MDB_envinfo info;
    MDB_cursor *cursor = NULL;
    MDB_val key, list;
    struct readers readers = {.oldest = mdb_txn_id(txn) - 1};
    int code = mdb_env_info(store->env, &info);
    if (!code && mdb_reader_list(store->env, note_reader, &readers) < 0)
        code = EIO;
    memset(pages->states, SCRUB_IN_USE, pages->count);
    pages->last_page = info.me_last_pgno;
    pages->chunk_count = 0; // what was read may have changed
    if (!code)
        code = mdb_cursor_open(txn, FREE_LIST, &cursor);
    while (!code && !(code = mdb_cursor_get(cursor, &key, &list, MDB_NEXT))) {
        size_t transaction = 0;
        if (key.mv_size == sizeof transaction)
            memcpy(&transaction, key.mv_data, sizeof transaction);
        note_free(pages, &list,
                  transaction && transaction <= readers.oldest ? SCRUB_FREE : SCRUB_FREE_LATER);
    }
    if (cursor)
        mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? vlt_ok() : store_lmdb_result(code);
}

// ---- Pages in use ----

// Is this the first page of a run of overflow pages that are all in use? A file that
// contradicts itself is refused: nothing of it is overwritten on its word.
static bool is_run(const struct scrub_pages *pages, uint64_t first,
                   const uint8_t start[PAGE_HEADER], uint32_t *ret_run) {
    struct page_header header;
    uint64_t end = pages->last_page + 1 < pages->count ? pages->last_page + 1 : pages->count;
    uint32_t run;
    memcpy(&header, start, sizeof header);
    memcpy(&run, start + offsetof(struct page_header, lower), sizeof run);
    if (header.number != first || !(header.flags & FLAG_OVERFLOW) || first >= end || run == 0 ||
        run > end - first)
        return false;
    for (uint64_t i = first; i < first + run; i++)
        if (pages->states[i] != SCRUB_IN_USE)
            return false;
    *ret_run = run;
    return true;
}

// Of a page that is not at hand. The chunk stays: the leaf that is read is in it.
static vlt_result clear_from(struct scrub_pages *pages, uint64_t number, size_t from) {
    uint8_t page[PAGE_BYTES_MAX];
    uint64_t name;
    if (pages->page_bytes > sizeof page)
        return not_a_page();
    if (pread(pages->fd, page, pages->page_bytes, (off_t)(number * pages->page_bytes)) !=
        (ssize_t)pages->page_bytes)
        return io_failure();
    // What begins behind the run has its number: a count that is too high ends there.
    memcpy(&name, page, sizeof name);
    if (from == 0 && name == number)
        return not_a_page();
    return clear(pages, number, page, from, pages->page_bytes);
}

// What lies behind a large value, to the end of its run. LMDB gives a value that one
// transaction writes twice the pages of the first time, however few it needs now. Such
// pages belong to this value alone, and no snapshot knows it with another size: what was
// committed once is never written in place.
static vlt_result clear_tail(struct scrub_pages *pages, uint64_t first, uint64_t value_bytes) {
    uint8_t start[PAGE_HEADER];
    uint32_t run;
    if (pread(pages->fd, start, sizeof start, (off_t)(first * pages->page_bytes)) !=
        (ssize_t)sizeof start)
        return io_failure();
    if (!is_run(pages, first, start, &run) ||
        PAGE_HEADER + value_bytes > run * (uint64_t)pages->page_bytes)
        return not_a_page();
    uint64_t end = PAGE_HEADER + value_bytes;
    size_t from = (size_t)(end % pages->page_bytes); // 0: the value fills its pages
    for (uint64_t i = end / pages->page_bytes; i < run; i++, from = 0)
        VLT_TRY(clear_from(pages, first + i, from));
    return vlt_ok();
}

static vlt_result clear_tails(struct scrub_pages *pages, const uint8_t *page,
                              const struct page_header *header) {
    for (size_t at = PAGE_HEADER; at + 2 <= header->lower; at += 2) {
        uint16_t place;
        struct node_header node;
        uint64_t first;
        memcpy(&place, page + at, sizeof place);
        if (place < header->upper || (size_t)place + NODE_HEADER > pages->page_bytes)
            return not_a_page();
        memcpy(&node, page + place, sizeof node);
        size_t value = (size_t)place + NODE_HEADER + node.key_bytes;
        if (!(node.flags & NODE_BIG) || value + sizeof first > pages->page_bytes)
            continue;
        memcpy(&first, page + value, sizeof first);
        if (first >= SCRUB_META_PAGES && first <= pages->last_page)
            VLT_TRY(clear_tail(pages, first, (uint64_t)node.high << 16 | node.low));
    }
    return vlt_ok();
}

vlt_result scrub_pages_clear_gaps(struct scrub_pages *pages, uint64_t number,
                                  uint64_t *ret_run) {
    struct page_header header;
    uint32_t run;
    uint8_t *page;
    VLT_TRY(page_at(pages, number, &page));
    memcpy(&header, page, sizeof header);
    *ret_run = 1;
    if (header.number != number)
        return not_a_page();
    if (header.flags & FLAG_OVERFLOW) {
        if (!is_run(pages, number, page, &run))
            return not_a_page();
        *ret_run = run;
        return vlt_ok();
    }
    bool is_tree = header.flags == FLAG_BRANCH || header.flags == FLAG_LEAF;
    if (!is_tree || header.lower < PAGE_HEADER || header.lower > header.upper ||
        header.upper > pages->page_bytes)
        return not_a_page();
    VLT_TRY(clear(pages, number, page, header.lower, header.upper));
    return header.flags == FLAG_LEAF ? clear_tails(pages, page, &header) : vlt_ok();
}

// ---- Search ----

// Blocks overlap by one byte less than the needle: nothing is missed or counted twice.
vlt_result scrub_pages_search(struct scrub_pages *pages, const uint8_t needle[STORE_NEEDLE_BYTES],
                              uint64_t from, size_t size, uint64_t *ret_count) {
    uint8_t *room = malloc(size + STORE_NEEDLE_BYTES - 1);
    if (!room)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    ssize_t got = pread(pages->fd, room, size + STORE_NEEDLE_BYTES - 1, (off_t)from);
    const uint8_t *at = room, *end = room + (got > 0 ? got : 0);
    uint64_t count = 0;
    while ((size_t)(end - at) >= STORE_NEEDLE_BYTES &&
           (at = memchr(at, needle[0], (size_t)(end - at) - STORE_NEEDLE_BYTES + 1))) {
        count +=
            bytes_equal(bytes_of(at, STORE_NEEDLE_BYTES), bytes_of(needle, STORE_NEEDLE_BYTES));
        at++;
    }
    free(room);
    if (got < 0)
        return io_failure();
    *ret_count = count;
    return vlt_ok();
}
