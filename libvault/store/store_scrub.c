// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/store_scrub.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/store/store_env.h"

// lmdb.h does not describe its file; these are of mdb.c (0.9.x), MDB_page and
// MDB_node, checked against every page before anything is overwritten.
#define PAGE_HEADER 16
#define FLAG_BRANCH 0x01
#define FLAG_LEAF 0x02
#define FLAG_OVERFLOW 0x04
#define NODE_HEADER 8
#define NODE_BIG 0x01 // the value is on overflow pages
#define META_PAGES 2
#define FREE_LIST 0 // the database of free pages
#define CHUNK_PAGES 64

struct page_header {
    uint64_t number;
    uint16_t pad, flags;
    uint16_t lower, upper; // of an overflow page: its count of pages, u32
};
struct node_header {
    uint16_t low, high, flags, key_bytes; // low and high: size of the value
};

struct scrub {
    struct store *store;
    int fd;
    size_t page_bytes;
    uint64_t last_page, file_pages;
    uint8_t *is_free; // a byte for each page
    uint8_t *chunk;   // CHUNK_PAGES
    uint64_t chunk_first, chunk_count;
    struct store_scrubbed done;
};

static vlt_result io_failure(void) {
    return vlt_fail(VLT_UNAVAILABLE, "the file of the store can not be read or written");
}

// ---- Reading and clearing ----

static vlt_result page_at(struct scrub *scrub, uint64_t number, uint8_t **ret_page) {
    if (number < scrub->chunk_first || number >= scrub->chunk_first + scrub->chunk_count) {
        ssize_t got = pread(scrub->fd, scrub->chunk, CHUNK_PAGES * scrub->page_bytes,
                            (off_t)(number * scrub->page_bytes));
        if (got < (ssize_t)scrub->page_bytes)
            return io_failure();
        scrub->chunk_first = number;
        scrub->chunk_count = (uint64_t)got / scrub->page_bytes;
    }
    *ret_page = scrub->chunk + (number - scrub->chunk_first) * scrub->page_bytes;
    return vlt_ok();
}

static bool is_zero(const uint8_t *at, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (at[i])
            return false;
    return true;
}

// A part of one page, whose contents are at hand.
static vlt_result clear(struct scrub *scrub, uint64_t number, uint8_t *page, size_t from,
                        size_t to) {
    if (from >= to || is_zero(page + from, to - from))
        return vlt_ok();
    memset(page + from, 0, to - from);
    off_t at = (off_t)(number * scrub->page_bytes + from);
    if (pwrite(scrub->fd, page + from, to - from, at) != (ssize_t)(to - from))
        return io_failure();
    scrub->done.cleared_pages++;
    scrub->done.cleared_bytes += to - from;
    return vlt_ok();
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

static void note_free(struct scrub *scrub, const MDB_val *list) {
    uint64_t count = 0, number;
    if (list->mv_size >= sizeof count)
        memcpy(&count, list->mv_data, sizeof count);
    if (count > list->mv_size / sizeof number - 1)
        return;
    for (uint64_t i = 1; i <= count; i++) {
        memcpy(&number, (const uint8_t *)list->mv_data + i * sizeof number, sizeof number);
        if (number >= META_PAGES && number <= scrub->last_page)
            scrub->is_free[number] = 1;
    }
}

// Pages that a transaction freed are used by nobody when every reader is of that
// transaction or later; and the one before the last must stay whole, because a
// torn root page makes LMDB go back to it.
static vlt_result find_free(struct scrub *scrub, bool *ret_is_whole) {
    MDB_txn *txn;
    MDB_cursor *cursor = NULL;
    MDB_val key, list;
    int code = mdb_txn_begin(scrub->store->env, NULL, MDB_RDONLY, &txn);
    if (code)
        return store_lmdb_result(code);
    struct readers readers = {.oldest = mdb_txn_id(txn) - 1};
    code = mdb_reader_list(scrub->store->env, note_reader, &readers) < 0 ? EIO : 0;
    *ret_is_whole = true;
    if (!code)
        code = mdb_cursor_open(txn, FREE_LIST, &cursor);
    while (!code && !(code = mdb_cursor_get(cursor, &key, &list, MDB_NEXT))) {
        size_t transaction = 0;
        if (key.mv_size == sizeof transaction)
            memcpy(&transaction, key.mv_data, sizeof transaction);
        if (transaction && transaction <= readers.oldest)
            note_free(scrub, &list);
        else if (transaction < mdb_txn_id(txn))
            *ret_is_whole = false;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    mdb_txn_abort(txn);
    return code == MDB_NOTFOUND ? vlt_ok() : store_lmdb_result(code);
}

// ---- Pages in use ----

// What lies behind a large value on its last page.
static vlt_result clear_tail(struct scrub *scrub, uint64_t first, uint64_t value_bytes) {
    uint64_t end = PAGE_HEADER + value_bytes;
    uint64_t page = first + (end - 1) / scrub->page_bytes;
    size_t from = (size_t)((end - 1) % scrub->page_bytes + 1), size = scrub->page_bytes - from;
    uint8_t room[1 << 16];
    off_t at = (off_t)(page * scrub->page_bytes + from);
    if (page > scrub->last_page || size == 0 || size > sizeof room)
        return vlt_ok();
    if (pread(scrub->fd, room, size, at) != (ssize_t)size)
        return io_failure();
    if (is_zero(room, size))
        return vlt_ok();
    memset(room, 0, size);
    scrub->done.cleared_pages++;
    scrub->done.cleared_bytes += size;
    return pwrite(scrub->fd, room, size, at) == (ssize_t)size ? vlt_ok() : io_failure();
}

static vlt_result clear_tails(struct scrub *scrub, const uint8_t *page,
                              const struct page_header *header) {
    for (size_t at = PAGE_HEADER; at + 2 <= header->lower; at += 2) {
        uint16_t place;
        struct node_header node;
        uint64_t first;
        memcpy(&place, page + at, sizeof place);
        if (place < header->upper || (size_t)place + NODE_HEADER > scrub->page_bytes)
            return vlt_fail(VLT_MALFORMED, "a page of the store has another format");
        memcpy(&node, page + place, sizeof node);
        size_t value = (size_t)place + NODE_HEADER + node.key_bytes;
        if (!(node.flags & NODE_BIG) || value + sizeof first > scrub->page_bytes)
            continue;
        memcpy(&first, page + value, sizeof first);
        if (first >= META_PAGES && first <= scrub->last_page)
            VLT_TRY(clear_tail(scrub, first, (uint64_t)node.high << 16 | node.low));
    }
    return vlt_ok();
}

static vlt_result clear_live(struct scrub *scrub, uint64_t number, uint8_t *page,
                             uint64_t *ret_pages) {
    struct page_header header;
    uint32_t run;
    memcpy(&header, page, sizeof header);
    memcpy(&run, page + 12, sizeof run);
    *ret_pages = 1;
    if (header.number != number)
        return vlt_fail(VLT_MALFORMED, "a page of the store has another format");
    if (header.flags & FLAG_OVERFLOW) {
        *ret_pages = run;
        return run > 0 && run <= scrub->last_page - number + 1
                   ? vlt_ok()
                   : vlt_fail(VLT_MALFORMED, "a page of the store has another format");
    }
    bool is_tree = header.flags == FLAG_BRANCH || header.flags == FLAG_LEAF;
    if (!is_tree || header.lower < PAGE_HEADER || header.lower > header.upper ||
        header.upper > scrub->page_bytes)
        return vlt_fail(VLT_MALFORMED, "a page of the store has another format");
    VLT_TRY(clear(scrub, number, page, header.lower, header.upper));
    return header.flags == FLAG_LEAF ? clear_tails(scrub, page, &header) : vlt_ok();
}

static vlt_result clear_pages(struct scrub *scrub, bool is_whole) {
    for (uint64_t number = META_PAGES, count = 1; number < scrub->file_pages; number += count) {
        uint8_t *page;
        count = 1;
        scrub->done.pages++;
        VLT_TRY(page_at(scrub, number, &page));
        // Pages behind the last one were never part of a commit.
        if (number > scrub->last_page || scrub->is_free[number])
            VLT_TRY(clear(scrub, number, page, 0, scrub->page_bytes));
        else if (is_whole) // else one that is free, and not known as such, may look like any
            VLT_TRY(clear_live(scrub, number, page, &count));
    }
    return fdatasync(scrub->fd) == 0 ? vlt_ok() : io_failure();
}

// ---- Whole ----

// Two commits, so that what was removed before is free for the last two roots.
static vlt_result age(struct store *store) {
    static const uint8_t mark = 1;
    const struct store_change change = {.class = STORE_META,
                                        .name = BYTES_LITERAL("scrubbed"),
                                        .value = bytes_of(&mark, 1),
                                        .expected_revision = STORE_ANY_REVISION};
    for (int i = 0; i < 3; i++)
        VLT_TRY(store_commit(store, &change, 1, NULL, NULL));
    return vlt_ok();
}

static vlt_result begin(struct store *store, struct scrub *scrub) {
    MDB_envinfo info;
    MDB_stat stat;
    struct stat file;
    *scrub = (struct scrub){.store = store};
    int code = mdb_env_get_fd(store->env, &scrub->fd);
    if (!code)
        code = mdb_env_info(store->env, &info);
    if (!code)
        code = mdb_env_stat(store->env, &stat);
    if (code)
        return store_lmdb_result(code);
    if (fstat(scrub->fd, &file) != 0)
        return io_failure();
    scrub->page_bytes = stat.ms_psize;
    scrub->last_page = info.me_last_pgno;
    scrub->file_pages = (uint64_t)file.st_size / stat.ms_psize;
    scrub->is_free = calloc(1, scrub->last_page + 1);
    scrub->chunk = malloc(CHUNK_PAGES * scrub->page_bytes);
    return scrub->is_free && scrub->chunk ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

vlt_result store_scrub(struct store *store, struct store_scrubbed *ret_scrubbed) {
    struct scrub scrub = {.fd = -1};
    bool is_whole = false;
    VLT_TRY(age(store));
    vlt_result result = begin(store, &scrub);
    if (vlt_is_ok(result))
        result = find_free(&scrub, &is_whole);
    if (vlt_is_ok(result))
        result = clear_pages(&scrub, is_whole);
    free(scrub.is_free);
    free(scrub.chunk);
    VLT_TRY(result);
    if (!is_whole)
        return vlt_fail(VLT_UNAVAILABLE, "somebody reads an old snapshot of the store");
    *ret_scrubbed = scrub.done;
    return vlt_ok();
}

// ---- Proof ----

vlt_result store_file_count(struct store *store, struct bytes needle, uint64_t *ret_count) {
    int fd;
    const size_t block = 1 << 20;
    int code = mdb_env_get_fd(store->env, &fd);
    uint8_t *room = malloc(block + needle.size);
    uint64_t count = 0;
    ssize_t got = 1;
    if (code || !room || needle.size == 0) {
        free(room);
        return vlt_fail(VLT_UNAVAILABLE, "the file of the store can not be searched");
    }
    // Blocks overlap by one byte less than the needle: nothing is missed or counted twice.
    for (off_t at = 0; got > 0; at += (off_t)block) {
        got = pread(fd, room, block + needle.size - 1, at);
        for (size_t i = 0; got > 0 && i + needle.size <= (size_t)got; i++)
            count += room[i] == needle.at[0] &&
                     bytes_equal(bytes_of(room + i, needle.size), needle);
    }
    free(room);
    if (got < 0)
        return io_failure();
    *ret_count = count;
    return vlt_ok();
}
