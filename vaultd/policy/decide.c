// SPDX-License-Identifier: Apache-2.0
#include "vaultd/policy/decide.h"

#include <stdlib.h>

#include "libvault/policy/policy_decide.h"
#include "libvault/policy/policy_vocabulary.h"

#define ANNOTATIONS_MAX_POLICIES 64 // determining policies whose annotations are read
#define PATH_MEMBER_SIZE 384             // "<provider>/<model>"

struct decider {
    struct policy_request *request;
    decide_explain_fn *explain; // NULL in daemons
    void *explain_context;
};

// What policy_explain hands to one_outcome: the question besides the decider.
struct explained {
    const struct decider *decider;
    struct bytes principal;
    const char *action;
};

struct decider *decider_new(void) {
    struct decider *decider = calloc(1, sizeof *decider);
    if (!decider)
        return NULL;
    decider->request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    if (!decider->request) {
        free(decider);
        return NULL;
    }
    return decider;
}

void decider_free(struct decider *decider) {
    if (decider)
        policy_request_free(decider->request);
    free(decider);
}

void decider_explain(struct decider *decider, decide_explain_fn *each, void *context) {
    decider->explain = each;
    decider->explain_context = context;
}

static bool one_outcome(void *context, const struct policy_outcome *outcome) {
    const struct explained *explained = context;
    explained->decider->explain(explained->decider->explain_context, explained->principal,
                                explained->action, outcome);
    return true;
}

// ---- Entities ----

static const struct token_traits unknown_traits;

static const char *party_type(const struct decide_party *party) {
    static const char *const types[] = {POLICY_TYPE_USER, POLICY_TYPE_WORKLOAD, POLICY_TYPE_AGENT};
    return types[party->kind < 3 ? party->kind : 0];
}

static void add_party(struct policy_request *request, const struct decide_party *party,
                      struct bytes tenant) {
    struct policy_entity *entity = policy_entity_add(request, party_type(party), party->principal);
    struct policy_record *attributes = policy_entity_attributes(entity);
    size_t bar = bytes_find(party->principal, '|');
    policy_put_string(attributes, "issuer", bytes_of(party->principal.at, bar));
    policy_put_string(attributes, "subject", bytes_from(party->principal, bar + 1));
    const struct token_traits *traits = party->traits ? party->traits : &unknown_traits;
    if (traits->acr.size)
        policy_put_string(attributes, "acr", traits->acr);
    policy_put_strings(attributes, "amr", traits->amr.items, traits->amr.count);
    for (size_t i = 0; i < traits->tag_count; i++)
        policy_put_string_named(policy_entity_tags(entity), traits->tags[i].name,
                                traits->tags[i].value);
    for (size_t i = 0; i < party->group_count; i++)
        policy_entity_parent(entity, POLICY_TYPE_GROUP, party->groups[i]);
    policy_entity_parent(entity, POLICY_TYPE_TENANT, tenant);
}

// Groups are entities too, so that a group is in its tenant. The two parties may
// share groups; each is added once.
static void add_groups(struct policy_request *request, const struct decide_question *q) {
    const struct decide_party *const parties[] = {&q->subject, q->actor};
    for (size_t p = 0; p < 2 && parties[p]; p++)
        for (size_t i = 0; i < parties[p]->group_count; i++) {
            bool is_known = false;
            for (size_t k = 0; k < i && !is_known; k++)
                is_known = bytes_equal(parties[p]->groups[k], parties[p]->groups[i]);
            for (size_t k = 0; p == 1 && k < q->subject.group_count && !is_known; k++)
                is_known = bytes_equal(q->subject.groups[k], parties[1]->groups[i]);
            if (!is_known)
                policy_entity_parent(
                    policy_entity_add(request, POLICY_TYPE_GROUP, parties[p]->groups[i]),
                    POLICY_TYPE_TENANT, q->tenant);
        }
}

static void add_credential(struct policy_request *request, const struct decide_question *q) {
    struct policy_entity *provider = policy_entity_add(request, POLICY_TYPE_PROVIDER, q->profile);
    policy_entity_parent(provider, POLICY_TYPE_TENANT, q->tenant);
    struct policy_entity *credential =
        policy_entity_add(request, POLICY_TYPE_CREDENTIAL, q->credential);
    struct policy_record *attributes = policy_entity_attributes(credential);
    policy_put_string(attributes, "name", q->credential);
    policy_put_string(attributes, "profile", q->profile);
    policy_put_strings(attributes, "hosts", q->hosts, q->host_count);
    policy_entity_parent(credential, POLICY_TYPE_PROVIDER, q->profile);
    policy_entity_parent(credential, POLICY_TYPE_TENANT, q->tenant);
}

// A model or a tool: "<provider>/<name>", child of the provider.
struct member_name {
    char id[PATH_MEMBER_SIZE];
};

static struct bytes add_member(struct policy_request *request, const struct decide_question *q,
                               const char *type, struct bytes name, struct member_name *room) {
    struct bytes id = {NULL, 0};
    if (q->profile.size + 1 + name.size <= sizeof room->id) {
        memcpy(room->id, q->profile.at, q->profile.size);
        room->id[q->profile.size] = '/';
        memcpy(room->id + q->profile.size + 1, name.at, name.size);
        id = bytes_of(room->id, q->profile.size + 1 + name.size);
    }
    struct policy_entity *entity = policy_entity_add(request, type, id);
    policy_put_string(policy_entity_attributes(entity), "name", name);
    policy_entity_parent(entity, POLICY_TYPE_PROVIDER, q->profile);
    return id;
}

// ---- Context ----

// Of the party that is asked: an agent does not inherit the posture of the device
// at which its user signed in.
static void put_device(struct policy_record *context, const struct token_traits *traits) {
    if (!traits || (!traits->compliant && !traits->managed))
        return;
    struct policy_record *device = policy_put_record(context, "device");
    if (traits->compliant)
        policy_put_bool(device, "compliant", traits->compliant == TOKEN_POSTURE_YES);
    if (traits->managed)
        policy_put_bool(device, "managed", traits->managed == TOKEN_POSTURE_YES);
}

static void put_context(struct policy_request *request, const struct decide_question *q,
                        const struct decide_party *party, const struct decide_party *actor) {
    struct policy_record *context = policy_request_context(request);
    bool is_local = q->source.size == 0 || bytes_begin_with(q->source, BYTES_LITERAL("unix"));
    policy_put_ip(context, "sourceIp", is_local ? BYTES_LITERAL("127.0.0.1") : q->source);
    policy_put_datetime(context, "now", q->now_s * 1000);
    if (q->client.size)
        policy_put_string(context, "client", q->client);
    policy_put_strings(context, "models", q->detail->models.items, q->detail->models.count);
    policy_put_strings(context, "tools", q->detail->tools.items, q->detail->tools.count);
    policy_put_strings(context, "methods", q->detail->methods.items, q->detail->methods.count);
    policy_put_bool(context, "bound", q->is_bound);
    policy_put_long(context, "lifetime", q->lifetime_s);
    policy_put_bool(context, "agentActs", actor != NULL);
    put_device(context, party->traits);
    uint64_t max_tokens = q->action == DECIDE_ISSUE ? q->detail->max_tokens : q->max_tokens;
    if (max_tokens)
        policy_put_long(context, "maxTokens", (int64_t)max_tokens);
    if (actor && actor->kind == TOKEN_AGENT)
        policy_put_entity(context, "actor", policy_uid_of(party_type(actor), actor->principal));
    if (q->action == DECIDE_ISSUE)
        return;
    policy_put_string(context, "method", q->method);
    policy_put_string(context, "host", q->host);
    policy_put_string(context, "path", q->path);
    if (q->model.size)
        policy_put_string(context, "model", q->model);
    if (q->tool.size)
        policy_put_string(context, "tool", q->tool);
    policy_put_long(context, "tokenAge", q->token_age_s);
    policy_put_string(context, "forwarder", q->forwarder);
}

// ---- Questions ----

// Several questions may be answered by the same policy; it is named once.
static void append_policies(struct decide_answer *answer, const struct policy_decision *decision) {
    for (size_t i = 0; i < decision->answer.reason_count; i++)
        policy_words_add(answer->policies, decision->answer.reasons[i]);
}

// What the determining permits say beside yes.
static void read_annotations(const struct policy_active *active,
                             const struct policy_decision *decision, struct decide_answer *answer) {
    bool allows_bearer = false;
    for (size_t r = 0; r < decision->answer.reason_count && r < ANNOTATIONS_MAX_POLICIES; r++) {
        size_t index;
        struct bytes value;
        if (!policy_set_find_index(active->set, decision->answer.reasons[r], &index))
            continue;
        if (policy_set_annotation(active->set, index, "bearer", &value) &&
            bytes_equal_text(value, "allow"))
            allows_bearer = true;
        char digits[12];
        if (policy_set_annotation(active->set, index, "lifetime", &value) &&
            bytes_to_text(value, digits, sizeof digits)) {
            unsigned long seconds = strtoul(digits, NULL, 10);
            if (seconds > 0 && seconds < UINT32_MAX &&
                (answer->lifetime_s == 0 || seconds < answer->lifetime_s))
                answer->lifetime_s = (uint32_t)seconds;
        }
    }
    answer->allows_bearer = answer->allows_bearer && allows_bearer;
}

static void put_reason(struct decide_answer *answer, const char *action,
                       const struct policy_decision *decision) {
    struct buf text;
    buf_init(&text, 2048);
    buf_put_text(&text, action);
    buf_put_byte(&text, ' ');
    policy_decision_text(decision, &text);
    const char *sentence = buf_text(&text);
    if (!sentence)
        sentence = "denied: out of memory";
    size_t size = strnlen(sentence, sizeof answer->reason - 1);
    memcpy(answer->reason, sentence, size);
    answer->reason[size] = 0;
    buf_done(&text);
}

// One question; false once denied.
static bool ask(struct decider *decider, const struct policy_active *active,
                const struct decide_party *principal, const char *action, const char *resource_type,
                struct bytes resource, bool is_use, struct decide_answer *answer) {
    struct decide_answer unused;
    if (!answer->is_allowed) { // for the explanation only: what denied first is the answer
        unused = *answer;
        answer = &unused;
    }
    policy_request_ask(decider->request, policy_uid_of(party_type(principal), principal->principal),
                       policy_uid_of(POLICY_TYPE_ACTION, bytes_of_text(action)),
                       policy_uid_of(resource_type, resource));
    struct policy_decision decision = policy_decide(active->set, decider->request);
    if (!decision.is_allowed) {
        answer->policies[0] = 0; // those that denied, not those that allowed something else before
        answer->is_allowed = answer->allows_bearer = false;
    }
    answer->is_momentary = answer->is_momentary || decision.answer.is_momentary;
    answer->reads_max_tokens = answer->reads_max_tokens || decision.answer.reads_max_tokens;
    append_policies(answer, &decision);
    put_reason(answer, action, &decision);
    if (decision.is_allowed && is_use)
        read_annotations(active, &decision, answer);
    struct explained explained = {decider, principal->principal, action};
    if (decider->explain &&
        !vlt_is_ok(policy_explain(active->set, decider->request, one_outcome, &explained)))
        put_reason(answer, "not every policy could be explained:", &decision);
    return decision.is_allowed;
}

static bool ask_party(struct decider *decider, const struct policy_active *active,
                      const struct decide_question *q, const struct decide_party *party,
                      const struct decide_party *actor, struct decide_answer *answer) {
    struct policy_request *request = decider->request;
    struct member_name model_name, tool_name;
    policy_request_reset(request);
    add_party(request, &q->subject, q->tenant);
    if (q->actor && !bytes_equal(q->actor->principal, q->subject.principal))
        add_party(request, q->actor, q->tenant);
    add_groups(request, q);
    policy_entity_add(request, POLICY_TYPE_TENANT, q->tenant);
    add_credential(request, q);
    put_context(request, q, party, actor);
    const char *action = q->action == DECIDE_ISSUE ? "issue" : "redeem";
    bool has_model = q->action == DECIDE_REDEEM && q->model.size;
    bool has_tool = q->action == DECIDE_REDEEM && q->tool.size;
    policy_vocabulary_action(request, action);
    struct bytes model = {NULL, 0}, tool = {NULL, 0};
    if (has_model) {
        policy_vocabulary_action(request, "callModel");
        model = add_member(request, q, POLICY_TYPE_MODEL, q->model, &model_name);
    }
    if (has_tool) {
        policy_vocabulary_action(request, "callTool");
        tool = add_member(request, q, POLICY_TYPE_TOOL, q->tool, &tool_name);
    }
    bool goes_on =
        ask(decider, active, party, action, POLICY_TYPE_CREDENTIAL, q->credential, true, answer) ||
        decider->explain;
    if (goes_on && has_model)
        goes_on =
            ask(decider, active, party, "callModel", POLICY_TYPE_MODEL, model, false, answer) ||
            decider->explain;
    if (goes_on && has_tool)
        goes_on = ask(decider, active, party, "callTool", POLICY_TYPE_TOOL, tool, false, answer) ||
                  decider->explain;
    return goes_on;
}

void decide(struct decider *decider, const struct policy_active *active,
            const struct decide_question *question, struct decide_answer *ret_answer) {
    *ret_answer = (struct decide_answer){.is_allowed = true, .allows_bearer = true};
    if (!ask_party(decider, active, question, &question->subject, question->actor, ret_answer))
        return;
    if (question->actor)
        ask_party(decider, active, question, question->actor, NULL, ret_answer);
}
