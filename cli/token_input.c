// SPDX-License-Identifier: Apache-2.0
#include "cli/token_input.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/terminal.h"

#define TOKEN_MAX_BYTES 32768
#define KEY_MAX_BYTES 16384

static char *token_of_text(const char *text, size_t size) {
    while (size && isspace((unsigned char)text[size - 1]))
        size--;
    while (size && isspace((unsigned char)*text)) {
        text++;
        size--;
    }
    return size ? strndup(text, size) : NULL;
}

static void buf_wipe(struct buf *buf) {
    if (buf->at)
        secret_cleanse(buf->at, buf->size);
    buf_done(buf);
}

vlt_result token_read(const char *path, char **ret_token, struct fault *fault) {
    struct buf text;
    buf_init(&text, TOKEN_MAX_BYTES + 8192);
    vlt_result result = file_read(path, TOKEN_MAX_BYTES, &text, fault);
    if (vlt_is_ok(result)) {
        char *token = token_of_text((const char *)text.at, text.size);
        if (token)
            *ret_token = token;
        else
            result = fault_set(fault, VLT_MALFORMED, "no token", "%s holds no token", path);
    }
    buf_wipe(&text);
    return result;
}

void token_wipe(char *token) {
    if (token)
        secret_cleanse(token, strlen(token));
    free(token);
}

vlt_result key_read(const char *path, struct vault_key **ret_key, struct fault *fault) {
    struct buf pem;
    buf_init(&pem, KEY_MAX_BYTES + 8192);
    file_warn_if_open("--key", path);
    vlt_result result = file_read(path, KEY_MAX_BYTES, &pem, fault);
    if (vlt_is_ok(result))
        result = vault_key_read(buf_bytes(&pem), fault, ret_key);
    buf_wipe(&pem);
    return result;
}

// ---- What is asked for ----

static void set_list(const struct command *command, json_t *detail, const char *option,
                     const char *member) {
    const char *value;
    for (size_t i = 0; (value = command_option_at(command, option, i)); i++) {
        if (i == 0)
            json_object_set_new(detail, member, json_array());
        json_array_append_new(json_object_get(detail, member), json_string(value));
    }
}

static vlt_result details_of(const struct command *command, json_t **ret_details,
                             struct fault *fault) {
    unsigned long max_tokens = 0;
    VLT_TRY(command_number(command, "--max-tokens", UINT32_MAX, 0, fault, &max_tokens));
    if (!command_option(command, "--credential"))
        return fault_set(fault, VLT_MALFORMED, "option missing",
                         "which credential? Give --credential");
    json_t *details = json_array();
    const char *credential;
    for (size_t i = 0; (credential = command_option_at(command, "--credential", i)); i++) {
        json_t *detail = json_pack("{s:s,s:s}", "type", "credential_use", "credential", credential);
        set_list(command, detail, "--method", "methods");
        set_list(command, detail, "--path", "paths");
        set_list(command, detail, "--model", "models");
        set_list(command, detail, "--tool", "tools");
        if (max_tokens)
            json_object_set_new(detail, "max_tokens", json_integer((json_int_t)max_tokens));
        json_array_append_new(details, detail);
    }
    *ret_details = details;
    return vlt_ok();
}

static vlt_result subject_read(const struct command *command, char **ret_token,
                               struct fault *fault) {
    const char *file =
        command_setting(command, "--subject-token-file", "VAULTCTL_SUBJECT_TOKEN_FILE", NULL);
    if (file)
        return token_read(file, ret_token, fault);
    const char *text = getenv("VAULTCTL_SUBJECT_TOKEN");
    char *token = text ? token_of_text(text, strlen(text)) : NULL;
    if (!token)
        return fault_set(fault, VLT_MALFORMED, "no subject token",
                         "who are you? Give a token of your identity provider with "
                         "--subject-token-file, or in VAULTCTL_SUBJECT_TOKEN");
    *ret_token = token;
    return vlt_ok();
}

int token_wish_read(struct command *command, struct token_wish *ret_wish) {
    struct fault fault = {0};
    struct token_wish wish = {.subject_type = command_option(command, "--subject-token-type")};
    vlt_result result = details_of(command, &wish.details, &fault);
    if (vlt_is_ok(result))
        result = subject_read(command, &wish.subject, &fault);
    const char *actor =
        command_setting(command, "--actor-token-file", "VAULTCTL_ACTOR_TOKEN_FILE", NULL);
    if (vlt_is_ok(result) && actor)
        result = token_read(actor, &wish.actor, &fault);
    if (vlt_is_ok(result)) {
        *ret_wish = wish;
        return EXIT_OK;
    }
    token_wish_done(&wish);
    return result.class == VLT_MALFORMED
               ? command_usage(command, "%s", fault_or_reason(&fault, result))
               : command_fail(command, result, &fault);
}

void token_wish_done(struct token_wish *wish) {
    token_wipe(wish->subject);
    token_wipe(wish->actor);
    json_decref(wish->details);
    *wish = (struct token_wish){0};
}

int token_fetch(struct command *command, const struct token_wish *wish, const struct vault_key *key,
                struct vault_token *ret_token) {
    int status = EXIT_FAILED;
    struct vault *broker = command_broker(command, &status);
    if (!broker)
        return status;
    const struct vault_token_request request = {
        .tenant = command->tenant,
        .subject_token = wish->subject,
        .subject_token_type = wish->subject_type,
        .actor_token = wish->actor,
        .details = wish->details,
        .key = key,
    };
    struct fault fault = {0};
    vlt_result result = vault_token_get(broker, &request, &fault, ret_token);
    if (vlt_is_ok(result))
        return EXIT_OK;
    // The token endpoint answers 400 to what policy refuses (RFC 8693).
    const char *error = json_string_value(json_object_get(vault_problem(broker), "error"));
    if (error && (!strcmp(error, "invalid_request") || !strcmp(error, "invalid_target") ||
                  !strcmp(error, "access_denied") || !strcmp(error, "unauthorized_client")))
        result.class = VLT_DENIED;
    size_t used = strlen(fault.text);
    if (result.class == VLT_DENIED)
        snprintf(fault.text + used, sizeof fault.text - used, " (Why is in the audit log.%s)",
                 key ? ""
                     : " If your token is good: one that is bound to no key needs a policy "
                       "annotated @bearer(\"allow\"), so bind it with `token get --key` or "
                       "`exec --bind`.");
    return command_fail(command, result, &fault);
}
