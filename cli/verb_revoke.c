// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/listing.h"
#include "cli/token_input.h"
#include "cli/verbs.h"

static const struct option_spec options[] = {
    {"--principal", OPTION_VALUE, "ISSUER|SUBJECT", "every token of this principal", 0},
    {"--client", OPTION_VALUE, "ID", "every token of this client", 0},
    {"--credential", OPTION_VALUE, "NAME", "every token for this credential", 0},
    {"--token-file", OPTION_VALUE, "FILE",
     "the token itself, through the broker; \"-\": standard input", 0},
    {"--key", OPTION_VALUE, "FILE", "PEM key of a bound token, with --token-file", 0},
    {0}};

static int revoke_rule(struct command *command, const char *kind, const char *value) {
    json_t *body = json_pack("{s:s,s:s}", "kind", kind, "value", value), *answer = NULL;
    int status = command_call_path(command, "POST", body, &answer, "/v1/tenants/%s/revoke",
                                   command->tenant);
    json_decref(body);
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    json_decref(answer);
    if (!strcmp(kind, "token"))
        puts("Revoked: that token redeems nothing any more.");
    else
        printf("Revoked: tokens of that %s that were issued until now redeem nothing any more.\n",
               kind);
    return EXIT_OK;
}

static int revoke_token(struct command *command, const char *file) {
    struct fault fault = {0};
    char *token = NULL;
    struct vault_key *key = NULL;
    int status = EXIT_FAILED;
    vlt_result result = token_read(file, &token, &fault);
    const char *key_file = command_option(command, "--key");
    if (vlt_is_ok(result) && key_file)
        result = key_read(key_file, &key, &fault);
    struct vault *broker = vlt_is_ok(result) ? command_broker(command, &status) : NULL;
    if (vlt_is_ok(result) && broker) {
        result = vault_token_revoke(broker, command->tenant, token, key, &fault);
        status = vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
    } else if (!vlt_is_ok(result)) {
        status = command_fail(command, result, &fault);
    }
    token_wipe(token);
    vault_key_free(key);
    if (status == EXIT_OK && command->wants_json)
        return command_print_json(json_pack("{s:b}", "revoked", 1));
    if (status == EXIT_OK)
        puts("Revoked: that token redeems nothing any more.");
    return status;
}

static int run(struct command *command) {
    static const char *const kinds[] = {"principal", "client", "credential"};
    const char *kind = NULL, *value = NULL, *file = command_option(command, "--token-file");
    size_t given = (command->argument_count ? 1 : 0) + (file ? 1 : 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        char name[32];
        snprintf(name, sizeof name, "--%s", kinds[i]);
        if (!command_option(command, name))
            continue;
        kind = kinds[i];
        value = command_option(command, name);
        given++;
    }
    if (given != 1)
        return command_usage(command, "say what to revoke, in one way: a token's id (jti), "
                                      "--principal, --client, --credential or --token-file");
    if (file)
        return revoke_token(command, file);
    return kind ? revoke_rule(command, kind, value)
                : revoke_rule(command, "token", command->arguments[0]);
}

const struct verb verb_revoke = {
    .noun = "revoke",
    .arguments = "[TOKEN-ID]",
    .argument_max = 1,
    .summary = "End tokens before they expire",
    .details =
        "When this returns, no redeem through this node succeeds; forwarders that cache stop\n"
        "within one second. A request that is under way through nginx is cut, a stream too.",
    .examples = "  vaultctl revoke N3b7…\n"
                "  vaultctl revoke --principal 'https://login.example|alice'\n"
                "  vaultctl revoke --token-file token.txt --broker https://vault.example\n",
    .options = options,
    .run = run};
