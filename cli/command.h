// SPDX-License-Identifier: Apache-2.0
// One call of vaultctl: the parsed command line, the connections it opens, and
// how it speaks to the person or program that called it.
#ifndef VLT_CLI_COMMAND_H
#define VLT_CLI_COMMAND_H

#include "cli/verb.h"
#include "libvault/client/vault.h"

#define COMMAND_OPTIONS_MAX 64

struct command_option {
    const struct option_spec *spec;
    const char *value; // NULL for a flag
};

struct command {
    const struct verb *verb;
    struct command_option options[COMMAND_OPTIONS_MAX];
    size_t option_count;
    const char *arguments[ARGUMENTS_ANY];
    size_t argument_count;
    char **program; // after "--", NULL-terminated; NULL: none
    const char *tenant;
    bool wants_json, wants_help;
    struct vault *admin, *broker; // opened on first use
};

// Reads argv (without the program's name) into *ret_command. On a mistake writes
// one sentence into `fault`; the command then only serves for its verb (may be
// NULL) and wants_help.
vlt_result command_parse(int argc, char **argv, struct fault *fault,
                         struct command *ret_command) VLT_MUST_USE;
void command_done(struct command *command);

// The last value of "--name", or NULL. A flag that is set gives "".
const char *command_option(const struct command *command, const char *name);
bool command_flag(const struct command *command, const char *name);
// The n-th value of a list, NULL when there are fewer.
const char *command_option_at(const struct command *command, const char *name, size_t n);
// A whole number; VLT_MALFORMED with a fault that names the option.
vlt_result command_number(const struct command *command, const char *name, unsigned long max,
                          unsigned long otherwise, struct fault *fault,
                          unsigned long *ret_number) VLT_MUST_USE;
// The value of --name, else of the environment variable, else `otherwise`.
const char *command_setting(const struct command *command, const char *name,
                            const char *variable, const char *otherwise);

// Connections. NULL: said why; the exit status is in *ret_status.
struct vault *command_admin(struct command *command, int *ret_status);
struct vault *command_broker(struct command *command, int *ret_status);

// One call of the Admin API. EXIT_OK, or the failure was said and is the status.
int command_call(struct command *command, const struct vault_call *call, json_t **ret_body);
// The same with a path of format and %s parts that are escaped as segments.
int command_call_path(struct command *command, const char *method, const json_t *body,
                      json_t **ret_body, const char *format, ...);

// Says why, as "vaultctl: …" on standard error (a JSON object with --json), and
// returns the exit status of the class.
int command_fail(const struct command *command, vlt_result result, const struct fault *fault);
int command_usage(const struct command *command, const char *format, ...) VLT_PRINTF(2, 3);
enum exit_status exit_status_of(enum vlt_class class);

// With --json: the value on standard output. Takes it.
int command_print_json(json_t *value);

#endif
