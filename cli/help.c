// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <string.h>

#include "cli/terminal.h"

static void usage_put(FILE *out, const struct verb *verb) {
    fprintf(out, "%s%s%s%s%s", verb->noun, verb->name ? " " : "", verb->name ? verb->name : "",
            verb->arguments[0] ? " " : "", verb->arguments);
}

static void verb_line(FILE *out, const struct verb *verb) {
    char line[80];
    snprintf(line, sizeof line, "%s%s%s", verb->noun, verb->name ? " " : "",
             verb->name ? verb->name : "");
    fprintf(out, "  %-26s %s\n", line, verb->summary);
}

static void options_put(FILE *out, const struct option_spec *specs) {
    for (; specs && specs->name; specs++) {
        char left[64], letter[8] = "";
        if (specs->letter)
            snprintf(letter, sizeof letter, "-%c, ", specs->letter);
        snprintf(left, sizeof left, "%s%s%s%s", letter, specs->name, specs->metavar ? " " : "",
                 specs->metavar ? specs->metavar : "");
        fprintf(out, "  %-28s %s%s\n", left, specs->help,
                specs->kind == OPTION_LIST ? " (may be repeated)" : "");
    }
}

void help_overview(FILE *out) {
    fputs("vaultctl administers a vault and gets tokens from it.\n\n"
          "usage: vaultctl [OPTION…] COMMAND [ARGUMENT…]\n"
          "       vaultctl --version\n\n", out);
    terminal_heading(out, "Commands");
    fputs("\n", out);
    for (size_t i = 0; verbs[i]; i++)
        verb_line(out, verbs[i]);
    fputs("\n", out);
    terminal_heading(out, "Options of every command");
    fputs("\n", out);
    options_put(out, global_options);
    fputs("\nExit status: 0 done, 1 failed, 2 wrong usage, 3 denied, 4 not found, 5 conflict,\n"
          "6 unavailable or sealed. `vaultctl COMMAND --help` explains a command with examples.\n",
          out);
}

void help_verb(FILE *out, const struct verb *verb) {
    fputs("usage: vaultctl ", out);
    usage_put(out, verb);
    bool asks = verb->summary[strlen(verb->summary) - 1] == '?';
    fprintf(out, "%s%s\n\n%s%s\n", verb->options ? " [OPTION…]" : "",
            verb->takes_command ? " -- PROGRAM [ARGUMENT…]" : "", verb->summary, asks ? "" : ".");
    if (verb->details)
        fprintf(out, "\n%s\n", verb->details);
    if (verb->options) {
        fputs("\n", out);
        terminal_heading(out, "Options");
        fputs("\n", out);
        options_put(out, verb->options);
    }
    fputs("\n", out);
    terminal_heading(out, "Options of every command");
    fputs("\n", out);
    options_put(out, global_options);
    if (verb->examples) {
        fputs("\n", out);
        terminal_heading(out, "Examples");
        fprintf(out, "\n%s", verb->examples);
    }
}

bool help_noun(FILE *out, int argc, char **argv) {
    bool has_any = false;
    for (int i = 0; i < argc && !has_any; i++)
        for (size_t v = 0; verbs[v]; v++)
            if (!strcmp(verbs[v]->noun, argv[i])) {
                verb_line(out, verbs[v]);
                has_any = true;
            }
    return has_any;
}
