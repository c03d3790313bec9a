// SPDX-License-Identifier: Apache-2.0
// The folder layout of C2SP tlog-tiles: tile/L/N[.p/W] with hashes,
// tile/entries/N[.p/W] with entries, and `checkpoint`. Plain files: any web
// server can serve them.
#ifndef VLT_AUDIT_TILE_H
#define VLT_AUDIT_TILE_H

#include "libvault/audit/merkle.h"
#include "libvault/base/buf.h"
#include "libvault/base/fault.h"

#define TILE_WIDTH 256 // hashes or entries in a full tile
#define TILE_HEIGHT 8  // its binary logarithm: levels of the tree in a tile
#define TILE_LEVELS 8  // levels of tiles that 63 bits of size need
#define TILE_PATH_MAX 96
#define TILE_ENTRY_MAX 65535 // bytes of one entry
#define TILE_ENTRIES 0xFF    // as `level`: the tile of entries
#define TILE_BUNDLE_MAX ((size_t)TILE_WIDTH * (TILE_ENTRY_MAX + 2))

// "tile/0/x001/234", "tile/entries/000.p/17". width: 1 to TILE_WIDTH.
void tile_path(unsigned level, uint64_t number, unsigned width, char ret_path[TILE_PATH_MAX]);
// Hashes or entries that this tile has in a log of that size; 0: there is none.
unsigned tile_width(unsigned level, uint64_t number, uint64_t size);

// ---- Entry bundles: u16 length (big-endian) and bytes, again and again ----

// VLT_LIMIT beyond TILE_ENTRY_MAX.
vlt_result tile_entry_put(struct buf *out, struct bytes entry) VLT_MUST_USE;
// Takes the next entry off; VLT_MALFORMED when it is cut short.
vlt_result tile_entry_take(struct bytes *bundle, struct bytes *ret_entry) VLT_MUST_USE;

// ---- Files ----

// Reads that file below `folder`; at most max_bytes, and never waits for what is no file (a
// FIFO). VLT_NOT_FOUND, VLT_LIMIT, VLT_UNAVAILABLE. The fault names the file.
vlt_result tile_file_read(int folder, const char *path, size_t max_bytes, struct fault *fault,
                          struct buf *out) VLT_MUST_USE;
// The same of a file that lies there itself. VLT_UNAVAILABLE also for a symbolic link: whoever
// put it there may want something read that is not their own.
vlt_result tile_file_read_here(int folder, const char *path, size_t max_bytes,
                               struct fault *fault, struct buf *out) VLT_MUST_USE;
// Is it one and the same file below both folders (the folders are one, or there is a
// link)? Then none of them is a copy.
bool tile_file_is_one(int folder, int other, const char *path);
// Makes the folders and writes the whole file under another name (freshfile.h), then
// renames it. With is_synced the content is on the disk before the name is, and both when
// it returns. One writer for each folder.
vlt_result tile_file_write(int folder, const char *path, struct bytes content, bool is_synced,
                           struct fault *fault) VLT_MUST_USE;

// ---- Reading a log ----

struct tile_reader {
    int folder;
    int archive; // another folder, for bundles of entries that the first lacks; -1: none
    bool is_archived; // the last bundle came from there
    uint64_t size; // of the tree that is read; of its last tiles the partial form
    struct tile_cache *cache;
    struct fault *fault; // gets what is wrong with a file; may be NULL
};
// A file must have exactly the length of what its name says it holds.
// Does not own the folders. VLT_UNAVAILABLE: out of memory.
vlt_result tile_reader_init(struct tile_reader *reader, int folder, uint64_t size) VLT_MUST_USE;
void tile_reader_done(struct tile_reader *reader);
// Hashes for merkle_…_prove and merkle_root.
struct merkle_source tile_reader_source(struct tile_reader *reader);
// Entries of bundle `number`: the partial file of exactly this size, else the full
// one, of which the caller takes what it wants.
vlt_result tile_reader_bundle(struct tile_reader *reader, uint64_t number,
                              struct bytes *ret_bundle) VLT_MUST_USE;
// One entry; borrowed until the next call.
vlt_result tile_reader_entry(struct tile_reader *reader, uint64_t index,
                             struct bytes *ret_entry) VLT_MUST_USE;

#endif
