// SPDX-License-Identifier: Apache-2.0
// One request from whoever asked to the provider: what bears its correlation id, and
// how the token that it was made with came to be and ended, which other requests did.
#include <stdio.h>
#include <stdlib.h>

#include "cli/audit_search.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "libvault/base/jsontext.h"

#define TOKENS_MAX 64

struct story {
    json_t *entries; // by their number, as a text
    json_t *tokens;  // token id: true
};

static int keep(struct audit_search *search, struct bytes entry) {
    struct story *story = search->context;
    struct fault fault = {0};
    char number[24];
    json_t *object = NULL;
    vlt_result result = jsontext_parse(entry, &jsontext_document_limits, &fault, &object);
    if (!vlt_is_ok(result))
        return command_fail(search->command, result, &fault);
    snprintf(number, sizeof number, "%020lld",
             (long long)json_integer_value(json_object_get(object, "sequence")));
    return json_object_set_new(story->entries, number, object) == 0
               ? EXIT_OK
               : command_fail(search->command, vlt_fail(VLT_UNAVAILABLE, "out of memory"), NULL);
}

static int keep_of_request(struct audit_search *search, struct bytes entry) {
    struct story *story = search->context;
    char token[128];
    if (bytes_to_text(audit_entry_member(entry, "token_id"), token, sizeof token) && token[0] &&
        json_object_size(story->tokens) < TOKENS_MAX)
        json_object_set_new(story->tokens, token, json_true());
    return keep(search, entry);
}

// Other requests with the same token are other stories.
static int keep_of_token(struct audit_search *search, struct bytes entry) {
    struct bytes kind = audit_entry_member(entry, "kind");
    return bytes_equal_text(kind, "issue") || bytes_equal_text(kind, "revoke")
               ? keep(search, entry)
               : EXIT_OK;
}

static int find(struct command *command, struct story *story, const char *member, const char *text,
                int (*each)(struct audit_search *search, struct bytes entry)) {
    struct audit_search search;
    audit_search_init(&search, command, each);
    search.context = story;
    search.uses_index = search.compares = true;
    search.is_quiet = each == keep_of_token; // the first search has said what was pruned
    audit_search_filter(&search, member, text, false);
    int status = audit_search_run(&search);
    audit_search_done(&search);
    return status;
}

static int collect(struct command *command, struct story *story) {
    const char *token;
    json_t *is_true;
    int status = find(command, story, "correlation", command->arguments[0], keep_of_request);
    if (status != EXIT_OK)
        return status;
    if (json_object_size(story->entries) == 0)
        return command_fail(command, vlt_fail(VLT_NOT_FOUND, "no entry has that correlation id"),
                            NULL);
    json_object_foreach(story->tokens, token, is_true) {
        status = find(command, story, "token_id", token, keep_of_token);
        if (status != EXIT_OK)
            return status;
    }
    return EXIT_OK;
}

// ---- Telling ----

static void put_word(const json_t *entry, const char *member, const char *label) {
    const char *text = member_text(entry, member);
    char line[1100];
    if (!text[0])
        return;
    snprintf(line, sizeof line, "%s", text);
    for (char *at = line; *at; at++)
        if (*at == '\n')
            *at = ' '; // groups stand one a line
    printf(", %s ", label);
    terminal_put(stdout, line);
}

// What a line of a listing has no room for.
static void print_entry(const json_t *entry) {
    const json_t *version = json_object_get(entry, "credential_version");
    audit_entry_print(entry);
    printf("    entry %lld", (long long)json_integer_value(json_object_get(entry, "sequence")));
    put_word(entry, "token_id", "token");
    if (version)
        printf(", version %lld of the credential", (long long)json_integer_value(version));
    put_word(entry, "tool", "tool");
    put_word(entry, "groups", "groups");
    put_word(entry, "client", "client");
    put_word(entry, "forwarder", "forwarder");
    put_word(entry, "source", "from");
    put_word(entry, "policy_set", "policy set");
    put_word(entry, "correlation", "correlation id");
    putchar('\n');
}

static int print_canonical(const struct command *command, const json_t *entry) {
    struct buf line;
    buf_init(&line, 65536);
    vlt_result result = jsontext_canonical(entry, &line); // as it was signed
    if (vlt_is_ok(result))
        fwrite(line.at, 1, line.size, stdout);
    putchar('\n');
    buf_done(&line);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, NULL);
}

static int by_number(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int tell(const struct command *command, json_t *entries) {
    size_t count = 0;
    int status = EXIT_OK;
    const char *number, **numbers = calloc(json_object_size(entries), sizeof *numbers);
    json_t *entry;
    if (!numbers)
        return command_fail(command, vlt_fail(VLT_UNAVAILABLE, "out of memory"), NULL);
    json_object_foreach(entries, number, entry)
        numbers[count++] = number;
    qsort(numbers, count, sizeof *numbers, by_number);
    for (size_t i = 0; i < count && status == EXIT_OK; i++) {
        entry = json_object_get(entries, numbers[i]);
        if (command->wants_json)
            status = print_canonical(command, entry);
        else
            print_entry(entry);
    }
    free(numbers);
    return status == EXIT_OK && fflush(stdout) != 0 ? EXIT_FAILED : status;
}

static int run_show(struct command *command) {
    if (!command->arguments[0][0])
        return command_usage(command, "CORRELATION is empty");
    struct story story = {json_object(), json_object()};
    int status = collect(command, &story);
    if (status == EXIT_OK)
        status = tell(command, story.entries);
    json_decref(story.entries);
    json_decref(story.tokens);
    return status;
}

static const struct option_spec show_options[] = {
    AUDIT_LOG_OPTIONS, AUDIT_ARCHIVE_OPTION, AUDIT_INDEX_OPTIONS, {0}};

const struct verb verb_audit_show = {
    .noun = "audit",
    .name = "show",
    .arguments = "CORRELATION",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Show one request from whoever asked to the provider, in order",
    .details =
        "The correlation id is in the answer to the client and in the request to the provider.\n"
        "Beside the entries that bear it: how its token was issued, and whether it was revoked.\n"
        "What else was done with that token: audit search --token-id.",
    .examples = "  vaultctl audit show 5f1c0a6e2b9d4e77\n",
    .options = show_options,
    .run = run_show};
