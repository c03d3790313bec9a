// SPDX-License-Identifier: Apache-2.0
// credential automate: how a credential is rotated at its provider.
#include <stdio.h>

#include "cli/credential_put.h"
#include "cli/listing.h"
#include "cli/verbs.h"

#define GRACE_MAX_S (30 * 86400)
#define GRACE_DEFAULT_S 3600
#define PATH "/v1/tenants/%s/credentials/%s/rotation"

static const struct option_spec options[] = {
    {"--recipe", OPTION_VALUE, "NAME",
     "openai-service-account, aws-iam, generic-rest, …, or exec:PROGRAM", 0},
    {"--parameter", OPTION_LIST, "NAME=VALUE", "parameter that the recipe wants", 0},
    {"--manager", OPTION_VALUE, "CREDENTIAL", "credential that may make and revoke the keys", 0},
    {"--key-id", OPTION_VALUE, "ID",
     "what the provider calls the key in use, so that it can be revoked", 0},
    {"--days", OPTION_VALUE, "DAYS", "rotate when it is so old (default: rotation.credential_days)",
     0},
    {"--grace", OPTION_VALUE, "SECONDS", "how long the old key still works (default 3600)", 0},
    {"--off", OPTION_FLAG, NULL, "do not rotate it any more", 0},
    {0}};

static int run_off(struct command *command) {
    json_t *answer = NULL;
    int status = command_call_path(command, "DELETE", NULL, &answer, PATH, command->tenant,
                                   command->arguments[0]);
    return credential_answered(command, status, answer, "is rotated by hand from now on.");
}

static vlt_result body_make(struct command *command, struct fault *fault, json_t **ret_body) {
    unsigned long days = 0, grace_s = 0;
    json_t *parameters = NULL;
    VLT_TRY(command_number(command, "--days", 3650, 0, fault, &days));
    VLT_TRY(command_number(command, "--grace", GRACE_MAX_S, GRACE_DEFAULT_S, fault, &grace_s));
    VLT_TRY(credential_parameters(command, &parameters, fault));
    json_t *body =
        json_pack("{s:s, s:I, s:s*, s:s*}", "recipe", command_option(command, "--recipe"),
                  "grace_s", (json_int_t)grace_s, "manager", command_option(command, "--manager"),
                  "key_id", command_option(command, "--key-id"));
    if (body && parameters)
        json_object_set(body, "parameters", parameters);
    if (body && days)
        json_object_set_new(body, "days", json_integer((json_int_t)days));
    json_decref(parameters);
    *ret_body = body;
    return body ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static int run_automate(struct command *command) {
    struct fault fault = {0};
    json_t *body = NULL, *answer = NULL;
    if (command_flag(command, "--off"))
        return run_off(command);
    if (!command_option(command, "--recipe"))
        return command_usage(command, "--recipe is missing: it says how the provider makes keys");
    vlt_result result = body_make(command, &fault, &body);
    if (!vlt_is_ok(result))
        return command_usage(command, "%s", fault_or_reason(&fault, result));
    int status = command_call_path(command, "PUT", body, &answer, PATH, command->tenant,
                                   command->arguments[0]);
    json_decref(body);
    return credential_answered(command, status, answer,
                               "is rotated at its provider when it is due; `vaultctl rotate "
                               "credential` does it now.");
}

const struct verb verb_credential_automate = {
    .noun = "credential",
    .name = "automate",
    .arguments = "NAME",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Have a credential rotated at its provider",
    .details =
        "A recipe (or a program of the configuration) makes a key at the provider, tries it, puts "
        "it\n"
        "to use and revokes the old one after --grace. The credential that makes keys must be\n"
        "allowed for the provider's host (--host of `credential put`).",
    .examples =
        "  vaultctl credential automate ci-key --recipe aws-iam --parameter user=ci --days 30\n"
        "  vaultctl credential automate openai-prod --recipe openai-service-account \\\n"
        "      --parameter project=proj_abc --manager openai-admin --key-id svc_acct_1\n"
        "  vaultctl credential automate ci-key --off\n",
    .options = options,
    .run = run_automate};
