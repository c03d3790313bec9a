// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "cli/terminal.h"
#include "cli/token_input.h"
#include "cli/verbs.h"

static const struct option_spec options[] = {
    TOKEN_OPTIONS,
    {"--key", OPTION_VALUE, "FILE", "PEM key to bind the token to (openssl genpkey …)", 0},
    {"--bearer", OPTION_FLAG, NULL, "ask for a token that is bound to no key; policy must allow it",
     0},
    {0}};

static int print(struct command *command, struct vault_token *token, const struct vault_key *key) {
    if (!command->wants_json) {
        puts(token->text);
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    json_t *answer = json_deep_copy(token->answer);
    json_object_set_new(answer, "access_token", json_string(token->text));
    if (key)
        json_object_set_new(answer, "jkt", json_string(vault_key_thumbprint(key)));
    return command_print_json(answer);
}

static int run(struct command *command) {
    const char *key_file = command_option(command, "--key");
    bool is_bearer = command_flag(command, "--bearer");
    if (!!key_file + is_bearer != 1)
        return command_usage(
            command, "bind the token to a key with --key FILE, or ask for one that is bound to "
                     "none with --bearer; `vaultctl exec --bind` needs neither");
    struct token_wish wish = {0};
    struct vault_token token = {0};
    struct vault_key *key = NULL;
    struct fault fault = {0};
    int status = token_wish_read(command, &wish);
    if (status == EXIT_OK && key_file) {
        vlt_result result = key_read(key_file, &key, &fault);
        if (!vlt_is_ok(result))
            status = command_fail(command, result, &fault);
    }
    if (status == EXIT_OK)
        status = token_fetch(command, &wish, key, &token);
    if (status == EXIT_OK)
        status = print(command, &token, key);
    vault_token_done(&token);
    vault_key_free(key);
    token_wish_done(&wish);
    return status;
}

const struct verb verb_token_get = {
    .noun = "token",
    .name = "get",
    .arguments = "",
    .summary = "Exchange who you are for an ephemeral token",
    .details =
        "RFC 8693 at the broker. The token says which credential may be used and for what; it\n"
        "is not the credential. Whoever uses it must prove that they hold its key.",
    .examples = "  vaultctl token get --credential openai-prod --model 'gpt-*' --key key.pem \\\n"
                "      --subject-token-file id.jwt --broker https://vault.example --json\n",
    .options = options,
    .run = run};
