// SPDX-License-Identifier: Apache-2.0
// credential put, rotate: the value is read into secret memory and leaves this
// process only sealed. It is never an argument: arguments are visible to all.
#include <stdio.h>

#include "cli/credential_put.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "forward/core/profile.h"

#define VALUE_MAX_BYTES PROFILE_SECRET_MAX
#define HEAP_BYTES (128u << 10)
#define GRACE_DEFAULT_S 300
#define GRACE_MAX_S (30 * 86400)

#define PUT_OPTIONS                                                                                \
    {"--file", OPTION_VALUE, "FILE", "read the value from a file; one final line end is left out", \
     0},                                                                                           \
        {"--profile", OPTION_VALUE, "NAME",                                                        \
         "what the provider expects: openai, anthropic, generic-bearer, …", 0},                    \
        {"--host", OPTION_LIST, "HOST", "upstream host that may get it (default: the profile's)",  \
         0},                                                                                       \
        {"--parameter", OPTION_LIST, "NAME=VALUE", "parameter that the profile wants", 0}, {       \
        "--description", OPTION_VALUE, "TEXT", "for people", 0                                     \
    }

static const struct option_spec put_options[] = {PUT_OPTIONS, {0}};
static const struct option_spec rotate_options[] = {
    PUT_OPTIONS,
    {"--stage", OPTION_FLAG, NULL, "do not use it yet: verify and promote it later", 0},
    {"--grace", OPTION_VALUE, "SECONDS", "how long the old version still works (default 300)", 0},
    {0}};

vlt_result credential_parameters(const struct command *command, json_t **ret_parameters,
                                 struct fault *fault) {
    json_t *parameters = NULL;
    const char *text;
    for (size_t i = 0; (text = command_option_at(command, "--parameter", i)); i++) {
        const char *equals = strchr(text, '=');
        if (!equals || equals == text) {
            json_decref(parameters);
            return fault_set(fault, VLT_MALFORMED, "bad option", "--parameter %s: give NAME=VALUE",
                             text);
        }
        if (!parameters)
            parameters = json_object();
        char name[128];
        snprintf(name, sizeof name, "%.*s", (int)(equals - text), text);
        json_object_set_new(parameters, name, json_string(equals + 1));
    }
    *ret_parameters = parameters;
    return vlt_ok();
}

int credential_answered(struct command *command, int status, json_t *answer, const char *said) {
    if (status != EXIT_OK || command->wants_json)
        return status == EXIT_OK ? command_print_json(answer) : status;
    json_decref(answer);
    printf("Credential %s %s\n", command->arguments[0], said);
    return EXIT_OK;
}

static json_t *hosts_of(const struct command *command) {
    json_t *hosts = NULL;
    const char *host;
    for (size_t i = 0; (host = command_option_at(command, "--host", i)); i++) {
        if (!hosts)
            hosts = json_array();
        json_array_append_new(hosts, json_string(host));
    }
    return hosts;
}

static vlt_result source_check(const struct command *command, struct fault *fault) {
    bool has_second = command->argument_count == 2;
    if (!has_second && !command_option(command, "--file") && !terminal_exists())
        return fault_set(fault, VLT_MALFORMED, "no value",
                         "there is no terminal to ask at: give the value on standard input with "
                         "\"-\", or with --file");
    if (!has_second || (!strcmp(command->arguments[1], "-") && !command_option(command, "--file")))
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "value on the command line",
                     "a value is never given on the command line, where everybody can see it: "
                     "leave it out to be asked, give \"-\" for standard input, or --file");
}

// From the file, from standard input when "-" follows the name, else asked for.
static vlt_result value_read(const struct command *command, struct secret *value,
                             struct fault *fault) {
    const char *file = command_option(command, "--file");
    bool from_input = command->argument_count == 2;
    if (file || from_input)
        return file_read_secret(file ? file : "-", value, fault);
    char prompt[160];
    snprintf(prompt, sizeof prompt, "Value of %.64s (not shown): ", command->arguments[0]);
    return terminal_read_secret(prompt, value, fault);
}

static int put_print(struct command *command, json_t *answer, enum vault_credential_change change) {
    if (command->wants_json)
        return command_print_json(answer);
    char version[CELL_SIZE], hosts[CELL_SIZE];
    bool is_staged = change == VAULT_CREDENTIAL_STAGE;
    printf("Credential %s is %s as version %s", command->arguments[0],
           is_staged ? "staged" : "stored", member_number(answer, "version", version));
    const char *list = member_list(answer, "hosts", hosts);
    printf(" for %s.\n", list[0] ? list : "its hosts");
    if (is_staged)
        printf(
            "No request gets it yet. Try it at the provider, then: vaultctl credential verify %s "
            "--tested\n",
            command->arguments[0]);
    if (change == VAULT_CREDENTIAL_CREATE)
        printf("Who may use it is up to the policies: `vaultctl policy explain` tells.\n");
    json_decref(answer);
    return EXIT_OK;
}

static int put(struct command *command, enum vault_credential_change change) {
    struct fault fault = {0};
    struct secret *value = NULL;
    json_t *parameters = NULL, *hosts = hosts_of(command), *answer = NULL;
    unsigned long grace_s = 0;
    int status = EXIT_FAILED;
    vlt_result result = credential_parameters(command, &parameters, &fault);
    if (vlt_is_ok(result))
        result = source_check(command, &fault);
    if (vlt_is_ok(result))
        result = command_number(command, "--grace", GRACE_MAX_S, GRACE_DEFAULT_S, &fault, &grace_s);
    if (vlt_is_ok(result) && change == VAULT_CREDENTIAL_CREATE &&
        !command_option(command, "--profile"))
        result = fault_set(&fault, VLT_MALFORMED, "option missing",
                           "--profile is missing: it says how the provider wants the credential");
    if (!vlt_is_ok(result)) {
        status = command_usage(command, "%s", fault.text);
        goto out;
    }
    result = secret_heap_open(HEAP_BYTES, &fault);
    if (vlt_is_ok(result) && !(value = secret_new(VALUE_MAX_BYTES)))
        result = vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    if (vlt_is_ok(result))
        result = value_read(command, value, &fault);
    if (!vlt_is_ok(result)) {
        status = command_fail(command, result, &fault);
        goto out;
    }
    struct vault *vault = command_admin(command, &status);
    if (!vault)
        goto out;
    const struct vault_credential credential = {
        .tenant = command->tenant,
        .name = command->arguments[0],
        .profile = command_option(command, "--profile"),
        .hosts = hosts,
        .parameters = parameters,
        .description = command_option(command, "--description"),
        .grace_s = (uint32_t)grace_s,
    };
    result = vault_credential_put(vault, change, &credential, value, &fault, &answer);
    status = vlt_is_ok(result) ? put_print(command, answer, change)
                               : command_fail(command, result, &fault);
out:
    secret_free(value);
    secret_heap_close();
    json_decref(parameters);
    json_decref(hosts);
    return status;
}

static int run_put(struct command *command) { return put(command, VAULT_CREDENTIAL_CREATE); }
int credential_rotate(struct command *command) {
    return put(command, command_flag(command, "--stage") ? VAULT_CREDENTIAL_STAGE
                                                         : VAULT_CREDENTIAL_ROTATE);
}

const struct verb verb_credential_put = {
    .noun = "credential",
    .name = "put",
    .arguments = "NAME [-]",
    .argument_min = 1,
    .argument_max = 2,
    .summary = "Store what a provider gave you, sealed before it leaves this program",
    .details =
        "Asks for the value without showing it; \"-\" reads standard input, --file a file. The\n"
        "value is encrypted to the vault's intake key here: neither the network nor the admin\n"
        "process sees it. There is no command that shows it again.\n\n"
        "A value has 1 to 8192 bytes and no control characters. Where the profile puts it into a\n"
        "request as it is, it is visible ASCII, with spaces only inside.",
    .examples =
        "  vaultctl credential put openai-prod --profile openai\n"
        "  pass show openai | vaultctl credential put openai-prod - --profile openai\n"
        "  vaultctl credential put intern --profile generic-header --parameter header=x-key \\\n"
        "      --host api.intern.example --file key.txt\n",
    .options = put_options,
    .run = run_put};
const struct verb verb_credential_rotate = {
    .noun = "credential",
    .name = "rotate",
    .arguments = "NAME [-]",
    .argument_min = 1,
    .argument_max = 2,
    .summary = "Store a new version; clients notice nothing",
    .details =
        "New requests get the new version at once; the old one still opens for --grace seconds.\n"
        "With --stage no request gets it until `vaultctl credential promote`.",
    .examples = "  vaultctl credential rotate openai-prod --grace 600\n"
                "  vaultctl credential rotate openai-prod --stage\n",
    .options = rotate_options,
    .run = credential_rotate};
