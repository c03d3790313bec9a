// SPDX-License-Identifier: Apache-2.0
// exec: a program gets an ephemeral token where it expects an API key, and the
// forwarder where it expects the provider.
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/bind.h"
#include "cli/descriptors.h"
#include "cli/verbs.h"
#include "forward/core/profile.h"

#define EXIT_CANNOT_RUN 126
#define EXIT_NO_PROGRAM 127

static const struct option_spec options[] = {
    TOKEN_OPTIONS,
    {"--profile", OPTION_VALUE, "NAME", "which variables the program wants: openai, anthropic, …",
     0},
    {"--forwarder", OPTION_VALUE, "URL", "where the forwarder listens (VAULTCTL_FORWARDER)", 0},
    {"--bind", OPTION_FLAG, NULL, "bind the token to a key that stays in vaultctl; see above", 0},
    {"--profiles-dir", OPTION_VALUE, "DIR", "folder of profiles (VAULTCTL_PROFILES)", 0},
    {0}};

static vlt_result environment_set(const struct profile *profile, const char *forwarder,
                                  const char *token) {
    for (size_t i = 0; i < profile_environment_count(profile); i++) {
        struct buf value;
        buf_init(&value, 32768);
        vlt_result result = profile_environment_value(profile, i, forwarder, token, &value);
        const char *text = buf_text(&value);
        if (vlt_is_ok(result) &&
            (!text || setenv(profile_environment_name(profile, i), text, 1) != 0))
            result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
        if (text)
            secret_cleanse(value.at, value.size);
        buf_done(&value);
        VLT_TRY(result);
    }
    // What must not reach the program: who the caller is to the identity provider.
    unsetenv("VAULTCTL_SUBJECT_TOKEN");
    unsetenv("VAULTCTL_ADMIN_TOKEN");
    return vlt_ok();
}

static int program_run(char **program) {
    descriptors_keep_own();
    execvp(program[0], program);
    fprintf(stderr, "vaultctl: %s can not be run: %s\n", program[0], strerror(errno));
    return errno == ENOENT ? EXIT_NO_PROGRAM : EXIT_CANNOT_RUN;
}

// ---- With a bound token ----

static volatile sig_atomic_t child_pid; // 0: none yet

// What the terminal sends, it sends to the program too; the rest is passed on.
static void signal_pass(int number, siginfo_t *from, void *context) {
    int before = errno;
    bool is_terminals = (number == SIGINT || number == SIGQUIT) && from->si_code == SI_KERNEL;
    if (child_pid && !is_terminals)
        kill((pid_t)child_pid, number);
    errno = before;
}

// They wait until there is a program that they can be passed on to.
static void signals_set(sigset_t *ret_before) {
    const struct sigaction pass = {.sa_sigaction = signal_pass,
                                   .sa_flags = SA_RESTART | SA_SIGINFO};
    static const int passed[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2};
    const size_t count = sizeof passed / sizeof *passed;
    sigset_t waiting;
    sigemptyset(&waiting);
    for (size_t i = 0; i < count; i++)
        sigaddset(&waiting, passed[i]);
    pthread_sigmask(SIG_BLOCK, &waiting, ret_before); // first: one that is caught now would be lost
    for (size_t i = 0; i < count; i++)
        sigaction(passed[i], &pass, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int program_spawn(char **program) {
    posix_spawnattr_t attributes;
    sigset_t before, usual; // what is caught here is so there by itself
    pid_t pid;
    int status = 0;
    signals_set(&before);
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigdefault(&attributes, &usual);
    posix_spawnattr_setsigmask(&attributes, &before);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    descriptors_keep_own();
    int failed = posix_spawnp(&pid, program[0], NULL, &attributes, program, environ);
    posix_spawnattr_destroy(&attributes);
    if (failed) {
        fprintf(stderr, "vaultctl: %s can not be run: %s\n", program[0], strerror(failed));
        return failed == ENOENT ? EXIT_NO_PROGRAM : EXIT_CANNOT_RUN;
    }
    child_pid = (sig_atomic_t)pid;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return EXIT_FAILED;
    child_pid = 0; // the number may be another program's now
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int with_bound_token(struct command *command, const struct profile *profile,
                            const char *forwarder) {
    struct token_wish wish = {0};
    struct bind *bind = NULL;
    int status = token_wish_read(command, &wish);
    const struct bind_settings settings = {
        .command = command,
        .wish = &wish,
        .profile = profile,
        .forwarder = forwarder,
        .ca_file = command_setting(command, "--ca", "VAULTCTL_CA", NULL)};
    if (status == EXIT_OK)
        status = bind_start(&settings, &bind);
    if (status == EXIT_OK) {
        vlt_result result = environment_set(profile, bind_forwarder(bind), bind_secret(bind));
        status = vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, NULL);
    }
    if (status == EXIT_OK)
        status = program_spawn(command->program);
    bind_stop(bind);
    token_wish_done(&wish);
    return status;
}

static int with_token(struct command *command, const struct profile *profile,
                      const char *forwarder) {
    struct token_wish wish = {0};
    struct vault_token token = {0};
    int status = token_wish_read(command, &wish);
    if (status == EXIT_OK)
        status = token_fetch(command, &wish, NULL, &token);
    if (status == EXIT_OK) {
        vlt_result result = environment_set(profile, forwarder, token.text);
        status = vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, NULL);
    }
    vault_token_done(&token);
    token_wish_done(&wish);
    return status == EXIT_OK ? program_run(command->program) : status;
}

static int run(struct command *command) {
    const char *name = command_option(command, "--profile");
    const char *forwarder = command_setting(command, "--forwarder", "VAULTCTL_FORWARDER", NULL);
    if (!name || !forwarder)
        return command_usage(command, "give --profile, and --forwarder or VAULTCTL_FORWARDER");
    struct fault fault = {0};
    struct profile_set *profiles = NULL;
    vlt_result result = profile_set_load(
        command_setting(command, "--profiles-dir", "VAULTCTL_PROFILES", VAULTCTL_PROFILES_DIR),
        &fault, &profiles);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    const struct profile *profile = profile_find(profiles, name);
    int status;
    if (!profile) {
        char names[256];
        result = fault_set(&fault, VLT_NOT_FOUND, "no such profile",
                           "there is no profile \"%.60s\"; there are %s", name,
                           profile_set_names(profiles, names, sizeof names));
        status = command_fail(command, result, &fault);
    } else {
        status = command_flag(command, "--bind") ? with_bound_token(command, profile, forwarder)
                                                 : with_token(command, profile, forwarder);
    }
    profile_set_free(profiles);
    return status;
}

const struct verb verb_exec = {
    .noun = "exec",
    .arguments = "",
    .takes_command = true,
    .summary = "Run a program with an ephemeral token instead of an API key",
    .details =
        "Sets the environment variables that the provider's SDK reads: the forwarder in place of\n"
        "the provider and a token in place of the key, then becomes that program; its exit status\n"
        "is passed on. The token ends by itself. It is a bearer token, which policy must allow.\n"
        "With --bind the token is bound to a key of this run: vaultctl stays, listens on\n"
        "loopback, proves the key for each request and renews the token; the program, unchanged,\n"
        "knows neither.",
    .examples = "  vaultctl exec --credential openai-prod --profile openai \\\n"
                "      --forwarder http://127.0.0.1:8080 -- python3 app.py\n"
                "  vaultctl exec --bind --credential claude --profile anthropic -- node agent.js\n",
    .options = options,
    .run = run};
