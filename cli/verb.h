// SPDX-License-Identifier: Apache-2.0
// The verbs of vaultctl. Each verb file defines one or more `struct verb`;
// verbs.c lists them in the order of the help. Help, usage errors and shell
// completion are all made from these tables.
#ifndef VLT_CLI_VERB_H
#define VLT_CLI_VERB_H

#include <stdbool.h>
#include <stddef.h>

// Exit status of vaultctl; part of its interface (docs/man/vaultctl.1).
enum exit_status {
    EXIT_OK = 0,
    EXIT_FAILED = 1,      // anything that is none of the following
    EXIT_USAGE = 2,       // the command line is wrong; nothing was sent
    EXIT_DENIED = 3,      // not permitted
    EXIT_NOT_FOUND = 4,
    EXIT_CONFLICT = 5,    // exists already, or somebody else changed it first
    EXIT_UNAVAILABLE = 6  // nobody answers, or the vault is sealed
};

enum option_kind { OPTION_FLAG, OPTION_VALUE, OPTION_LIST /* may be given several times */ };
struct option_spec {
    const char *name; // "--grace"; NULL ends a list
    enum option_kind kind;
    const char *metavar; // "SECONDS"; NULL for flags
    const char *help;
    char letter; // 'f' for -f; 0: none
};

struct command;

struct verb {
    const char *noun, *name; // "credential", "put"; name NULL: the noun alone ("status")
    const char *arguments;   // for the usage line: "NAME", "[FILE…]"; "" when it takes none
    unsigned argument_min, argument_max;
    bool takes_command;      // everything after "--" belongs to a program
    const char *summary;     // one line
    const char *details;     // paragraphs, or NULL
    const char *examples;    // lines, each a command
    const struct option_spec *options; // NULL: only the global ones
    int (*run)(struct command *command);
};

extern const struct verb *const verbs[]; // NULL-terminated
extern const struct option_spec global_options[];

#define ARGUMENTS_ANY 256u

#endif
