// SPDX-License-Identifier: Apache-2.0
// Finding entries in a log's files.
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/audit_search.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "libvault/audit/pseudonym.h"

static int show(struct audit_search *search, struct bytes entry) {
    return audit_entry_show(search->command, entry);
}

// A person's name, as it stands in a log with pseudonyms.
static const char *name_in_log(const struct bytes key, const char *name,
                               char room[PSEUDONYM_TEXT_MAX]) {
    struct bytes pseudonym;
    if (!name || !key.size)
        return name;
    return vlt_is_ok(pseudonym_of(key, bytes_of_text(name), room, &pseudonym)) ? room : name;
}

static int read_pseudonym_key(struct command *command, struct buf *content, struct bytes *ret_key) {
    struct fault fault = {0};
    const char *path = command_option(command, "--pseudonym-key");
    if (!path)
        return EXIT_OK;
    vlt_result result = file_read(path, 4096, content, &fault);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    size_t size = bytes_find(buf_bytes(content), '\n');
    *ret_key = bytes_of(content->at, size);
    return size >= PSEUDONYM_KEY_MIN
               ? EXIT_OK
               : command_usage(command, "%s holds no key for pseudonyms", path);
}

static int search_with(struct command *command, const struct bytes key) {
    char principal[PSEUDONYM_TEXT_MAX], actor[PSEUDONYM_TEXT_MAX];
    char administrator[PSEUDONYM_TEXT_MAX];
    struct audit_search search;
    struct fault fault = {0};
    unsigned long count = 0;
    if (!vlt_is_ok(command_number(command, "--count", 1000000000, ULONG_MAX, &fault, &count)) ||
        count == 0)
        return command_usage(command, "%s", fault.text[0] ? fault.text : "--count must be above 0");
    audit_search_init(&search, command, show);
    search.uses_index = search.compares = true;
    search.left = count;
    audit_search_filter(&search, "principal",
                        name_in_log(key, command_option(command, "--principal"), principal), false);
    audit_search_filter(&search, "actor",
                        name_in_log(key, command_option(command, "--actor"), actor), false);
    audit_search_filter(
        &search, "administrator",
        name_in_log(key, command_option(command, "--administrator"), administrator), false);
    audit_search_filter(&search, "credential", command_option(command, "--credential"), true);
    audit_search_filter(&search, "outcome", command_option(command, "--decision"), false);
    audit_search_filter(&search, "correlation", command_option(command, "--correlation"), false);
    audit_search_filter(&search, "token_id", command_option(command, "--token-id"), false);
    audit_search_filter(&search, "operation", command_option(command, "--operation"), false);
    audit_search_filter(&search, "tenant", audit_tenant(command), false);
    int status = audit_search_time(&search, command_option(command, "--since"),
                                   command_option(command, "--until"));
    if (status == EXIT_OK)
        status = audit_search_run(&search);
    if (status == EXIT_OK && search.left == count)
        audit_tenant_hint(command);
    audit_search_done(&search);
    return status;
}

// An option that can fit nothing would read as an answer: nothing was found.
static int check_filters(struct command *command) {
    static const char *const texts[] = {"--principal",  "--actor",       "--administrator",
                                        "--credential", "--decision",    "--correlation",
                                        "--token-id",   "--operation"};
    const char *decision = command_option(command, "--decision");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = command_option(command, texts[i]);
        if (text && !text[0])
            return command_usage(command, "%s is empty", texts[i]);
    }
    if (decision && strcmp(decision, "allow") != 0 && strcmp(decision, "deny") != 0 &&
        strcmp(decision, "error") != 0)
        return command_usage(command, "--decision: \"%s\" is not allow, deny or error", decision);
    return EXIT_OK;
}

static int run_search(struct command *command) {
    struct bytes key = {NULL, 0};
    struct buf content;
    buf_init(&content, 4096);
    int status = check_filters(command);
    if (status == EXIT_OK)
        status = read_pseudonym_key(command, &content, &key);
    if (status == EXIT_OK)
        status = search_with(command, key);
    buf_done(&content);
    return status;
}

static int run_export(struct command *command) {
    struct audit_search search;
    struct fault fault = {0};
    unsigned long first = 0, last = 0;
    if (!vlt_is_ok(command_number(command, "--first", INT64_MAX, 1, &fault, &first)) ||
        !vlt_is_ok(command_number(command, "--last", INT64_MAX, INT64_MAX, &fault, &last)) ||
        first == 0)
        return command_usage(command, "%s", fault.text[0] ? fault.text : "--first must be above 0");
    if (command_option(command, "--tenant"))
        return command_usage(command, "an export is the log as it was signed, of every tenant: "
                                      "`vaultctl audit search --json` takes --tenant");
    if (last < first)
        return command_usage(command, "--last is before --first");
    command->wants_json = true; // an export is what the log holds, byte for byte
    audit_search_init(&search, command, show);
    search.compares = true;
    search.first = first - 1;
    search.end = last;
    int status = audit_search_run(&search);
    audit_search_done(&search);
    return status;
}

// ---- The index by itself ----

static int index_report(struct command *command, uint64_t files, uint64_t built) {
    uint64_t entries = files * LOG_INDEX_SPAN;
    if (command->wants_json)
        return command_print_json(json_pack("{s:I, s:I, s:I}", "files", (json_int_t)files, "built",
                                            (json_int_t)built, "entries", (json_int_t)entries));
    printf("%llu entries are indexed in %llu files; %llu of them were made now\n",
           (unsigned long long)entries, (unsigned long long)files, (unsigned long long)built);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

// Spans of which something was pruned, and that no archive has, are left out.
static vlt_result index_all(struct command *command, const struct audit_log *log,
                            const struct checkpoint *at, struct tile_reader *reader,
                            struct fault *fault, uint64_t *ret_built) {
    struct audit_index index;
    struct log_pruned pruned = {0};
    vlt_result result = vlt_ok();
    uint64_t files = reader->size / LOG_INDEX_SPAN, built = 0;
    if (reader->archive < 0)
        VLT_TRY(log_pruned_prove(log->folder, at, &log->key, fault, &pruned));
    uint64_t first = (pruned.until + LOG_INDEX_SPAN - 1) / LOG_INDEX_SPAN;
    audit_index_open(command, at->origin, &index);
    if (index.folder < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "there is no place for an index",
                         "there is no place for an index: give one with --index");
    for (uint64_t number = first; vlt_is_ok(result) && number < files; number++) {
        struct log_index file;
        bool was_built = false;
        result = audit_index_file(command, &index, number, reader, fault, &file, &was_built);
        if (vlt_is_ok(result))
            log_index_close(&file);
        built += was_built;
    }
    audit_index_close(&index);
    *ret_built = built;
    return result;
}

static int run_index(struct command *command) {
    struct audit_log log;
    struct checkpoint checkpoint;
    struct tile_reader reader;
    struct fault fault = {0};
    uint64_t built = 0;
    int status = audit_log_open(command, NULL, &log);
    if (status != EXIT_OK)
        return status;
    vlt_result result = log_checkpoint(log.folder, &log.key, &fault, NULL, &checkpoint);
    if (vlt_is_ok(result))
        result = tile_reader_init(&reader, log.folder, checkpoint.size);
    if (vlt_is_ok(result)) {
        reader.fault = &fault;
        reader.archive = log.archive;
        result = index_all(command, &log, &checkpoint, &reader, &fault, &built);
        tile_reader_done(&reader);
    }
    audit_log_close(&log);
    return vlt_is_ok(result) ? index_report(command, checkpoint.size / LOG_INDEX_SPAN, built)
                             : command_fail(command, result, &fault);
}

static const struct option_spec search_options[] = {
    AUDIT_LOG_OPTIONS,
    AUDIT_ARCHIVE_OPTION,
    AUDIT_INDEX_OPTIONS,
    {"--principal", OPTION_VALUE, "ISSUER|SUBJECT", "who asked for a token or used one", 0},
    {"--actor", OPTION_VALUE, "ISSUER|SUBJECT", "which agent acted for somebody", 0},
    {"--administrator", OPTION_VALUE, "WHO",
     "who administered: ISSUER|SUBJECT, \"uid 1000 (alice)\", or vaultd by itself", 0},
    {"--credential", OPTION_VALUE, "NAME", "on which credential", 0},
    {"--decision", OPTION_VALUE, "allow|deny|error", "what was decided", 0},
    {"--correlation", OPTION_VALUE, "ID", "which request", 0},
    {"--token-id", OPTION_VALUE, "JTI", "with which token", 0},
    {"--operation", OPTION_VALUE, "NAME", "which operation, like credential.put", 0},
    {"--since", OPTION_VALUE, "TIME",
     "from this time on (UTC, or with an offset): 2026-11-21, 2026-11-21T10:30:00Z", 0},
    {"--until", OPTION_VALUE, "TIME", "before this time", 0},
    {"--count", OPTION_VALUE, "NUMBER", "no more than this", 0},
    AUDIT_ALL_TENANTS_OPTION,
    {"--pseudonym-key", OPTION_VALUE, "FILE", "key of a log in which persons have pseudonyms", 0},
    {0}};
static const struct option_spec index_options[] = {
    AUDIT_LOG_OPTIONS,
    AUDIT_ARCHIVE_OPTION,
    {"--index", OPTION_VALUE, "DIR",
     "where the index is kept (default: $VAULTCTL_AUDIT_INDEX, or below $XDG_CACHE_HOME)", 0},
    {0}};
static const struct option_spec export_options[] = {
    AUDIT_LOG_OPTIONS,
    AUDIT_ARCHIVE_OPTION,
    {"--first", OPTION_VALUE, "NUMBER", "first entry (default 1)", 0},
    {"--last", OPTION_VALUE, "NUMBER", "last entry (default: the last of the checkpoint)", 0},
    {0}};

const struct verb verb_audit_search = {
    .noun = "audit",
    .name = "search",
    .arguments = "",
    .summary = "Find entries by who, what, when and how it was decided",
    .details =
        "Reads the log's files. Every option narrows the search; texts must match as a whole. An\n"
        "index is made where it is missing, so that the next search reads little; entries are\n"
        "always taken from the log itself. Without --tenant (VAULTCTL_TENANT) those of every\n"
        "tenant are searched, and those of none (start, stop, keys).",
    .examples = "  vaultctl audit search --principal 'https://idp.example|alice' --decision deny\n"
                "  vaultctl audit search --credential openai-prod --since 2026-11-21 --json\n",
    .options = search_options,
    .run = run_search};
const struct verb verb_audit_export = {
    .noun = "audit", .name = "export", .arguments = "",
    .summary = "Write entries as JSON lines, byte for byte as they were signed",
    .examples = "  vaultctl audit export --first 1 --last 1000 > entries.jsonl\n",
    .options = export_options, .run = run_export};
const struct verb verb_audit_index = {
    .noun = "audit",
    .name = "index",
    .arguments = "",
    .summary = "Make the index that searches use, or bring it up to date",
    .details =
        "A search does this by itself; here it can be done at night. The index can be thrown away\n"
        "at any time. A file of it that is damaged, or that was made from another log, is made "
        "again.",
    .examples = "  vaultctl audit index --index /var/cache/vault-audit\n",
    .options = index_options,
    .run = run_index};
