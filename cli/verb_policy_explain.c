// SPDX-License-Identifier: Apache-2.0
// policy explain: the daemon's own decision (vaultd/policy/decide.h) over facts
// that the caller makes up, with every policy's part in it.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/explanation.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "vaultd/policy/decide.h"

#define LIFETIME_S 300
#define GROUPS_MAX 32
#define HOSTS_MAX 8

static const struct option_spec options[] = {
    {"--principal", OPTION_VALUE, "ISSUER|SUBJECT", "who the authority belongs to", 0},
    {"--kind", OPTION_VALUE, "KIND", "user, workload or agent (default user)", 0},
    {"--group", OPTION_LIST, "NAME", "group of the principal", 0},
    {"--tag", OPTION_LIST, "NAME=VALUE", "tag of the principal", 0},
    {"--device", OPTION_LIST, "POSTURE", "compliant, managed, not-compliant or not-managed", 0},
    {"--acr", OPTION_VALUE, "TEXT", "how the principal logged in", 0},
    {"--amr", OPTION_LIST, "TEXT", "means of login, such as mfa", 0},
    {"--actor", OPTION_VALUE, "ISSUER|SUBJECT", "the agent that acts for the principal", 0},
    {"--actor-group", OPTION_LIST, "NAME", "group of the agent", 0},
    {"--actor-tag", OPTION_LIST, "NAME=VALUE", "tag of the agent", 0},
    {"--action", OPTION_VALUE, "ACTION", "issue or redeem (default: issue)", 0},
    {"--credential", OPTION_VALUE, "NAME", "the credential", 0},
    {"--profile", OPTION_VALUE, "NAME", "its profile, where the vault can not be asked", 0},
    {"--host", OPTION_VALUE, "HOST", "upstream host of the request", 0},
    {"--method", OPTION_VALUE, "METHOD", "method of the request (default POST)", 0},
    {"--path", OPTION_VALUE, "PATH", "path of the request (default /)", 0},
    {"--model", OPTION_VALUE, "NAME", "model of the request", 0},
    {"--tool", OPTION_VALUE, "NAME", "tool of the request", 0},
    {"--max-tokens", OPTION_VALUE, "N", "limit of the token; redeem: what is asked for", 0},
    {"--ip", OPTION_VALUE, "ADDRESS", "where the request comes from (default 127.0.0.1)", 0},
    {"--time", OPTION_VALUE, "TIME",
     "2026-11-21T03:00:00Z, 2026-11-21T03:00Z or 03:00 (UTC, today)", 0},
    {"--client", OPTION_VALUE, "ID", "client_id of the caller", 0},
    {"--forwarder", OPTION_VALUE, "NAME", "forwarder of a redeem", 0},
    {"--bearer", OPTION_FLAG, NULL, "the token is bound to no key", 0},
    {"--policies", OPTION_LIST, "FILE|DIR", "policies to ask (default: those in force)", 0},
    {"--all", OPTION_FLAG, NULL, "every policy and how far it came, as a table", 'a'},
    {0}};

struct explanation {
    struct decide_question question;
    struct decide_party actor;
    struct token_detail detail;
    struct token_traits traits, actor_traits;
    struct bytes groups[GROUPS_MAX], actor_groups[GROUPS_MAX], hosts[HOSTS_MAX];
    json_t *credential; // owned; as the vault describes it
    json_t *policies;   // owned; one object for each policy and question
    const struct policy_files *files;
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
        int status =
            command_call_path(command, "GET", NULL, &e->credential, "/v1/tenants/%s/credentials/%s",
                              command->tenant, command_option(command, "--credential"));
        if (status != EXIT_OK)
            fprintf(stderr,
                    "vaultctl: going on without the credential's profile; --profile names it\n");
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

static vlt_result tags_read(const struct command *command, const char *option,
                            struct token_traits *traits, struct fault *fault) {
    const char *text;
    for (size_t i = 0; (text = command_option_at(command, option, i)); i++) {
        const char *equals = strchr(text, '=');
        struct bytes name = bytes_of(text, equals ? (size_t)(equals - text) : 0);
        if (!token_tag_name_is_valid(name) ||
            !token_traits_add_tag(traits, name, bytes_of_text(equals + 1)))
            return fault_set(fault, VLT_MALFORMED, "bad tag",
                             "%s %s: give NAME=VALUE, each name once", option, text);
    }
    return vlt_ok();
}

static vlt_result device_read(const struct command *command, struct token_traits *traits,
                              struct fault *fault) {
    const char *text;
    for (size_t i = 0; (text = command_option_at(command, "--device", i)); i++) {
        bool is_not = !strncmp(text, "not-", 4);
        const char *name = text + (is_not ? 4 : 0);
        uint8_t posture = is_not ? TOKEN_POSTURE_NO : TOKEN_POSTURE_YES;
        if (!strcmp(name, "compliant"))
            traits->compliant = posture;
        else if (!strcmp(name, "managed"))
            traits->managed = posture;
        else
            return fault_set(fault, VLT_MALFORMED, "bad posture",
                             "--device must be compliant, managed, not-compliant or not-managed");
    }
    return vlt_ok();
}

static vlt_result parties_read(struct command *command, struct explanation *e,
                               struct fault *fault) {
    struct decide_question *q = &e->question;
    const char *principal = command_option(command, "--principal");
    const char *actor = command_option(command, "--actor"),
               *kind = command_option(command, "--kind");
    if (!principal || !strchr(principal, '|') || (actor && !strchr(actor, '|')))
        return fault_set(fault, VLT_MALFORMED, "bad principal",
                         "--principal and --actor have the form 'https://issuer|subject'");
    if (kind && !kind_of(kind, &q->subject.kind))
        return fault_set(fault, VLT_MALFORMED, "bad kind",
                         "--kind must be user, workload or agent");
    e->traits.amr.count = list_option(command, "--amr", e->traits.amr.items, TOKEN_LIST_MAX);
    e->traits.acr = text_option(command, "--acr", "");
    q->subject.principal = bytes_of_text(principal);
    q->subject.groups = e->groups;
    q->subject.group_count = list_option(command, "--group", e->groups, GROUPS_MAX);
    q->subject.traits = &e->traits;
    VLT_TRY(tags_read(command, "--tag", &e->traits, fault));
    VLT_TRY(tags_read(command, "--actor-tag", &e->actor_traits, fault));
    VLT_TRY(device_read(command, &e->traits, fault));
    if (actor) {
        e->actor = (struct decide_party){
            .principal = bytes_of_text(actor),
            .kind = TOKEN_AGENT,
            .traits = &e->actor_traits,
            .groups = e->actor_groups,
            .group_count = list_option(command, "--actor-group", e->actor_groups, GROUPS_MAX)};
        q->actor = &e->actor;
    }
    return vlt_ok();
}

static vlt_result question_read(struct command *command, struct explanation *e,
                                struct fault *fault) {
    struct decide_question *q = &e->question;
    const char *action = command_option(command, "--action"),
               *at = command_option(command, "--time");
    unsigned long max_tokens = 0;
    VLT_TRY(parties_read(command, e, fault));
    if (!command_option(command, "--credential"))
        return fault_set(fault, VLT_MALFORMED, "option missing",
                         "which credential? Give --credential");
    if (action && strcmp(action, "issue") && strcmp(action, "redeem"))
        return fault_set(fault, VLT_MALFORMED, "bad action", "--action must be issue or redeem");
    VLT_TRY(command_number(command, "--max-tokens", UINT32_MAX, 0, fault, &max_tokens));
    e->detail.max_tokens = q->max_tokens = max_tokens;
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

static void outcome_keep(void *context, struct bytes principal, const char *action,
                         const struct policy_outcome *outcome) {
    struct explanation *e = context;
    if (!outcome->policy.is_template)
        json_array_append_new(e->policies,
                              explanation_of_outcome(e->files, principal, action, outcome));
}

// The facts, so that nobody takes the answer for that to another question.
static void question_print(const struct decide_question *q) {
    char time_text[32];
    struct tm broken;
    time_t now = (time_t)q->now_s;
    gmtime_r(&now, &broken);
    strftime(time_text, sizeof time_text, "%Y-%m-%dT%H:%M:%SZ", &broken);
    struct buf text;
    buf_init(&text, 4096);
    buf_put_format(&text, "%s of %.*s for %.*s", q->action == DECIDE_ISSUE ? "issue" : "redeem",
                   (int)q->credential.size, (const char *)q->credential.at,
                   (int)q->subject.principal.size, (const char *)q->subject.principal.at);
    if (q->actor)
        buf_put_format(&text, " through %.*s", (int)q->actor->principal.size,
                       (const char *)q->actor->principal.at);
    if (q->model.size)
        buf_put_format(&text, ", model %.*s", (int)q->model.size, (const char *)q->model.at);
    if (q->tool.size)
        buf_put_format(&text, ", tool %.*s", (int)q->tool.size, (const char *)q->tool.at);
    if (q->max_tokens)
        buf_put_format(&text, ", %llu tokens", (unsigned long long)q->max_tokens);
    buf_put_format(&text, ", at %s from ", time_text);
    buf_put(&text, q->source.size ? q->source : BYTES_LITERAL("127.0.0.1"));
    const char *sentence = buf_text(&text);
    terminal_put(stdout, sentence ? sentence : "");
    putchar('\n');
    buf_done(&text);
}

static int answer_print(struct command *command, struct explanation *e,
                        const struct decide_answer *answer) {
    int status = answer->is_allowed ? EXIT_OK : EXIT_DENIED;
    if (command->wants_json) {
        json_t *object = json_pack("{s:b,s:s,s:s,s:b,s:i,s:O}", "allowed", answer->is_allowed,
                                   "reason", answer->reason, "policies", answer->policies,
                                   "bearer_allowed", answer->allows_bearer, "lifetime_s",
                                   (int)answer->lifetime_s, "outcomes", e->policies);
        int printed = command_print_json(object);
        return printed == EXIT_OK ? status : printed;
    }
    printf("%s: ", answer->is_allowed ? "ALLOWED" : "DENIED");
    terminal_put(stdout, answer->reason);
    putchar('\n');
    question_print(&e->question);
    putchar('\n');
    if (command_flag(command, "--all"))
        explanation_print_all(e->policies);
    else
        explanation_print(e->policies);
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
    e = (struct explanation){.files = &files};
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
    .noun = "policy",
    .name = "explain",
    .arguments = "",
    .summary = "Would this be allowed, and which policy says so?",
    .details =
        "Asks the same engine with the same entities as the broker and the redeemer, for facts\n"
        "that you make up. Where an agent acts for a principal, both must be permitted. It names\n"
        "the policies that decide and, for a denial, what the nearest permits lacked. Exit\n"
        "status 3 when denied.",
    .examples =
        "  vaultctl policy explain --principal 'https://login.example|alice' --group ops \\\n"
        "      --actor 'https://agents.example|helper' --credential openai-prod \\\n"
        "      --model gpt-4o --time 03:00 --ip 10.1.2.3 --action redeem\n",
    .options = options,
    .run = run};
