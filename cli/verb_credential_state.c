// SPDX-License-Identifier: Apache-2.0
// credential list, show, disable, enable, delete. None shows a value: there is
// no call that would.
#include <stdio.h>

#include "cli/credential_put.h"
#include "cli/listing.h"
#include "cli/verbs.h"

static int run_list(struct command *command) {
    json_t *items = NULL;
    int status = listing_fetch(command, "/v1/tenants/%s/credentials", command->tenant, &items);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(json_pack("{s:o}", "credentials", items))
                                 : status;
    static const char *const headings[] = {"NAME",  "PROFILE", "STATE",       "VERSION",
                                           "HOSTS", "CHANGED", "DESCRIPTION", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        char version[CELL_SIZE], hosts[CELL_SIZE], changed[CELL_SIZE];
        bool was_rotated = json_integer_value(json_object_get(item, "rotated_at")) > 0;
        const char *const cells[] = {
            member_text(item, "name"),
            member_text(item, "profile"),
            member_text(item, "status"),
            member_number(item, "version", version),
            member_list(item, "hosts", hosts),
            member_time(item, was_rotated ? "rotated_at" : "created_at", changed),
            member_text(item, "description")};
        table_row(&table, cells);
    }
    json_decref(items);
    return table_print(&table,
                       "This tenant has no credential: `vaultctl credential put` stores one.")
               ? EXIT_OK
               : EXIT_FAILED;
}

// How it is rotated at its provider, and how far that is.
static void rotation_add(struct command *command, json_t *body) {
    json_t *plans = NULL, *plan = NULL;
    bool has_plan = false;
    if (listing_fetch(command, "/v1/tenants/%s/rotations", command->tenant, &plans) != EXIT_OK)
        return;
    for (size_t i = 0; i < json_array_size(plans); i++)
        has_plan |= !strcmp(member_text(json_array_get(plans, i), "name"), command->arguments[0]);
    json_decref(plans);
    if (has_plan && command_call_path(command, "GET", NULL, &plan,
                                      "/v1/tenants/%s/credentials/%s/rotation", command->tenant,
                                      command->arguments[0]) == EXIT_OK)
        json_object_set_new(body, "rotation", plan);
}

static int run_show(struct command *command) {
    json_t *body = NULL;
    int status = command_call_path(command, "GET", NULL, &body, "/v1/tenants/%s/credentials/%s",
                                   command->tenant, command->arguments[0]);
    if (status != EXIT_OK)
        return status;
    rotation_add(command, body);
    if (command->wants_json)
        return command_print_json(body);
    object_print(body);
    json_decref(body);
    return EXIT_OK;
}

static int run_disable(struct command *command) {
    json_t *answer = NULL;
    int status = command_call_path(command, "POST", NULL, &answer,
                                   "/v1/tenants/%s/credentials/%s/disable", command->tenant,
                                   command->arguments[0]);
    return credential_answered(command, status, answer, "is disabled: no token opens it.");
}

static int run_enable(struct command *command) {
    json_t *answer = NULL;
    int status = command_call_path(command, "POST", NULL, &answer,
                                   "/v1/tenants/%s/credentials/%s/enable", command->tenant,
                                   command->arguments[0]);
    return credential_answered(command, status, answer, "is enabled.");
}

static const struct option_spec delete_options[] = {
    {"--yes", OPTION_FLAG, NULL, "do it without asking", 0}, {0}};

static bool is_confirmed(const struct command *command) {
    if (command_flag(command, "--yes"))
        return true;
    char line[80] = "";
    fprintf(stderr, "Delete credential %s of tenant %s for good? Type its name: ",
            command->arguments[0], command->tenant);
    if (!fgets(line, sizeof line, stdin))
        return false;
    line[strcspn(line, "\n")] = 0;
    return !strcmp(line, command->arguments[0]);
}

static int run_delete(struct command *command) {
    if (!is_confirmed(command))
        return command_usage(command, "nothing was deleted: type the name, or give --yes");
    json_t *answer = NULL;
    int status = command_call_path(command, "DELETE", NULL, &answer,
                                   "/v1/tenants/%s/credentials/%s", command->tenant,
                                   command->arguments[0]);
    return credential_answered(command, status, answer, "is deleted; its value is destroyed.");
}

const struct verb verb_credential_list = {
    .noun = "credential", .name = "list", .arguments = "",
    .summary = "List the credentials of a tenant, never their values",
    .examples = "  vaultctl credential list --tenant acme\n", .run = run_list};
const struct verb verb_credential_show = {
    .noun = "credential", .name = "show", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
    .summary = "Show what describes a credential, never its value",
    .examples = "  vaultctl credential show openai-prod\n", .run = run_show};
const struct verb verb_credential_disable = {.noun = "credential",
                                             .name = "disable",
                                             .arguments = "NAME",
                                             .argument_min = 1,
                                             .argument_max = 1,
                                             .summary = "Let no token open a credential",
                                             .examples =
                                                 "  vaultctl credential disable openai-prod\n",
                                             .run = run_disable};
const struct verb verb_credential_enable = {
    .noun = "credential",
    .name = "enable",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Let tokens open a disabled credential again",
    .examples = "  vaultctl credential enable openai-prod\n",
    .run = run_enable};
const struct verb verb_credential_delete = {.noun = "credential",
                                            .name = "delete",
                                            .arguments = "NAME",
                                            .argument_min = 1,
                                            .argument_max = 1,
                                            .summary = "Destroy a credential",
                                            .examples =
                                                "  vaultctl credential delete openai-prod --yes\n",
                                            .options = delete_options,
                                            .run = run_delete};
