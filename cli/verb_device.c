// SPDX-License-Identifier: Apache-2.0
// device list, add, remove. The vault does the work; ending this program does not
// end it, and `device list` shows how far it is.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/listing.h"
#include "cli/verbs.h"

#define LOOK_EACH_MS 250

static const struct option_spec change_options[] = {
    {"--detach", OPTION_FLAG, NULL, "do not wait until every data key has followed", 0}, {0}};

static int fetch(struct command *command, json_t **ret_list) {
    return command_call_path(command, "GET", NULL, ret_list, "/v1/devices");
}

static const json_t *find(const json_t *list, const char *name) {
    const json_t *devices = json_object_get(list, "devices");
    for (size_t i = 0; i < json_array_size(devices); i++)
        if (!strcmp(member_text(json_array_get(devices, i), "name"), name))
            return json_array_get(devices, i);
    return NULL;
}

// ---- list ----

static void row_print(struct table *table, const json_t *device) {
    char since[CELL_SIZE] = "", slots[CELL_SIZE] = "", missing[CELL_SIZE] = "";
    bool belongs = json_is_true(json_object_get(device, "belongs"));
    const char *part = json_is_true(json_object_get(device, "leaving")) ? "leaving"
                       : belongs                                        ? "yes"
                                                                        : "no";
    const char *const cells[] = {member_text(device, "name"),
                                 member_text(device, "kind"),
                                 member_text(device, "state"),
                                 member_time(device, "since", since),
                                 part,
                                 member_number(device, "slots", slots),
                                 member_number(device, "missing", missing),
                                 json_is_true(json_object_get(device, "serves")) ? "*" : "",
                                 member_text(device, "reason")};
    table_row(table, cells);
}

static int run_list(struct command *command) {
    static const char *const headings[] = {"NAME",  "KIND",    "STATE",  "SINCE", "IN VAULT",
                                           "SLOTS", "MISSING", "SERVES", "WHY",   NULL};
    json_t *list = NULL;
    struct table table;
    int status = fetch(command, &list);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(list);
    table_init(&table, headings);
    const json_t *devices = json_object_get(list, "devices");
    for (size_t i = 0; i < json_array_size(devices); i++)
        row_print(&table, json_array_get(devices, i));
    json_decref(list);
    return table_print(&table, "There is no device.") ? EXIT_OK : EXIT_FAILED;
}

// ---- add, remove ----

static bool is_added(const json_t *list, const char *name) {
    const json_t *device = find(list, name);
    const json_t *missing = json_object_get(device, "missing");
    return missing ? json_integer_value(missing) == 0
                   : !json_is_true(json_object_get(list, "is_under_way"));
}

static bool is_removed(const json_t *list, const char *name) {
    return !json_is_true(json_object_get(find(list, name), "belongs")) &&
           !json_is_true(json_object_get(list, "is_scrubbing"));
}

static void progress_print(const json_t *list, const char *name) {
    char slots[CELL_SIZE] = "", all[CELL_SIZE] = "";
    if (!isatty(STDERR_FILENO))
        return;
    member_number(find(list, name), "slots", slots);
    member_number(list, "data_keys", all);
    fprintf(stderr, "\r%s: slots in %s of %s data keys%s   ", name, slots[0] ? slots : "0", all,
            json_is_true(json_object_get(list, "is_scrubbing")) ? ", cleaning the store" : "");
}

static int follow(struct command *command, const char *name,
                  bool (*is_over)(const json_t *list, const char *name), json_t **ret_list) {
    const struct timespec wait = {.tv_nsec = LOOK_EACH_MS * 1000000L};
    json_t *list = NULL;
    int status = fetch(command, &list);
    bool was_shown = false;
    while (status == EXIT_OK && !is_over(list, name)) {
        progress_print(list, name);
        was_shown = true;
        nanosleep(&wait, NULL);
        json_decref(list);
        list = NULL;
        status = fetch(command, &list);
    }
    if (was_shown && isatty(STDERR_FILENO))
        fputc('\n', stderr);
    *ret_list = list;
    return status;
}

static int change(struct command *command, bool removes) {
    const char *name = command->arguments[0];
    json_t *answer = NULL, *list = NULL, *body = json_pack("{s:s}", "name", name);
    int status = removes
                     ? command_call_path(command, "DELETE", NULL, &answer, "/v1/devices/%s", name)
                     : command_call_path(command, "POST", body, &answer, "/v1/devices");
    json_decref(body);
    json_decref(answer);
    if (status == EXIT_OK)
        status = command_flag(command, "--detach")
                     ? fetch(command, &list)
                     : follow(command, name, removes ? is_removed : is_added, &list);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(list) : status;
    bool is_over = removes ? is_removed(list, name) : is_added(list, name);
    if (!is_over)
        printf("%s: under way; `vaultctl device list` shows how far it is.\n", name);
    else if (removes)
        printf(
            "%s is not part of the vault any more: the store holds nothing that it could open.\n",
            name);
    else
        printf("%s can open every data key of the vault now.\n", name);
    json_decref(list);
    return EXIT_OK;
}

static int run_add(struct command *command) {
    return change(command, false);
}

static int run_remove(struct command *command) {
    return change(command, true);
}

const struct verb verb_device_list = {
    .noun = "device",
    .name = "list",
    .arguments = "",
    .summary = "Show the devices, which of them work and what they can open",
    .examples = "  vaultctl device list\n  vaultctl device list --json\n",
    .run = run_list};
const struct verb verb_device_add = {
    .noun = "device",
    .name = "add",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Make another device part of the vault",
    .details = "NAME is an entry of more_devices in the configuration (reload vaultd after a "
               "change). The\n"
               "device makes a wrapping key and a rollback counter, and every data key is wrapped "
               "for it,\n"
               "too. From then on the vault starts and serves with any one of its devices.",
    .examples = "  vaultctl device add spare\n",
    .options = change_options,
    .run = run_add};
const struct verb verb_device_remove = {
    .noun = "device",
    .name = "remove",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "End a device's part in the vault, also of one that was lost",
    .details =
        "What was wrapped for it leaves the store, and its file is overwritten where that was. "
        "When\n"
        "the device answers, its wrapping key is destroyed in it. Refused (exit status 5) unless\n"
        "another device works. Backups of before can still be opened with it.",
    .examples = "  vaultctl device remove old-hsm\n",
    .options = change_options,
    .run = run_remove};
