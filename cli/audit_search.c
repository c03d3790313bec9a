// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_search.h"

#include <stdio.h>

#include "libvault/base/jsontext.h"

void audit_search_init(struct audit_search *search, struct command *command,
                       int (*each)(struct audit_search *search, struct bytes entry)) {
    *search = (struct audit_search){
        .command = command, .end = UINT64_MAX, .left = UINT64_MAX, .each = each};
}

void audit_search_done(struct audit_search *search) {
    for (size_t i = 0; i < search->filter_count; i++)
        buf_done(&search->filters[i].wanted);
}

void audit_search_filter(struct audit_search *search, const char *member, const char *text,
                         bool is_list) {
    struct buf quoted;
    if (!text || search->filter_count == AUDIT_FILTERS_MAX)
        return;
    struct audit_filter *filter = &search->filters[search->filter_count++];
    filter->member = member;
    filter->is_list = is_list;
    buf_init(&quoted, 8192);
    buf_init(&filter->wanted, 8192);
    jsontext_put_string(&quoted, bytes_of_text(text));
    if (quoted.size >= 2)
        buf_put(&filter->wanted, bytes_of(quoted.at + 1, quoted.size - 2));
    buf_done(&quoted);
}

static int set_time(struct audit_search *search, const char *option, const char *text,
                    char time[CLOCK_TEXT_SIZE]) {
    if (text && !vlt_is_ok(timestamp_normal(text, time)))
        return command_usage(search->command,
                             "%s: \"%s\" is not a time like 2026-11-21 or 2026-11-21T10:30:00Z",
                             option, text);
    return EXIT_OK;
}

int audit_search_time(struct audit_search *search, const char *since, const char *until) {
    int status = set_time(search, "--since", since, search->since);
    return status == EXIT_OK ? set_time(search, "--until", until, search->until) : status;
}

// ---- One entry ----

static bool holds_one(struct bytes list, struct bytes wanted) {
    while (list.size) {
        size_t end = bytes_find(list, ' ');
        if (bytes_equal(bytes_of(list.at, end), wanted))
            return true;
        list = bytes_from(list, end + 1);
    }
    return false;
}

static bool is_in_time(const struct audit_search *search, struct bytes entry) {
    if (!search->since[0] && !search->until[0])
        return true;
    struct bytes time = audit_entry_member(entry, "time");
    char text[64];
    if (!bytes_to_text(time, text, sizeof text))
        return false;
    return strcmp(text, search->since) >= 0 &&
           (!search->until[0] || strcmp(text, search->until) < 0);
}

static bool fits(const struct audit_search *search, struct bytes entry) {
    for (size_t i = 0; i < search->filter_count; i++) {
        const struct audit_filter *filter = &search->filters[i];
        struct bytes wanted = buf_bytes(&filter->wanted);
        struct bytes got = audit_entry_member(entry, filter->member);
        if (filter->is_list ? !holds_one(got, wanted) : !bytes_equal(got, wanted))
            return false;
    }
    return is_in_time(search, entry);
}

// ---- One bundle, one span, the log ----

struct walk {
    struct audit_search *search;
    struct tile_reader reader;
    struct audit_index index;
    uint64_t first, end; // of what is looked at
    uint64_t pruned;     // entries before this one are not there
    int status;
};

static bool goes_on(const struct walk *walk) {
    return walk->search->left && walk->status == EXIT_OK;
}

// What is shown is at least what the tile has; whether that was signed is for verify.
static vlt_result compare_leaf(struct walk *walk, uint64_t index, struct bytes entry) {
    const struct merkle_source source = tile_reader_source(&walk->reader);
    struct merkle_hash leaf, stored;
    VLT_TRY(merkle_leaf(entry, &leaf));
    VLT_TRY(source.read(0, index, source.context, &stored));
    return merkle_hash_equal(&leaf, &stored)
               ? vlt_ok()
               : fault_set(walk->reader.fault, VLT_CRYPTO, "an entry is not what was signed",
                           "entry %llu does not give the hash that its tile holds: "
                           "`vaultctl audit verify` says what else is wrong",
                           (unsigned long long)index + 1);
}

static vlt_result look_in_bundle(struct walk *walk, uint64_t number) {
    struct audit_search *search = walk->search;
    struct bytes bundle, entry;
    uint64_t at = number * TILE_WIDTH, stop = at + TILE_WIDTH;
    VLT_TRY(tile_reader_bundle(&walk->reader, number, &bundle));
    for (; at < stop && at < walk->end && goes_on(walk); at++) {
        VLT_TRY(tile_entry_take(&bundle, &entry));
        if (at < walk->first || !fits(search, entry))
            continue;
        if (search->compares)
            VLT_TRY(compare_leaf(walk, at, entry));
        search->left--;
        walk->status = search->each(search, entry);
    }
    return vlt_ok();
}

// False: nothing in the span was written in that time.
static bool may_be_in_time(const struct audit_search *search, const struct log_index *file) {
    return strcmp(file->latest, search->since) >= 0 &&
           (!search->until[0] || strcmp(file->earliest, search->until) < 0);
}

// The span's index, built when need be. Where that does not work, nothing more is
// built in this search.
static bool open_index(struct walk *walk, uint64_t number, struct log_index *ret_file) {
    struct fault fault = {0};
    if (walk->index.folder < 0 || (number + 1) * LOG_INDEX_SPAN > walk->reader.size ||
        number * LOG_INDEX_SPAN < walk->pruned)
        return false;
    vlt_result result = audit_index_file(walk->search->command, &walk->index, number, &walk->reader,
                                         &fault, ret_file, NULL);
    if (vlt_is_ok(result))
        return true;
    fprintf(stderr, "vaultctl: the index can not be used from here on: %s; every entry is read\n",
            fault_or_reason(&fault, result));
    audit_index_close(&walk->index);
    return false;
}

// Bundles of the span that may hold what fits every filter.
static void choose_bundles(struct walk *walk, uint64_t number, uint64_t bundles[4]) {
    struct log_index file;
    const struct audit_search *search = walk->search;
    memset(bundles, 0xff, 4 * sizeof *bundles);
    if (!open_index(walk, number, &file))
        return; // every one
    if (!may_be_in_time(search, &file))
        memset(bundles, 0, 4 * sizeof *bundles);
    for (size_t i = 0; i < search->filter_count; i++) {
        uint64_t some[4];
        log_index_find(&file, search->filters[i].member, buf_bytes(&search->filters[i].wanted),
                       some);
        for (size_t w = 0; w < 4; w++)
            bundles[w] &= some[w];
    }
    log_index_close(&file);
}

static vlt_result look_in_span(struct walk *walk, uint64_t number) {
    uint64_t bundles[4], first = number * TILE_WIDTH;
    choose_bundles(walk, number, bundles);
    for (uint64_t i = 0; i < TILE_WIDTH && goes_on(walk); i++) {
        uint64_t begins = (first + i) * TILE_WIDTH;
        if (begins >= walk->end)
            return vlt_ok();
        if (begins + TILE_WIDTH > walk->first && bundles[i / 64] >> (i & 63) & 1)
            VLT_TRY(look_in_bundle(walk, first + i));
    }
    return vlt_ok();
}

static bool every_filter_is_indexed(const struct audit_search *search) {
    for (size_t i = 0; i < search->filter_count; i++)
        if (!log_index_has_member(bytes_of_text(search->filters[i].member)))
            return false;
    return search->filter_count > 0 || search->since[0] || search->until[0];
}

// Entries that were pruned are looked at in the archive. Without one the search begins
// behind them, and says so to whoever could miss something.
static vlt_result begin_behind_pruned(struct walk *walk, const struct audit_log *log,
                                      const struct checkpoint *at, struct fault *fault) {
    struct log_pruned pruned;
    walk->first = walk->search->first;
    if (log->archive >= 0)
        return vlt_ok();
    VLT_TRY(log_pruned_prove(log->folder, at, &log->key, fault, &pruned));
    walk->pruned = pruned.until;
    if (walk->first >= walk->pruned)
        return vlt_ok();
    walk->first = walk->pruned;
    if (!walk->search->is_quiet)
        fprintf(stderr,
                "vaultctl: entries 1 to %llu were pruned and are not looked at (--archive)\n",
                (unsigned long long)walk->pruned);
    return vlt_ok();
}

static vlt_result note_beginning(struct walk *walk) {
    struct bytes entry;
    if (walk->pruned >= walk->reader.size)
        return vlt_ok();
    VLT_TRY(tile_reader_entry(&walk->reader, walk->pruned, &entry));
    char *begins = walk->search->begins;
    return bytes_to_text(audit_entry_member(entry, "time"), begins, CLOCK_TEXT_SIZE)
               ? vlt_ok()
               : vlt_fail(VLT_MALFORMED, "an entry of the log has no time");
}

static vlt_result walk_log(struct walk *walk, const struct audit_log *log, struct fault *fault) {
    struct audit_search *search = walk->search;
    struct checkpoint checkpoint;
    VLT_TRY(log_checkpoint(log->folder, &log->key, fault, NULL, &checkpoint));
    VLT_TRY(begin_behind_pruned(walk, log, &checkpoint, fault));
    VLT_TRY(tile_reader_init(&walk->reader, log->folder, checkpoint.size));
    walk->reader.fault = fault;
    walk->reader.archive = log->archive;
    walk->end = search->end < checkpoint.size ? search->end : checkpoint.size;
    walk->index.folder = -1;
    if (search->uses_index && every_filter_is_indexed(search))
        audit_index_open(search->command, checkpoint.origin, &walk->index);
    vlt_result result = note_beginning(walk);
    for (uint64_t number = walk->first / LOG_INDEX_SPAN;
         vlt_is_ok(result) && goes_on(walk) && number * LOG_INDEX_SPAN < walk->end; number++)
        result = look_in_span(walk, number);
    audit_index_close(&walk->index);
    tile_reader_done(&walk->reader);
    return result;
}

int audit_search_run(struct audit_search *search) {
    struct walk walk = {.search = search, .status = EXIT_OK};
    struct audit_log log;
    struct fault fault = {0};
    int status = audit_log_open(search->command, NULL, &log);
    if (status != EXIT_OK)
        return status;
    vlt_result result = walk_log(&walk, &log, &fault);
    audit_log_close(&log);
    if (!vlt_is_ok(result))
        return command_fail(search->command, result, &fault);
    return fflush(stdout) == 0 ? walk.status : EXIT_FAILED;
}
