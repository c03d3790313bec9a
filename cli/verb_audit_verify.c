// SPDX-License-Identifier: Apache-2.0
// Verifying a log, and proving single entries of it. Needs no connection to the
// vault: the files and the log's key are enough.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/audit_log.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "libvault/audit/quorum.h"
#include "libvault/audit/tlog_proof.h"

#define ENTRY_FILE_MAX (TILE_ENTRY_MAX + 1)
#define PROOF_FILE_MAX (NOTE_MAX_BYTES + 16384)

static void show_progress(uint64_t entries, uint64_t of, void *context) {
    fprintf(stderr, "\r%llu of %llu entries", (unsigned long long)entries, (unsigned long long)of);
}

// A checkpoint that the caller kept.
static int read_from(struct command *command, const struct audit_log *log,
                     struct checkpoint *ret_from) {
    struct fault fault = {0};
    struct buf note;
    buf_init(&note, NOTE_MAX_BYTES);
    vlt_result result = file_read(command_option(command, "--from"), NOTE_MAX_BYTES, &note, &fault);
    if (vlt_is_ok(result)) {
        result = checkpoint_open(buf_bytes(&note), &log->key, ret_from);
        if (result.class == VLT_NOT_FOUND) // from before the key was replaced
            result = checkpoint_open(buf_bytes(&note), &log->given_key, ret_from);
    }
    buf_done(&note);
    if (!vlt_is_ok(result) && !fault.text[0])
        result = fault_set(&fault, result.class, result.reason, "%s: %s",
                           command_option(command, "--from"), result.reason);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

bool audit_policy_is_given(const struct command *command) {
    return command_option(command, "--policy") || command_option(command, "--cosigned");
}

// A cosigned checkpoint must satisfy the policy; the log must have grown from it.
int audit_policy_check(struct command *command, struct checkpoint *ret_cosigned) {
    const char *policy_file = command_option(command, "--policy"),
               *cosigned = command_option(command, "--cosigned");
    struct fault fault = {0};
    struct quorum quorum;
    struct buf policy, note;
    if (!cosigned)
        return command_usage(command,
                             "--policy needs --cosigned: the checkpoint that witnesses cosigned");
    if (!policy_file)
        return command_usage(command, "--cosigned needs --policy: who must have cosigned");
    buf_init(&policy, QUORUM_FILE_MAX);
    buf_init(&note, NOTE_MAX_BYTES);
    vlt_result result = file_read(policy_file, QUORUM_FILE_MAX, &policy, &fault);
    if (vlt_is_ok(result))
        result = file_read(cosigned, NOTE_MAX_BYTES, &note, &fault);
    if (vlt_is_ok(result)) {
        struct fault in_file = {0};
        result = quorum_parse(buf_bytes(&policy), &in_file, &quorum);
        if (!vlt_is_ok(result))
            result = fault_set(&fault, result.class, result.reason, "%s: %s", policy_file,
                               fault_or_reason(&in_file, result));
    }
    if (vlt_is_ok(result)) {
        result = quorum_open(&quorum, buf_bytes(&note), ret_cosigned);
        quorum_done(&quorum);
    }
    buf_done(&policy);
    buf_done(&note);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

// Entries before `from` are read, too, when it was never verified here.
static vlt_result verify_grown(struct log_verify what, const struct checkpoint *cosigned,
                               struct fault *fault, struct log_verified *ret_verified) {
    VLT_TRY(log_verify(&what, fault, ret_verified));
    if (!cosigned)
        return vlt_ok();
    what.from = cosigned;
    return log_verify(&what, fault, ret_verified);
}

static int say_verified(struct command *command, const struct audit_log *log,
                        const struct log_verified *verified, uint64_t first,
                        const struct checkpoint *cosigned) {
    const struct checkpoint *got = &verified->checkpoint;
    if (command->wants_json) {
        json_t *said = json_pack(
            "{s:s, s:I, s:I, s:b, s:I, s:I, s:I}", "origin", got->origin, "entries",
            (json_int_t)got->size, "first_verified", (json_int_t)first + 1, "key_from_folder",
            log->has_own_key, "key_changes", (json_int_t)log->key_changes, "pruned",
            (json_int_t)verified->unread, "prune_entry", (json_int_t)verified->prune_entry);
        if (cosigned)
            json_object_set_new(said, "cosigned", json_integer((json_int_t)cosigned->size));
        return command_print_json(said);
    }
    printf("%llu entries of %s are what was signed\n", (unsigned long long)got->size, got->origin);
    if (first > 0)
        printf("Entries 1 to %llu were not read again: the log grew from the checkpoint that you "
               "gave, and\ntheir files are there%s.\n",
               (unsigned long long)first,
               verified->prune_entry ? ", except for what was pruned" : "");
    if (cosigned)
        printf("The first %llu of them are cosigned as the policy demands.\n",
               (unsigned long long)cosigned->size);
    if (verified->unread)
        printf("Entries 1 to %llu were pruned, as entry %llu says: their hashes are verified, they "
               "themselves\nwere not read (give their folder with --archive).\n",
               (unsigned long long)verified->unread, (unsigned long long)verified->prune_entry);
    if (log->key_changes)
        printf("The key of the log was replaced %u times since the one you gave; each signed the "
               "next.\n",
               log->key_changes);
    if (log->has_own_key)
        puts("The key came from the log's own folder: give the one you know with --key.");
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int verify(struct command *command, const struct audit_log *log) {
    struct checkpoint from, cosigned;
    struct log_verified verified;
    struct fault fault = {0};
    bool has_policy = audit_policy_is_given(command);
    bool has_from = command_option(command, "--from") != NULL;
    bool shows = !command->wants_json && isatty(STDERR_FILENO);
    int status = has_from ? read_from(command, log, &from) : EXIT_OK;
    if (status == EXIT_OK && has_policy)
        status = audit_policy_check(command, &cosigned);
    if (status != EXIT_OK)
        return status;
    struct log_verify what = {.folder = log->folder,
                              .has_archive = log->archive >= 0,
                              .archive = log->archive,
                              .key = &log->key,
                              .from = has_from ? &from : NULL,
                              .progress = shows ? show_progress : NULL};
    vlt_result result = verify_grown(what, has_policy ? &cosigned : NULL, &fault, &verified);
    if (shows)
        fputs("\r\x1b[K", stderr);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    return say_verified(command, log, &verified,
                        has_from ? from.size / TILE_WIDTH * TILE_WIDTH : 0,
                        has_policy ? &cosigned : NULL);
}

static int run_verify(struct command *command) {
    struct audit_log log;
    if (command->argument_count && command_option(command, "--log"))
        return command_usage(command, "the folder is given twice: DIR and --log");
    int status =
        audit_log_open(command, command->argument_count ? command->arguments[0] : NULL, &log);
    if (status != EXIT_OK)
        return status;
    status = verify(command, &log);
    audit_log_close(&log);
    return status;
}

// ---- Proofs ----

static vlt_result read_entry(const struct audit_log *log, struct tile_reader *reader,
                             const struct checkpoint *at, uint64_t index,
                             struct bytes *ret_entry) {
    struct log_pruned pruned;
    vlt_result result = tile_reader_entry(reader, index, ret_entry);
    if (result.class != VLT_NOT_FOUND || log->archive >= 0)
        return result;
    VLT_TRY(log_pruned_prove(log->folder, at, &log->key, reader->fault, &pruned));
    return index < pruned.until ? fault_set(reader->fault, VLT_NOT_FOUND, "the entry was pruned",
                                      "entry %llu was pruned: give its archive with --archive",
                                      (unsigned long long)index + 1)
                          : result;
}

static vlt_result make_proof(const struct audit_log *log, uint64_t index, struct fault *fault,
                             struct buf *out, struct buf *entry_out) {
    struct checkpoint checkpoint;
    struct tile_reader reader;
    struct tlog_proof proof = {.index = index};
    struct buf note;
    struct bytes entry = {0};
    buf_init(&note, NOTE_MAX_BYTES);
    vlt_result result = log_checkpoint(log->folder, &log->key, fault, &note, &checkpoint);
    if (vlt_is_ok(result))
        result = tile_reader_init(&reader, log->folder, checkpoint.size);
    if (vlt_is_ok(result)) {
        reader.fault = fault;
        reader.archive = log->archive;
        const struct merkle_source source = tile_reader_source(&reader);
        if (index >= checkpoint.size)
            result =
                fault_set(fault, VLT_NOT_FOUND, "there is no such entry yet",
                          "the checkpoint has %llu entries; newer ones are in it within seconds",
                          (unsigned long long)checkpoint.size);
        if (vlt_is_ok(result))
            result = merkle_inclusion_prove(&source, index, checkpoint.size, &proof.proof);
        if (vlt_is_ok(result))
            result = read_entry(log, &reader, &checkpoint, index, &entry);
        proof.checkpoint = buf_bytes(&note);
        if (vlt_is_ok(result)) // what is handed out holds
            result = tlog_proof_verify(&proof, entry, &log->key, &checkpoint);
        if (vlt_is_ok(result)) {
            tlog_proof_put(&proof, out);
            buf_put(entry_out, entry);
        }
        tile_reader_done(&reader);
    }
    buf_done(&note);
    return result;
}

static bool write_file(const char *path, struct bytes content) {
    FILE *out = fopen(path, "wb");
    bool is_written = out && fwrite(content.at, 1, content.size, out) == content.size;
    return out && fclose(out) == 0 && is_written;
}

static int put_proof(struct command *command, struct bytes proof, struct bytes entry) {
    const char *entry_file = command_option(command, "--entry"),
               *out_file = command_option(command, "--output");
    struct fault fault = {0};
    if (entry_file && !write_file(entry_file, entry))
        return command_fail(command, fault_set(&fault, VLT_UNAVAILABLE, "a file can not be written",
                                               "%s can not be written", entry_file), &fault);
    if (out_file)
        return write_file(out_file, proof)
                   ? EXIT_OK
                   : command_fail(command,
                                  fault_set(&fault, VLT_UNAVAILABLE, "a file can not be written",
                                            "%s can not be written", out_file),
                                  &fault);
    fwrite(proof.at, 1, proof.size, stdout);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int run_prove(struct command *command) {
    struct audit_log log;
    struct fault fault = {0};
    uint64_t sequence = 0;
    if (!vlt_is_ok(checkpoint_number_parse(bytes_of_text(command->arguments[0]), &sequence)) ||
        sequence == 0)
        return command_usage(command, "NUMBER is the sequence number of an entry, from 1 on");
    int status = audit_log_open(command, NULL, &log);
    if (status != EXIT_OK)
        return status;
    struct buf proof, entry;
    buf_init(&proof, PROOF_FILE_MAX);
    buf_init(&entry, ENTRY_FILE_MAX);
    vlt_result result = make_proof(&log, sequence - 1, &fault, &proof, &entry);
    status = vlt_is_ok(result) ? put_proof(command, buf_bytes(&proof), buf_bytes(&entry))
                               : command_fail(command, result, &fault);
    buf_done(&proof);
    buf_done(&entry);
    audit_log_close(&log);
    return status;
}

static int check(struct command *command, const struct note_key *key, struct bytes proof_text,
                 struct bytes entry) {
    struct tlog_proof proof;
    struct checkpoint checkpoint;
    vlt_result result = tlog_proof_parse(proof_text, &proof);
    if (vlt_is_ok(result))
        result = tlog_proof_verify(&proof, entry, key, &checkpoint);
    if (!vlt_is_ok(result))
        return command_fail(command, result, NULL);
    if (command->wants_json)
        return command_print_json(json_pack("{s:s, s:I, s:I}", "origin", checkpoint.origin,
                                            "sequence", (json_int_t)proof.index + 1, "entries",
                                            (json_int_t)checkpoint.size));
    printf("it is entry %llu of %s\n", (unsigned long long)proof.index + 1, checkpoint.origin);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

static int run_check(struct command *command) {
    struct note_key key;
    struct fault fault = {0};
    const char *vkey = command_option(command, "--key");
    if (!vkey)
        return command_usage(command, "--key is needed: who signed the log");
    int status = audit_key_read(command, vkey, &key);
    if (status != EXIT_OK)
        return status;
    struct buf proof, entry;
    buf_init(&proof, PROOF_FILE_MAX);
    buf_init(&entry, ENTRY_FILE_MAX);
    vlt_result result = file_read(command->arguments[0], PROOF_FILE_MAX, &proof, &fault);
    if (vlt_is_ok(result))
        result = file_read(command->arguments[1], ENTRY_FILE_MAX, &entry, &fault);
    status = vlt_is_ok(result) ? check(command, &key, buf_bytes(&proof), buf_bytes(&entry))
                               : command_fail(command, result, &fault);
    buf_done(&proof);
    buf_done(&entry);
    note_key_done(&key);
    return status;
}

static const struct option_spec verify_options[] = {
    AUDIT_LOG_OPTIONS,
    AUDIT_ARCHIVE_OPTION,
    {"--from", OPTION_VALUE, "FILE",
     "a checkpoint that was verified before: only what came later is read, before it nothing "
     "but whether the files are there",
     0},
    {"--policy", OPTION_VALUE, "FILE",
     "who must have cosigned (C2SP tlog-policy): log, witness, group, quorum", 0},
    {"--cosigned", OPTION_VALUE, "FILE",
     "the checkpoint that witnesses cosigned; the log must have grown from it", 0},
    {0}};
static const struct option_spec prove_options[] = {
    AUDIT_LOG_OPTIONS,
    AUDIT_ARCHIVE_OPTION,
    {"--output", OPTION_VALUE, "FILE", "where to write the proof (default: standard output)", 'o'},
    {"--entry", OPTION_VALUE, "FILE", "where to write the entry itself, byte for byte", 0},
    {0}};
static const struct option_spec check_options[] = {
    {"--key", OPTION_VALUE, "VKEY", "key of the log, or a file that holds it", 0}, {0}};

const struct verb verb_audit_verify = {
    .noun = "audit",
    .name = "verify",
    .arguments = "[DIR]",
    .argument_max = 1,
    .summary = "Verify a log: every entry, every tile, the signed checkpoint",
    .details =
        "Needs the log's files and its key, and no connection to the vault. Names the first bad\n"
        "entry. What is missing must be covered by an entry audit.prune of the log itself: else\n"
        "it was removed behind the vault's back, with --archive, too. Keep the file\n"
        "checkpoint of each verification: with --from, the next one proves that nothing of it was\n"
        "rewritten or cut, and reads only what came later. Of what came before it looks whether\n"
        "the files of entries are there or were pruned, and not at what they hold: verify all of\n"
        "it from time to time.",
    .examples = "  vaultctl audit verify /srv/audit --key vault.example.com+0a1b2c3d+AQ…\n"
                "  vaultctl audit verify --from last-checkpoint\n",
    .options = verify_options,
    .run = run_verify};
const struct verb verb_audit_prove = {
    .noun = "audit",
    .name = "prove",
    .arguments = "NUMBER",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Make a proof that an entry is in the log (.tlog-proof)",
    .details =
        "Hand it out together with the entry: `vaultctl audit check`, or any program that reads\n"
        "C2SP tlog-proof, verifies it without the rest of the log.",
    .examples = "  vaultctl audit prove 4711 -o 4711.tlog-proof --entry 4711.json\n",
    .options = prove_options,
    .run = run_prove};
const struct verb verb_audit_check = {
    .noun = "audit",
    .name = "check",
    .arguments = "PROOF ENTRY",
    .argument_min = 2,
    .argument_max = 2,
    .summary = "Check a proof that somebody handed to you",
    .details = "PROOF is a .tlog-proof file, ENTRY the file with the entry, byte for byte.",
    .examples =
        "  vaultctl audit check 4711.tlog-proof 4711.json --key vault.example.com+0a1b2c3d+AQ…\n",
    .options = check_options,
    .run = run_check};
