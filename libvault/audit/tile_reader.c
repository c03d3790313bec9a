// SPDX-License-Identifier: Apache-2.0
// Reading a log from its files. The tiles last used are kept: a proof walks up
// one path, and verification of a whole log goes through them in order.
#include "libvault/audit/tile.h"

#include <stdlib.h>

#define CACHE_TILES 64

struct cached_tile {
    unsigned level, width; // width 0: unused
    uint64_t number, used; // used: when, counted in uses
    struct merkle_hash hashes[TILE_WIDTH];
};
struct tile_cache {
    struct cached_tile tiles[CACHE_TILES];
    uint64_t uses;
    bool has_bundle, is_archived; // is_archived: the bundle is not in the log's own folder
    uint64_t bundle_number;
    struct buf bundle;
};

vlt_result tile_reader_init(struct tile_reader *reader, int folder, uint64_t size) {
    *reader = (struct tile_reader){
        .folder = folder, .archive = -1, .size = size, .cache = calloc(1, sizeof *reader->cache)};
    if (!reader->cache)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    buf_init(&reader->cache->bundle, TILE_BUNDLE_MAX);
    return vlt_ok();
}

void tile_reader_done(struct tile_reader *reader) {
    if (reader->cache)
        buf_done(&reader->cache->bundle);
    free(reader->cache);
    reader->cache = NULL;
}

struct tile_file { // of which the reader wants the first hashes or entries
    int folder;
    unsigned level, width; // width: of the tile that is wanted, then of the file that was read
    uint64_t number;
    size_t max_bytes;
};

// The partial file of exactly this width, or the full one if it came meanwhile.
static vlt_result read_either(struct tile_file *file, struct fault *fault, struct buf *out) {
    char path[TILE_PATH_MAX];
    tile_path(file->level, file->number, file->width, path);
    vlt_result result = tile_file_read(file->folder, path, file->max_bytes, fault, out);
    if (result.class == VLT_NOT_FOUND && file->width < TILE_WIDTH) {
        tile_path(file->level, file->number, TILE_WIDTH, path);
        vlt_result full = tile_file_read(file->folder, path, file->max_bytes, NULL, out);
        if (full.class != VLT_NOT_FOUND) {
            file->width = TILE_WIDTH;
            return full;
        }
    }
    return result;
}

static vlt_result wrong_length(const struct tile_file *file, struct fault *fault) {
    char path[TILE_PATH_MAX];
    tile_path(file->level, file->number, file->width, path);
    return fault_set(fault, VLT_MALFORMED, "a tile is not as long as it must be",
                     "%s is cut short or has bytes too many", path);
}

// ---- Hashes ----

static struct cached_tile *place_for(struct tile_cache *cache, unsigned level, uint64_t number) {
    struct cached_tile *oldest = &cache->tiles[0];
    for (size_t i = 0; i < CACHE_TILES; i++) {
        struct cached_tile *tile = &cache->tiles[i];
        if (tile->width && tile->level == level && tile->number == number)
            return tile;
        if (tile->used < oldest->used)
            oldest = tile;
    }
    oldest->width = 0;
    oldest->level = level;
    oldest->number = number;
    return oldest;
}

static vlt_result load_tile(struct tile_reader *reader, unsigned level, uint64_t number,
                            struct cached_tile **ret_tile) {
    struct cached_tile *tile = place_for(reader->cache, level, number);
    tile->used = ++reader->cache->uses;
    *ret_tile = tile;
    if (tile->width)
        return vlt_ok();
    unsigned width = tile_width(level, number, reader->size);
    if (width == 0)
        return vlt_fail(VLT_LIMIT, "a hash beyond the end of the log");
    struct buf content;
    buf_init(&content, sizeof tile->hashes + 1);
    struct tile_file file = {.folder = reader->folder,
                             .level = level,
                             .width = width,
                             .number = number,
                             .max_bytes = sizeof tile->hashes + 1};
    vlt_result result = read_either(&file, reader->fault, &content);
    if (result.class == VLT_LIMIT ||
        (vlt_is_ok(result) && content.size != file.width * MERKLE_HASH_SIZE))
        result = wrong_length(&file, reader->fault);
    if (vlt_is_ok(result)) {
        memcpy(tile->hashes, content.at, width * MERKLE_HASH_SIZE);
        tile->width = width;
    }
    buf_done(&content);
    return result;
}

static vlt_result read_hash(unsigned level, uint64_t index, void *context,
                            struct merkle_hash *ret_hash) {
    struct tile_reader *reader = context;
    unsigned height = level % TILE_HEIGHT; // above the hashes of the tile
    uint64_t first = index << height;
    struct cached_tile *tile;
    VLT_TRY(load_tile(reader, level / TILE_HEIGHT, first / TILE_WIDTH, &tile));
    size_t from = first % TILE_WIDTH, count = (size_t)1 << height;
    if (from + count > tile->width)
        return vlt_fail(VLT_LIMIT, "a hash beyond the end of the log");
    struct merkle_hash row[TILE_WIDTH];
    memcpy(row, tile->hashes + from, count * sizeof *row);
    for (; count > 1; count /= 2)
        for (size_t i = 0; i < count / 2; i++)
            VLT_TRY(merkle_node(&row[2 * i], &row[2 * i + 1], &row[i]));
    *ret_hash = row[0];
    return vlt_ok();
}

struct merkle_source tile_reader_source(struct tile_reader *reader) {
    return (struct merkle_source){read_hash, reader};
}

// ---- Entries ----

static vlt_result check_bundle(const struct tile_file *file, struct bytes rest,
                               struct fault *fault) {
    struct bytes entry;
    for (unsigned i = 0; i < file->width; i++)
        if (!vlt_is_ok(tile_entry_take(&rest, &entry)))
            return wrong_length(file, fault);
    return rest.size ? wrong_length(file, fault) : vlt_ok();
}

static vlt_result read_bundle(struct tile_reader *reader, uint64_t number, unsigned width,
                              struct buf *out, bool *ret_is_archived) {
    struct tile_file file = {.folder = reader->folder,
                             .level = TILE_ENTRIES,
                             .width = width,
                             .number = number,
                             .max_bytes = TILE_BUNDLE_MAX};
    vlt_result result = read_either(&file, reader->fault, out);
    *ret_is_archived = result.class == VLT_NOT_FOUND && reader->archive >= 0;
    if (*ret_is_archived) {
        file.folder = reader->archive;
        result = read_either(&file, reader->fault, out);
    }
    return vlt_is_ok(result) ? check_bundle(&file, buf_bytes(out), reader->fault) : result;
}

vlt_result tile_reader_bundle(struct tile_reader *reader, uint64_t number,
                              struct bytes *ret_bundle) {
    struct tile_cache *cache = reader->cache;
    unsigned width = tile_width(TILE_ENTRIES, number, reader->size);
    if (width == 0)
        return vlt_fail(VLT_NOT_FOUND, "an entry beyond the end of the log");
    if (!cache->has_bundle || cache->bundle_number != number) {
        buf_clear(&cache->bundle);
        cache->has_bundle = false;
        VLT_TRY(read_bundle(reader, number, width, &cache->bundle, &cache->is_archived));
        cache->has_bundle = true;
        cache->bundle_number = number;
    }
    reader->is_archived = cache->is_archived;
    *ret_bundle = buf_bytes(&cache->bundle);
    return vlt_ok();
}

vlt_result tile_reader_entry(struct tile_reader *reader, uint64_t index, struct bytes *ret_entry) {
    struct bytes bundle, entry;
    if (index >= reader->size)
        return vlt_fail(VLT_NOT_FOUND, "an entry beyond the end of the log");
    VLT_TRY(tile_reader_bundle(reader, index / TILE_WIDTH, &bundle));
    for (uint64_t i = index % TILE_WIDTH;; i--) {
        VLT_TRY(tile_entry_take(&bundle, &entry));
        if (i == 0)
            break;
    }
    *ret_entry = entry;
    return vlt_ok();
}
