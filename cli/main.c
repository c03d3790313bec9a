// SPDX-License-Identifier: Apache-2.0
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "cli/command.h"
#include "cli/descriptors.h"
#include "cli/help.h"

#ifndef VAULTCTL_VERSION
#define VAULTCTL_VERSION "unknown"
#endif

static int run(int argc, char **argv) {
    static struct command command;
    struct fault fault = {0};
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        puts("vaultctl " VAULTCTL_VERSION);
        return EXIT_OK;
    }
    if (argc == 1 || (argc == 2 && (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") ||
                                    !strcmp(argv[1], "-h")))) {
        help_overview(stdout);
        return argc == 1 ? EXIT_USAGE : EXIT_OK;
    }
    if (!strcmp(argv[1], "help")) { // help COMMAND: the same as COMMAND --help
        static char help[] = "--help";
        memmove(argv + 1, argv + 2, (size_t)(argc - 2) * sizeof *argv);
        argv[argc - 1] = help;
    }
    vlt_result result = command_parse(argc - 1, argv + 1, &fault, &command);
    if (command.wants_help && command.verb) {
        help_verb(stdout, command.verb);
        return EXIT_OK;
    }
    if (command.wants_help && help_noun(stdout, argc - 1, argv + 1))
        return EXIT_OK;
    if (!vlt_is_ok(result))
        return command_usage(&command, "%s", fault_or_reason(&fault, result));
    int status = command.verb->run(&command);
    command_done(&command);
    return status;
}

int main(int argc, char **argv) {
    descriptors_note();
    // A core file of this program could hold a credential. Not by RLIMIT_CORE: programs that
    // `exec` starts would inherit that, could not raise it again, and a core_pattern that is a
    // pipe does not heed it. This ends with execve; until then no debugger of the same user
    // and nothing of /proc that shows memory or environment gets at it either.
    prctl(PR_SET_DUMPABLE, 0);
    setlocale(LC_CTYPE, "");
    int status = run(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    fprintf(stderr, "vaultctl: standard output can not be written: what it got is not whole\n");
    return status == EXIT_OK ? EXIT_FAILED : status;
}
