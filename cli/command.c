// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/terminal.h"

const struct option_spec global_options[] = {
    {"--server", OPTION_VALUE, "ADDRESS",
     "Admin API: unix:/path or https://host (VAULTCTL_SERVER; default " VAULT_SERVER_DEFAULT ")",
     0},
    {"--broker", OPTION_VALUE, "URL", "broker: https://host (VAULTCTL_BROKER)", 0},
    {"--ca", OPTION_VALUE, "FILE", "PEM file of trusted roots for https (VAULTCTL_CA)", 0},
    {"--tenant", OPTION_VALUE, "NAME", "tenant (VAULTCTL_TENANT; default \"default\")", 0},
    {"--json", OPTION_FLAG, NULL, "print JSON for programs", 0},
    {"--help", OPTION_FLAG, NULL, "explain this command", 'h'},
    {NULL, OPTION_FLAG, NULL, NULL, 0},
};

const char *command_option_at(const struct command *command, const char *name, size_t n) {
    for (size_t i = 0; i < command->option_count; i++)
        if (!strcmp(command->options[i].spec->name, name) && n-- == 0)
            return command->options[i].value ? command->options[i].value : "";
    return NULL;
}

const char *command_option(const struct command *command, const char *name) {
    const char *last = NULL, *value;
    for (size_t i = 0; (value = command_option_at(command, name, i)); i++)
        last = value;
    return last;
}

bool command_flag(const struct command *command, const char *name) {
    return command_option(command, name) != NULL;
}

const char *command_setting(const struct command *command, const char *name, const char *variable,
                            const char *otherwise) {
    const char *value = command_option(command, name);
    if (!value)
        value = getenv(variable);
    return value && value[0] ? value : otherwise;
}

vlt_result command_number(const struct command *command, const char *name, unsigned long max,
                          unsigned long otherwise, struct fault *fault,
                          unsigned long *ret_number) {
    const char *text = command_option(command, name);
    if (!text) {
        *ret_number = otherwise;
        return vlt_ok();
    }
    bool is_digits = text[0] && strspn(text, "0123456789") == strlen(text) && strlen(text) < 19;
    unsigned long number = is_digits ? strtoul(text, NULL, 10) : 0;
    if (!is_digits || number > max)
        return fault_set(fault, VLT_MALFORMED, "not a number",
                         "%s: \"%.40s\" is not a number from 0 to %lu", name, text, max);
    *ret_number = number;
    return vlt_ok();
}

// ---- Speaking ----

enum exit_status exit_status_of(enum vlt_class class) {
    switch (class) {
    case VLT_CLASS_OK:
        return EXIT_OK;
    case VLT_DENIED:
        return EXIT_DENIED;
    case VLT_NOT_FOUND:
        return EXIT_NOT_FOUND;
    case VLT_CONFLICT:
        return EXIT_CONFLICT;
    case VLT_UNAVAILABLE:
        return EXIT_UNAVAILABLE;
    default:
        return EXIT_FAILED;
    }
}

// The faults of a problem ({document, line, column, detail}), one line each.
static void faults_print(const json_t *problem) {
    size_t i;
    const json_t *fault;
    const json_t *faults = json_object_get(problem, "faults");
    for (i = 0; i < json_array_size(faults); i++) {
        fault = json_array_get(faults, i);
        const char *document = json_string_value(json_object_get(fault, "document"));
        const char *detail = json_string_value(json_object_get(fault, "detail"));
        fprintf(stderr, "  ");
        terminal_put(stderr, document ? document : "");
        fprintf(stderr,
                ":%lld:%lld: ", (long long)json_integer_value(json_object_get(fault, "line")),
                (long long)json_integer_value(json_object_get(fault, "column")));
        terminal_put(stderr, detail ? detail : "");
        fputc('\n', stderr);
    }
}

static const json_t *problem_of(const struct command *command) {
    if (command->admin && vault_problem(command->admin))
        return vault_problem(command->admin);
    return command->broker ? vault_problem(command->broker) : NULL;
}

static int fail_json(enum vlt_class class, const char *text, int status, const json_t *problem) {
    json_t *error = json_pack("{s:{s:s,s:s,s:i}}", "error", "class", vlt_class_name(class),
                              "detail", text, "exit_status", status);
    if (error && problem)
        json_object_set_new(json_object_get(error, "error"), "problem", json_deep_copy(problem));
    json_dumpf(error, stderr, JSON_INDENT(2));
    fputc('\n', stderr);
    json_decref(error);
    return status;
}

int command_fail(const struct command *command, vlt_result result, const struct fault *fault) {
    int status = exit_status_of(result.class);
    const char *text = fault_or_reason(fault, result);
    const json_t *problem = problem_of(command);
    if (command->wants_json)
        return fail_json(result.class, text, status, problem);
    fprintf(stderr, "vaultctl: ");
    terminal_put(stderr, text);
    fputc('\n', stderr);
    faults_print(problem);
    if (command->admin && vault_status(command->admin) == 401)
        fputs("Give a token of your identity provider in VAULTCTL_ADMIN_TOKEN.\n", stderr);
    return status;
}

int command_usage(const struct command *command, const char *format, ...) {
    va_list args;
    char text[480];
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (command->wants_json)
        return fail_json(VLT_MALFORMED, text, EXIT_USAGE, NULL);
    fprintf(stderr, "vaultctl: ");
    terminal_put(stderr, text);
    const struct verb *verb = command->verb;
    fprintf(stderr, "\nTry `vaultctl %s%s%s%s--help`.\n", verb ? verb->noun : "", verb ? " " : "",
            verb && verb->name ? verb->name : "", verb && verb->name ? " " : "");
    return EXIT_USAGE;
}

int command_print_json(json_t *value) {
    bool is_printed = value && json_dumpf(value, stdout, JSON_INDENT(2) | JSON_SORT_KEYS) == 0;
    json_decref(value);
    fputc('\n', stdout);
    return is_printed && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

// ---- Connections ----

static struct vault *open_vault(struct command *command, const char *server, const char *bearer,
                                int *ret_status) {
    const struct vault_settings settings = {
        .server = server,
        .ca_file = command_setting(command, "--ca", "VAULTCTL_CA", NULL),
        .bearer = bearer,
    };
    struct fault fault = {0};
    struct vault *vault = NULL;
    vlt_result result = vault_open(&settings, &fault, &vault);
    if (!vlt_is_ok(result))
        *ret_status = result.class == VLT_MALFORMED ? command_usage(command, "%s", fault.text)
                                                    : command_fail(command, result, &fault);
    return vault;
}

struct vault *command_admin(struct command *command, int *ret_status) {
    // A token is never an argument: arguments are visible to every process. And this one
    // is for administration alone: who has it is the administrator.
    const char *token = getenv("VAULTCTL_ADMIN_TOKEN");
    if (!command->admin)
        command->admin = open_vault(
            command,
            command_setting(command, "--server", "VAULTCTL_SERVER", VAULT_SERVER_DEFAULT),
            token && token[0] ? token : NULL, ret_status);
    return command->admin;
}

struct vault *command_broker(struct command *command, int *ret_status) {
    const char *server = command_setting(command, "--broker", "VAULTCTL_BROKER", NULL);
    if (!command->broker && !server) {
        *ret_status = command_usage(
            command, "which broker? Give --broker https://… or set VAULTCTL_BROKER");
        return NULL;
    }
    if (!command->broker)
        command->broker = open_vault(command, server, NULL, ret_status);
    return command->broker;
}

int command_call(struct command *command, const struct vault_call *call, json_t **ret_body) {
    int status = EXIT_FAILED;
    struct vault *vault = command_admin(command, &status);
    if (!vault)
        return status;
    struct fault fault = {0};
    vlt_result result = vault_call(vault, call, &fault, ret_body, NULL);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

int command_call_path(struct command *command, const char *method, const json_t *body,
                      json_t **ret_body, const char *format, ...) {
    struct buf path;
    buf_init(&path, 8192);
    va_list args;
    va_start(args, format);
    for (const char *c = format; *c; c++) {
        if (c[0] == '%' && c[1] == 's') {
            vault_put_segment(&path, va_arg(args, const char *));
            c++;
        } else {
            buf_put_byte(&path, (uint8_t)*c);
        }
    }
    va_end(args);
    int status = EXIT_FAILED;
    const struct vault_call call = {.method = method, .path = buf_text(&path), .body = body};
    if (call.path)
        status = command_call(command, &call, ret_body);
    buf_done(&path);
    return status;
}

void command_done(struct command *command) {
    vault_close(command->admin);
    vault_close(command->broker);
    command->admin = command->broker = NULL;
}
