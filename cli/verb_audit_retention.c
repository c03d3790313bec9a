// SPDX-License-Identifier: Apache-2.0
// archive: a copy of the log for write-once storage. Files are only ever added: an
// archive is the log's tiles and entries, and for each time that something was
// added the signed checkpoint of that size (checkpoints/SIZE), which is its manifest.
// prune: takes entries away from the vault that a verified archive has.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/audit_log.h"
#include "cli/listing.h"
#include "cli/timestamp.h"
#include "cli/verbs.h"

static vlt_result folder_open(const char *path, bool makes, struct fault *fault, int *ret_folder) {
    bool is_there = !makes || mkdir(path, 0755) == 0 || errno == EEXIST;
    int folder = is_there ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (folder < 0)
        return fault_set(fault, VLT_NOT_FOUND, "a folder can not be opened",
                         "%s can not be opened: %s", path, strerror(errno));
    *ret_folder = folder;
    return vlt_ok();
}

// ---- archive ----

struct archiving {
    int log, archive;
    uint64_t copied; // files
    struct buf source, target;
    struct fault *fault;
};

// What is there stays, and must be the same; what was pruned from the log must be there.
static vlt_result copy_file(struct archiving *a, const char *path, size_t max_bytes) {
    buf_clear(&a->source);
    buf_clear(&a->target);
    vlt_result there = tile_file_read(a->archive, path, max_bytes, a->fault, &a->target);
    vlt_result here = tile_file_read(a->log, path, max_bytes, a->fault, &a->source);
    if (here.class == VLT_NOT_FOUND && vlt_is_ok(there))
        return vlt_ok();
    VLT_TRY(here);
    if (there.class == VLT_NOT_FOUND) {
        a->copied++;
        return tile_file_write(a->archive, path, buf_bytes(&a->source), false, a->fault);
    }
    VLT_TRY(there);
    return bytes_equal(buf_bytes(&a->source), buf_bytes(&a->target))
               ? vlt_ok()
               : fault_set(a->fault, VLT_CONFLICT, "the archive has another file",
                           "%s is another file in the archive", path);
}

static vlt_result copy_level(struct archiving *a, unsigned level, uint64_t size) {
    char path[TILE_PATH_MAX];
    unsigned width;
    for (uint64_t number = 0; (width = tile_width(level, number, size)) > 0; number++) {
        tile_path(level, number, width, path);
        VLT_TRY(copy_file(a, path, TILE_BUNDLE_MAX));
    }
    return vlt_ok();
}

// What replaced keys signed about their successors: whoever knows an old key of the log
// needs it for the archive as well.
static vlt_result copy_handovers(struct archiving *a) {
    char path[TILE_PATH_MAX];
    vlt_result result = vlt_ok();
    int fd = openat(a->log, "handover", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; vlt_is_ok(result) && folder && (entry = readdir(folder));) {
        if (strlen(entry->d_name) != 8 || strspn(entry->d_name, "0123456789abcdef") != 8)
            continue; // no key's
        snprintf(path, sizeof path, "handover/%.8s", entry->d_name);
        result = copy_file(a, path, NOTE_MAX_BYTES);
    }
    if (folder)
        closedir(folder);
    return result;
}

static vlt_result copy_log(struct archiving *a, uint64_t size, struct bytes note) {
    char path[TILE_PATH_MAX];
    VLT_TRY(copy_level(a, TILE_ENTRIES, size));
    for (unsigned level = 0; level < TILE_LEVELS; level++)
        VLT_TRY(copy_level(a, level, size));
    VLT_TRY(copy_handovers(a));
    if (syncfs(a->archive) != 0) // before the checkpoint that speaks of them
        return fault_set(a->fault, VLT_UNAVAILABLE, "the archive can not be synced",
                         "the archive can not be synced: %s", strerror(errno));
    log_checkpoint_path(size, path);
    buf_clear(&a->target);
    if (vlt_is_ok(tile_file_read(a->archive, path, NOTE_MAX_BYTES, a->fault, &a->target)))
        return vlt_ok(); // of this size already; log_verify looks at it
    return tile_file_write(a->archive, path, note, true, a->fault);
}

static vlt_result verify_archive(int archive, uint64_t size, const struct note_key *key,
                                 struct fault *fault) {
    char path[TILE_PATH_MAX];
    struct log_verified verified;
    log_checkpoint_path(size, path);
    const struct log_verify what = {.folder = archive, .key = key, .checkpoint = path};
    VLT_TRY(log_verify(&what, fault, &verified));
    return verified.checkpoint.size == size ? vlt_ok()
                                            : vlt_fail(VLT_CRYPTO, "a checkpoint of another size");
}

static vlt_result archive_log(const struct audit_log *log, struct archiving *a,
                              uint64_t *ret_size) {
    struct checkpoint checkpoint;
    struct buf note;
    if (tile_file_is_one(log->folder, a->archive, "."))
        return fault_set(a->fault, VLT_CONFLICT, "the archive is the log",
                         "--to is the folder of the log itself, which is no copy of it");
    buf_init(&note, NOTE_MAX_BYTES);
    vlt_result result = log_checkpoint(log->folder, &log->key, a->fault, &note, &checkpoint);
    if (vlt_is_ok(result))
        result = copy_log(a, checkpoint.size, buf_bytes(&note));
    if (vlt_is_ok(result))
        result = verify_archive(a->archive, checkpoint.size, &log->key, a->fault);
    buf_done(&note);
    if (vlt_is_ok(result))
        *ret_size = checkpoint.size;
    return result;
}

static int run_archive(struct command *command) {
    const char *to = command_option(command, "--to");
    struct audit_log log;
    struct fault fault = {0};
    uint64_t size = 0;
    if (!to)
        return command_usage(command, "--to is needed: the folder of the archive");
    int status = audit_log_open(command, NULL, &log);
    if (status != EXIT_OK)
        return status;
    struct archiving a = {.log = log.folder, .archive = -1, .fault = &fault};
    buf_init(&a.source, TILE_BUNDLE_MAX);
    buf_init(&a.target, TILE_BUNDLE_MAX);
    vlt_result result = folder_open(to, true, &fault, &a.archive);
    if (vlt_is_ok(result))
        result = archive_log(&log, &a, &size);
    buf_done(&a.source);
    buf_done(&a.target);
    if (a.archive >= 0)
        close(a.archive);
    audit_log_close(&log);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    if (command->wants_json)
        return command_print_json(json_pack("{s:I, s:I}", "entries", (json_int_t)size,
                                            "files_added", (json_int_t)a.copied));
    printf("%s holds %llu entries and is what was signed (%llu files were added)\n", to,
           (unsigned long long)size, (unsigned long long)a.copied);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

// ---- prune ----

// The archive is whole, and the log of today grew from it.
static vlt_result compare(const struct audit_log *log, int archive, struct fault *fault,
                          uint64_t *ret_size) {
    char path[TILE_PATH_MAX];
    struct checkpoint archived;
    struct log_verified verified;
    uint64_t size = log_checkpoint_newest(archive);
    if (size == 0)
        return fault_set(fault, VLT_NOT_FOUND, "no archive",
                         "that folder is no archive: run `vaultctl audit archive`");
    VLT_TRY(verify_archive(archive, size, &log->key, fault));
    log_checkpoint_path(size, path);
    VLT_TRY(log_checkpoint_file(archive, path, &log->key, fault, NULL, &archived));
    const struct log_verify grown = {.folder = log->folder,
                                     .has_archive = true,
                                     .archive = archive,
                                     .key = &log->key,
                                     .from = &archived};
    VLT_TRY(log_verify(&grown, fault, &verified));
    *ret_size = size;
    return vlt_ok();
}

// Index of the first entry that is not older than `since` (timestamp.h).
static vlt_result find_date(int archive, uint64_t size, const char *since, uint64_t *ret_index) {
    struct tile_reader reader;
    char text[CLOCK_TEXT_SIZE];
    uint64_t low = 0, high = size;
    struct bytes entry;
    vlt_result result = tile_reader_init(&reader, archive, size);
    while (vlt_is_ok(result) && low < high) {
        uint64_t middle = low + (high - low) / 2;
        result = tile_reader_entry(&reader, middle, &entry);
        if (!vlt_is_ok(result))
            break;
        if (!bytes_to_text(audit_entry_member(entry, "time"), text, sizeof text))
            result = vlt_fail(VLT_MALFORMED, "an entry of the log has no time");
        else if (strcmp(text, since) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    tile_reader_done(&reader);
    if (vlt_is_ok(result))
        *ret_index = low;
    return result;
}

// What goes from the log must not go from the archive with it.
static vlt_result check_copies(const struct audit_log *log, uint64_t until, struct fault *fault) {
    char path[TILE_PATH_MAX];
    for (uint64_t number = 0; number < until / TILE_WIDTH; number++) {
        tile_path(TILE_ENTRIES, number, TILE_WIDTH, path);
        if (tile_file_is_one(log->folder, log->archive, path))
            return fault_set(fault, VLT_CONFLICT, "the archive is no copy",
                             "%s of the archive is the very file of the log (the same folder, or "
                             "a link): it is no copy",
                             path);
    }
    return vlt_ok();
}

// How many entries may go: whole tiles, before what was asked, in the archive. `before`
// is a time in canonical form, or "" and `until` counts.
static vlt_result entries_to_prune(const struct audit_log *log, const char *before,
                                   struct fault *fault, uint64_t *until) {
    uint64_t size = 0;
    VLT_TRY(compare(log, log->archive, fault, &size));
    if (before[0])
        VLT_TRY(find_date(log->archive, size, before, until));
    if (*until > size)
        return fault_set(fault, VLT_CONFLICT, "not in the archive",
                         "the archive holds %llu entries: run `vaultctl audit archive` first",
                         (unsigned long long)size);
    *until = *until / TILE_WIDTH * TILE_WIDTH;
    return check_copies(log, *until, fault);
}

// A time, or the number of the first entry to keep: entry N has index N - 1.
static int read_before(struct command *command, char time[CLOCK_TEXT_SIZE], uint64_t *ret_until) {
    const char *before = command_option(command, "--before");
    uint64_t number = 0;
    time[0] = 0;
    if (vlt_is_ok(timestamp_normal(before, time)))
        return EXIT_OK;
    if (!vlt_is_ok(checkpoint_number_parse(bytes_of_text(before), &number)) || number == 0)
        return command_usage(
            command, "--before: \"%s\" is neither the number of an entry nor a time", before);
    *ret_until = number - 1;
    return EXIT_OK;
}

static int ask_to_prune(struct command *command, uint64_t until) {
    for (uint64_t pruned = 0; pruned < until;) {
        json_t *body = json_pack("{s:I, s:b}", "entries", (json_int_t)until, "archived", 1);
        json_t *answer = NULL;
        int status = command_call_path(command, "POST", body, &answer, "/v1/audit/prune");
        json_decref(body);
        if (status != EXIT_OK)
            return status;
        uint64_t now = (uint64_t)json_integer_value(json_object_get(answer, "pruned"));
        json_decref(answer);
        if (now <= pruned)
            return command_fail(
                command, vlt_fail(VLT_UNAVAILABLE, "the vault does not go on pruning"), NULL);
        pruned = now;
    }
    return EXIT_OK;
}

static int prune(struct command *command, const struct audit_log *log) {
    struct checkpoint cosigned = {.size = UINT64_MAX};
    struct fault fault = {0};
    char before[CLOCK_TEXT_SIZE];
    uint64_t until = 0;
    int status = read_before(command, before, &until);
    if (status == EXIT_OK && audit_policy_is_given(command))
        status = audit_policy_check(command, &cosigned);
    if (status != EXIT_OK)
        return status;
    vlt_result result = entries_to_prune(log, before, &fault, &until);
    if (vlt_is_ok(result) && cosigned.size < until)
        result = fault_set(&fault, VLT_CONFLICT, "not cosigned",
                           "witnesses have cosigned %llu entries only",
                           (unsigned long long)cosigned.size);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    status = ask_to_prune(command, until);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(json_pack("{s:I}", "pruned", (json_int_t)until));
    printf("%llu entries are in the archive only; their hashes stay\n", (unsigned long long)until);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int run_prune(struct command *command) {
    struct audit_log log;
    if (!command_option(command, "--archive") || !command_option(command, "--before"))
        return command_usage(command,
                             "--before and --archive are needed: what to prune, and who has it");
    int status = audit_log_open(command, NULL, &log);
    if (status != EXIT_OK)
        return status;
    status = prune(command, &log);
    audit_log_close(&log);
    return status;
}

static const struct option_spec archive_options[] = {
    AUDIT_LOG_OPTIONS,
    {"--to", OPTION_VALUE, "DIR", "folder of the archive; made when it is missing", 0},
    {0}};
static const struct option_spec prune_options[] = {
    AUDIT_LOG_OPTIONS,
    {"--before", OPTION_VALUE, "WHEN",
     "number of the first entry to keep, or a time (2026-01-31, 2026-01-31T12:00Z)", 0},
    {"--archive", OPTION_VALUE, "DIR", "who has the entries (vaultctl audit archive)", 0},
    {"--policy", OPTION_VALUE, "FILE",
     "who must have cosigned beyond what is pruned (C2SP tlog-policy)", 0},
    {"--cosigned", OPTION_VALUE, "FILE", "the checkpoint that witnesses cosigned", 0},
    {0}};

const struct verb verb_audit_archive = {
    .noun = "audit",
    .name = "archive",
    .arguments = "",
    .summary = "Copy the log to an archive, for write-once storage, and verify the copy",
    .details =
        "Adds what is new and never changes a file: run it again from a timer. The archive is a\n"
        "log by itself, with the signed checkpoint of each run in checkpoints/SIZE.",
    .examples = "  vaultctl audit archive --to /mnt/worm/vault\n",
    .options = archive_options,
    .run = run_archive};
const struct verb verb_audit_prune = {
    .noun = "audit",
    .name = "prune",
    .arguments = "",
    .summary = "Take old entries away from the vault that an archive has",
    .details =
        "Verifies the archive and that the log grew from it, then asks the vault, which refuses\n"
        "while a receiver does not have the entries, records it, and removes them once a signed\n"
        "checkpoint has that record. Only whole tiles of 256 entries go. Hashes stay: everything\n"
        "verifies as before (audit verify --archive).",
    .examples = "  vaultctl audit prune --before 2026-01-01 --archive /mnt/worm/vault\n"
                "  vaultctl audit prune --before 1000001 --archive /mnt/worm/vault --policy "
                "witnesses --cosigned cosigned\n",
    .options = prune_options,
    .run = run_prune};
