// SPDX-License-Identifier: Apache-2.0
// Entities, hierarchy and context, built from C and from JSON.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/policy/policy.h"
#include "libvault/policy/policy_entity.h"
#include "tests/unit/check.h"

static struct policy_set *set_of(const char *text) {
    struct policy_document document = {BYTES_LITERAL("main"), bytes_of_text(text)};
    struct policy_set *set = NULL;
    struct fault fault = {0};
    if (!vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, &fault, &set)))
        fail_msg("%u:%u: %s", fault.line, fault.column, fault.text);
    return set;
}

static struct policy_request *new_request(void) {
    struct policy_request *request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    assert_non_null(request);
    return request;
}

static void ask_alice(struct policy_request *request) {
    policy_request_ask(request, policy_uid_of("User", BYTES_LITERAL("alice")),
                       policy_uid_of("Action", BYTES_LITERAL("view")),
                       policy_uid_of("Doc", BYTES_LITERAL("d")));
}

static void build_alice(struct policy_request *request) {
    static const struct bytes roles[] = {BYTES_LITERAL("b"), BYTES_LITERAL("a"),
                                         BYTES_LITERAL("b")};
    struct policy_entity *alice = policy_entity_add(request, "User", BYTES_LITERAL("alice"));
    policy_entity_parent(alice, "Group", BYTES_LITERAL("g"));
    policy_entity_parent(policy_entity_add(request, "Group", BYTES_LITERAL("g")), "Org",
                         BYTES_LITERAL("o"));
    struct policy_record *attributes = policy_entity_attributes(alice);
    policy_put_string(attributes, "name", BYTES_LITERAL("Alice"));
    policy_put_long(attributes, "level", -7);
    policy_put_strings(attributes, "roles", roles, 3);
    policy_put_entity(attributes, "manager", policy_uid_of("User", BYTES_LITERAL("bob")));
    policy_put_string_named(policy_entity_tags(alice), BYTES_LITERAL("team"),
                            BYTES_LITERAL("blue"));
    struct policy_record *context = policy_request_context(request);
    policy_put_bool(context, "flag", true);
    policy_put_ip(context, "ip", BYTES_LITERAL("10.0.0.1"));
    policy_put_datetime(context, "now", 86400000);
    policy_put_duration(context, "age", 5000);
    policy_put_bool(policy_put_record(context, "device"), "managed", true);
    policy_put_long(context, "late", 1); // after the inner record was begun
    ask_alice(request);
}

static void request_accepts_what_is_built(void **state) {
    struct policy_set *set =
        set_of("permit(principal in Org::\"o\", action, resource) when { principal.name == "
               "\"Alice\" && principal.level == -7 && principal.roles == [\"a\", \"b\"] &&"
               " principal.manager == User::\"bob\" && principal.getTag(\"team\") == \"blue\" && "
               "context.flag && context.ip == ip(\"10.0.0.1\") &&"
               " context.now == datetime(\"1970-01-02\") && context.age == duration(\"5s\") && "
               "context.device.managed && context.late == 1 };");
    struct policy_request *request = new_request();
    struct policy_answer answer;
    // A request is used again and again.
    for (int round = 0; round < 3; round++) {
        policy_request_reset(request);
        build_alice(request);
        assert_true(vlt_is_ok(policy_authorize(set, request, &answer)));
        assert_true(answer.is_allowed);
        assert_int_equal(answer.error_count, 0);
        // Another question over the same entities, in another context.
        policy_request_context_clear(request);
        ask_alice(request);
        assert_true(vlt_is_ok(policy_authorize(set, request, &answer)));
        assert_false(answer.is_allowed);
        assert_int_equal(answer.error_count, 1);
        assert_non_null(
            strstr((const char *)policy_arena_copy(&request->arena, answer.errors[0].message).at,
                   "main:1:"));
    }
    policy_request_free(request);
    policy_set_free(set);
}

static vlt_result authorize(struct policy_request *request) {
    struct policy_set *set = set_of("permit(principal, action, resource);");
    struct policy_answer answer = {0};
    ask_alice(request);
    vlt_result result = policy_authorize(set, request, &answer);
    assert_true(vlt_is_ok(result) == answer.is_allowed);
    policy_set_free(set);
    return result;
}

static void request_rejects_what_is_built_wrong(void **state) {
    struct policy_request *request = new_request();
    policy_put_ip(policy_request_context(request), "ip", BYTES_LITERAL("10.0.0.256"));
    assert_int_equal(authorize(request).class, VLT_MALFORMED);
    policy_request_reset(request);
    policy_put_bool(policy_request_context(request), "a", true);
    policy_put_long(policy_request_context(request), "a", 1);
    assert_int_equal(authorize(request).class, VLT_MALFORMED);
    policy_request_reset(request);
    policy_entity_add(request, "U", BYTES_LITERAL("a"));
    policy_entity_add(request, "U", BYTES_LITERAL("a"));
    assert_int_equal(authorize(request).class, VLT_MALFORMED);
    // Calls after the failure go nowhere and do no harm.
    policy_put_bool(policy_entity_attributes(policy_entity_add(request, "U", BYTES_LITERAL("b"))),
                    "x", true);
    policy_put_bool(policy_put_record(policy_request_context(request), "r"), "x", true);
    assert_int_equal(authorize(request).class, VLT_MALFORMED);
    policy_request_reset(request);
    assert_true(vlt_is_ok(authorize(request)));
    policy_request_free(request);
}

static void hierarchy_rejects_cycles(void **state) {
    struct policy_request *request = new_request();
    for (int length = 1; length <= 40; length++) {
        char ids[41][4];
        policy_request_reset(request);
        for (int i = 0; i < length; i++) {
            snprintf(ids[i], sizeof ids[i], "%d", i);
            struct policy_entity *entity = policy_entity_add(request, "U", bytes_of_text(ids[i]));
            snprintf(ids[40], sizeof ids[40], "%d", (i + 1) % length);
            policy_entity_parent(entity, "U",
                                 policy_arena_copy(&request->arena, bytes_of_text(ids[40])));
        }
        assert_int_equal(authorize(request).class, VLT_MALFORMED);
    }
    policy_request_free(request);
}

static bool allows(struct policy_set *set, struct policy_request *request) {
    struct policy_answer answer;
    assert_true(vlt_is_ok(policy_authorize(set, request, &answer)));
    assert_int_equal(answer.error_count, 0);
    return answer.is_allowed;
}

// Wide and deep, with diamonds, and groups that are no entities themselves.
static void hierarchy_accepts_many_ancestors(void **state) {
    struct policy_set *near = set_of("permit(principal in G::\"39\", action, resource);");
    struct policy_set *far = set_of("permit(principal in Outside::\"17\", action, resource);");
    struct policy_set *none = set_of("permit(principal in Outside::\"40\", action, resource);");
    struct policy_request *request = new_request();
    static char ids[41][4];
    policy_entity_parent(policy_entity_add(request, "User", BYTES_LITERAL("alice")), "G",
                         BYTES_LITERAL("0"));
    for (int i = 0; i <= 40; i++)
        snprintf(ids[i], sizeof ids[i], "%d", i);
    for (int i = 0; i < 40; i++) {
        struct policy_entity *group = policy_entity_add(request, "G", bytes_of_text(ids[i]));
        for (int step = 1; step <= 3 && i + step < 40; step++)
            policy_entity_parent(group, "G", bytes_of_text(ids[i + step]));
        policy_entity_parent(group, "Outside", bytes_of_text(ids[i / 2]));
    }
    ask_alice(request);
    assert_true(allows(near, request));
    assert_true(allows(far, request));
    assert_false(allows(none, request));
    assert_int_equal(request->party_entity[0]->ancestor_count, 60);
    policy_request_free(request);
    policy_set_free(near);
    policy_set_free(far);
    policy_set_free(none);
}

static vlt_result load(const char *entities, const char *context, struct fault *fault) {
    struct policy_request *request = new_request();
    vlt_result result = policy_request_load_entities(request, bytes_of_text(entities), fault);
    if (vlt_is_ok(result))
        result = policy_request_load_context(request, bytes_of_text(context), fault);
    vlt_result after = authorize(request);
    // What could not be loaded is never evaluated.
    if (vlt_is_ok(result))
        result = after;
    else
        assert_false(vlt_is_ok(after));
    policy_request_free(request);
    return result;
}

static void json_accepts_cedar_values(void **state) {
    static const char *const contexts[] = {
        "{}", " {\"a\" : [ 1 , -0 , true, \"\\ud83d\\ude00\\u0000\" , [] , {} ] }\n",
        "{\"\\u0000\": 9223372036854775807, \"\": -9223372036854775808}",
        "{\"a\": {\"__entity\": {\"type\": \"A::B\", \"id\": \"\"}}}",
        "{\"a\": {\"__extn\": {\"fn\": \"ip\", \"arg\": \"::1\"}}}",
        // Not the form of an escape: records.
        "{\"a\": {\"__entity\": 1}}", "{\"a\": {\"__extn\": {\"fn\": \"ip\"}}}",
        "{\"a\": {\"__entity\": {\"type\": \"A\", \"id\": \"\"}, \"b\": 1}}",
        "{\"__entity\": {\"type\": \"A\", \"id\": \"\"}}"};
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) {
        struct fault fault = {0};
        if (!vlt_is_ok(load("[{\"uid\":{\"__entity\":{\"type\":\"A\",\"id\":\"1\"}},\"attrs\":{},"
                            "\"parents\":[]}]",
                            contexts[i], &fault)))
            fail_msg("%s: %s", contexts[i], fault.text);
    }
}

static void json_rejects_the_rest_with_its_place(void **state) {
    static const struct {
        const char *entities, *context;
        unsigned line, column;
    } cases[] = {
        {"{}", "{}", 1, 1},
        {"[1]", "{}", 1, 2},
        {"[\n {\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{}}]", "{}", 2, 2},
        {"[{\"uid\":\"A\",\"attrs\":{},\"parents\":[]}]", "{}", 1, 9},
        {"[{\"uid\":{\"type\":\"A b\",\"id\":\"1\"},\"attrs\":{},\"parents\":[]}]", "{}", 1, 9},
        {"[{\"uid\":{\"type\":\"A::if\",\"id\":\"1\"},\"attrs\":{},\"parents\":[]}]", "{}", 1, 9},
        {"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":[],\"parents\":[]}]", "{}", 1, 39},
        {"[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{},\"parents\":{}}]", "{}", 1, 52},
        {"[]", "[]", 1, 1},
        {"[]", "", 1, 1},
        {"[]", "{\"a\":null}", 1, 6},
        {"[]", "{\"a\":1.5}", 1, 7},
        {"[]", "{\"a\":1e3}", 1, 7},
        {"[]", "{\"a\":01}", 1, 8},
        {"[]", "{\"a\":9223372036854775808}", 1, 24},
        {"[]", "{\"a\":1,}", 1, 8},
        {"[]", "{\"a\":1,\"a\":2}", 1, 14},
        {"[]", "{\"a\":\n\n [1,]}", 3, 5},
        {"[]", "{\"a\":\"\t\"}", 1, 7},
        {"[]", "{\"a\":\"\\x\"}", 1, 9},
        {"[]", "{\"a\":\"\\ud800\"}", 1, 13},
        {"[]", "{\"a\":\"b}", 1, 6},
        {"[]", "{\"a\" 1}", 1, 6},
        {"[]", "{} x", 1, 4},
        {"[]", "{\"a\":tru}", 1, 6},
        {"[]", "{\"a\":\"\xff\"}", 1, 7},
        {"[]", "{\"a\":{\"__expr\":\"1\"}}", 1, 6},
        {"[]", "{\"a\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"1\"}}}", 1, 16},
        {"[]", "{\"a\":{\"__extn\":{\"fn\":\"foo\",\"arg\":\"1\"}}}", 1, 16},
        {"[]", "{\"a\":{\"__extn\":{\"fn\":\"offset\",\"arg\":\"1\"}}}", 1, 16},
        {"[]", "{\"a\":{\"__entity\":{\"type\":\"\",\"id\":\"1\"}}}", 1, 18},
    };
    size_t right = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fault fault = {0};
        vlt_result result = load(cases[i].entities, cases[i].context, &fault);
        if (vlt_is_ok(result) || fault.line != cases[i].line || fault.column != cases[i].column)
            print_error("%s %s: %s at %u:%u: %s\n", cases[i].entities, cases[i].context,
                        vlt_class_name(result.class), fault.line, fault.column, fault.text);
        else
            right++;
    }
    assert_int_equal(right, sizeof cases / sizeof *cases);
    assert_int_equal(load("[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{},\"parents\":[]},{"
                          "\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{},\"parents\":[]}]",
                          "{}", NULL)
                         .class,
                     VLT_MALFORMED);
    assert_int_equal(load("[{\"uid\":{\"type\":\"A\",\"id\":\"1\"},\"attrs\":{},\"parents\":[{"
                          "\"type\":\"A\",\"id\":\"1\"}]}]",
                          "{}", NULL)
                         .class,
                     VLT_MALFORMED);
}

static void json_rejects_depth(void **state) {
    char text[1024];
    for (int extra = 0; extra < 2; extra++) {
        size_t at = (size_t)snprintf(text, sizeof text, "{\"a\":"), depth = 127 + (size_t)extra;
        for (size_t i = 0; i < depth; i++)
            text[at++] = '[';
        for (size_t i = 0; i < depth; i++)
            text[at++] = ']';
        snprintf(text + at, 2, "}");
        assert_int_equal(load("[]", text, NULL).class, extra ? VLT_LIMIT : VLT_CLASS_OK);
    }
}

static void json_survives_mutation(void **state) {
    static const char seed[] =
        "[{\"uid\":{\"type\":\"A\",\"id\":\"\\u00e91\"},\"attrs\":{\"a\":[1,{\"__extn\":{\"fn\":"
        "\"ip\",\"arg\":\"::1\"}}]},"
        "\"parents\":[{\"__entity\":{\"type\":\"A\",\"id\":\"2\"}}],\"tags\":{\"t\":true}}]";
    char text[sizeof seed + 2];
    for (size_t i = 0; i < sizeof seed; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(text, seed, sizeof seed);
            text[i] = (char)(text[i] ^ (1 << bit));
            (void)!vlt_is_ok(load(text, "{}", NULL));
        }
        memcpy(text, seed, sizeof seed);
        text[i] = 0; // truncated
        (void)!vlt_is_ok(load(text, "{}", NULL));
        snprintf(text, sizeof text, "%.*s%s", (int)i, seed,
                 i + 1 < sizeof seed ? seed + i + 1 : "");
        (void)!vlt_is_ok(load(text, "{}", NULL));
    }
    assert_true(vlt_is_ok(load(seed, "{}", NULL)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_accepts_what_is_built),
        cmocka_unit_test(request_rejects_what_is_built_wrong),
        cmocka_unit_test(hierarchy_rejects_cycles),
        cmocka_unit_test(hierarchy_accepts_many_ancestors),
        cmocka_unit_test(json_accepts_cedar_values),
        cmocka_unit_test(json_rejects_the_rest_with_its_place),
        cmocka_unit_test(json_rejects_depth),
        cmocka_unit_test(json_survives_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
