// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vaultd/auditor/journal_cursor.h"

// Up to this many new entries each file is synced by itself; beyond, one sync of
// the file system costs less than hundreds of small ones.
#define SYNC_EACH_MAX 1024

struct publisher {
    int folder;
    struct journal_cursor journal;
    uint64_t size;    // entries taken from the journal
    uint64_t written; // of which all tiles are on the disk
    struct buf bundle;
    struct merkle_hash rows[TILE_LEVELS][TILE_WIDTH]; // the tile at the right edge of each level
    unsigned widths[TILE_LEVELS];
    bool syncs_each;  // during one advance
};

uint64_t publisher_size(const struct publisher *publisher) { return publisher->written; }

// ---- Root ----

// The root of a row of hashes in the shape of RFC 6962.
static vlt_result row_root(const struct merkle_hash *row, unsigned width,
                           const struct merkle_hash *below, struct merkle_hash *ret_root) {
    struct merkle_range range;
    merkle_range_init(&range);
    for (unsigned i = 0; i < width; i++)
        VLT_TRY(merkle_range_add(&range, &row[i]));
    if (below)
        VLT_TRY(merkle_range_add(&range, below));
    return merkle_range_root(&range, ret_root);
}

// What is right of a level's last full tile counts as one more hash of that
// level: the splits of RFC 6962 fall on the same places.
vlt_result publisher_root(const struct publisher *publisher, struct merkle_hash *ret_root) {
    struct merkle_hash root;
    bool has_root = false;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        if (!publisher->widths[level])
            continue;
        VLT_TRY(row_root(publisher->rows[level], publisher->widths[level], has_root ? &root : NULL,
                         &root));
        has_root = true;
    }
    if (!has_root)
        return row_root(NULL, 0, NULL, ret_root);
    *ret_root = root;
    return vlt_ok();
}

// ---- Tiles ----

static vlt_result write_tile(struct publisher *publisher, unsigned level, uint64_t number,
                             unsigned width, struct bytes content, struct fault *fault) {
    char path[TILE_PATH_MAX];
    tile_path(level, number, width, path);
    return tile_file_write(publisher->folder, path, content, publisher->syncs_each, fault);
}

// Partial forms of a tile that is full now: whoever wants one takes the full tile.
static void remove_partials(struct publisher *publisher, unsigned level, uint64_t number) {
    char path[TILE_PATH_MAX];
    tile_path(level, number, 1, path);
    path[strlen(path) - strlen("/1")] = 0;
    if (faccessat(publisher->folder, path, F_OK, 0) != 0)
        return;
    for (unsigned width = 1; width < TILE_WIDTH; width++) {
        char partial[TILE_PATH_MAX];
        tile_path(level, number, width, partial);
        unlinkat(publisher->folder, partial, 0);
    }
    unlinkat(publisher->folder, path, AT_REMOVEDIR);
}

static struct bytes row_bytes(const struct publisher *publisher, unsigned level) {
    return bytes_of(publisher->rows[level], publisher->widths[level] * MERKLE_HASH_SIZE);
}

// Adds a hash to the row of `level` and carries full rows upward.
static vlt_result add_hash(struct publisher *publisher, unsigned level, uint64_t index,
                           const struct merkle_hash *hash, struct fault *fault) {
    struct merkle_hash carry = *hash;
    for (; level < TILE_LEVELS; level++, index /= TILE_WIDTH) {
        publisher->rows[level][publisher->widths[level]++] = carry;
        if (publisher->widths[level] < TILE_WIDTH)
            return vlt_ok();
        VLT_TRY(write_tile(publisher, level, index / TILE_WIDTH, TILE_WIDTH,
                           row_bytes(publisher, level), fault));
        remove_partials(publisher, level, index / TILE_WIDTH);
        VLT_TRY(row_root(publisher->rows[level], TILE_WIDTH, NULL, &carry));
        publisher->widths[level] = 0;
    }
    return vlt_fail(VLT_LIMIT, "the log is full");
}

static vlt_result take_entry(struct publisher *publisher, struct bytes entry, struct fault *fault) {
    struct merkle_hash leaf;
    uint64_t index = publisher->size;
    VLT_TRY(merkle_leaf(entry, &leaf));
    VLT_TRY(tile_entry_put(&publisher->bundle, entry));
    if (publisher->widths[0] == TILE_WIDTH - 1) { // entries first, then their hashes
        VLT_TRY(write_tile(publisher, TILE_ENTRIES, index / TILE_WIDTH, TILE_WIDTH,
                           buf_bytes(&publisher->bundle), fault));
        remove_partials(publisher, TILE_ENTRIES, index / TILE_WIDTH);
        buf_clear(&publisher->bundle);
    }
    VLT_TRY(add_hash(publisher, 0, index, &leaf, fault));
    publisher->size++;
    return vlt_ok();
}

static vlt_result write_partials(struct publisher *publisher, struct fault *fault) {
    uint64_t number = publisher->size / TILE_WIDTH;
    if (publisher->widths[0])
        VLT_TRY(write_tile(publisher, TILE_ENTRIES, number, publisher->widths[0],
                           buf_bytes(&publisher->bundle), fault));
    for (unsigned level = 0; level < TILE_LEVELS; level++, number /= TILE_WIDTH)
        if (publisher->widths[level])
            VLT_TRY(write_tile(publisher, level, number, publisher->widths[level],
                               row_bytes(publisher, level), fault));
    return vlt_ok();
}

static vlt_result advance(struct publisher *publisher, uint64_t durable, struct fault *fault) {
    publisher->syncs_each = durable - publisher->size <= SYNC_EACH_MAX;
    while (publisher->size < durable) {
        struct bytes entry;
        VLT_TRY(journal_cursor_next(&publisher->journal, publisher->folder, fault, &entry));
        VLT_TRY(take_entry(publisher, entry, fault));
    }
    journal_cursor_forget(&publisher->journal);
    return vlt_ok();
}

vlt_result publisher_advance(struct publisher *publisher, uint64_t durable, struct fault *fault) {
    if (durable <= publisher->written)
        return vlt_ok();
    VLT_TRY(advance(publisher, durable, fault));
    VLT_TRY(write_partials(publisher, fault));
    if (!publisher->syncs_each && syncfs(publisher->folder) != 0)
        return fault_set(fault, VLT_UNAVAILABLE, "the tiles of the audit log can not be synced",
                         "the tiles of the audit log can not be synced: %s", strerror(errno));
    publisher->written = publisher->size;
    return vlt_ok();
}

vlt_result publisher_prove(struct publisher *publisher, uint64_t old_size, struct fault *fault,
                           struct merkle_proof *ret_proof) {
    struct tile_reader reader;
    VLT_TRY(tile_reader_init(&reader, publisher->folder, publisher->written));
    reader.fault = fault;
    struct merkle_source source = tile_reader_source(&reader);
    vlt_result result = merkle_consistency_prove(&source, old_size, publisher->written, ret_proof);
    tile_reader_done(&reader);
    return result;
}

// ---- Checkpoint ----

// Most checkpoints bring nothing new but themselves.
static vlt_result keep_file(struct publisher *publisher, const char *path,
                            const struct buf *content, struct fault *fault) {
    struct buf old;
    buf_init(&old, NOTE_MAX_BYTES);
    vlt_result result = tile_file_read(publisher->folder, path, NOTE_MAX_BYTES, NULL, &old);
    if (!vlt_is_ok(result) || !bytes_equal(buf_bytes(&old), buf_bytes(content)))
        result = tile_file_write(publisher->folder, path, buf_bytes(content), true, fault);
    buf_done(&old);
    return result;
}

vlt_result publisher_write_checkpoint(struct publisher *publisher,
                                      const struct signed_note *signed_note, struct fault *fault) {
    for (size_t i = 0; i < signed_note->handover_count; i++)
        VLT_TRY(keep_file(publisher, signed_note->handovers[i].path,
                          &signed_note->handovers[i].note, fault));
    VLT_TRY(keep_file(publisher, "vkey", &signed_note->vkeys, fault));
    return tile_file_write(publisher->folder, "checkpoint", buf_bytes(&signed_note->note), true,
                           fault);
}

vlt_result publisher_read_checkpoint(int folder, struct fault *fault,
                                     struct checkpoint *ret_checkpoint) {
    struct buf bytes;
    struct note note;
    buf_init(&bytes, NOTE_MAX_BYTES);
    vlt_result result = tile_file_read(folder, "checkpoint", NOTE_MAX_BYTES, fault, &bytes);
    if (result.class == VLT_NOT_FOUND) {
        *ret_checkpoint = (struct checkpoint){.size = 0};
        buf_done(&bytes);
        return vlt_ok();
    }
    // The signature is the keeper's matter: it knows what it signed last.
    if (vlt_is_ok(result))
        result = note_parse(buf_bytes(&bytes), &note);
    if (vlt_is_ok(result)) {
        result = checkpoint_parse(note.text, ret_checkpoint);
        note_done(&note);
    }
    buf_done(&bytes);
    return vlt_is_ok(result) || result.class == VLT_UNAVAILABLE
               ? result
               : fault_set(fault, VLT_CONFLICT, "the checkpoint of the audit log is damaged",
                           "the file checkpoint of the audit folder is damaged: restore it");
}

// ---- Mending ----

// As readers read it: where the partial tile is not there, the beginning of the full one
// counts. A crash may have come between that one and the checkpoint that speaks of it.
static bool is_bundle_good(const struct publisher *publisher, struct tile_reader *reader) {
    struct bytes found;
    return vlt_is_ok(tile_reader_bundle(reader, publisher->size / TILE_WIDTH, &found)) &&
           bytes_begin_with(found, buf_bytes(&publisher->bundle));
}

static bool is_row_good(const struct publisher *publisher, struct tile_reader *reader,
                        unsigned level, uint64_t number) {
    const struct merkle_source source = tile_reader_source(reader);
    struct merkle_hash found;
    for (unsigned i = 0; i < publisher->widths[level]; i++)
        if (!vlt_is_ok(source.read(level * TILE_HEIGHT, number * TILE_WIDTH + i, source.context,
                                   &found)) ||
            !merkle_hash_equal(&found, &publisher->rows[level][i]))
            return false;
    return true;
}

static vlt_result mend_tile(struct publisher *publisher, unsigned level, uint64_t number,
                            unsigned width, struct bytes content, struct fault *fault,
                            char mended[PUBLISHER_MENDED_SIZE]) {
    char path[TILE_PATH_MAX];
    const size_t size = strlen(mended);
    publisher->syncs_each = true;
    VLT_TRY(write_tile(publisher, level, number, width, content, fault));
    tile_path(level, number, width, path);
    snprintf(mended + size, PUBLISHER_MENDED_SIZE - size, "%s%s", size ? ", " : "", path);
    return vlt_ok();
}

static vlt_result mend_all(struct publisher *publisher, struct tile_reader *reader,
                           struct fault *fault, char mended[PUBLISHER_MENDED_SIZE]) {
    uint64_t number = publisher->size / TILE_WIDTH;
    if (publisher->widths[0] && !is_bundle_good(publisher, reader))
        VLT_TRY(mend_tile(publisher, TILE_ENTRIES, number, publisher->widths[0],
                          buf_bytes(&publisher->bundle), fault, mended));
    for (unsigned level = 0; level < TILE_LEVELS; level++, number /= TILE_WIDTH)
        if (!is_row_good(publisher, reader, level, number))
            VLT_TRY(mend_tile(publisher, level, number, publisher->widths[level],
                              row_bytes(publisher, level), fault, mended));
    return vlt_ok();
}

vlt_result publisher_mend(struct publisher *publisher, struct fault *fault,
                          char ret_mended[PUBLISHER_MENDED_SIZE]) {
    struct tile_reader reader;
    ret_mended[0] = 0;
    VLT_TRY(tile_reader_init(&reader, publisher->folder, publisher->size));
    vlt_result result = mend_all(publisher, &reader, fault, ret_mended);
    tile_reader_done(&reader);
    return result;
}

// ---- Open ----

// A hash of a partial tile that is not there any more, from the full tile below it. Whether
// that is what was signed, the root says.
static vlt_result hash_from_below(const struct merkle_source *source, unsigned level,
                                  uint64_t index, struct merkle_hash *ret_hash) {
    struct merkle_hash row[TILE_WIDTH];
    for (unsigned i = 0; i < TILE_WIDTH; i++)
        VLT_TRY(source->read((level - 1) * TILE_HEIGHT, index * TILE_WIDTH + i, source->context,
                             &row[i]));
    return row_root(row, TILE_WIDTH, NULL, ret_hash);
}

static vlt_result load_hash(const struct merkle_source *source, unsigned level, uint64_t index,
                            struct merkle_hash *ret_hash) {
    vlt_result result = source->read(level * TILE_HEIGHT, index, source->context, ret_hash);
    return result.class == VLT_NOT_FOUND || result.class == VLT_MALFORMED
               ? hash_from_below(source, level, index, ret_hash)
               : result;
}

// The rows above the entries, as the tiles of the last checkpoint have them.
static vlt_result load_rows(struct publisher *publisher, struct fault *fault) {
    struct tile_reader reader;
    vlt_result result = tile_reader_init(&reader, publisher->folder, publisher->size);
    if (!vlt_is_ok(result))
        return result;
    reader.fault = fault;
    struct merkle_source source = tile_reader_source(&reader);
    uint64_t hashes = publisher->size / TILE_WIDTH;
    for (unsigned level = 1; vlt_is_ok(result) && level < TILE_LEVELS;
         level++, hashes /= TILE_WIDTH) {
        unsigned width = (unsigned)(hashes % TILE_WIDTH);
        for (unsigned i = 0; vlt_is_ok(result) && i < width; i++)
            result = load_hash(&source, level, hashes - width + i, &publisher->rows[level][i]);
        publisher->widths[level] = width;
    }
    tile_reader_done(&reader);
    return result;
}

static vlt_result check_against(struct publisher *publisher, const struct publisher_start *start,
                                struct fault *fault) {
    struct merkle_hash root;
    VLT_TRY(advance(publisher, start->at.size, fault));
    VLT_TRY(publisher_root(publisher, &root));
    if (!merkle_hash_equal(&root, &start->at.root))
        return fault_set(fault, VLT_CONFLICT, "the audit log was altered",
                         "audit folder %s was altered: its entries do not give the root of its "
                         "checkpoint of %llu entries. Restore the folder; `vaultctl audit verify` "
                         "names the first bad entry",
                         start->folder, (unsigned long long)start->at.size);
    publisher->written = publisher->size;
    return vlt_ok();
}

static vlt_result take_up(struct publisher *publisher, const struct publisher_start *start,
                          struct fault *fault) {
    if (start->durable < start->at.size)
        return fault_set(fault, VLT_CONFLICT, "the audit log was cut",
                         "audit folder %s holds %llu entries, but its checkpoint speaks of %llu: "
                         "restore the missing files",
                         start->folder, (unsigned long long)start->durable,
                         (unsigned long long)start->at.size);
    publisher->folder = open(start->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (publisher->folder < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "the audit folder can not be opened",
                         "audit folder %s can not be opened: %s", start->folder, strerror(errno));
    publisher->size = start->at.size / TILE_WIDTH * TILE_WIDTH;
    journal_cursor_init(&publisher->journal, start->segment, publisher->size + 1);
    VLT_TRY(load_rows(publisher, fault));
    return start->at.size ? check_against(publisher, start, fault) : vlt_ok();
}

vlt_result publisher_open(const struct publisher_start *start, struct fault *fault,
                          struct publisher **ret_publisher) {
    struct publisher *publisher = calloc(1, sizeof *publisher);
    if (!publisher)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    publisher->folder = -1;
    publisher->journal.fd = -1;
    buf_init(&publisher->bundle, TILE_BUNDLE_MAX);
    vlt_result result = take_up(publisher, start, fault);
    if (!vlt_is_ok(result)) {
        publisher_close(publisher);
        return result;
    }
    *ret_publisher = publisher;
    return vlt_ok();
}

void publisher_close(struct publisher *publisher) {
    if (!publisher)
        return;
    journal_cursor_done(&publisher->journal);
    buf_done(&publisher->bundle);
    if (publisher->folder >= 0)
        close(publisher->folder);
    free(publisher);
}
