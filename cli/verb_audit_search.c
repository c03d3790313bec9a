// SPDX-License-Identifier: Apache-2.0
// Finding entries in a log's files.
#include <stdio.h>
#include <stdlib.h>

#include "cli/audit_log.h"
#include "cli/verbs.h"
#include "libvault/base/jsontext.h"

#define FILTERS_MAX 16

struct filter {
    const char *member;
    struct buf wanted; // as it stands in an entry: escaped, without quotes
    bool is_list;      // texts joined by a space: one of them
};
struct search {
    struct command *command;
    struct filter filters[FILTERS_MAX];
    size_t filter_count;
    const char *since, *until; // beginnings of RFC 3339 texts compare as texts
    uint64_t left;
    int status;
};

static void add_filter(struct search *search, const char *member, const char *text, bool is_list) {
    struct buf quoted;
    if (!text || search->filter_count == FILTERS_MAX)
        return;
    struct filter *filter = &search->filters[search->filter_count++];
    filter->member = member;
    filter->is_list = is_list;
    buf_init(&quoted, 8192);
    buf_init(&filter->wanted, 8192);
    jsontext_put_string(&quoted, bytes_of_text(text));
    if (quoted.size >= 2)
        buf_put(&filter->wanted, bytes_of(quoted.at + 1, quoted.size - 2));
    buf_done(&quoted);
}

static void search_done(struct search *search) {
    for (size_t i = 0; i < search->filter_count; i++)
        buf_done(&search->filters[i].wanted);
}

static bool holds_one(struct bytes list, struct bytes wanted) {
    while (list.size) {
        size_t end = bytes_find(list, ' ');
        if (bytes_equal(bytes_of(list.at, end), wanted))
            return true;
        list = bytes_from(list, end + 1);
    }
    return false;
}

static bool is_in_time(const struct search *search, struct bytes entry) {
    if (!search->since && !search->until)
        return true;
    struct bytes time = audit_entry_member(entry, "time");
    char text[64];
    if (!bytes_to_text(time, text, sizeof text))
        return false;
    return (!search->since || strcmp(text, search->since) >= 0) && (!search->until || strcmp(text, search->until) < 0);
}

static bool fits(const struct search *search, struct bytes entry) {
    for (size_t i = 0; i < search->filter_count; i++) {
        const struct filter *filter = &search->filters[i];
        struct bytes wanted = buf_bytes(&filter->wanted), got = audit_entry_member(entry, filter->member);
        if (filter->is_list ? !holds_one(got, wanted) : !bytes_equal(got, wanted))
            return false;
    }
    return is_in_time(search, entry);
}

static vlt_result search_entries(struct search *search, struct tile_reader *reader, uint64_t first, uint64_t end) {
    for (uint64_t index = first; index < end && search->left && search->status == EXIT_OK;) {
        struct bytes bundle, entry;
        VLT_TRY(tile_reader_bundle(reader, index / TILE_WIDTH, &bundle));
        uint64_t stop = (index / TILE_WIDTH + 1) * TILE_WIDTH;
        for (uint64_t at = index / TILE_WIDTH * TILE_WIDTH; at < stop && at < end && search->left; at++) {
            VLT_TRY(tile_entry_take(&bundle, &entry));
            if (at < first || !fits(search, entry))
                continue;
            search->left--;
            search->status = audit_entry_show(search->command, entry);
        }
        index = stop;
    }
    return vlt_ok();
}

// Entries [first, end) of the log, end bounded by its checkpoint.
static int search_log(struct search *search, uint64_t first, uint64_t end) {
    struct audit_log log;
    struct checkpoint checkpoint;
    struct tile_reader reader;
    struct fault fault = {0};
    int status = audit_log_open(search->command, NULL, &log);
    if (status != EXIT_OK)
        return status;
    vlt_result result = log_checkpoint(log.folder, &log.key, &fault, NULL, &checkpoint);
    if (vlt_is_ok(result))
        result = tile_reader_init(&reader, log.folder, checkpoint.size);
    if (vlt_is_ok(result)) {
        reader.fault = &fault;
        result = search_entries(search, &reader, first, end < checkpoint.size ? end : checkpoint.size);
        tile_reader_done(&reader);
    }
    audit_log_close(&log);
    if (!vlt_is_ok(result))
        return command_fail(search->command, result, &fault);
    return fflush(stdout) == 0 ? search->status : EXIT_FAILED;
}

static int run_search(struct command *command) {
    struct search search = {.command = command, .left = UINT64_MAX};
    struct fault fault = {0};
    unsigned long count = 0;
    if (!vlt_is_ok(command_number(command, "--count", 1000000000, 0, &fault, &count)))
        return command_usage(command, "%s", fault.text);
    if (count)
        search.left = count;
    search.since = command_option(command, "--since");
    search.until = command_option(command, "--until");
    add_filter(&search, "principal", command_option(command, "--principal"), false);
    add_filter(&search, "credential", command_option(command, "--credential"), true);
    add_filter(&search, "outcome", command_option(command, "--decision"), false);
    add_filter(&search, "correlation", command_option(command, "--correlation"), false);
    add_filter(&search, "token_id", command_option(command, "--token-id"), false);
    add_filter(&search, "operation", command_option(command, "--operation"), false);
    add_filter(&search, "tenant", command_option(command, "--tenant"), false);
    int status = search_log(&search, 0, UINT64_MAX);
    search_done(&search);
    return status;
}

static int run_show(struct command *command) {
    struct search search = {.command = command, .left = UINT64_MAX};
    uint64_t before = search.left;
    add_filter(&search, "correlation", command->arguments[0], false);
    int status = search_log(&search, 0, UINT64_MAX);
    search_done(&search);
    if (status == EXIT_OK && search.left == before)
        return command_fail(command, vlt_fail(VLT_NOT_FOUND, "no entry has that correlation id"), NULL);
    return status;
}

static int run_export(struct command *command) {
    struct search search = {.command = command, .left = UINT64_MAX};
    struct fault fault = {0};
    unsigned long first = 0, last = 0;
    if (!vlt_is_ok(command_number(command, "--first", INT64_MAX, 1, &fault, &first)) ||
        !vlt_is_ok(command_number(command, "--last", INT64_MAX, INT64_MAX, &fault, &last)) || first == 0)
        return command_usage(command, "%s", fault.text[0] ? fault.text : "--first must be above 0");
    command->wants_json = true; // an export is what the log holds, byte for byte
    return search_log(&search, first - 1, last);
}

static const struct option_spec search_options[] = {
    AUDIT_LOG_OPTIONS,
    {"--principal", OPTION_VALUE, "ISSUER|SUBJECT", "who acted", 0},
    {"--credential", OPTION_VALUE, "NAME", "on which credential", 0},
    {"--decision", OPTION_VALUE, "allow|deny|error", "what was decided", 0},
    {"--correlation", OPTION_VALUE, "ID", "which request", 0},
    {"--token-id", OPTION_VALUE, "JTI", "with which token", 0},
    {"--operation", OPTION_VALUE, "NAME", "which operation, like credential.put", 0},
    {"--since", OPTION_VALUE, "TIME", "from this time on: 2026-11-21, or 2026-11-21T10:30:00Z", 0},
    {"--until", OPTION_VALUE, "TIME", "before this time", 0},
    {"--count", OPTION_VALUE, "NUMBER", "no more than this", 0},
    {0}};
static const struct option_spec show_options[] = {AUDIT_LOG_OPTIONS, {0}};
static const struct option_spec export_options[] = {
    AUDIT_LOG_OPTIONS,
    {"--first", OPTION_VALUE, "NUMBER", "first entry (default 1)", 0},
    {"--last", OPTION_VALUE, "NUMBER", "last entry (default: the last of the checkpoint)", 0},
    {0}};

const struct verb verb_audit_search = {
    .noun = "audit", .name = "search", .arguments = "",
    .summary = "Find entries by who, what, when and how it was decided",
    .details = "Reads the log's files. Every option narrows the search; texts must match as a whole.",
    .examples = "  vaultctl audit search --principal 'https://idp.example|alice' --decision deny\n"
                "  vaultctl audit search --credential openai-prod --since 2026-11-21 --json\n",
    .options = search_options, .run = run_search};
const struct verb verb_audit_show = {
    .noun = "audit", .name = "show", .arguments = "CORRELATION", .argument_min = 1, .argument_max = 1,
    .summary = "Show everything about one request, in order",
    .details = "The correlation id is in the answer to the client and in the request to the provider.",
    .examples = "  vaultctl audit show 5f1c0a6e2b9d4e77\n",
    .options = show_options, .run = run_show};
const struct verb verb_audit_export = {
    .noun = "audit", .name = "export", .arguments = "",
    .summary = "Write entries as JSON lines, byte for byte as they were signed",
    .examples = "  vaultctl audit export --first 1 --last 1000 > entries.jsonl\n",
    .options = export_options, .run = run_export};
