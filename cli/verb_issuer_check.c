// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "cli/issuer_check.h"
#include "cli/verbs.h"

// "" when its keys can be had. The caller frees the text. NULL: it was not possible to
// ask, which was said.
static char *problem_of(struct command *command, int *ret_status) {
    json_t *empty = json_object(), *answer = NULL;
    *ret_status =
        command_call_path(command, "POST", empty, &answer, "/v1/tenants/%s/issuers/%s/check",
                          command->tenant, command->arguments[0]);
    json_decref(empty);
    const char *problem = json_string_value(json_object_get(answer, "problem"));
    char *text = *ret_status == EXIT_OK ? strdup(problem ? problem : "") : NULL;
    json_decref(answer);
    return text;
}

static int run_check(struct command *command) {
    int status;
    const char *name = command->arguments[0];
    char *problem = problem_of(command, &status);
    if (!problem)
        return status == EXIT_OK ? EXIT_FAILED : status;
    status = problem[0] ? EXIT_UNAVAILABLE : EXIT_OK;
    if (command->wants_json) {
        json_t *answer = json_pack("{s:s, s:b}", "name", name, "usable", !problem[0]);
        if (problem[0])
            json_object_set_new(answer, "problem", json_string(problem));
        int printed = command_print_json(answer);
        status = printed == EXIT_OK ? status : printed;
    } else if (problem[0]) {
        fprintf(stderr, "vaultctl: the keys of %s can not be used: %s\n", name, problem);
    } else {
        printf("The keys of %s are there, and fit its algorithms.\n", name);
    }
    free(problem);
    return status;
}

void issuer_check_added(struct command *command, json_t *answer) {
    int status;
    char *problem = problem_of(command, &status);
    if (problem && problem[0])
        fprintf(stderr,
                "vaultctl: warning: it is stored, but its keys can not be used: %s\n"
                "Until they can, its tokens are refused. Try again: vaultctl issuer check %s%s%s\n",
                problem, command->arguments[0],
                strcmp(command->tenant, "default") ? " --tenant " : "",
                strcmp(command->tenant, "default") ? command->tenant : "");
    if (problem && problem[0] && answer)
        json_object_set_new(answer, "problem", json_string(problem));
    free(problem);
}

const struct verb verb_issuer_check = {
    .noun = "issuer",
    .name = "check",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Fetch the keys of an identity provider, as the broker would",
    .details = "Exit status 6 when they can not be had, or none fits the issuer's algorithms.",
    .examples = "  vaultctl issuer check corp\n",
    .run = run_check};
