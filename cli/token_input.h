// SPDX-License-Identifier: Apache-2.0
// Tokens and keys that the caller brings: from files, standard input or the
// environment, never from arguments.
#ifndef VLT_CLI_TOKEN_INPUT_H
#define VLT_CLI_TOKEN_INPUT_H

#include "cli/command.h"

// One token without white space around it; the caller wipes it with token_wipe.
vlt_result token_read(const char *path, char **ret_token, struct fault *fault) VLT_MUST_USE;
void token_wipe(char *token); // NULL is fine
vlt_result key_read(const char *path, struct vault_key **ret_key, struct fault *fault) VLT_MUST_USE;

// The options that `token get` and `exec` share.
#define TOKEN_OPTIONS                                                                              \
    {"--credential", OPTION_LIST, "NAME", "credential to be used", 0},                             \
    {"--model", OPTION_LIST, "PATTERN", "limit to these models, such as gpt-*", 0},                \
    {"--path", OPTION_LIST, "PATTERN", "limit to these paths, such as /v1/chat/*", 0},             \
    {"--method", OPTION_LIST, "METHOD", "limit to these methods", 0},                              \
    {"--tool", OPTION_LIST, "PATTERN", "limit to these tools", 0},                                 \
    {"--max-tokens", OPTION_VALUE, "NUMBER",                                                       \
     "most tokens of output that one request may ask for", 0},                                     \
    {"--subject-token-file", OPTION_VALUE, "FILE",                                                 \
     "who you are: a token of your identity provider; \"-\": standard input "                      \
     "(VAULTCTL_SUBJECT_TOKEN_FILE, VAULTCTL_SUBJECT_TOKEN)", 0},                                  \
    {"--subject-token-type", OPTION_VALUE, "URN", "its type (default: …:jwt)", 0},                 \
    {"--actor-token-file", OPTION_VALUE, "FILE",                                                   \
     "the agent that acts for you (VAULTCTL_ACTOR_TOKEN_FILE)", 0}

// What is asked for: tokens read, details built. token_wish_done wipes.
struct token_wish {
    char *subject, *actor;
    const char *subject_type;
    json_t *details;
};
// EXIT_OK, or the failure was said.
int token_wish_read(struct command *command, struct token_wish *ret_wish);
void token_wish_done(struct token_wish *wish);
// Exchanges. `key` NULL asks for a bearer token. EXIT_OK, or the failure was said.
int token_fetch(struct command *command, const struct token_wish *wish, const struct vault_key *key,
                struct vault_token *ret_token);

#endif
