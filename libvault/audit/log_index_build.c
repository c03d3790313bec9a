// SPDX-License-Identifier: Apache-2.0
// From entries to index files. An entry is one flat object of canonical JSON, so
// one walk over it finds every member.
#include <stdlib.h>

#include "libvault/audit/log_index_rows.h"
#include "libvault/base/wire.h"
#include "libvault/crypto/digest.h"

#define MEMBERS_MAX 64 // of an entry, with every word of its credentials

struct build {
    uint64_t *rows;
    size_t count, capacity;
    char earliest[LOG_INDEX_TIME_SIZE + 1], latest[LOG_INDEX_TIME_SIZE + 1];
};

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

// ---- One entry ----

static vlt_result add_row(struct build *build, uint64_t hash, unsigned bundle) {
    if (build->count == build->capacity) {
        size_t capacity = build->capacity ? build->capacity * 2 : 1u << 16;
        uint64_t *grown = realloc(build->rows, capacity * sizeof *grown);
        if (!grown)
            return vlt_fail(VLT_UNAVAILABLE, "out of memory");
        build->rows = grown;
        build->capacity = capacity;
    }
    build->rows[build->count++] = hash | bundle;
    return vlt_ok();
}

static vlt_result add_words(struct build *build, struct bytes member, struct bytes list,
                            unsigned bundle) {
    while (list.size) {
        size_t end = bytes_find(list, ' ');
        VLT_TRY(add_row(build, log_index_hash(member, bytes_of(list.at, end)), bundle));
        list = bytes_from(list, end < list.size ? end + 1 : end);
    }
    return vlt_ok();
}

static vlt_result add_member(struct build *build, struct bytes member, struct bytes text,
                             unsigned bundle) {
    char time[LOG_INDEX_TIME_SIZE + 1] = "";
    if (bytes_equal_text(member, "time") && bytes_to_text(text, time, sizeof time)) {
        if (!build->earliest[0] || strcmp(time, build->earliest) < 0)
            memcpy(build->earliest, time, sizeof time);
        if (strcmp(time, build->latest) > 0)
            memcpy(build->latest, time, sizeof time);
        return vlt_ok();
    }
    if (!log_index_has_member(member))
        return vlt_ok();
    if (bytes_equal_text(member, "credential"))
        return add_words(build, member, text, bundle);
    return add_row(build, log_index_hash(member, text), bundle);
}

// At an opening quote; the text up to the closing one, as it is spelled.
static bool take_text(struct bytes *rest, struct bytes *ret_text) {
    size_t at = 1;
    if (rest->size < 2 || rest->at[0] != '"')
        return false;
    while (at < rest->size && rest->at[at] != '"')
        at += rest->at[at] == '\\' ? 2 : 1;
    if (at >= rest->size)
        return false;
    *ret_text = bytes_of(rest->at + 1, at - 1);
    *rest = bytes_from(*rest, at + 1);
    return true;
}

static void skip_number(struct bytes *rest) {
    size_t at = 0;
    while (at < rest->size && rest->at[at] != ',' && rest->at[at] != '}')
        at++;
    *rest = bytes_from(*rest, at);
}

static vlt_result add_entry(struct build *build, struct bytes entry, unsigned bundle) {
    static const char why[] = "an entry of the log is not what the vault writes";
    if (entry.size < 2 || entry.at[0] != '{')
        return vlt_fail(VLT_MALFORMED, why);
    for (size_t i = 0; i < MEMBERS_MAX; i++) {
        struct bytes member, text = {NULL, 0};
        entry = bytes_from(entry, 1); // the brace, or the comma
        if (!take_text(&entry, &member) || entry.size == 0 || entry.at[0] != ':')
            return vlt_fail(VLT_MALFORMED, why);
        entry = bytes_from(entry, 1);
        if (entry.size && entry.at[0] != '"')
            skip_number(&entry);
        else if (!take_text(&entry, &text))
            return vlt_fail(VLT_MALFORMED, why);
        if (text.size)
            VLT_TRY(add_member(build, member, text, bundle));
        if (entry.size == 1 && entry.at[0] == '}')
            return vlt_ok();
        if (entry.size == 0 || entry.at[0] != ',')
            return vlt_fail(VLT_MALFORMED, why);
    }
    return vlt_fail(VLT_MALFORMED, why);
}

// ---- A span ----

// Most texts come again and again within a bundle.
static void forget_repeated(struct build *build, size_t from) {
    size_t kept = from;
    qsort(build->rows + from, build->count - from, sizeof *build->rows, compare);
    for (size_t i = from; i < build->count; i++)
        if (kept == from || build->rows[kept - 1] != build->rows[i])
            build->rows[kept++] = build->rows[i];
    build->count = kept;
}

static vlt_result add_bundle(struct build *build, struct tile_reader *reader, uint64_t number,
                             unsigned bundle) {
    struct bytes rest, entry;
    size_t begins = build->count;
    VLT_TRY(tile_reader_bundle(reader, number * TILE_WIDTH + bundle, &rest));
    for (unsigned i = 0; i < TILE_WIDTH; i++) {
        VLT_TRY(tile_entry_take(&rest, &entry));
        VLT_TRY(add_entry(build, entry, bundle));
    }
    if (build->count > begins)
        forget_repeated(build, begins);
    return vlt_ok();
}

static vlt_result write_file(struct build *build, uint64_t number, const struct merkle_hash *root,
                             int folder, struct fault *fault) {
    size_t size = LOG_INDEX_HEAD_BYTES + build->count * 8 + 32;
    uint8_t *content = size <= LOG_INDEX_MAX_BYTES ? malloc(size) : NULL;
    char name[LOG_INDEX_NAME_SIZE];
    struct wire_writer w;
    if (!content)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    wire_writer_init(&w, content, size);
    wire_put_raw(&w, bytes_of(LOG_INDEX_MAGIC, 16));
    wire_put_u64(&w, number);
    wire_put_raw(&w, bytes_of(root->at, sizeof root->at));
    wire_put_raw(&w, bytes_of(build->earliest, LOG_INDEX_TIME_SIZE));
    wire_put_raw(&w, bytes_of(build->latest, LOG_INDEX_TIME_SIZE));
    wire_put_u32(&w, (uint32_t)build->count);
    for (size_t i = 0; i < build->count; i++)
        wire_put_u64(&w, build->rows[i]);
    vlt_result result = digest_sha256(bytes_of(content, w.size), content + w.size);
    log_index_name(number, name);
    if (vlt_is_ok(result))
        result = tile_file_write(folder, name, bytes_of(content, size), true, fault);
    free(content);
    return result;
}

vlt_result log_index_build(struct tile_reader *reader, uint64_t number, int folder,
                           struct fault *fault) {
    struct build build = {.rows = NULL};
    struct merkle_hash root;
    vlt_result result = log_index_root(reader, number, &root);
    for (unsigned bundle = 0; vlt_is_ok(result) && bundle < TILE_WIDTH; bundle++)
        result = add_bundle(&build, reader, number, bundle);
    if (vlt_is_ok(result)) {
        if (build.count)
            forget_repeated(&build, 0);
        result = write_file(&build, number, &root, folder, fault);
    }
    free(build.rows);
    return result;
}
