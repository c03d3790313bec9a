// SPDX-License-Identifier: Apache-2.0
// status, seal, unseal: the vault as a whole.
#include <stdio.h>

#include "cli/listing.h"
#include "cli/verbs.h"

// ---- status ----

static const struct option_spec status_options[] = {
    {"--check", OPTION_FLAG, NULL, "exit with 6 unless the vault is unsealed", 0}, {0}};

static int run_status(struct command *command) {
    json_t *body = NULL;
    int status = command_call_path(command, "GET", NULL, &body, "/v1/status");
    if (status != EXIT_OK)
        return status;
    bool is_unsealed = !strcmp(member_text(body, "state"), "unsealed");
    bool is_new = !strcmp(member_text(body, "state"), "uninitialised");
    if (command_flag(command, "--check") && !is_unsealed)
        status = EXIT_UNAVAILABLE;
    if (command->wants_json) {
        int printed = command_print_json(body);
        return status == EXIT_OK ? printed : status;
    }
    terminal_pair("State", member_text(body, "state"));
    json_object_del(body, "state");
    object_print(body);
    if (!is_unsealed)
        printf("\nThe vault does not serve: run `vaultctl %s`.\n", is_new ? "init" : "unseal");
    json_decref(body);
    return status;
}

const struct verb verb_status = {
    .noun = "status",
    .arguments = "",
    .summary = "Show the state of the vault, its device and its memory",
    .examples = "  vaultctl status\n  vaultctl status --check && echo serving\n",
    .options = status_options,
    .run = run_status,
};

// ---- seal, unseal ----

static int seal_or_unseal(struct command *command, const char *path, const char *said) {
    json_t *body = NULL;
    int status = command_call_path(command, "POST", NULL, &body, path);
    if (status != EXIT_OK)
        return status;
    if (command->wants_json)
        return command_print_json(body);
    json_decref(body);
    puts(said);
    return EXIT_OK;
}

static int run_seal(struct command *command) {
    return seal_or_unseal(
        command, "/v1/seal",
        "The vault is sealed: no key is in memory, no token is issued or redeemed.\n"
        "`vaultctl unseal` opens it again.");
}

static int run_unseal(struct command *command) {
    return seal_or_unseal(command, "/v1/unseal", "The vault is unsealed.");
}

const struct verb verb_seal = {
    .noun = "seal",
    .arguments = "",
    .summary = "Stop: forget every key, refuse every redeem",
    .details =
        "The emergency stop. Nothing is lost; `vaultctl unseal` continues with the same device.",
    .examples = "  vaultctl seal\n",
    .run = run_seal,
};
const struct verb verb_unseal = {
    .noun = "unseal",
    .arguments = "",
    .summary = "Open the vault again with its device",
    .examples = "  vaultctl unseal\n",
    .run = run_unseal,
};
