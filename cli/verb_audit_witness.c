// SPDX-License-Identifier: Apache-2.0
// Takes the log's checkpoint to a witness (C2SP tlog-witness) and adds its
// cosignature to a copy. Whoever runs this needs to read the log's files and
// holds no secret.
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/audit_log.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "libvault/base/b64u.h"

#define ANSWER_MAX 16384
#define ASK_TIMEOUT_S 30L
#define TRIES 3 // another submitter may be quicker

struct submission {
    struct command *command;
    struct audit_log log;
    struct note_key witness;
    struct checkpoint checkpoint;
    struct buf note, body, answer;
    uint64_t old_size;
    struct fault fault;
};

static size_t take_answer(char *at, size_t size, size_t count, void *context) {
    struct buf *answer = context;
    buf_put(answer, bytes_of(at, size * count));
    return buf_failed(answer) ? 0 : size * count;
}

static vlt_result make_body(struct submission *s) {
    struct tile_reader reader;
    struct merkle_proof proof;
    VLT_TRY(tile_reader_init(&reader, s->log.folder, s->checkpoint.size));
    reader.fault = &s->fault;
    const struct merkle_source source = tile_reader_source(&reader);
    vlt_result result = merkle_consistency_prove(&source, s->old_size, s->checkpoint.size, &proof);
    tile_reader_done(&reader);
    VLT_TRY(result);
    buf_clear(&s->body);
    buf_put_format(&s->body, "old %llu\n", (unsigned long long)s->old_size);
    for (size_t i = 0; i < proof.count; i++) {
        b64_encode(bytes_of(proof.hashes[i].at, MERKLE_HASH_SIZE), &s->body);
        buf_put_byte(&s->body, '\n');
    }
    buf_put_byte(&s->body, '\n');
    buf_put(&s->body, buf_bytes(&s->note));
    return buf_failed(&s->body) ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok();
}

static vlt_result post(struct submission *s, const char *url, long *ret_status) {
    CURL *curl = curl_easy_init();
    if (!curl)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    const char *ca = command_setting(s->command, "--ca", "VAULTCTL_CA", "");
    buf_clear(&s->answer);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)s->body.at);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)s->body.size);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, ASK_TIMEOUT_S);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &s->answer);
    if (ca[0])
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca);
    CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, ret_status);
    curl_easy_cleanup(curl);
    return code == CURLE_OK
               ? vlt_ok()
               : fault_set(&s->fault, VLT_UNAVAILABLE, "the witness does not answer",
                           "the witness does not answer at %s: %s", url, curl_easy_strerror(code));
}

// The lines of the witness go behind ours; the whole must then bear its signature.
static vlt_result add_cosignature(struct submission *s) {
    struct note note;
    uint64_t good = 0;
    const struct note_key keys[] = {s->log.key, s->witness};
    buf_put(&s->note, buf_bytes(&s->answer));
    VLT_TRY(note_parse(buf_bytes(&s->note), &note));
    vlt_result result = note_verify(&note, keys, 2, &good);
    note_done(&note);
    VLT_TRY(result);
    return good == 3 ? vlt_ok()
                     : vlt_fail(VLT_CRYPTO, "the witness answered without its signature");
}

static vlt_result refused(struct submission *s, long status) {
    char text[160] = "";
    size_t size = bytes_find(buf_bytes(&s->answer), '\n');
    bool has_text =
        bytes_to_text(bytes_of(s->answer.at, size < 150 ? size : 150), text, sizeof text);
    enum vlt_class class = status == 404   ? VLT_NOT_FOUND
                           : status >= 500 ? VLT_UNAVAILABLE
                                           : VLT_CONFLICT;
    return fault_set(&s->fault, class, "the witness refused",
                     "the witness refused (%ld): %s", status, has_text ? text : "");
}

static vlt_result submit(struct submission *s, const char *url) {
    for (int i = 0; i < TRIES; i++) {
        long status = 0;
        uint64_t known;
        VLT_TRY(make_body(s));
        VLT_TRY(post(s, url, &status));
        if (status == 200)
            return add_cosignature(s);
        struct bytes line = bytes_of(s->answer.at, bytes_find(buf_bytes(&s->answer), '\n'));
        if (status != 409 || !vlt_is_ok(checkpoint_number_parse(line, &known)))
            return refused(s, status);
        if (known > s->checkpoint.size)
            return fault_set(
                &s->fault, VLT_CONFLICT, "the log was cut",
                "the witness has seen %llu entries, the log has %llu: it was cut, or there are "
                "two of it",
                (unsigned long long)known, (unsigned long long)s->checkpoint.size);
        if (known == s->old_size)
            return fault_set(&s->fault, VLT_CONFLICT, "two logs of one name",
                             "the witness has seen another log of %llu entries under this name",
                             (unsigned long long)known);
        s->old_size = known;
    }
    return vlt_fail(VLT_CONFLICT, "others submit to the witness at the same time: try again");
}

static int put_note(struct submission *s) {
    const char *path = command_option(s->command, "--output");
    FILE *out = path ? fopen(path, "wb") : stdout;
    bool is_written =
        out && fwrite(s->note.at, 1, s->note.size, out) == s->note.size && fflush(out) == 0;
    if (path && out)
        is_written = fclose(out) == 0 && is_written;
    return is_written
               ? EXIT_OK
               : command_fail(s->command,
                              vlt_fail(VLT_UNAVAILABLE, "the checkpoint can not be written"), NULL);
}

static int run_with(struct submission *s) {
    char url[1024];
    struct bytes base = bytes_of_text(s->command->arguments[0]);
    while (base.size && base.at[base.size - 1] == '/')
        base.size--;
    if (base.size >= sizeof url ||
        snprintf(url, sizeof url, "%.*s/add-checkpoint", (int)base.size, (const char *)base.at) >=
            (int)sizeof url)
        return command_usage(s->command, "URL is too long");
    vlt_result result =
        log_checkpoint(s->log.folder, &s->log.key, &s->fault, &s->note, &s->checkpoint);
    if (vlt_is_ok(result))
        result = submit(s, url);
    return vlt_is_ok(result) ? put_note(s) : command_fail(s->command, result, &s->fault);
}

static int run(struct command *command) {
    struct submission s = {.command = command};
    const char *witness = command_option(command, "--witness-key");
    if (!witness)
        return command_usage(command, "--witness-key is needed: who is to cosign");
    int status = audit_key_read(command, witness, &s.witness);
    if (status != EXIT_OK)
        return status;
    status = audit_log_open(command, NULL, &s.log);
    if (status == EXIT_OK) {
        buf_init(&s.note, NOTE_MAX_BYTES);
        buf_init(&s.body, NOTE_MAX_BYTES + ANSWER_MAX);
        buf_init(&s.answer, ANSWER_MAX);
        status = run_with(&s);
        buf_done(&s.note);
        buf_done(&s.body);
        buf_done(&s.answer);
        audit_log_close(&s.log);
    }
    note_key_done(&s.witness);
    return status;
}

static const struct option_spec options[] = {
    AUDIT_LOG_OPTIONS,
    {"--witness-key", OPTION_VALUE, "VKEY", "key of the witness, or a file that holds it", 0},
    {"--output", OPTION_VALUE, "FILE",
     "where to write the cosigned checkpoint (default: standard output)", 'o'},
    {0}};

const struct verb verb_audit_witness = {
    .noun = "audit",
    .name = "witness",
    .arguments = "URL",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Have a witness cosign the log's checkpoint",
    .details =
        "A witness (vault-witness, or any that speaks C2SP tlog-witness) cosigns a checkpoint "
        "only\n"
        "if the log grew from the one that it cosigned last. So a log that was cut, rewritten or\n"
        "shown in two versions is noticed. Run it from a timer.",
    .examples =
        "  vaultctl audit witness https://witness.example --witness-key witness.vkey -o cosigned\n",
    .options = options,
    .run = run};
