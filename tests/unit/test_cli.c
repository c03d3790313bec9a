// SPDX-License-Identifier: Apache-2.0
// The command line without a vault, and the real program against the real admin
// layer (admin_harness.h).
#include <fcntl.h>
#include <locale.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/terminal.h"
#include "tests/unit/admin_harness.h"
#include "tests/unit/check.h"

#define MARKER "sk-marker-cli-91ab"

// ---- Parsing ----

static struct command parsed;

static vlt_result parse(const char *line, struct fault *fault) {
    static char words[512];
    static char *argv[32];
    int argc = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word && argc < 31; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    *fault = (struct fault){0};
    return command_parse(argc, argv, fault, &parsed);
}

static void cli_accepts_verbs_and_options(void **state) {
    struct fault fault;
    assert_true(vlt_is_ok(
        parse("credential put openai --profile openai --host a --host=b --json", &fault)));
    assert_string_equal(parsed.verb->noun, "credential");
    assert_string_equal(parsed.verb->name, "put");
    assert_int_equal(parsed.argument_count, 1);
    assert_string_equal(parsed.arguments[0], "openai");
    assert_string_equal(command_option_at(&parsed, "--host", 1), "b");
    assert_null(command_option_at(&parsed, "--host", 2));
    assert_true(parsed.wants_json);
    assert_string_equal(parsed.tenant, "default");
    // Global options may stand before the verb.
    assert_true(vlt_is_ok(parse("--tenant acme status --check", &fault)));
    assert_string_equal(parsed.tenant, "acme");
    assert_true(command_flag(&parsed, "--check"));
    assert_true(vlt_is_ok(parse("audit tail -f", &fault)));
    assert_true(command_flag(&parsed, "--follow"));
    assert_true(vlt_is_ok(parse("credential put x -", &fault)));
    assert_string_equal(parsed.arguments[1], "-");
    assert_true(vlt_is_ok(parse("exec --credential c -- ls --all -l", &fault)));
    assert_string_equal(parsed.program[1], "--all");
    assert_string_equal(parsed.program[2], "-l");
    // A key id may begin with a hyphen.
    assert_true(vlt_is_ok(parse("key destroy --tenant acme signing -- -abc", &fault)));
    assert_string_equal(parsed.arguments[1], "-abc");
    assert_string_equal(parsed.tenant, "acme");
}

static void rejects(const char *line, const char *says) {
    struct fault fault;
    vlt_result result = parse(line, &fault);
    assert_false(vlt_is_ok(result));
    const char *text = fault_or_reason(&fault, result);
    if (!strstr(text, says))
        print_error("%s: %s\n", line, text);
    assert_non_null(strstr(text, says));
}

static void cli_rejects_command_lines(void **state) {
    rejects("key destroy signing -abc", "comes after \"--\"");
    rejects("", "what shall I do");
    rejects("tenat list", "did you mean \"tenant\"");
    rejects("tenant", "second word");
    rejects("tenant burn", "no command \"tenant burn\"");
    rejects("tenant create", "NAME is missing");
    rejects("tenant create a b", "\"b\" is one argument too many");
    rejects("tenant list --colour", "no option --colour");
    rejects("tenant list --json=yes", "takes no value");
    rejects("tenant list --tenant", "--tenant needs NAME");
    rejects("tenant list --tenant a --tenant b", "given twice");
    rejects("exec --credential c", "which program");
    rejects("exec --credential c --", "which program");
}

static void cli_rejects_numbers(void **state) {
    struct fault fault = {0};
    unsigned long number = 7;
    assert_true(vlt_is_ok(parse("audit tail --count 12", &fault)));
    assert_true(vlt_is_ok(command_number(&parsed, "--count", 100, 1, &fault, &number)));
    assert_int_equal(number, 12);
    assert_false(vlt_is_ok(command_number(&parsed, "--count", 11, 1, &fault, &number)));
    for (const char *const *bad =
             (const char *const[]){"audit tail --count -1", "audit tail --count 1x",
                                   "audit tail --count=", "audit tail --count 99999999999999999999",
                                   NULL};
         *bad; bad++) {
        assert_true(vlt_is_ok(parse(*bad, &fault)));
        assert_int_equal(command_number(&parsed, "--count", UINT32_MAX, 1, &fault, &number).class,
                         VLT_MALFORMED);
    }
    assert_int_equal(number, 12); // untouched on failure
}

// Cut and changed command lines end in a result, never in a crash.
static void cli_survives_any_command_line(void **state) {
    static const char whole[] = "--tenant acme credential put n --host=h --profile p --json -- x";
    char line[sizeof whole];
    struct fault fault;
    for (size_t i = 0; i + 1 < sizeof whole; i++) {
        memcpy(line, whole, i);
        line[i] = 0;
        (void)vlt_is_ok(parse(line, &fault));
        memcpy(line, whole, sizeof whole);
        line[i] ^= 4;
        vlt_result result = parse(line, &fault);
        assert_true(vlt_is_ok(result) || strlen(fault_or_reason(&fault, result)) > 0);
    }
}

static void cli_accepts_every_verb_in_the_table(void **state) {
    for (size_t i = 0; verbs[i]; i++) {
        assert_non_null(verbs[i]->run);
        assert_non_null(verbs[i]->summary);
        assert_non_null(verbs[i]->examples);
        assert_true(verbs[i]->argument_max >= verbs[i]->argument_min);
        size_t size = strlen(verbs[i]->examples);
        assert_int_equal(verbs[i]->examples[size - 1], '\n');
        for (const struct option_spec *o = verbs[i]->options; o && o->name; o++) {
            assert_true(strncmp(o->name, "--", 2) == 0);
            assert_true((o->kind == OPTION_FLAG) == (o->metavar == NULL));
        }
        for (size_t j = 0; j < i; j++) // one name, one verb
            assert_false(
                !strcmp(verbs[i]->noun, verbs[j]->noun) &&
                (!verbs[i]->name || !verbs[j]->name || !strcmp(verbs[i]->name, verbs[j]->name)));
    }
}

static void cli_accepts_classes_as_exit_statuses(void **state) {
    assert_int_equal(exit_status_of(VLT_CLASS_OK), 0);
    assert_int_equal(exit_status_of(VLT_MALFORMED), 1);
    assert_int_equal(exit_status_of(VLT_DENIED), 3);
    assert_int_equal(exit_status_of(VLT_NOT_FOUND), 4);
    assert_int_equal(exit_status_of(VLT_CONFLICT), 5);
    assert_int_equal(exit_status_of(VLT_UNAVAILABLE), 6);
}

static void cli_survives_steering_characters(void **state) {
    char text[64] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    terminal_put(out, "a\033[31mb\r\n\xff\xc3\xa9\xe2\x80\xae.");
    fclose(out);
    assert_string_equal(text, "a?[31mb???\xc3\xa9?.");
    setlocale(LC_CTYPE, "C.UTF-8");
    assert_int_equal(terminal_width("\xe6\x97\xa5\xc3\xa9x"), 4);
}

// ---- The real program ----

static struct harness harness;
static char output[65536], errors[65536];

static void read_end(int fd, char *text, size_t capacity) {
    size_t size = 0;
    ssize_t got;
    while (size + 1 < capacity && (got = read(fd, text + size, capacity - 1 - size)) > 0)
        size += (size_t)got;
    text[size] = 0;
    close(fd);
}

// Runs vaultctl with these words (NULL-terminated) and this standard input.
static int run(const char *input, const char *const *words) {
    char *argv[40] = {(char *)(uintptr_t)"vaultctl"};
    for (size_t i = 0; words[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    char in[] = "/tmp/vaultctl-in-XXXXXX", out[] = "/tmp/vaultctl-out-XXXXXX",
         err[] = "/tmp/vaultctl-err-XXXXXX";
    int in_fd = mkstemp(in), out_fd = mkstemp(out), err_fd = mkstemp(err), status;
    assert_int_equal(write(in_fd, input, strlen(input)), strlen(input));
    lseek(in_fd, 0, SEEK_SET);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in_fd, 0);
        dup2(out_fd, 1);
        dup2(err_fd, 2);
        setsid(); // no terminal to ask at
        setenv("VAULTCTL_SERVER", harness.server, 1);
        setenv("VAULTCTL_PROFILES", VAULT_SOURCE_DIR "/forward/profiles", 1);
        execv(VAULTCTL_PROGRAM, argv);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    lseek(out_fd, 0, SEEK_SET);
    lseek(err_fd, 0, SEEK_SET);
    read_end(out_fd, output, sizeof output);
    read_end(err_fd, errors, sizeof errors);
    close(in_fd);
    unlink(in);
    unlink(out);
    unlink(err);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}
#define RUN(input, ...) run(input, (const char *const[]){__VA_ARGS__, NULL})

static int start(void **state) {
    harness_start(&harness, &(struct harness_settings){0});
    return 0;
}
static int start_ready(void **state) {
    start(state);
    assert_int_equal(RUN("", "init"), 0);
    assert_int_equal(RUN("", "tenant", "create", "default"), 0);
    return 0;
}
static int stop(void **state) {
    harness_stop(&harness);
    return 0;
}

static void vaultctl_accepts_a_first_hour(void **state) {
    assert_int_equal(RUN("", "status", "--check"), 6);
    assert_int_equal(RUN("", "init"), 0);
    assert_non_null(strstr(output, "What to do next"));
    assert_int_equal(RUN("", "status", "--check"), 0);
    assert_int_equal(RUN("", "tenant", "create", "default"), 0);
    assert_int_equal(RUN("", "issuer", "add", "corp", "--issuer", "https://idp.test", "--audience",
                         "vault", "--group", "groups=*", "--group", "role=admin:admins",
                         "--require", "hd=test", "--no-check"),
                     0);
    assert_int_equal(
        RUN(MARKER "\n", "credential", "put", "openai-prod", "-", "--profile", "openai"), 0);
    assert_null(strstr(output, MARKER));
    assert_int_equal(RUN("", "credential", "list", "--json"), 0);
    json_t *list = json_loads(output, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(list, "credentials")), 1);
    json_decref(list);
    assert_null(strstr(output, MARKER));
    assert_int_equal(RUN("sk-new", "credential", "rotate", "openai-prod", "-"), 0);
    assert_non_null(strstr(output, "version 2"));
    assert_int_equal(RUN("", "forwarder", "enrol", "nginx", "--uid", "33"), 0);
    assert_int_equal(RUN("", "revoke", "--principal", "https://idp.test|alice"), 0);
    assert_int_equal(RUN("", "audit", "tail", "--json"), 0);
    assert_non_null(strstr(output, "\"operation\":\"credential.rotate\""));
    assert_int_equal(RUN("", "seal"), 0);
    assert_int_equal(RUN("x", "credential", "rotate", "openai-prod", "-"), 6);
    assert_non_null(strstr(errors, "vaultctl unseal"));
    assert_int_equal(RUN("", "unseal"), 0);
    assert_int_equal(RUN("", "credential", "delete", "openai-prod", "--yes"), 0);
}

// At a terminal: types `keys` when asked, collects what the terminal shows.
static int run_at_terminal(const char *keys, bool *ret_echoes) {
    int master, status;
    struct termios after;
    size_t size = 0;
    pid_t pid = forkpty(&master, NULL, NULL, NULL);
    assert_true(pid >= 0);
    if (pid == 0) {
        // The second program shows how the first one left the terminal.
        setenv("VAULTCTL_SERVER", harness.server, 1);
        execl("/bin/sh", "sh", "-c",
              VAULTCTL_PROGRAM " credential put typed --profile openai; s=$?; sleep 0.2; exit $s",
              (char *)NULL);
        _exit(99);
    }
    bool has_typed = false;
    ssize_t got;
    output[0] = 0;
    while (size + 1 < sizeof output &&
           (got = read(master, output + size, sizeof output - 1 - size)) > 0) {
        output[size += (size_t)got] = 0;
        if (!has_typed && strstr(output, "(not shown)")) {
            has_typed = write(master, keys, strlen(keys)) > 0;
            usleep(100000);
        }
        if (has_typed && tcgetattr(master, &after) == 0)
            *ret_echoes = after.c_lflag & ECHO;
    }
    assert_true(has_typed);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(master);
    return WEXITSTATUS(status);
}

static void vaultctl_accepts_a_value_at_a_silent_prompt(void **state) {
    bool echoes = false;
    assert_int_equal(run_at_terminal(MARKER "\n", &echoes), 0);
    assert_null(strstr(output, MARKER));
    assert_non_null(strstr(output, "version 1"));
    assert_true(echoes);
}

static void vaultctl_survives_an_interrupt_at_the_prompt(void **state) {
    bool echoes = false;
    assert_int_equal(run_at_terminal("half of it\003", &echoes), 1);
    assert_non_null(strstr(output, "cancelled"));
    assert_true(echoes);
    assert_int_equal(RUN("", "credential", "show", "typed"), 4);
}

static void vaultctl_rejects_with_documented_statuses(void **state) {
    assert_int_equal(RUN("", "tenant", "show", "nobody"), 4);
    assert_int_equal(RUN("", "tenant", "create", "default"), 5);
    assert_int_equal(RUN("", "tenant", "create", "Not A Name"), 1);
    assert_int_equal(RUN("", "init"), 5);
    assert_int_equal(RUN("", "credential", "put", "c", MARKER, "--profile", "openai"), 2);
    assert_null(strstr(errors, MARKER)); // not even in the complaint
    assert_int_equal(RUN("", "credential", "put", "c", "-", "--profile", "openai"), 1); // empty
    assert_int_equal(RUN("", "credential", "put", "c", "--profile", "openai"), 2); // no terminal
    assert_non_null(strstr(errors, "no terminal to ask at: give the value on standard input"));
    assert_int_equal(RUN("", "credential", "rotate", "c"), 2);
    assert_int_equal(RUN("", "credential", "put", "c", "--profile", "openai", "--file", "/none"),
                     4);
    assert_int_equal(RUN("", "status", "--server", "https://localhost:1", "--ca", "/none"), 2);
    assert_non_null(strstr(errors, "the roots in /none can not be read: No such file"));
    assert_int_equal(RUN("", "status", "--ca", "/none"), 0); // a unix socket needs none
    assert_int_equal(RUN("x", "credential", "put", "c", "-"), 2);
    assert_int_equal(RUN("x", "credential", "put", "c", "-", "--profile", "none"), 1);
    assert_int_equal(RUN("", "credential", "delete", "c"), 2); // not confirmed
    assert_int_equal(RUN("", "token", "get", "--credential", "c", "--bearer"), 2); // who are you?
    assert_int_equal(RUN("", "forwarder", "enrol", "n"), 2);
    assert_int_equal(RUN("", "revoke"), 2);
    assert_int_equal(RUN("", "status", "--server", "unix:/nonexistent/s"), 6);
    assert_int_equal(RUN("", "status", "--server", "http://127.0.0.1"), 2);
    assert_int_equal(RUN("", "tenant", "show", "nobody", "--json"), 4);
    json_t *error = json_loads(errors, 0, NULL);
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(error, "error"), "class")), "not_found");
    json_decref(error);
}

static void write_file(const char *path, const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void vaultctl_accepts_policies(void **state) {
    char good[128], bad[128], cases[128];
    snprintf(good, sizeof good, "%s/good.cedar", harness.folder);
    snprintf(bad, sizeof bad, "%s/bad.cedar", harness.folder);
    snprintf(cases, sizeof cases, "%s/cases.json", harness.folder);
    write_file(
        good,
        "@id(\"ops\")\npermit(principal in Group::\"ops\", action in Action::\"use\", resource)\n"
        "when { context.bound };\n");
    write_file(bad, "permit(principal,\n  action in Action::\"use\" resource);\n");
    write_file(cases, "[{\"name\":\"ops "
                      "may\",\"principal\":{\"type\":\"User\",\"id\":\"i|a\",\"groups\":[\"ops\"]},"
                      "\"action\":\"issue\",\"resource\":{\"type\":\"Credential\",\"id\":\"c\"},"
                      "\"context\":{\"bound\":true},\"expect\":\"allow\"}]");
    assert_int_equal(RUN("", "policy", "check", good), 0);
    assert_int_equal(RUN("", "policy", "check", bad), 1);
    assert_non_null(strstr(errors, "bad.cedar:2:"));
    assert_non_null(strstr(errors, "^"));
    assert_int_equal(RUN("", "policy", "put", bad), 1);
    assert_int_equal(RUN("", "policy", "put", good), 0);
    assert_int_equal(RUN("", "policy", "put", good, "--expected-version", "0"), 5);
    assert_int_equal(RUN("", "policy", "show", "--text"), 0);
    assert_non_null(strstr(output, "Group::\"ops\""));
    assert_int_equal(RUN("", "policy", "test", cases), 0);
    assert_non_null(strstr(output, "1 passed, 0 failed"));
    assert_int_equal(RUN("", "policy", "explain", "--principal", "https://i|a", "--group", "ops",
                         "--credential", "c", "--profile", "openai", "--model", "gpt-4o", "--time",
                         "03:00"),
                     0);
    assert_non_null(strstr(output, "ALLOWED"));
    assert_non_null(strstr(output, "ops"));
    assert_int_equal(RUN("", "policy", "explain", "--principal", "https://i|a", "--group", "ops",
                         "--credential", "c", "--profile", "openai", "--bearer"),
                     3);
    assert_non_null(strstr(output, "DENIED"));
    assert_non_null(strstr(output, "is false:  context.bound")); // quoted from good.cedar
    assert_int_equal(RUN("", "policy", "explain", "--principal", "https://i|a", "--group", "ops",
                         "--credential", "c", "--profile", "openai", "--bearer", "--all"),
                     3);
    assert_non_null(strstr(output, "a condition was not met"));
    assert_int_equal(RUN("", "policy", "explain", "--principal", "https://i|a", "--group", "ops",
                         "--credential", "c", "--profile", "openai", "--actor", "https://agents|x"),
                     3);
    assert_non_null(strstr(output, "must be:  principal in Group::\"ops\""));
    assert_int_equal(RUN("", "policy", "explain", "--principal", "https://i|a", "--credential", "c",
                         "--tag", "x"),
                     2);
    assert_int_equal(RUN("", "policy", "explain", "--principal", "https://i|a", "--credential", "c",
                         "--device", "lost"),
                     2);
}

static void vaultctl_accepts_completion_in_bash(void **state) {
    char command[512];
    snprintf(command, sizeof command,
             "eval \"$(%s completion bash)\"; COMP_WORDS=(vaultctl credential pu); COMP_CWORD=2; "
             "_vaultctl; "
             "[ \"${COMPREPLY[*]}\" = put ] && COMP_WORDS=(vaultctl credential put --pro) && "
             "COMP_CWORD=3 && "
             "_vaultctl && [ \"${COMPREPLY[*]}\" = --profile ]",
             VAULTCTL_PROGRAM);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("bash", "bash", "-c", command, (char *)NULL);
        _exit(99);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

// The file that packages install is what the program prints.
static void vaultctl_accepts_its_completion_file(void **state) {
    char text[65536];
    int fd = open(VAULT_SOURCE_DIR "/cli/completion/vaultctl.bash", O_RDONLY);
    assert_true(fd >= 0);
    read_end(fd, text, sizeof text);
    assert_int_equal(RUN("", "completion", "bash"), 0);
    assert_string_equal(text, output);
    assert_int_equal(RUN("", "completion", "zsh"), 0);
    assert_int_equal(RUN("", "completion", "fish"), 0);
    assert_int_equal(RUN("", "completion", "tcsh"), 2);
}

// What can fit nothing is a mistake and not an empty answer.
static void vaultctl_rejects_filters_that_fit_nothing(void **state) {
    assert_int_equal(RUN("", "audit", "search", "--since", "yesterday"), 2);
    assert_non_null(strstr(errors, "--since"));
    assert_int_equal(RUN("", "audit", "search", "--until", "2026-02-30"), 2);
    assert_int_equal(RUN("", "audit", "search", "--decision", "denied"), 2);
    assert_int_equal(RUN("", "audit", "search", "--principal", ""), 2);
    assert_int_equal(RUN("", "audit", "search", "--count", "0"), 2);
    assert_int_equal(RUN("", "audit", "show", ""), 2);
    assert_int_equal(RUN("", "audit", "export", "--first", "5", "--last", "4"), 2);
    assert_int_equal(RUN("", "audit", "search", "--log", "/", "--archive", "/nonexistent"), 4);
}

// The manual names every verb and every option.
static void vaultctl_accepts_its_manual(void **state) {
    static char text[131072];
    int fd = open(VAULT_SOURCE_DIR "/docs/man/vaultctl.1", O_RDONLY);
    assert_true(fd >= 0);
    read_end(fd, text, sizeof text);
    for (size_t i = 0; verbs[i]; i++) {
        char title[64];
        snprintf(title, sizeof title, ".B vaultctl %s%s%s", verbs[i]->noun,
                 verbs[i]->name ? " " : "", verbs[i]->name ? verbs[i]->name : "");
        if (!strstr(text, title))
            print_error("not in the manual: %s\n", title);
        assert_non_null(strstr(text, title));
        for (const struct option_spec *o = verbs[i]->options; o && o->name; o++) {
            char option[64] = "\\-\\-";
            size_t size = 4;
            for (const char *c = o->name + 2; *c && size < 60; c++) {
                if (*c == '-')
                    option[size++] = '\\';
                option[size++] = *c;
            }
            option[size] = 0;
            if (!strstr(text, option))
                print_error("not in the manual: %s of %s\n", o->name, title);
            assert_non_null(strstr(text, option));
        }
    }
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start_ready, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cli_accepts_verbs_and_options),
        cmocka_unit_test(cli_rejects_command_lines),
        cmocka_unit_test(cli_rejects_numbers),
        cmocka_unit_test(cli_survives_any_command_line),
        cmocka_unit_test(cli_accepts_every_verb_in_the_table),
        cmocka_unit_test(cli_accepts_classes_as_exit_statuses),
        cmocka_unit_test(cli_survives_steering_characters),
        cmocka_unit_test_setup_teardown(vaultctl_accepts_a_first_hour, start, stop),
        SERVED(vaultctl_accepts_a_value_at_a_silent_prompt),
        SERVED(vaultctl_survives_an_interrupt_at_the_prompt),
        SERVED(vaultctl_rejects_with_documented_statuses),
        SERVED(vaultctl_accepts_policies),
        cmocka_unit_test(vaultctl_accepts_completion_in_bash),
        cmocka_unit_test(vaultctl_accepts_its_completion_file),
        cmocka_unit_test(vaultctl_accepts_its_manual),
        cmocka_unit_test(vaultctl_rejects_filters_that_fit_nothing),
    };
    return cmocka_run_group_tests_name("cli", tests, NULL, NULL);
}
