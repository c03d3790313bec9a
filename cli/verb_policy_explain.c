// SPDX-License-Identifier: Apache-2.0
// policy explain: the daemon's own decision (vaultd/policy/decide.h) over facts
// that the caller makes up, with every policy's part in it.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/listing.h"
#include "cli/policy_files.h"
#include "cli/verbs.h"
#include "libvault/policy/policy_decide.h"
#include "vaultd/policy/decide.h"

#define LIFETIME_S 300
#define GROUPS_MAX 32
#define HOSTS_MAX 8

static const struct option_spec options[] = {
    {"--principal", OPTION_VALUE, "ISSUER|SUBJECT", "who the authority belongs to", 0},
    {"--kind", OPTION_VALUE, "KIND", "user, workload or agent (default user)", 0},
    {"--group", OPTION_LIST, "NAME", "group of the principal", 0},
    {"--acr", OPTION_VALUE, "TEXT", "how the principal logged in", 0},
    {"--amr", OPTION_LIST, "TEXT", "means of login, such as mfa", 0},
    {"--actor", OPTION_VALUE, "ISSUER|SUBJECT", "the agent that acts for the principal", 0},
    {"--actor-group", OPTION_LIST, "NAME", "group of the agent", 0},
    {"--action", OPTION_VALUE, "ACTION", "issue or redeem (default: issue)", 0},
    {"--credential", OPTION_VALUE, "NAME", "the credential", 0},
    {"--profile", OPTION_VALUE, "NAME", "its profile, where the vault can not be asked", 0},
    {"--host", OPTION_VALUE, "HOST", "upstream host of the request", 0},
    {"--method", OPTION_VALUE, "METHOD", "method of the request (default POST)", 0},
    {"--path", OPTION_VALUE, "PATH", "path of the request (default /)", 0},
    {"--model", OPTION_VALUE, "NAME", "model of the request", 0},
    {"--tool", OPTION_VALUE, "NAME", "tool of the request", 0},
    {"--ip", OPTION_VALUE, "ADDRESS", "where the request comes from (default 127.0.0.1)", 0},
    {"--time", OPTION_VALUE, "TIME", "2026-11-21T03:00:00Z, 2026-11-21T03:00Z or 03:00 (UTC, today)", 0},
    {"--client", OPTION_VALUE, "ID", "client_id of the caller", 0},
    {"--forwarder", OPTION_VALUE, "NAME", "forwarder of a redeem", 0},
    {"--bearer", OPTION_FLAG, NULL, "the token is bound to no key", 0},
    {"--policies", OPTION_LIST, "FILE|DIR", "policies to ask (default: those in force)", 0},
    {0}};

struct explanation {
    struct decide_question question;
    struct decide_party actor;
    struct token_detail detail;
    struct token_traits traits, actor_traits;
    struct bytes groups[GROUPS_MAX], actor_groups[GROUPS_MAX], hosts[HOSTS_MAX];
    json_t *credential; // owned; as the vault describes it
    json_t *policies;   // owned; one object for each policy and question
    const struct command *command;
};

static struct bytes text_option(const struct command *command, const char *name,
                                const char *otherwise) {
    const char *value = command_option(command, name);
    return bytes_of_text(value ? value : otherwise);
}

static size_t list_option(const struct command *command, const char *name, struct bytes *items,
                          size_t max) {
    size_t count = 0;
    const char *value;
    while (count < max && (value = command_option_at(command, name, count)))
        items[count++] = bytes_of_text(value);
    return count;
}

static bool time_of(const char *text, int64_t *ret_at) {
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%H:%M"};
    time_t now = time(NULL);
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm broken;
        gmtime_r(&now, &broken);
        broken.tm_sec = 0;
        const char *end = strptime(text, forms[i], &broken);
        if (end && !*end) {
            *ret_at = timegm(&broken);
            return true;
        }
    }
    return false;
}

static bool kind_of(const char *text, uint8_t *ret_kind) {
    static const char *const kinds[] = {"user", "workload", "agent"};
    for (uint8_t i = 0; i < 3; i++)
        if (!strcmp(text, kinds[i])) {
            *ret_kind = i; // enum token_principal_kind has this order
            return true;
        }
    return false;
}

// Profile and hosts of the credential: from the vault where it can be asked.
static void credential_look(struct command *command, struct explanation *e) {
    struct decide_question *q = &e->question;
    if (!command_option(command, "--profile")) {
        int status = command_call_path(command, "GET", NULL, &e->credential,
                                       "/v1/tenants/%s/credentials/%s", command->tenant,
                                       command_option(command, "--credential"));
        if (status != EXIT_OK)
            fprintf(stderr, "vaultctl: going on without the credential's profile; --profile names it\n");
    }
    const char *profile = json_string_value(json_object_get(e->credential, "profile"));
    q->profile = text_option(command, "--profile", profile ? profile : "unknown");
    const json_t *hosts = json_object_get(e->credential, "hosts");
    for (size_t i = 0; i < json_array_size(hosts) && i < HOSTS_MAX; i++)
        e->hosts[q->host_count++] = bytes_of_text(json_string_value(json_array_get(hosts, i)));
    const char *host = command_option(command, "--host");
    if (host && !q->host_count)
        e->hosts[q->host_count++] = bytes_of_text(host);
    q->hosts = e->hosts;
    q->host = host ? bytes_of_text(host) : e->hosts[0];
}

static vlt_result parties_read(struct command *command, struct explanation *e,
                               struct fault *fault) {
    struct decide_question *q = &e->question;
    const char *principal = command_option(command, "--principal");
    const char *actor = command_option(command, "--actor"), *kind = command_option(command, "--kind");
    if (!principal || !strchr(principal, '|') || (actor && !strchr(actor, '|')))
        return fault_set(fault, VLT_MALFORMED, "bad principal",
                         "--principal and --actor have the form 'https://issuer|subject'");
    if (kind && !kind_of(kind, &q->subject.kind))
        return fault_set(fault, VLT_MALFORMED, "bad kind", "--kind must be user, workload or agent");
    e->traits.amr.count = list_option(command, "--amr", e->traits.amr.items, TOKEN_LIST_MAX);
    e->traits.acr = text_option(command, "--acr", "");
    q->subject.principal = bytes_of_text(principal);
    q->subject.groups = e->groups;
    q->subject.group_count = list_option(command, "--group", e->groups, GROUPS_MAX);
    q->subject.traits = &e->traits;
    if (actor) {
        e->actor = (struct decide_party){
            .principal = bytes_of_text(actor),
            .kind = TOKEN_AGENT,
            .groups = e->actor_groups,
            .group_count = list_option(command, "--actor-group", e->actor_groups, GROUPS_MAX)};
        q->actor = &e->actor;
    }
    return vlt_ok();
}

static vlt_result question_read(struct command *command, struct explanation *e,
                                struct fault *fault) {
    struct decide_question *q = &e->question;
    const char *action = command_option(command, "--action"), *at = command_option(command, "--time");
    VLT_TRY(parties_read(command, e, fault));
    if (!command_option(command, "--credential"))
        return fault_set(fault, VLT_MALFORMED, "option missing", "which credential? Give --credential");
    if (action && strcmp(action, "issue") && strcmp(action, "redeem"))
        return fault_set(fault, VLT_MALFORMED, "bad action", "--action must be issue or redeem");
    q->now_s = time(NULL);
    if (at && !time_of(at, &q->now_s))
        return fault_set(fault, VLT_MALFORMED, "bad time",
                         "--time %.40s: give 2026-11-21T03:00:00Z, 2026-11-21T03:00Z or 03:00", at);
    q->action = action && !strcmp(action, "redeem") ? DECIDE_REDEEM : DECIDE_ISSUE;
    q->tenant = bytes_of_text(command->tenant);
    q->credential = text_option(command, "--credential", "");
    q->source = text_option(command, "--ip", "");
    q->client = text_option(command, "--client", "");
    q->is_bound = !command_flag(command, "--bearer");
    q->lifetime_s = LIFETIME_S;
    q->method = text_option(command, "--method", "POST");
    q->path = text_option(command, "--path", "/");
    q->model = text_option(command, "--model", "");
    q->tool = text_option(command, "--tool", "");
    q->forwarder = text_option(command, "--forwarder", "");
    e->detail.models.count = list_option(command, "--model", e->detail.models.items, 1);
    e->detail.tools.count = list_option(command, "--tool", e->detail.tools.items, 1);
    e->detail.methods.count = list_option(command, "--method", e->detail.methods.items, 1);
    q->detail = &e->detail;
    return vlt_ok();
}

// ---- What each policy said ----

static const char *stage_text(enum policy_stage stage) {
    switch (stage) {
    case POLICY_STAGE_PRINCIPAL:
        return "is about another principal";
    case POLICY_STAGE_ACTION:
        return "is about another action";
    case POLICY_STAGE_RESOURCE:
        return "is about another resource";
    case POLICY_STAGE_CONDITION:
        return "a condition was not met";
    case POLICY_STAGE_ERRORED:
        return "could not be evaluated";
    case POLICY_STAGE_SATISFIED:
        return "applies";
    }
    return "?";
}

static void outcome_keep(void *context, struct bytes principal, const char *action,
                         const struct policy_outcome *outcome) {
    struct explanation *e = context;
    const struct policy_view *view = &outcome->policy;
    if (view->is_template)
        return;
    json_t *object = json_pack(
        "{s:s%,s:s,s:s%,s:s,s:s%,s:s,s:i,s:i}", "principal", (const char *)principal.at,
        principal.size, "action", action, "policy", (const char *)view->id.at, view->id.size,
        "effect", view->is_forbid ? "forbid" : "permit", "document", (const char *)view->document.at,
        view->document.size, "stage", stage_text(outcome->stage), "line", (int)outcome->line,
        "column", (int)outcome->column);
    if (object && outcome->message.size)
        json_object_set_new(object, "message", json_stringn((const char *)outcome->message.at, outcome->message.size));
    if (object)
        json_object_set_new(object, "applies", json_boolean(outcome->stage == POLICY_STAGE_SATISFIED));
    json_array_append_new(e->policies, object);
}

static void policies_print(const json_t *policies) {
    static const char *const headings[] = {"ACTION", "PRINCIPAL", "POLICY", "EFFECT", "WHAT IT SAID", "WHERE", NULL};
    struct table table;
    table_init(&table, headings);
    for (size_t i = 0; i < json_array_size(policies); i++) {
        const json_t *policy = json_array_get(policies, i);
        char place[CELL_SIZE] = "", said[CELL_SIZE];
        json_int_t line = json_integer_value(json_object_get(policy, "line"));
        if (line)
            snprintf(place, sizeof place, "%.120s:%lld:%lld", member_text(policy, "document"), (long long)line,
                     (long long)json_integer_value(json_object_get(policy, "column")));
        const char *message = member_text(policy, "message");
        snprintf(said, sizeof said, "%s%s%.180s", member_text(policy, "stage"), message[0] ? ": " : "", message);
        const char *const cells[] = {member_text(policy, "action"), member_text(policy, "principal"),
                                     member_text(policy, "policy"), member_text(policy, "effect"), said, place};
        table_row(&table, cells);
    }
    (void)table_print(&table, "There is no policy: everything is denied.");
}

static int answer_print(struct command *command, struct explanation *e,
                        const struct decide_answer *answer) {
    int status = answer->is_allowed ? EXIT_OK : EXIT_DENIED;
    if (command->wants_json) {
        json_t *object = json_pack("{s:b,s:s,s:s,s:b,s:i,s:O}", "allowed", answer->is_allowed, "reason",
                                   answer->reason, "policies", answer->policies, "bearer_allowed",
                                   answer->allows_bearer, "lifetime_s", (int)answer->lifetime_s,
                                   "outcomes", e->policies);
        int printed = command_print_json(object);
        return printed == EXIT_OK ? status : printed;
    }
    printf("%s: ", answer->is_allowed ? "ALLOWED" : "DENIED");
    terminal_put(stdout, answer->reason);
    printf("\n\n");
    policies_print(e->policies);
    return status;
}

static int explain(struct command *command, struct explanation *e, const struct policy_set *set) {
    struct decider *decider = decider_new();
    if (!decider)
        return command_fail(command, vlt_fail(VLT_UNAVAILABLE, "out of memory"), NULL);
    const struct policy_active active = {.set = set};
    struct decide_answer answer;
    e->policies = json_array();
    decider_explain(decider, outcome_keep, e);
    decide(decider, &active, &e->question, &answer);
    int status = answer_print(command, e, &answer);
    decider_free(decider);
    return status;
}

static int run(struct command *command) {
    static struct explanation e;
    struct fault fault = {0};
    struct policy_files files;
    e = (struct explanation){.command = command};
    vlt_result result = question_read(command, &e, &fault);
    if (!vlt_is_ok(result))
        return command_usage(command, "%s", fault_or_reason(&fault, result));
    credential_look(command, &e);
    int status = policy_files_of_command(command, &files);
    if (status == EXIT_OK) {
        struct policy_set *set = policy_files_compile(&files, command->wants_json);
        status = set ? explain(command, &e, set) : EXIT_FAILED;
        policy_set_free(set);
        policy_files_done(&files);
    }
    json_decref(e.policies);
    json_decref(e.credential);
    return status;
}

const struct verb verb_policy_explain = {
    .noun = "policy", .name = "explain", .arguments = "",
    .summary = "Would this be allowed, and which policy says so?",
    .details = "Asks the same engine with the same entities as the broker and the redeemer, for facts\n"
               "that you make up. Where an agent acts for a principal, both must be permitted. For each\n"
               "policy it says how far it came, and where it stopped. Exit status 3 when denied.",
    .examples = "  vaultctl policy explain --principal 'https://login.example|alice' --group ops \\\n"
                "      --actor 'https://agents.example|helper' --credential openai-prod \\\n"
                "      --model gpt-4o --time 03:00 --ip 10.1.2.3 --action redeem\n",
    .options = options, .run = run};
