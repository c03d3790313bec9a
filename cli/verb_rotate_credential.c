// SPDX-License-Identifier: Apache-2.0
// rotate credential: at the provider where the vault knows how, else by hand. The
// vault does the work; ending this program does not end it, and the same command
// shows it again.
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "cli/credential_put.h"
#include "cli/listing.h"
#include "cli/verbs.h"

#define LOOK_EACH_MS 300
#define TRIES_SHOWN 3 // failures after which this program does not wait any more
#define PATH "/v1/tenants/%s/credentials/%s/rotation"

static const char *state_of(const json_t *job) {
    return member_text(job, "state");
}

// The new key is in use, or it was given up; what is left to do waits for time.
static bool is_waiting(const json_t *job) {
    const char *state = state_of(job);
    return strcmp(state, "idle") && strcmp(state, "failed") && strcmp(state, "revoking");
}

static int look(struct command *command, const char *name, json_t **ret_plan) {
    return command_call_path(command, "GET", NULL, ret_plan, PATH, command->tenant, name);
}

static void progress_print(const char *name, const json_t *job) {
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %s %s   ", name, state_of(job), member_text(job, "error"));
}

// Takes *plan and gives it back as it is in the end.
static int follow(struct command *command, const char *name, json_t **plan) {
    const struct timespec wait = {.tv_nsec = LOOK_EACH_MS * 1000000L};
    int status = EXIT_OK;
    for (;;) {
        const json_t *job = json_object_get(*plan, "job");
        bool fails = json_integer_value(json_object_get(job, "attempts")) >= TRIES_SHOWN;
        if (!is_waiting(job) || fails)
            break;
        progress_print(name, job);
        nanosleep(&wait, NULL);
        json_decref(*plan);
        *plan = NULL;
        status = look(command, name, plan);
        if (status != EXIT_OK)
            return status;
    }
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
    return EXIT_OK;
}

static void plan_print(const char *name, const json_t *plan, bool is_dry) {
    const json_t *job = json_object_get(plan, "job");
    char at[CELL_SIZE], version[CELL_SIZE];
    const char *state = state_of(job), *error = member_text(job, "error");
    if (is_dry && !json_is_true(json_object_get(job, "is_under_way")))
        printf("%s would be rotated with recipe %s.\n", name, member_text(plan, "recipe"));
    else if (!strcmp(state, "revoking"))
        printf("%s: version %s is in use; the old key is revoked at %s.\n", name,
               member_number(job, "current_version", version), member_time(job, "revoke_at", at));
    else if (!strcmp(state, "idle"))
        printf("%s: version %s is in use.\n", name, member_number(job, "current_version", version));
    else
        printf("%s is %s%s%s%s\n", name, state, error[0] ? ": " : "", error,
               is_waiting(job) ? " (the vault goes on by itself)" : "");
}

static int outcome(const json_t *plan) {
    const json_t *job = json_object_get(plan, "job");
    if (!strcmp(state_of(job), "failed"))
        return EXIT_FAILED;
    return is_waiting(job) ? EXIT_UNAVAILABLE : EXIT_OK;
}

// The plan with its job in the end, owned by the caller.
static int run_one(struct command *command, const char *name, json_t **ret_plan) {
    json_t *plan = NULL, *body = json_object(), *job = NULL;
    bool is_dry = command_flag(command, "--dry-run"), waits = !command_flag(command, "--detach");
    int status = EXIT_OK;
    if (!is_dry)
        status = command_call_path(command, "POST", body, &job, PATH, command->tenant, name);
    json_decref(body);
    json_decref(job);
    if (status == EXIT_OK)
        status = look(command, name, &plan);
    if (status == EXIT_OK && !is_dry && waits)
        status = follow(command, name, &plan);
    if (status != EXIT_OK) {
        json_decref(plan);
        return status;
    }
    if (!command->wants_json)
        plan_print(name, plan, is_dry);
    *ret_plan = plan;
    return is_dry || !waits ? EXIT_OK : outcome(plan);
}

static int run_all(struct command *command) {
    json_t *plans = NULL, *done = json_array();
    int status = listing_fetch(command, "/v1/tenants/%s/rotations", command->tenant, &plans);
    for (size_t i = 0; status == EXIT_OK && i < json_array_size(plans); i++) {
        json_t *plan = NULL;
        int one = run_one(command, member_text(json_array_get(plans, i), "name"), &plan);
        if (plan)
            json_array_append_new(done, plan);
        status = one == EXIT_OK || plan ? status : one;
    }
    for (size_t i = 0; status == EXIT_OK && !command_flag(command, "--dry-run") &&
                       !command_flag(command, "--detach") && i < json_array_size(done); i++)
        status = outcome(json_array_get(done, i));
    if (plans && json_array_size(plans) == 0 && !command->wants_json)
        printf("No credential of tenant %s is rotated at its provider: `vaultctl credential "
               "automate`.\n", command->tenant);
    json_decref(plans);
    if (command->wants_json && (status == EXIT_OK || json_array_size(done)))
        (void)command_print_json(json_pack("{s:O}", "credentials", done));
    json_decref(done);
    return status;
}

// By hand when a value comes along, or when nothing says how the provider does it.
// EXIT_OK, or why it can not be known was said.
static int is_by_hand(struct command *command, bool *ret_is_by_hand) {
    bool has_plan = false;
    json_t *plans = NULL;
    if (command->argument_count == 2 || command_option(command, "--file") ||
        command_flag(command, "--stage") || command_option(command, "--profile")) {
        *ret_is_by_hand = true;
        return EXIT_OK;
    }
    int status = listing_fetch(command, "/v1/tenants/%s/rotations", command->tenant, &plans);
    for (size_t i = 0; i < json_array_size(plans); i++)
        has_plan |=
            !strcmp(member_text(json_array_get(plans, i), "name"), command->arguments[0]);
    json_decref(plans);
    *ret_is_by_hand = !has_plan;
    return status;
}

static int run(struct command *command) {
    json_t *plan = NULL;
    bool is_all = command_flag(command, "--all"), by_hand = false;
    if (is_all != (command->argument_count == 0))
        return command_usage(command, is_all ? "give a NAME or --all, not both"
                                             : "give the NAME of a credential, or --all");
    if (is_all)
        return run_all(command);
    int status = is_by_hand(command, &by_hand);
    if (status != EXIT_OK)
        return status;
    if (by_hand) {
        if (command_flag(command, "--dry-run"))
            return command_usage(command, "%s is rotated by hand: `vaultctl credential automate` "
                                          "says how its provider does it", command->arguments[0]);
        return credential_rotate(command);
    }
    status = run_one(command, command->arguments[0], &plan);
    if (plan && command->wants_json)
        (void)command_print_json(json_incref(plan));
    json_decref(plan);
    return status;
}

static const struct option_spec options[] = {
    {"--all", OPTION_FLAG, NULL, "every credential of the tenant that is rotated at its provider",
     0},
    {"--dry-run", OPTION_FLAG, NULL, "say what would be done, change nothing", 0},
    {"--detach", OPTION_FLAG, NULL, "do not wait for the end", 0},
    {"--file", OPTION_VALUE, "FILE", "by hand: read the value from a file", 0},
    {"--profile", OPTION_VALUE, "NAME", "by hand: what the provider expects", 0},
    {"--host", OPTION_LIST, "HOST", "by hand: upstream host that may get it", 0},
    {"--parameter", OPTION_LIST, "NAME=VALUE", "by hand: parameter that the profile wants", 0},
    {"--description", OPTION_VALUE, "TEXT", "by hand: for people", 0},
    {"--stage", OPTION_FLAG, NULL, "by hand: do not use it yet, verify and promote it later", 0},
    {"--grace", OPTION_VALUE, "SECONDS",
     "by hand: how long the old version still works (default 300)", 0},
    {0}};

const struct verb verb_rotate_credential = {
    .noun = "rotate",
    .name = "credential",
    .arguments = "[NAME [-]]",
    .argument_min = 0,
    .argument_max = 2,
    .summary = "Rotate a credential at its provider now, or by hand",
    .details = "Where `credential automate` said how: makes a key at the provider, tries it, puts "
               "it to use,\n"
               "revokes the old one after its grace. The vault does it; after an interruption it "
               "goes on by\n"
               "itself, and this command shows how far it is. Exit status 6: the provider fails, "
               "the vault\n"
               "goes on trying. Otherwise, or with a value: the same as credential rotate.",
    .examples =
        "  vaultctl rotate credential ci-key\n  vaultctl rotate credential --all --dry-run\n"
        "  vaultctl rotate credential openai-prod --file key.txt --grace 600\n",
    .options = options,
    .run = run};
