// SPDX-License-Identifier: Apache-2.0
// completion: scripts for shells, made from the verb table.
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/verbs.h"

static bool is_first_of_noun(size_t i) {
    return i == 0 || strcmp(verbs[i]->noun, verbs[i - 1]->noun) != 0;
}

static void option_names(const struct option_spec *specs) {
    for (; specs && specs->name; specs++)
        printf(" %s", specs->name);
}

static void bash_verb(const struct verb *verb) {
    printf("        \"%s%s%s\") options=\"", verb->noun, verb->name ? " " : "",
           verb->name ? verb->name : "");
    option_names(verb->options);
    printf("\" ;;\n");
}

static void bash_print(void) {
    printf("# SPDX-License-Identifier: Apache-2.0\n"
           "# Completion of vaultctl for bash, made by `vaultctl completion bash`.\n"
           "# zsh: autoload -U bashcompinit && bashcompinit, then source this file.\n"
           "_vaultctl() {\n"
           "    local current=\"${COMP_WORDS[COMP_CWORD]}\" noun=\"\" name=\"\" word i options\n"
           "    local global=\"");
    option_names(global_options);
    printf("\"\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=\"${COMP_WORDS[i]}\"\n"
           "        if [[ $word == -* ]]; then\n"
           "            case $word in\n"
           "            --json | --help | -h | *=*) ;;\n"
           "            *) [[ \" --server --broker --ca --tenant \" == *\" $word \"* ]] && ((i++)) "
           ";;\n"
           "            esac\n"
           "        elif [[ -z $noun ]]; then noun=\"$word\"\n"
           "        elif [[ -z $name ]]; then name=\"$word\"\n"
           "        fi\n"
           "    done\n"
           "    if [[ -z $noun && $current != -* ]]; then\n"
           "        COMPREPLY=($(compgen -W \"");
    for (size_t i = 0; verbs[i]; i++)
        if (is_first_of_noun(i))
            printf("%s ", verbs[i]->noun);
    printf("help\" -- \"$current\"))\n        return\n    fi\n    case $noun in\n");
    for (size_t i = 0; verbs[i]; i++) {
        if (!is_first_of_noun(i) || !verbs[i]->name)
            continue;
        printf("    %s)\n        if [[ -z $name && $current != -* ]]; then\n"
               "            COMPREPLY=($(compgen -W \"", verbs[i]->noun);
        for (size_t j = i; verbs[j] && !strcmp(verbs[j]->noun, verbs[i]->noun); j++)
            printf("%s%s", j > i ? " " : "", verbs[j]->name);
        printf("\" -- \"$current\"))\n            return\n        fi\n        ;;\n");
    }
    printf("    *) name=\"\" ;;\n    esac\n    if [[ $current == -* ]]; then\n        case "
           "\"$noun${name:+ $name}\" in\n");
    for (size_t i = 0; verbs[i]; i++)
        bash_verb(verbs[i]);
    printf("        *) options=\"\" ;;\n        esac\n"
           "        COMPREPLY=($(compgen -W \"$options $global\" -- \"$current\"))\n"
           "    else\n        COMPREPLY=($(compgen -f -- \"$current\"))\n    fi\n}\n"
           "complete -o filenames -F _vaultctl vaultctl\n");
}

// ---- fish ----

static void fish_text(const char *text) {
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_options(const struct option_spec *specs, const char *condition) {
    for (; specs && specs->name; specs++) {
        printf("complete -c vaultctl%s -l %s%s -d ", condition, specs->name + 2,
               specs->kind == OPTION_FLAG ? "" : " -r");
        fish_text(specs->help);
        putchar('\n');
    }
}

static void fish_print(void) {
    printf("# SPDX-License-Identifier: Apache-2.0\n"
           "# Completion of vaultctl for fish, made by `vaultctl completion fish`.\n");
    fish_options(global_options, "");
    for (size_t i = 0; verbs[i]; i++) {
        const struct verb *verb = verbs[i];
        if (is_first_of_noun(i)) {
            printf("complete -c vaultctl -f -n __fish_use_subcommand -a %s -d ", verb->noun);
            fish_text(verb->name ? "" : verb->summary);
            putchar('\n');
        }
        char condition[160];
        if (verb->name) {
            printf("complete -c vaultctl -f -n '__fish_seen_subcommand_from %s' -a %s -d ",
                   verb->noun, verb->name);
            fish_text(verb->summary);
            putchar('\n');
        }
        snprintf(condition, sizeof condition, " -n '__fish_seen_subcommand_from %s%s%s'",
                 verb->noun, verb->name ? "; and __fish_seen_subcommand_from " : "",
                 verb->name ? verb->name : "");
        fish_options(verb->options, condition);
    }
}

static int run(struct command *command) {
    const char *shell = command->arguments[0];
    if (!strcmp(shell, "fish")) {
        fish_print();
    } else if (!strcmp(shell, "bash") || !strcmp(shell, "zsh")) {
        if (!strcmp(shell, "zsh"))
            puts("autoload -U +X bashcompinit && bashcompinit");
        bash_print();
    } else {
        return command_usage(command, "there are scripts for bash, zsh and fish, not for \"%.40s\"",
                             shell);
    }
    return EXIT_OK;
}

const struct verb verb_completion = {
    .noun = "completion", .arguments = "bash|zsh|fish", .argument_min = 1, .argument_max = 1,
    .summary = "Print the completion script of a shell",
    .examples = "  source <(vaultctl completion bash)\n"
                "  vaultctl completion fish > ~/.config/fish/completions/vaultctl.fish\n",
    .run = run};
