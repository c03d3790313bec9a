// SPDX-License-Identifier: Apache-2.0
#include "cli/command.h"

#define NEAR_ENOUGH 3 // edits between a mistyped word and the one that was meant

// Levenshtein distance of two short words.
static size_t distance(const char *a, const char *b) {
    size_t row[64], size = strlen(b);
    if (size >= sizeof row / sizeof *row)
        return size;
    for (size_t j = 0; j <= size; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= size; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            size_t grow = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < grow ? change : grow;
        }
    }
    return row[size];
}

static const char *nearest_noun(const char *word) {
    const char *best = NULL;
    size_t best_distance = NEAR_ENOUGH;
    for (size_t i = 0; verbs[i]; i++) {
        size_t d = distance(word, verbs[i]->noun);
        if (d < best_distance) {
            best_distance = d;
            best = verbs[i]->noun;
        }
    }
    return best;
}

static const struct option_spec *option_in(const struct option_spec *specs, const char *word,
                                           size_t size) {
    for (; specs && specs->name; specs++) {
        bool is_name = strlen(specs->name) == size && strncmp(specs->name, word, size) == 0;
        bool is_letter = specs->letter && size == 2 && word[0] == '-' && word[1] == specs->letter;
        if (is_name || is_letter)
            return specs;
    }
    return NULL;
}

static const struct option_spec *option_find(const struct command *command, const char *word,
                                             size_t size) {
    const struct option_spec *spec =
        command->verb ? option_in(command->verb->options, word, size) : NULL;
    return spec ? spec : option_in(global_options, word, size);
}

// The verb of one or two words; *taken says how many. NULL with a fault.
static const struct verb *verb_find(const char *noun, const char *name, int *taken,
                                    struct fault *fault) {
    bool knows_noun = false;
    for (size_t i = 0; verbs[i]; i++) {
        if (strcmp(verbs[i]->noun, noun))
            continue;
        knows_noun = true;
        if (!verbs[i]->name || (name && !strcmp(verbs[i]->name, name))) {
            *taken = verbs[i]->name ? 2 : 1;
            return verbs[i];
        }
    }
    const char *near = knows_noun ? NULL : nearest_noun(noun);
    vlt_result ignored;
    if (!knows_noun)
        ignored =
            fault_set(fault, VLT_MALFORMED, "unknown verb", "there is no command \"%.40s\"%s%s%s",
                      noun, near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    else if (!name)
        ignored = fault_set(fault, VLT_MALFORMED, "verb incomplete",
                            "\"%s\" needs a second word: `vaultctl help` lists them", noun);
    else
        ignored = fault_set(fault, VLT_MALFORMED, "unknown verb",
                            "there is no command \"%s %.40s\"", noun, name);
    (void)ignored; // the caller makes the result
    return NULL;
}

static vlt_result option_take(struct command *command, int argc, char **argv, int *at,
                              struct fault *fault) {
    const char *word = argv[*at], *equals = strchr(word, '=');
    size_t size = equals && word[1] == '-' ? (size_t)(equals - word) : strlen(word);
    const struct option_spec *spec = option_find(command, word, size);
    if (!spec)
        return fault_set(fault, VLT_MALFORMED, "unknown option",
                         "there is no option %.*s here; an argument that begins with - comes "
                         "after \"--\"",
                         (int)size, word);
    const char *value = size < strlen(word) ? equals + 1 : NULL;
    if (spec->kind == OPTION_FLAG && value)
        return fault_set(fault, VLT_MALFORMED, "option without value", "%s takes no value",
                         spec->name);
    if (spec->kind != OPTION_FLAG && !value) {
        if (*at + 1 >= argc)
            return fault_set(fault, VLT_MALFORMED, "value missing", "%s needs %s", spec->name,
                             spec->metavar);
        value = argv[++*at];
    }
    if (spec->kind != OPTION_LIST && command_option(command, spec->name))
        return fault_set(fault, VLT_MALFORMED, "option repeated", "%s is given twice", spec->name);
    if (command->option_count == COMMAND_OPTIONS_MAX)
        return fault_set(fault, VLT_LIMIT, "too many options", "too many options");
    command->options[command->option_count++] = (struct command_option){spec, value};
    return vlt_ok();
}

// Options may stand before the verb; their values must not be taken for it.
static int word_next(const struct command *command, int argc, char **argv, int from) {
    for (int i = from; i < argc && strcmp(argv[i], "--"); i++) {
        if (argv[i][0] != '-' || !argv[i][1])
            return i;
        const struct option_spec *spec = option_find(command, argv[i], strlen(argv[i]));
        if (spec && spec->kind != OPTION_FLAG)
            i++;
    }
    return argc;
}

static vlt_result arguments_check(const struct command *command, struct fault *fault) {
    const struct verb *verb = command->verb;
    if (command->argument_count < verb->argument_min)
        return fault_set(fault, VLT_MALFORMED, "argument missing", "%s is missing",
                         verb->arguments);
    if (command->argument_count > verb->argument_max)
        return fault_set(fault, VLT_MALFORMED, "too many arguments",
                         "\"%.60s\" is one argument too many",
                         command->arguments[verb->argument_max]);
    if (verb->takes_command && (!command->program || !command->program[0]))
        return fault_set(fault, VLT_MALFORMED, "command missing",
                         "which program? Give it after \"--\"");
    return vlt_ok();
}

static vlt_result words_take(struct command *command, int argc, char **argv, int noun_at,
                             int name_at, struct fault *fault) {
    bool has_ended = false; // options; one key id in 64 begins with a hyphen
    for (int i = 0; i < argc; i++) {
        if (i == noun_at || i == name_at)
            continue;
        if (!has_ended && !strcmp(argv[i], "--")) {
            has_ended = true;
            if (!command->verb->takes_command)
                continue;
            command->program = argv + i + 1;
            return vlt_ok();
        }
        if (!has_ended && argv[i][0] == '-' && argv[i][1]) {
            VLT_TRY(option_take(command, argc, argv, &i, fault));
            continue;
        }
        if (command->argument_count == ARGUMENTS_ANY)
            return fault_set(fault, VLT_LIMIT, "too many arguments", "too many arguments");
        command->arguments[command->argument_count++] = argv[i];
    }
    return vlt_ok();
}

vlt_result command_parse(int argc, char **argv, struct fault *fault, struct command *ret_command) {
    struct command *command = ret_command;
    *command = (struct command){0};
    for (int i = 0; i < argc && strcmp(argv[i], "--"); i++) {
        command->wants_help |= !strcmp(argv[i], "--help") || !strcmp(argv[i], "-h");
        command->wants_json |= !strcmp(argv[i], "--json"); // also where the rest is wrong
    }
    int noun_at = word_next(command, argc, argv, 0);
    if (noun_at == argc)
        return fault_set(fault, VLT_MALFORMED, "no verb", "what shall I do?");
    int name_at = word_next(command, argc, argv, noun_at + 1), taken = 0;
    command->verb =
        verb_find(argv[noun_at], name_at < argc ? argv[name_at] : NULL, &taken, fault);
    if (!command->verb)
        return vlt_fail(VLT_MALFORMED, "unknown verb");
    VLT_TRY(words_take(command, argc, argv, noun_at, taken == 2 ? name_at : -1, fault));
    command->wants_json = command_flag(command, "--json");
    command->tenant = command_setting(command, "--tenant", "VAULTCTL_TENANT", "default");
    return command->wants_help ? vlt_ok() : arguments_check(command, fault);
}
