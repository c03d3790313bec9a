// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/listing.h"
#include "cli/verbs.h"

static const struct option_spec create_options[] = {
    {"--description", OPTION_VALUE, "TEXT", "for people", 0}, {0}};

// Prints what came back, or one line for people.
static int answered(struct command *command, int status, json_t *body, const char *said) {
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(body);
    json_decref(body);
    printf("Tenant ");
    terminal_put(stdout, command->arguments[0]);
    printf(" %s\n", said);
    return EXIT_OK;
}

static int run_create(struct command *command) {
    json_t *body = json_pack("{s:s}", "name", command->arguments[0]), *answer = NULL;
    const char *description = command_option(command, "--description");
    if (description)
        json_object_set_new(body, "description", json_string(description));
    int status = command_call_path(command, "POST", body, &answer, "/v1/tenants");
    json_decref(body);
    return answered(command, status, answer,
                    "is created. It trusts nobody yet: continue with `vaultctl issuer add`.");
}

static int run_list(struct command *command) {
    json_t *items = NULL;
    int status = listing_fetch(command, "/v1/tenants", NULL, &items);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(json_pack("{s:o}", "tenants", items));
    static const char *const headings[] = {"NAME", "STATE", "CREATED", "DESCRIPTION", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(items); i++) {
        const json_t *item = json_array_get(items, i);
        char created[CELL_SIZE];
        const char *const cells[] = {
            member_text(item, "name"),
            json_is_true(json_object_get(item, "disabled")) ? "disabled" : "active",
            member_time(item, "created_at", created), member_text(item, "description")};
        table_row(&table, cells);
    }
    json_decref(items);
    return table_print(&table, "There is no tenant: `vaultctl tenant create NAME` makes one.")
               ? EXIT_OK
               : EXIT_FAILED;
}

static int run_show(struct command *command) {
    json_t *body = NULL;
    int status =
        command_call_path(command, "GET", NULL, &body, "/v1/tenants/%s", command->arguments[0]);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(body) : status;
    object_print(body);
    json_decref(body);
    return EXIT_OK;
}

static int set_disabled(struct command *command, bool disabled, const char *said) {
    json_t *body = json_pack("{s:b}", "disabled", disabled), *answer = NULL;
    int status = command_call_path(command, "PATCH", body, &answer, "/v1/tenants/%s",
                                   command->arguments[0]);
    json_decref(body);
    return answered(command, status, answer, said);
}

static int run_disable(struct command *command) {
    return set_disabled(command, true, "is disabled: its tokens are neither issued nor redeemed.");
}
static int run_enable(struct command *command) {
    return set_disabled(command, false, "is enabled.");
}

const struct verb verb_tenant_create = {
    .noun = "tenant", .name = "create", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
    .summary = "Make a tenant with its own data key",
    .examples = "  vaultctl tenant create acme --description \"ACME, production\"\n",
    .options = create_options, .run = run_create};
const struct verb verb_tenant_list = {
    .noun = "tenant", .name = "list", .arguments = "",
    .summary = "List the tenants", .examples = "  vaultctl tenant list\n", .run = run_list};
const struct verb verb_tenant_show = {.noun = "tenant",
                                      .name = "show",
                                      .arguments = "NAME",
                                      .argument_min = 1,
                                      .argument_max = 1,
                                      .summary = "Show one tenant",
                                      .examples = "  vaultctl tenant show acme --json\n",
                                      .run = run_show};
const struct verb verb_tenant_disable = {
    .noun = "tenant", .name = "disable", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
    .summary = "Stop issuing and redeeming for a tenant",
    .examples = "  vaultctl tenant disable acme\n", .run = run_disable};
const struct verb verb_tenant_enable = {
    .noun = "tenant", .name = "enable", .arguments = "NAME", .argument_min = 1, .argument_max = 1,
    .summary = "Serve a disabled tenant again",
    .examples = "  vaultctl tenant enable acme\n", .run = run_enable};
