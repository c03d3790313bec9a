// SPDX-License-Identifier: Apache-2.0
#include "vaultd/shipper/source.h"

#define LINES_MAX (SOURCE_BATCH_BYTES + TILE_ENTRY_MAX + 1)

void source_batch_init(struct source_batch *batch) {
    batch->count = 0;
    buf_init(&batch->lines, LINES_MAX);
}

void source_batch_done(struct source_batch *batch) { buf_done(&batch->lines); }

vlt_result source_checkpoint(int folder, struct fault *fault, struct checkpoint *ret_checkpoint) {
    struct buf text;
    struct note note;
    buf_init(&text, NOTE_MAX_BYTES);
    vlt_result result = tile_file_read(folder, "checkpoint", NOTE_MAX_BYTES, fault, &text);
    if (result.class == VLT_NOT_FOUND) {
        buf_done(&text);
        *ret_checkpoint = (struct checkpoint){.size = 0};
        return vlt_ok();
    }
    if (vlt_is_ok(result))
        result = note_parse(buf_bytes(&text), &note);
    if (vlt_is_ok(result)) {
        result = checkpoint_parse(note.text, ret_checkpoint);
        note_done(&note);
    }
    buf_done(&text);
    return result;
}

// The places of entries are known once the buffer no longer moves.
static void find_entries(struct source_batch *batch, uint64_t first) {
    struct bytes rest = buf_bytes(&batch->lines);
    for (size_t i = 0; i < batch->count; i++) {
        size_t end = bytes_find(rest, '\n');
        batch->entries[i] = (struct source_entry){first + i, bytes_of(rest.at, end)};
        rest = bytes_from(rest, end + 1);
    }
}

static vlt_result read_on(struct tile_reader *reader, uint64_t first, struct source_batch *batch) {
    struct bytes entry;
    uint64_t left = reader->size - first;
    while (batch->count < SOURCE_BATCH_ENTRIES && batch->count < left &&
           batch->lines.size < SOURCE_BATCH_BYTES) {
        VLT_TRY(tile_reader_entry(reader, first + batch->count, &entry));
        // The log's own entries are one line each; a receiver must never take one for two.
        if (bytes_find(entry, '\n') != entry.size)
            return vlt_fail(VLT_MALFORMED, "an entry of the log has a line end inside");
        buf_put(&batch->lines, entry);
        buf_put_byte(&batch->lines, '\n');
        batch->count++;
    }
    return buf_failed(&batch->lines) ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok();
}

vlt_result source_read(int folder, uint64_t size, uint64_t first, struct fault *fault,
                       struct source_batch *ret_batch) {
    struct tile_reader reader;
    buf_clear(&ret_batch->lines);
    ret_batch->count = 0;
    VLT_TRY(tile_reader_init(&reader, folder, size));
    reader.fault = fault;
    vlt_result result = read_on(&reader, first, ret_batch);
    tile_reader_done(&reader);
    if (vlt_is_ok(result))
        find_entries(ret_batch, first);
    return result;
}
