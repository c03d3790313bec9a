// SPDX-License-Identifier: Apache-2.0
#include "vaultd/broker/evaluate.h"

#include <stdio.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/token/token_details.h"
#include "vaultd/view/credential_view.h"

static struct bytes member_text(const json_t *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return bytes_of(json_string_value(value), json_string_length(value));
}

static vlt_result wrong(struct fault *fault, const char *what) {
    return fault_set(fault, VLT_MALFORMED, "not an evaluation request", "%s", what);
}

// ---- Form ----

enum evaluate_action { EVALUATE_ISSUE, EVALUATE_REDEEM, EVALUATE_MODEL, EVALUATE_TOOL };

struct reading {
    enum evaluate_action action;
    struct bytes credential, model, tool;
};

static vlt_result check_members(const struct evaluate_question *q, struct fault *fault) {
    static const char *const party[] = {"type", "id", "properties", NULL};
    static const char *const action[] = {"name", "properties", NULL};
    static const char *const context[] = {"bound",   "credential", "host",   "max_tokens", "method",
                                          "methods", "model",      "models", "path",       "paths",
                                          "tool",    "tools",      NULL};
    if (!json_is_object(q->subject) || !member_text(q->subject, "type").size ||
        !member_text(q->subject, "id").size)
        return wrong(fault, "subject is not an object with type and id");
    if (!json_is_object(q->action) || !member_text(q->action, "name").size)
        return wrong(fault, "action is not an object with a name");
    if (!json_is_object(q->resource) || !member_text(q->resource, "type").size ||
        !member_text(q->resource, "id").size)
        return wrong(fault, "resource is not an object with type and id");
    if (q->context && !json_is_object(q->context))
        return wrong(fault, "context is not an object");
    VLT_TRY(jsontext_only_members(q->subject, party, fault));
    VLT_TRY(jsontext_only_members(q->action, action, fault));
    VLT_TRY(jsontext_only_members(q->resource, party, fault));
    return q->context ? jsontext_only_members(q->context, context, fault) : vlt_ok();
}

static vlt_result check_context(const json_t *context, struct fault *fault) {
    static const char *const texts[] = {"credential", "host", "method", "model", "path", "tool"};
    const json_t *bound = json_object_get(context, "bound");
    if (bound && !json_is_boolean(bound))
        return wrong(fault, "context.bound is not true or false");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const json_t *value = json_object_get(context, texts[i]);
        if (value && (!json_is_string(value) || json_string_length(value) > TOKEN_PRINCIPAL_MAX))
            return fault_set(fault, VLT_MALFORMED, "not an evaluation request",
                             "context.%s is not a text, or too long", texts[i]);
    }
    return vlt_ok();
}

static vlt_result read_action(const struct evaluate_question *q, struct fault *fault,
                              struct reading *r) {
    static const struct {
        const char *name, *resource;
    } known[] = {[EVALUATE_ISSUE] = {"issue", "credential"},
                 [EVALUATE_REDEEM] = {"redeem", "credential"},
                 [EVALUATE_MODEL] = {"callModel", "model"},
                 [EVALUATE_TOOL] = {"callTool", "tool"}};
    struct bytes name = member_text(q->action, "name"), id = member_text(q->resource, "id");
    size_t i = 0;
    while (i < 4 && !bytes_equal_text(name, known[i].name))
        i++;
    if (i == 4)
        return wrong(fault, "action.name is not issue, redeem, callModel or callTool");
    if (!bytes_equal_nocase(member_text(q->resource, "type"), bytes_of_text(known[i].resource)))
        return fault_set(fault, VLT_MALFORMED, "not an evaluation request",
                         "resource.type of this action is %s", known[i].resource);
    if (id.size > TOKEN_PATTERN_MAX)
        return wrong(fault, "resource.id is too long");
    r->action = (enum evaluate_action)i;
    r->credential = i < EVALUATE_MODEL ? id : member_text(q->context, "credential");
    r->model = i == EVALUATE_MODEL ? id : member_text(q->context, "model");
    r->tool = i == EVALUATE_TOOL ? id : member_text(q->context, "tool");
    return r->credential.size ? vlt_ok() : wrong(fault, "context.credential is missing");
}

// The limits in the context as a credential_use, so that one parser checks both.
static vlt_result read_detail(const struct evaluate_question *q, const struct reading *r,
                              struct fault *fault, struct token_details *ret_details) {
    static const char *const limits[] = {"methods", "paths", "models", "tools", "max_tokens"};
    struct token_details details = {0};
    json_t *object = json_pack("{s:s, s:s%}", "type", TOKEN_DETAIL_TYPE, "credential",
                               (const char *)r->credential.at, r->credential.size);
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        json_t *value = json_object_get(q->context, limits[i]);
        if (value && json_object_set(object, limits[i], value) != 0)
            return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    details.root = object ? json_pack("[o]", object) : NULL;
    if (!details.root)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result =
        token_details_of_json(details.root, fault, details.items, &details.count);
    if (vlt_is_ok(result))
        *ret_details = details;
    else
        json_decref(details.root);
    return result;
}

// ---- Decision ----

static bool is_caller(const json_t *subject, const struct subject *caller) {
    struct bytes id = member_text(subject, "id"), type = member_text(subject, "type");
    return bytes_equal_nocase(type, bytes_of_text(token_principal_kind_name(caller->kind))) &&
           (bytes_equal(id, caller->principal) || bytes_equal(id, caller->subject));
}

// Who acts already, as the token's issuer says (RFC 8693 section 4.1): asked here
// as it is asked before a token is issued.
static bool read_actor(const struct subject *subject, char name[TOKEN_PRINCIPAL_MAX + 1],
                       struct decide_party *ret_actor) {
    struct bytes issuer = member_text(subject->act, "iss"), id = member_text(subject->act, "sub");
    if (!issuer.size)
        issuer = subject->issuer;
    if (!id.size || issuer.size + 1 + id.size > TOKEN_PRINCIPAL_MAX)
        return false;
    snprintf(name, TOKEN_PRINCIPAL_MAX + 1, "%.*s|%.*s", (int)issuer.size, (const char *)issuer.at,
             (int)id.size, (const char *)id.at);
    bool is_user = bytes_equal_text(member_text(subject->act, "sub_profile"), "user");
    *ret_actor = (struct decide_party){.principal = bytes_of_text(name),
                                       .kind = is_user ? TOKEN_USER : TOKEN_AGENT};
    return true;
}

static struct decide_answer no(const char *reason) {
    struct decide_answer answer = {0};
    bytes_to_text(bytes_of_text(reason), answer.reason, sizeof answer.reason);
    return answer;
}

static void ask(const struct caller *caller, const struct evaluate_question *q,
                const struct reading *r, const struct credential_view *credential,
                const struct token_detail *detail, const struct policy_active *active,
                struct decide_answer *answer) {
    const struct subject *subject = caller->subject;
    struct bytes host = member_text(q->context, "host");
    char actor_name[TOKEN_PRINCIPAL_MAX + 1];
    struct decide_party actor;
    if (subject->act && !read_actor(subject, actor_name, &actor)) {
        *answer = no("act of the token is malformed or too long");
        return;
    }
    const struct decide_question question = {
        .action = r->action == EVALUATE_ISSUE ? DECIDE_ISSUE : DECIDE_REDEEM,
        .tenant = bytes_of_text(caller->tenant.name),
        .subject = {.principal = subject->principal, .kind = subject->kind,
                    .groups = subject->groups, .group_count = subject->group_count,
                    .traits = &subject->traits},
        .actor = subject->act ? &actor : NULL,
        .credential = r->credential,
        .profile = credential->profile,
        .hosts = credential->hosts,
        .host_count = credential->host_count,
        .source = bytes_of_text(http_exchange_peer(caller->x)->address),
        .client = subject->client,
        .now_s = clock_now_s(),
        .is_bound = json_is_true(json_object_get(q->context, "bound")),
        .detail = detail,
        .lifetime_s = caller->broker->token_lifetime_s,
        .method = member_text(q->context, "method"),
        .host = host.size || !credential->host_count ? host : credential->hosts[0],
        .path = member_text(q->context, "path"),
        .model = r->model,
        .tool = r->tool,
        .max_tokens = detail->max_tokens};
    decide(caller->broker->decider, active, &question, answer);
}

static vlt_result decide_credential(const struct caller *caller,
                                    const struct evaluate_question *q, const struct reading *r,
                                    const struct token_detail *detail,
                                    struct evaluate_answer *answer) {
    struct broker *broker = caller->broker;
    struct credential_view credential;
    struct policy_active active;
    struct fault fault = {0};
    vlt_result result = policy_cache_get(broker->policies, broker->store, caller->tenant.number,
                                         &fault, &active);
    if (vlt_is_ok(result)) {
        memcpy(answer->policy_hash, active.hash_text, sizeof answer->policy_hash);
        result = credential_view_read(broker->store, caller->tenant.number, r->credential,
                                      &credential);
    }
    if (vlt_is_ok(result))
        ask(caller, q, r, &credential, detail, &active, &answer->decision);
    else if (result.class == VLT_NOT_FOUND || result.class == VLT_DENIED)
        answer->decision = no(result.reason);
    else
        return result;
    return vlt_ok();
}

vlt_result evaluate(const struct caller *caller, const struct evaluate_question *question,
                    struct fault *fault, struct evaluate_answer *ret_answer) {
    struct reading r = {0};
    struct token_details details = {0};
    struct evaluate_answer answer = {0};
    VLT_TRY(check_members(question, fault));
    VLT_TRY(check_context(question->context, fault));
    VLT_TRY(read_action(question, fault, &r));
    VLT_TRY(read_detail(question, &r, fault, &details));
    answer.credential = r.credential;
    vlt_result result = vlt_ok();
    if (is_caller(question->subject, caller->subject))
        result = decide_credential(caller, question, &r, &details.items[0], &answer);
    else
        answer.decision = no("the subject is not the caller");
    token_details_done(&details);
    if (vlt_is_ok(result))
        *ret_answer = answer;
    return result;
}
