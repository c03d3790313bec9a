// SPDX-License-Identifier: Apache-2.0
// policy put, check, show, test. `explain` is in verb_policy_explain.c.
#include <stdio.h>
#include <stdlib.h>

#include "cli/listing.h"
#include "cli/policy_files.h"
#include "cli/verbs.h"
#include "libvault/policy/policy_testfile.h"

#define TESTFILE_MAX_BYTES (4u << 20)

static int files_of_arguments(struct command *command, struct policy_files *files) {
    struct fault fault = {0};
    vlt_result result =
        policy_files_read(command->arguments, command->argument_count, files, &fault);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

static int run_check(struct command *command) {
    struct policy_files files;
    int status = files_of_arguments(command, &files);
    if (status != EXIT_OK)
        return status;
    struct policy_set *set = policy_files_compile(&files, command->wants_json);
    status = set ? EXIT_OK : EXIT_FAILED;
    if (set && command->wants_json)
        status = command_print_json(json_pack("{s:i,s:i}", "documents", (int)files.count,
                                              "policies", (int)policy_set_count(set)));
    else if (set)
        printf("no fault found (policies: %zu, documents: %zu)\n", policy_set_count(set),
               files.count);
    policy_set_free(set);
    policy_files_done(&files);
    return status;
}

// ---- put ----

static const struct option_spec put_options[] = {
    {"--expected-version", OPTION_VALUE, "NUMBER", "fail unless this version is in force", 0}, {0}};

static json_t *documents_of(const struct policy_files *files) {
    json_t *documents = json_array();
    for (size_t i = 0; i < files->count; i++)
        json_array_append_new(
            documents, json_pack("{s:s,s:s%}", "name", files->names[i], "text",
                                 files->texts[i].size ? (const char *)files->texts[i].at : "",
                                 files->texts[i].size));
    return documents;
}

static int put_files(struct command *command, const struct policy_files *files) {
    struct fault fault = {0};
    unsigned long expected = 0;
    if (!vlt_is_ok(command_number(command, "--expected-version", 1ul << 53, 0, &fault, &expected)))
        return command_usage(command, "%s", fault.text);
    json_t *body = json_pack("{s:o}", "documents", documents_of(files)), *answer = NULL;
    if (!body)
        return command_usage(command, "a policy is not UTF-8 text: nothing was sent");
    if (command_option(command, "--expected-version"))
        json_object_set_new(body, "expected_version", json_integer((json_int_t)expected));
    int status = command_call_path(command, "PUT", body, &answer, "/v1/tenants/%s/policies",
                                   command->tenant);
    json_decref(body);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    char version[CELL_SIZE];
    printf("Version %s of the policies of tenant %s is in force: %zu document%s, set %.16s.\n",
           member_number(answer, "version", version), command->tenant, files->count,
           files->count == 1 ? "" : "s", member_text(answer, "hash"));
    json_decref(answer);
    return EXIT_OK;
}

static int run_put(struct command *command) {
    struct policy_files files;
    int status = files_of_arguments(command, &files);
    if (status != EXIT_OK)
        return status;
    // Checked here first: the places are shown with the text, and nothing is sent.
    struct policy_set *set = policy_files_compile(&files, command->wants_json);
    status = set ? put_files(command, &files) : EXIT_FAILED;
    policy_set_free(set);
    policy_files_done(&files);
    return status;
}

// ---- show ----

static const struct option_spec show_options[] = {
    {"--text", OPTION_FLAG, NULL, "print the policies themselves", 0}, {0}};

static int run_show(struct command *command) {
    json_t *body = NULL;
    bool with_text = command_flag(command, "--text");
    int status = command_call_path(
        command, "GET", NULL, &body,
        with_text ? "/v1/tenants/%s/policies?text=1" : "/v1/tenants/%s/policies", command->tenant);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(body) : status;
    json_t *documents = json_incref(json_object_get(body, "documents"));
    json_object_del(body, "documents");
    if (!with_text && json_array_size(documents))
        object_print(body);
    for (size_t i = 0; i < json_array_size(documents); i++) {
        const json_t *document = json_array_get(documents, i);
        if (with_text)
            printf("// ---- %s ----\n%s\n", member_text(document, "name"),
                   member_text(document, "text"));
        else
            printf("  %s  %.16s…\n", member_text(document, "name"),
                   member_text(document, "sha256"));
    }
    if (!json_array_size(documents))
        puts("No policy is in force: everything is denied. `vaultctl policy put` changes that.");
    json_decref(documents);
    json_decref(body);
    return EXIT_OK;
}

// ---- test ----

static const struct option_spec test_options[] = {
    {"--policies", OPTION_LIST, "FILE|DIR", "policies to test (default: those in force)", 0},
    {"--verbose", OPTION_FLAG, NULL, "show the cases that passed too", 'v'},
    {0}};

static void case_print(void *context, const struct policy_testcase *result) {
    const struct command *command = context;
    if (command->wants_json || (result->passed && !command_flag(command, "--verbose")))
        return;
    struct buf why;
    buf_init(&why, 4096);
    policy_decision_text(result->decision, &why);
    const char *text = buf_text(&why);
    printf("%s  ", result->passed ? "ok    " : "FAILED");
    terminal_put(stdout, result->name);
    printf(": expected %s, ", result->expects_allow ? "allow" : "deny");
    terminal_put(stdout, text ? text : "");
    putchar('\n');
    buf_done(&why);
}

static int run_test(struct command *command) {
    struct policy_files files;
    int status = policy_files_of_command(command, &files);
    if (status != EXIT_OK)
        return status;
    struct policy_set *set = policy_files_compile(&files, command->wants_json);
    status = set ? EXIT_OK : EXIT_FAILED;
    size_t passed = 0, failed = 0;
    for (size_t i = 0; set && i < command->argument_count && status == EXIT_OK; i++) {
        struct fault fault = {0};
        struct buf text;
        size_t some_passed = 0, some_failed = 0;
        buf_init(&text, TESTFILE_MAX_BYTES + 8192);
        vlt_result result = file_read(command->arguments[i], TESTFILE_MAX_BYTES, &text, &fault);
        if (vlt_is_ok(result))
            result = policy_testfile_run(set, buf_bytes(&text), case_print, command, &fault,
                                         &some_passed, &some_failed);
        if (!vlt_is_ok(result))
            status = command_fail(command, result, &fault);
        passed += some_passed;
        failed += some_failed;
        buf_done(&text);
    }
    policy_set_free(set);
    policy_files_done(&files);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        command_print_json(json_pack("{s:i,s:i}", "passed", (int)passed, "failed", (int)failed));
    else
        printf("%zu passed, %zu failed\n", passed, failed);
    return failed ? EXIT_FAILED : EXIT_OK;
}

const struct verb verb_policy_put = {
    .noun = "policy",
    .name = "put",
    .arguments = "FILE|DIR…",
    .argument_min = 1,
    .argument_max = POLICY_FILES_MAX,
    .summary = "Put a whole set of policies in force, at once",
    .details =
        "The documents replace those in force in one step. They are checked first, here and\n"
        "again in the vault; a fault changes nothing.",
    .examples = "  vaultctl policy put policies/\n"
                "  vaultctl policy put main.cedar agents.cedar --expected-version 6\n",
    .options = put_options,
    .run = run_put};
const struct verb verb_policy_check = {
    .noun = "policy",
    .name = "check",
    .arguments = "FILE|DIR…",
    .argument_min = 1,
    .argument_max = POLICY_FILES_MAX,
    .summary = "Check policies without a vault",
    .details =
        "Syntax, and the names of entity types, actions and attributes. Each fault is shown with\n"
        "its line and a mark below the place.",
    .examples = "  vaultctl policy check policies/\n",
    .run = run_check};
const struct verb verb_policy_show = {
    .noun = "policy", .name = "show", .arguments = "",
    .summary = "Show the policies in force",
    .examples = "  vaultctl policy show --tenant acme --text\n", .options = show_options,
    .run = run_show};
const struct verb verb_policy_test = {
    .noun = "policy",
    .name = "test",
    .arguments = "FILE…",
    .argument_min = 1,
    .argument_max = ARGUMENTS_ANY,
    .summary = "Run files of expected decisions",
    .details =
        "A file is a JSON array of cases: principal, action, resource, context, and the decision\n"
        "that is expected. Exit status 1 when one differs.",
    .examples = "  vaultctl policy test tests.json --policies policies/\n",
    .options = test_options,
    .run = run_test};
