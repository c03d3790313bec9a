// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/log_pruned.h"

#include <stdio.h>

#include "libvault/audit/log_verify.h"
#include "libvault/base/jsontext.h"

#define FILE_NAME "pruned"
#define FILE_MAX_BYTES 64
#define SUBJECT_BEFORE "entries 1 to "

// ---- The file ----

void log_pruned_put(const struct log_pruned *pruned, struct buf *out) {
    buf_put_format(out, "%llu\n%llu\n", (unsigned long long)pruned->until,
                   (unsigned long long)pruned->sequence);
}

static bool take_line(struct bytes *text, uint64_t *ret_number) {
    size_t end = bytes_find(*text, '\n');
    if (end == text->size ||
        !vlt_is_ok(checkpoint_number_parse(bytes_of(text->at, end), ret_number)))
        return false;
    *text = bytes_from(*text, end + 1);
    return true;
}

vlt_result log_pruned_parse(struct bytes text, struct log_pruned *ret_pruned) {
    struct log_pruned pruned;
    if (!take_line(&text, &pruned.until) || !take_line(&text, &pruned.sequence) || text.size ||
        pruned.until == 0 || pruned.until % TILE_WIDTH || pruned.until >= pruned.sequence)
        return vlt_fail(VLT_MALFORMED, "the file pruned is damaged");
    *ret_pruned = pruned;
    return vlt_ok();
}

uint64_t log_pruned_read_old(int folder) {
    uint64_t until = 0;
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    struct bytes rest = {0};
    if (vlt_is_ok(tile_file_read(folder, FILE_NAME, FILE_MAX_BYTES, NULL, &text)))
        rest = buf_bytes(&text);
    bool is_old = take_line(&rest, &until) && !rest.size && until % TILE_WIDTH == 0;
    buf_done(&text);
    return is_old ? until : 0;
}

vlt_result log_pruned_read(int folder, struct fault *fault, struct log_pruned *ret_pruned) {
    struct log_pruned pruned = {0};
    struct buf text;
    buf_init(&text, FILE_MAX_BYTES);
    struct fault unread = {0}; // nothing is wrong where there is no such file
    vlt_result result = tile_file_read(folder, FILE_NAME, FILE_MAX_BYTES, &unread, &text);
    if (vlt_is_ok(result))
        result = log_pruned_parse(buf_bytes(&text), &pruned);
    else if (result.class == VLT_NOT_FOUND)
        result = vlt_ok();
    buf_done(&text);
    if (result.class == VLT_MALFORMED || result.class == VLT_LIMIT)
        return fault_set(fault, VLT_MALFORMED, "the file pruned is damaged",
                         "the file pruned is damaged: it must be two lines, how many entries are "
                         "gone and the number of the entry audit.prune that says so");
    if (!vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason, "%s",
                         fault_or_reason(&unread, result));
    *ret_pruned = pruned;
    return vlt_ok();
}

// ---- The entry ----

void log_pruned_subject(uint64_t until, char ret_subject[LOG_PRUNED_SUBJECT_SIZE]) {
    snprintf(ret_subject, LOG_PRUNED_SUBJECT_SIZE, SUBJECT_BEFORE "%llu",
             (unsigned long long)until);
}

static bool says(const json_t *entry, const char *member, const char *text) {
    const char *said = json_string_value(json_object_get(entry, member));
    return said && strcmp(said, text) == 0;
}

static uint64_t until_of(const json_t *entry) {
    const char *subject = json_string_value(json_object_get(entry, "subject"));
    const size_t before = strlen(SUBJECT_BEFORE);
    uint64_t until = 0;
    if (!says(entry, "kind", "vault") || !says(entry, "operation", LOG_PRUNED_OPERATION) ||
        !says(entry, "outcome", "allow") || !subject ||
        strncmp(subject, SUBJECT_BEFORE, before) != 0 ||
        !vlt_is_ok(checkpoint_number_parse(bytes_of_text(subject + before), &until)))
        return 0;
    return until;
}

uint64_t log_pruned_told(struct bytes entry) {
    static const char operation[] = "\"operation\":\"" LOG_PRUNED_OPERATION "\"";
    json_t *object = NULL;
    if (!entry.size || !memmem(entry.at, entry.size, operation, sizeof operation - 1) ||
        !vlt_is_ok(jsontext_parse(entry, &jsontext_document_limits, NULL, &object)))
        return 0; // most entries are about something else, which is found out without a tree
    uint64_t until = until_of(object);
    json_decref(object);
    return until;
}

// ---- Whether it is in the log ----

static vlt_result lies_under_root(struct tile_reader *reader, const struct checkpoint *at,
                                  uint64_t index, struct bytes entry) {
    const struct merkle_source source = tile_reader_source(reader);
    struct merkle_hash leaf;
    struct merkle_proof proof;
    VLT_TRY(merkle_leaf(entry, &leaf));
    VLT_TRY(merkle_inclusion_prove(&source, index, at->size, &proof));
    return merkle_inclusion_verify(&leaf, index, at->size, &proof, &at->root);
}

static vlt_result check_entry(int folder, const struct checkpoint *at,
                              const struct log_pruned *pruned, const char **ret_why) {
    struct tile_reader reader;
    struct bytes entry;
    VLT_TRY(tile_reader_init(&reader, folder, at->size));
    *ret_why = "which can not be found";
    vlt_result result = tile_reader_entry(&reader, pruned->sequence - 1, &entry);
    if (vlt_is_ok(result)) {
        *ret_why = "which is not what was signed";
        result = lies_under_root(&reader, at, pruned->sequence - 1, entry);
    }
    if (vlt_is_ok(result) && log_pruned_told(entry) < pruned->until) {
        *ret_why = "which does not say so";
        result = vlt_fail(VLT_CRYPTO, "an entry that is not about that");
    }
    tile_reader_done(&reader);
    return result;
}

vlt_result log_pruned_check(int folder, const struct checkpoint *at,
                            const struct log_pruned *pruned, struct fault *fault) {
    const char *why = "which the signed checkpoint does not have";
    vlt_result result = pruned->sequence > at->size
                            ? vlt_fail(VLT_CRYPTO, "an entry beyond the checkpoint")
                            : check_entry(folder, at, pruned, &why);
    if (vlt_is_ok(result) || result.class == VLT_UNAVAILABLE)
        return result;
    return fault_set(fault, VLT_CRYPTO, "the file pruned is forged",
                     "the file pruned says that entries 1 to %llu are gone, and names entry %llu, "
                     "%s",
                     (unsigned long long)pruned->until, (unsigned long long)pruned->sequence, why);
}

// ---- Where it is in the log ----

struct search {
    int folder;
    const struct checkpoint *at;
    uint64_t until; // wanted
    struct log_pruned found;
};

// Each is proved by itself: one that somebody put into a file hides none.
static vlt_result weigh(struct search *search, struct bytes entry, uint64_t sequence) {
    const struct log_pruned said = {log_pruned_told(entry), sequence};
    const bool is_better =
        said.until == search->until || said.until > search->found.until;
    if (!said.until || !is_better || said.until >= sequence)
        return vlt_ok();
    vlt_result result = log_pruned_check(search->folder, search->at, &said, NULL);
    if (vlt_is_ok(result))
        search->found = said;
    return result.class == VLT_UNAVAILABLE ? result : vlt_ok();
}

static vlt_result search_bundle(struct search *search, struct tile_reader *reader,
                                uint64_t number) {
    struct bytes bundle, entry;
    vlt_result result = tile_reader_bundle(reader, number, &bundle);
    if (result.class == VLT_NOT_FOUND || result.class == VLT_MALFORMED)
        return vlt_ok(); // what is gone, or is no log, says nothing
    VLT_TRY(result);
    const unsigned width = tile_width(TILE_ENTRIES, number, reader->size);
    for (unsigned i = 0; i < width && search->found.until != search->until; i++) {
        VLT_TRY(tile_entry_take(&bundle, &entry));
        VLT_TRY(weigh(search, entry, number * TILE_WIDTH + i + 1));
    }
    return vlt_ok();
}

vlt_result log_pruned_find(int folder, const struct checkpoint *at, uint64_t until,
                           struct fault *fault, struct log_pruned *ret_pruned) {
    struct search search = {.folder = folder, .at = at, .until = until};
    struct tile_reader reader;
    const uint64_t bundles = (at->size + TILE_WIDTH - 1) / TILE_WIDTH;
    VLT_TRY(tile_reader_init(&reader, folder, at->size));
    reader.fault = fault;
    vlt_result result = vlt_ok();
    for (uint64_t number = 0;
         vlt_is_ok(result) && number < bundles && search.found.until != until; number++)
        result = search_bundle(&search, &reader, number);
    tile_reader_done(&reader);
    if (!vlt_is_ok(result))
        return result;
    if (fault)
        *fault = (struct fault){0}; // of bundles that were passed over
    *ret_pruned = search.found;
    return vlt_ok();
}

// ---- Both ----

// The newer checkpoint is of the same log.
static vlt_result check_growth(int folder, const struct checkpoint *old,
                               const struct checkpoint *newer) {
    struct tile_reader reader;
    struct merkle_proof proof;
    VLT_TRY(tile_reader_init(&reader, folder, newer->size));
    const struct merkle_source source = tile_reader_source(&reader);
    vlt_result result = merkle_consistency_prove(&source, old->size, newer->size, &proof);
    if (vlt_is_ok(result))
        result =
            merkle_consistency_verify(old->size, &old->root, newer->size, &newer->root, &proof);
    tile_reader_done(&reader);
    return result;
}

vlt_result log_pruned_prove(int folder, const struct checkpoint *at, const struct note_key *key,
                            struct fault *fault, struct log_pruned *ret_pruned) {
    struct log_pruned pruned;
    struct checkpoint newer;
    VLT_TRY(log_pruned_read(folder, fault, &pruned));
    if (pruned.until) {
        bool has_newer = key && at->size && pruned.sequence > at->size &&
                         vlt_is_ok(log_checkpoint(folder, key, NULL, NULL, &newer)) &&
                         newer.size > at->size && vlt_is_ok(check_growth(folder, at, &newer));
        VLT_TRY(log_pruned_check(folder, has_newer ? &newer : at, &pruned, fault));
    }
    *ret_pruned = pruned;
    return vlt_ok();
}
