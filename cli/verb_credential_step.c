// SPDX-License-Identifier: Apache-2.0
// credential verify, promote, abandon: what becomes of a version that was staged
// with `credential rotate --stage`.
#include <stdio.h>

#include "cli/listing.h"
#include "cli/verbs.h"

#define GRACE_MAX_S (30 * 86400)
#define GRACE_DEFAULT_S 300

static const struct option_spec verify_options[] = {
    {"--tested", OPTION_FLAG, NULL, "I tried it at the provider, and it works", 0}, {0}};
static const struct option_spec promote_options[] = {
    {"--grace", OPTION_VALUE, "SECONDS", "how long the old version still works (default 300)", 0},
    {0}};

// Takes the body. `said` goes behind the number of the version.
static int step(struct command *command, const char *verb, json_t *body, const char *said) {
    json_t *answer = NULL;
    int status =
        command_call_path(command, "POST", body, &answer, "/v1/tenants/%s/credentials/%s/%s",
                          command->tenant, command->arguments[0], verb);
    json_decref(body);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    char version[CELL_SIZE];
    printf("Credential %s: version %s %s.\n", command->arguments[0],
           member_number(answer, "version", version), said);
    json_decref(answer);
    return EXIT_OK;
}

static int run_verify(struct command *command) {
    if (!command_flag(command, "--tested"))
        return command_usage(command,
                             "try the new value at the provider yourself, then say so with "
                             "--tested: the vault shows it to nobody");
    return step(command, "verify", json_pack("{s:b}", "tested", 1),
                "is verified and can be promoted");
}

static int run_promote(struct command *command) {
    struct fault fault = {0};
    unsigned long grace_s = 0;
    if (!vlt_is_ok(
            command_number(command, "--grace", GRACE_MAX_S, GRACE_DEFAULT_S, &fault, &grace_s)))
        return command_usage(command, "%s", fault.text);
    return step(command, "promote", json_pack("{s:I}", "grace_s", (json_int_t)grace_s),
                "is in use; the one before still opens during its grace");
}

static int run_abandon(struct command *command) {
    return step(command, "abandon", json_object(), "is destroyed and was never used");
}

const struct verb verb_credential_verify = {
    .noun = "credential",
    .name = "verify",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Say that the staged version works at the provider",
    .details = "Only a verified version can be promoted. Your word is recorded in the audit log.",
    .examples = "  vaultctl credential verify openai-prod --tested\n",
    .options = verify_options,
    .run = run_verify};
const struct verb verb_credential_promote = {
    .noun = "credential",
    .name = "promote",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Put the verified, staged version to use; clients notice nothing",
    .details =
        "New requests get it at once; the version before still opens for --grace seconds and\n"
        "is then destroyed. `credential rollback` goes back meanwhile.",
    .examples = "  vaultctl credential promote openai-prod --grace 600\n",
    .options = promote_options,
    .run = run_promote};
const struct verb verb_credential_abandon = {
    .noun = "credential",
    .name = "abandon",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Destroy the staged version; the one in use stays",
    .examples = "  vaultctl credential abandon openai-prod\n",
    .run = run_abandon};
