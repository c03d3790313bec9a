// SPDX-License-Identifier: Apache-2.0
// key list, destroy; credential rollback.
#include <stdio.h>

#include "cli/listing.h"
#include "cli/verbs.h"

static const struct option_spec list_options[] = {
    {"--all", OPTION_FLAG, NULL, "every tenant's (default: the vault's own, and --tenant's)", 0},
    {0}};

static void row_print(struct table *table, const json_t *item) {
    char generation[CELL_SIZE], created[CELL_SIZE], age[CELL_SIZE];
    long long age_s = json_integer_value(json_object_get(item, "age_s"));
    if (age_s < 172800)
        snprintf(age, sizeof age, "%lld h", age_s / 3600);
    else
        snprintf(age, sizeof age, "%lld d", age_s / 86400);
    const char *const cells[] = {member_text(item, "kind"),
                                 member_text(item, "tenant"),
                                 member_text(item, "key"),
                                 member_number(item, "generation", generation),
                                 member_text(item, "state"),
                                 age,
                                 member_time(item, "created_at", created),
                                 member_text(item, "needed_by")};
    table_row(table, cells);
}

static int run_list(struct command *command) {
    json_t *items = NULL, *page = NULL;
    int status;
    if (command_flag(command, "--all")) {
        status = listing_fetch(command, "/v1/keys", NULL, &items);
    } else {
        status = command_call_path(command, "GET", NULL, &page, "/v1/keys");
        if (status == EXIT_OK) {
            items = json_incref(json_object_get(page, "items"));
            json_decref(page);
            page = NULL;
            status = command_call_path(command, "GET", NULL, &page, "/v1/tenants/%s/keys",
                                       command->tenant);
        }
        if (status == EXIT_OK)
            json_array_extend(items, json_object_get(page, "items"));
        json_decref(page);
    }
    if (status != EXIT_OK) {
        json_decref(items);
        return status;
    }
    if (command->wants_json)
        return command_print_json(json_pack("{s:o}", "keys", items));
    static const char *const headings[] = {"KIND", "TENANT",  "KEY",       "GENERATION", "STATE",
                                           "AGE",  "CREATED", "NEEDED BY", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(items); i++)
        row_print(&table, json_array_get(items, i));
    json_decref(items);
    return table_print(&table, "There is no key: run `vaultctl init`.") ? EXIT_OK : EXIT_FAILED;
}

static int run_destroy(struct command *command) {
    const char *kind = command->arguments[0], *key = command->arguments[1];
    json_t *answer = NULL;
    int status =
        !strcmp(kind, "tenant")
            ? command_call_path(command, "DELETE", NULL, &answer, "/v1/tenants/%s/keys/%s",
                                command->tenant, key)
            : command_call_path(command, "DELETE", NULL, &answer, "/v1/keys/%s/%s", kind, key);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    json_decref(answer);
    printf("The key is destroyed.\n");
    return EXIT_OK;
}

// ---- Rollback ----

static const struct option_spec rollback_options[] = {
    {"--grace", OPTION_VALUE, "SECONDS", "how long the value in use now still works (default 300)",
     0},
    {0}};

static int run_rollback(struct command *command) {
    struct fault fault = {0};
    unsigned long grace_s = 0;
    json_t *answer = NULL;
    if (!vlt_is_ok(command_number(command, "--grace", 30 * 86400, 300, &fault, &grace_s)))
        return command_usage(command, "%s", fault.text);
    json_t *body = json_pack("{s:I}", "grace_s", (json_int_t)grace_s);
    int status =
        command_call_path(command, "POST", body, &answer, "/v1/tenants/%s/credentials/%s/rollback",
                          command->tenant, command->arguments[0]);
    json_decref(body);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    char version[CELL_SIZE];
    printf("Credential %s has its previous value again, as version %s.\n", command->arguments[0],
           member_number(answer, "version", version));
    json_decref(answer);
    return EXIT_OK;
}

const struct verb verb_key_list = {
    .noun = "key",
    .name = "list",
    .arguments = "",
    .summary = "List every key with its state, its age and what needs it",
    .examples = "  vaultctl key list\n  vaultctl key list --all --json\n",
    .options = list_options,
    .run = run_list};
const struct verb verb_key_destroy = {
    .noun = "key",
    .name = "destroy",
    .arguments = "KIND KEY",
    .argument_min = 2,
    .argument_max = 2,
    .summary = "Destroy a key that nothing needs",
    .details =
        "KIND is signing, intake, checkpoint, tenant, system or wrapping, KEY as "
        "`vaultctl key list`\n"
        "shows it. Refused (exit status 5) while something needs the key. Retired keys go by\n"
        "themselves.",
    .examples = "  vaultctl key destroy tenant 3 --tenant acme\n",
    .run = run_destroy};
const struct verb verb_credential_rollback = {
    .noun = "credential",
    .name = "rollback",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Go back to the value before the last rotation",
    .details =
        "While that value still exists: until the grace of the rotation is over. It becomes a new\n"
        "version.",
    .examples = "  vaultctl credential rollback openai-prod\n",
    .options = rollback_options,
    .run = run_rollback};
