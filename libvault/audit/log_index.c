// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/log_index.h"

#include <stdio.h>

#include "libvault/audit/log_index_rows.h"
#include "libvault/base/wire.h"
#include "libvault/crypto/digest.h"

static const char *const members[] = {"actor",      "administrator", "client",    "correlation",
                                      "credential", "forwarder",     "operation", "outcome",
                                      "principal",  "subject",       "tenant",    "token_id"};

bool log_index_has_member(struct bytes member) {
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (bytes_equal_text(member, members[i]))
            return true;
    return false;
}

void log_index_name(uint64_t number, char ret_name[LOG_INDEX_NAME_SIZE]) {
    snprintf(ret_name, LOG_INDEX_NAME_SIZE, "%020llu", (unsigned long long)number);
}

// Eight bytes at a time. Who finds collisions makes a search read a bundle for
// nothing.
static uint64_t mix(uint64_t hash, struct bytes text) {
    for (size_t at = 0; at < text.size; at += 8) {
        uint64_t word = 0;
        size_t left = text.size - at;
        memcpy(&word, text.at + at, left < 8 ? left : 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    hash = (hash ^ text.size) * 0xbf58476d1ce4e5b9u;
    return hash ^ hash >> 32;
}

uint64_t log_index_hash(struct bytes member, struct bytes text) {
    return mix(mix(0, member), text) & ~(uint64_t)0xff;
}

vlt_result log_index_root(struct tile_reader *reader, uint64_t number,
                          struct merkle_hash *ret_root) {
    struct merkle_source source = tile_reader_source(reader);
    return source.read(2 * TILE_HEIGHT, number, source.context, ret_root);
}

// ---- Reading ----

static void take_time(struct wire_reader *r, char ret_time[LOG_INDEX_TIME_SIZE + 1]) {
    struct bytes padded = wire_get_raw(r, LOG_INDEX_TIME_SIZE);
    size_t size = padded.at ? strnlen((const char *)padded.at, padded.size) : 0;
    if (size)
        memcpy(ret_time, padded.at, size);
    ret_time[size] = 0;
}

static vlt_result check_end(struct bytes content) {
    uint8_t hash[32];
    if (content.size < LOG_INDEX_HEAD_BYTES + sizeof hash)
        return vlt_fail(VLT_CRYPTO, "an index file is cut off");
    struct bytes before = bytes_of(content.at, content.size - sizeof hash);
    VLT_TRY(digest_sha256(before, hash));
    return bytes_equal(bytes_of(hash, sizeof hash), bytes_from(content, before.size))
               ? vlt_ok()
               : vlt_fail(VLT_CRYPTO, "an index file is damaged");
}

static vlt_result take_head(struct log_index *index, uint64_t number,
                            struct merkle_hash *ret_root) {
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(index->content.at, index->content.size - 32));
    struct bytes magic = wire_get_raw(&r, 16);
    uint64_t is_number = wire_get_u64(&r);
    struct bytes root = wire_get_raw(&r, sizeof ret_root->at);
    take_time(&r, index->earliest);
    take_time(&r, index->latest);
    index->row_count = wire_get_u32(&r);
    if (r.failed || !bytes_equal(magic, bytes_of(LOG_INDEX_MAGIC, 16)) || is_number != number ||
        r.size - r.next != index->row_count * 8)
        return vlt_fail(VLT_CRYPTO, "not an index file of these entries");
    index->rows = r.at + r.next;
    memcpy(ret_root->at, root.at, sizeof ret_root->at);
    return vlt_ok();
}

static vlt_result check(struct log_index *index, uint64_t number, struct tile_reader *reader) {
    struct merkle_hash root, is_root;
    VLT_TRY(check_end(buf_bytes(&index->content)));
    VLT_TRY(take_head(index, number, &is_root));
    VLT_TRY(log_index_root(reader, number, &root));
    return merkle_hash_equal(&root, &is_root)
               ? vlt_ok()
               : vlt_fail(VLT_CRYPTO, "an index file of another log");
}

vlt_result log_index_open(int folder, uint64_t number, struct tile_reader *reader,
                          struct log_index *ret_index) {
    struct log_index index = {.rows = NULL};
    char name[LOG_INDEX_NAME_SIZE];
    log_index_name(number, name);
    buf_init(&index.content, LOG_INDEX_MAX_BYTES);
    vlt_result result = tile_file_read(folder, name, LOG_INDEX_MAX_BYTES, NULL, &index.content);
    if (vlt_is_ok(result))
        result = check(&index, number, reader);
    if (!vlt_is_ok(result)) {
        buf_done(&index.content);
        return result;
    }
    *ret_index = index;
    return vlt_ok();
}

void log_index_close(struct log_index *index) {
    buf_done(&index->content);
}

// ---- Finding ----

static uint64_t row_at(const struct log_index *index, size_t i) {
    uint64_t row = 0;
    for (size_t byte = 0; byte < 8; byte++)
        row = row << 8 | index->rows[i * 8 + byte];
    return row;
}

void log_index_find(const struct log_index *index, const char *member, struct bytes text,
                    uint64_t ret_bundles[4]) {
    uint64_t hash = log_index_hash(bytes_of_text(member), text);
    size_t low = 0, high = index->row_count; // the first row that is not below
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row_at(index, middle) < hash)
            low = middle + 1;
        else
            high = middle;
    }
    memset(ret_bundles, 0, 4 * sizeof *ret_bundles);
    for (; low < index->row_count; low++) {
        uint64_t row = row_at(index, low);
        if (row >> 8 != hash >> 8)
            return;
        ret_bundles[(row & 0xff) / 64] |= (uint64_t)1 << (row & 63);
    }
}
