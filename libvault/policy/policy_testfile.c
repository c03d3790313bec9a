// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_testfile.h"

#include "libvault/policy/policy_entity_json.h"
#include "libvault/policy/policy_vocabulary.h"

#define TESTFILE_MAX_BYTES (16u * 1024 * 1024)
// The longest file may be larger in memory than on disk.
#define TESTFILE_ARENA_BYTES (256u * 1024 * 1024)
#define CASE_MAX_BYTES (16u * 1024 * 1024)
#define NAME_MAX_BYTES 200

struct run {
    const struct policy_set *set;
    struct policy_request *request;
    struct fault *fault;
};

static vlt_result check_members(const struct policy_json *json, const char *const *names,
                                struct fault *fault) {
    if (json->kind != POLICY_JSON_OBJECT)
        return policy_json_fail(json, fault, "expected an object");
    for (size_t i = 0; i < json->count; i++) {
        size_t j = 0;
        while (names[j] && !bytes_equal_text(json->members[i].name, names[j]))
            j++;
        if (!names[j])
            return policy_json_fail(
                &json->members[i].value, fault, "unknown member \"%.*s\"",
                (int)(json->members[i].name.size < 60 ? json->members[i].name.size : 60),
                (const char *)json->members[i].name.at);
    }
    return vlt_ok();
}

static vlt_result need_text(const struct policy_json *json, const char *name, struct fault *fault,
                            struct bytes *ret_text) {
    if (!policy_json_get_text(json, name, ret_text))
        return policy_json_fail(json, fault, "expected a string \"%s\"", name);
    return vlt_ok();
}

static const struct policy_word_type *find_word(struct bytes type) {
    for (const struct policy_word_type *word = policy_word_types; word->name; word++)
        if (!word->is_record && bytes_equal_text(type, word->name))
            return word;
    return NULL;
}

static vlt_result read_strings(const struct run *run, const struct policy_json *json,
                               const struct bytes **ret_texts, size_t *ret_count) {
    *ret_texts = NULL;
    *ret_count = 0;
    if (!json)
        return vlt_ok();
    struct bytes *texts =
        policy_arena_take_array(policy_request_arena(run->request), json->count, sizeof *texts);
    if (json->kind != POLICY_JSON_ARRAY || !texts)
        return policy_json_fail(json, run->fault, "expected an array of strings");
    for (size_t i = 0; i < json->count; i++) {
        if (json->items[i].kind != POLICY_JSON_STRING)
            return policy_json_fail(&json->items[i], run->fault, "expected a string");
        texts[i] = json->items[i].text;
    }
    *ret_texts = texts;
    *ret_count = json->count;
    return vlt_ok();
}

// Group entities exist too, as in the daemon, so that they are in their tenant.
static vlt_result add_groups(const struct run *run, const struct policy_json *json,
                             struct policy_entity *principal, struct bytes tenant) {
    const struct bytes *groups;
    size_t count;
    VLT_TRY(read_strings(run, policy_json_get(json, "groups"), &groups, &count));
    for (size_t i = 0; i < count; i++) {
        struct policy_entity *group = policy_entity_add(run->request, POLICY_TYPE_GROUP, groups[i]);
        policy_entity_parent(principal, POLICY_TYPE_GROUP, groups[i]);
        if (tenant.size)
            policy_entity_parent(group, POLICY_TYPE_TENANT, tenant);
    }
    return vlt_ok();
}

static vlt_result read_principal(const struct run *run, const struct policy_json *json,
                                 struct policy_uid *ret_uid) {
    static const char *const members[] = {"type", "id",  "groups", "tenant",
                                          "acr",  "amr", "tags",   NULL};
    struct policy_uid uid;
    struct bytes tenant = {0}, acr;
    const struct bytes *amr;
    size_t amr_count;
    VLT_TRY(check_members(json, members, run->fault));
    VLT_TRY(need_text(json, "type", run->fault, &uid.type));
    VLT_TRY(need_text(json, "id", run->fault, &uid.id));
    const struct policy_word_type *word = find_word(uid.type);
    if (!word || !word->tags)
        return policy_json_fail(json, run->fault, "a principal is a User, Workload or Agent");
    size_t bar = bytes_find(uid.id, '|');
    if (bar == uid.id.size)
        return policy_json_fail(json, run->fault, "the id of a principal is issuer|subject");
    (void)policy_json_get_text(json, "tenant", &tenant);
    struct policy_entity *entity = policy_entity_add(run->request, word->name, uid.id);
    struct policy_record *attributes = policy_entity_attributes(entity);
    policy_put_string(attributes, "issuer", bytes_of(uid.id.at, bar));
    policy_put_string(attributes, "subject", bytes_from(uid.id, bar + 1));
    if (policy_json_get_text(json, "acr", &acr))
        policy_put_string(attributes, "acr", acr);
    VLT_TRY(read_strings(run, policy_json_get(json, "amr"), &amr, &amr_count));
    policy_put_strings(attributes, "amr", amr, amr_count);
    VLT_TRY(add_groups(run, json, entity, tenant));
    if (tenant.size)
        policy_entity_parent(entity, POLICY_TYPE_TENANT, tenant);
    const struct policy_json *tags = policy_json_get(json, "tags");
    if (tags)
        VLT_TRY(policy_entity_json_record(policy_entity_tags(entity), tags, run->fault));
    *ret_uid = uid;
    return vlt_ok();
}

static bool has_attribute(const struct policy_word_type *word, const char *name) {
    size_t size = strlen(name);
    for (size_t i = 0; word->attributes && word->attributes[i]; i++)
        if (strncmp(word->attributes[i], name, size) == 0 && word->attributes[i][size] == ':')
            return true;
    return false;
}

// What the case leaves out and every entity of the type has.
static void put_standard(const struct run *run, const struct policy_word_type *word,
                         struct policy_entity *entity, struct bytes id, struct bytes provider) {
    struct policy_record *attributes = policy_entity_attributes(entity);
    struct bytes name = word->parents && strcmp(word->parents[0], POLICY_TYPE_PROVIDER) == 0 &&
                                strcmp(word->name, POLICY_TYPE_CREDENTIAL) != 0
                            ? bytes_from(id, bytes_find(id, '/') + (bytes_find(id, '/') < id.size))
                            : id;
    if (has_attribute(word, "name") &&
        !policy_fields_get(&attributes->fields, BYTES_LITERAL("name")))
        policy_put_string(attributes, "name", name.size ? name : id);
    if (has_attribute(word, "profile") &&
        !policy_fields_get(&attributes->fields, BYTES_LITERAL("profile")))
        policy_put_string(attributes, "profile", provider);
    if (has_attribute(word, "hosts") &&
        !policy_fields_get(&attributes->fields, BYTES_LITERAL("hosts")))
        policy_put_strings(attributes, "hosts", NULL, 0);
}

static vlt_result read_resource(const struct run *run, const struct policy_json *json,
                                struct policy_uid *ret_uid) {
    static const char *const members[] = {"type", "id", "provider", "tenant", "attrs", NULL};
    struct policy_uid uid;
    struct bytes provider = {0}, tenant = {0};
    VLT_TRY(check_members(json, members, run->fault));
    VLT_TRY(need_text(json, "type", run->fault, &uid.type));
    VLT_TRY(need_text(json, "id", run->fault, &uid.id));
    const struct policy_word_type *word = find_word(uid.type);
    if (!word)
        return policy_json_fail(json, run->fault, "unknown type of resource");
    struct policy_entity *entity = policy_entity_add(run->request, word->name, uid.id);
    const struct policy_json *attributes = policy_json_get(json, "attrs");
    if (attributes)
        VLT_TRY(
            policy_entity_json_record(policy_entity_attributes(entity), attributes, run->fault));
    if (policy_json_get_text(json, "tenant", &tenant))
        policy_entity_parent(entity, POLICY_TYPE_TENANT, tenant);
    if (policy_json_get_text(json, "provider", &provider)) {
        struct policy_entity *above =
            policy_entity_add(run->request, POLICY_TYPE_PROVIDER, provider);
        policy_entity_parent(entity, POLICY_TYPE_PROVIDER, provider);
        if (tenant.size)
            policy_entity_parent(above, POLICY_TYPE_TENANT, tenant);
    }
    put_standard(run, word, entity, uid.id, provider);
    *ret_uid = uid;
    return vlt_ok();
}

static vlt_result read_action(const struct run *run, const struct policy_json *json,
                              struct policy_uid *ret_uid) {
    struct bytes name;
    VLT_TRY(need_text(json, "action", run->fault, &name));
    for (const struct policy_word_action *word = policy_word_actions; word->name; word++)
        if (bytes_equal_text(name, word->name) && word->principals) {
            policy_vocabulary_action(run->request, word->name);
            *ret_uid = policy_uid_of(POLICY_TYPE_ACTION, name);
            return vlt_ok();
        }
    return policy_json_fail(json, run->fault, "unknown action \"%.*s\"",
                            (int)(name.size < 60 ? name.size : 60), (const char *)name.at);
}

static vlt_result read_context(const struct run *run, const struct policy_json *context,
                               const struct policy_json *entities) {
    if (context)
        VLT_TRY(
            policy_entity_json_record(policy_request_context(run->request), context, run->fault));
    if (entities)
        VLT_TRY(policy_entity_json_all(run->request, entities, run->fault));
    return vlt_ok();
}

// Who, what, on what, in which context: everything but name and expectation.
static vlt_result read_question(const struct run *run, const struct policy_json *json) {
    static const char *const members[] = {"name",    "principal", "action", "resource",
                                          "context", "entities",  "expect", NULL};
    struct policy_uid principal = {{0}, {0}}, action = principal, resource = principal;
    VLT_TRY(check_members(json, members, run->fault));
    const struct policy_json *who = policy_json_get(json, "principal");
    const struct policy_json *what = policy_json_get(json, "resource");
    if (!who || !what)
        return policy_json_fail(json, run->fault, "a case has a principal and a resource");
    VLT_TRY(read_principal(run, who, &principal));
    VLT_TRY(read_action(run, json, &action));
    VLT_TRY(read_resource(run, what, &resource));
    VLT_TRY(read_context(run, policy_json_get(json, "context"), policy_json_get(json, "entities")));
    policy_request_ask(run->request, principal, action, resource);
    // A duplicate or a cycle is a fault of the file, not a denial to be expected.
    vlt_result result = policy_request_ready(run->request);
    return vlt_is_ok(result) ? result : policy_json_fail(json, run->fault, "%s", result.reason);
}

static vlt_result read_case(const struct run *run, const struct policy_json *json, char *name,
                            bool *ret_expects_allow) {
    struct bytes text, expect;
    VLT_TRY(need_text(json, "name", run->fault, &text));
    if (!bytes_to_text(text, name, NAME_MAX_BYTES))
        return policy_json_fail(json, run->fault, "name longer than %d bytes", NAME_MAX_BYTES - 1);
    VLT_TRY(need_text(json, "expect", run->fault, &expect));
    *ret_expects_allow = bytes_equal_text(expect, "allow");
    if (!*ret_expects_allow && !bytes_equal_text(expect, "deny"))
        return policy_json_fail(json, run->fault, "expect is \"allow\" or \"deny\"");
    return read_question(run, json);
}

static vlt_result run_cases(const struct run *run, const struct policy_json *json,
                            policy_testcase_fn *each, void *context, size_t *ret_passed,
                            size_t *ret_failed) {
    size_t passed = 0, failed = 0;
    if (json->kind != POLICY_JSON_ARRAY || json->count == 0)
        return policy_json_fail(json, run->fault, "expected an array of at least one case");
    for (size_t i = 0; i < json->count; i++) {
        char name[NAME_MAX_BYTES];
        struct policy_testcase result = {.name = name};
        policy_request_reset(run->request);
        VLT_TRY(read_case(run, &json->items[i], name, &result.expects_allow));
        struct policy_decision decision = policy_decide(run->set, run->request);
        result.decision = &decision;
        result.passed =
            decision.is_allowed == result.expects_allow && decision.cause != POLICY_NOT_EVALUATED;
        passed += result.passed;
        failed += !result.passed;
        if (each)
            each(context, &result);
    }
    *ret_passed = passed;
    *ret_failed = failed;
    return vlt_ok();
}

vlt_result policy_testfile_run(const struct policy_set *set, struct bytes json,
                               policy_testcase_fn *each, void *context, struct fault *fault,
                               size_t *ret_passed, size_t *ret_failed) {
    struct policy_arena arena;
    const struct policy_json *root = NULL;
    struct run run = {set, policy_request_new(CASE_MAX_BYTES), fault};
    if (!run.request)
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a policy request");
    policy_arena_init(&arena, 16384, TESTFILE_ARENA_BYTES);
    vlt_result result = json.size > TESTFILE_MAX_BYTES
                            ? fault_set(fault, VLT_LIMIT, "test file too large",
                                        "more than %u bytes of cases", TESTFILE_MAX_BYTES)
                            : policy_json_parse(&arena, json, fault, &root);
    if (vlt_is_ok(result))
        result = run_cases(&run, root, each, context, ret_passed, ret_failed);
    policy_arena_done(&arena);
    policy_request_free(run.request);
    return result;
}

vlt_result policy_testfile_ask(struct policy_request *request, struct bytes json,
                               struct fault *fault) {
    struct run run = {NULL, request, fault};
    const struct policy_json *root = NULL;
    policy_request_reset(request);
    vlt_result result = policy_json_parse(policy_request_arena(request), json, fault, &root);
    if (vlt_is_ok(result))
        result = read_question(&run, root);
    if (!vlt_is_ok(result))
        policy_request_fail(request, result.class, result.reason);
    return result;
}
