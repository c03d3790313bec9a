// SPDX-License-Identifier: Apache-2.0
// What expressions mean. Each is the condition of one permit over a fixed
// request: true allows, false denies, an error is reported.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/policy/policy.h"
#include "tests/unit/check.h"

static const char entities[] =
    "[{\"uid\":{\"type\":\"User\",\"id\":\"u\"},\"attrs\":{\"n\":7,\"s\":\"text\",\"is\":1,\"set\":"
    "[1,2,2],"
    "  \"rec\":{\"a\":{\"b\":true}},\"ent\":{\"__entity\":{\"type\":\"Doc\",\"id\":\"gone\"}}},"
    "  \"parents\":[{\"type\":\"Group\",\"id\":\"g\"}],\"tags\":{\"t\":\"v\"}},"
    " {\"uid\":{\"type\":\"Group\",\"id\":\"g\"},\"attrs\":{},\"parents\":[{\"type\":\"Org\","
    "\"id\":\"o\"}]},"
    " {\"uid\":{\"type\":\"Action\",\"id\":\"view\"},\"attrs\":{},\"parents\":[{\"type\":"
    "\"Action\",\"id\":\"read\"}]}]";
static const char context[] =
    "{\"ip\":{\"__extn\":{\"fn\":\"ip\",\"arg\":\"10.1.2.3\"}},\"flag\":true,\"big\":"
    "9223372036854775807,"
    " \"now\":{\"__extn\":{\"fn\":\"datetime\",\"arg\":\"2024-02-29T12:30:00Z\"}},"
    " \"call\":{\"__extn\":{\"fn\":\"offset\",\"args\":[{\"__extn\":{\"fn\":\"datetime\",\"arg\":"
    "\"1970-01-01\"}},"
    " {\"__extn\":{\"fn\":\"duration\",\"arg\":\"1d\"}}]}},\"odd name\":{\"__entity\":1,\"b\":2}}";

enum outcome { YES, NO, ERRS };

static enum outcome evaluate(const char *condition) {
    char text[2048];
    struct policy_document document = {.name = BYTES_LITERAL("main")};
    struct policy_set *set = NULL;
    struct policy_answer answer;
    struct fault fault = {0};
    int size =
        snprintf(text, sizeof text, "permit(principal, action, resource) when { %s };", condition);
    document.text = bytes_of(text, (size_t)size);
    if (!vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, &fault, &set)))
        fail_msg("%s: %s", condition, fault.text);
    struct policy_request *request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    assert_non_null(request);
    assert_true(vlt_is_ok(policy_request_load_entities(request, bytes_of_text(entities), &fault)));
    assert_true(vlt_is_ok(policy_request_load_context(request, bytes_of_text(context), &fault)));
    policy_request_ask(request, policy_uid_of("User", BYTES_LITERAL("u")),
                       policy_uid_of("Action", BYTES_LITERAL("view")),
                       policy_uid_of("N::Doc", BYTES_LITERAL("d")));
    assert_true(vlt_is_ok(policy_authorize(set, request, &answer)));
    enum outcome outcome = answer.error_count ? ERRS : answer.is_allowed ? YES : NO;
    assert_int_equal(answer.reason_count, outcome == YES ? 1 : 0);
    policy_request_free(request);
    policy_set_free(set);
    return outcome;
}

static void assert_all(enum outcome expected, const char *const *conditions, size_t count) {
    for (size_t i = 0; i < count; i++) {
        enum outcome outcome = evaluate(conditions[i]);
        if (outcome != expected)
            fail_msg("%s: %s", conditions[i],
                     outcome == YES  ? "true"
                     : outcome == NO ? "false"
                                     : "an error");
    }
}
#define ASSERT_ALL(expected, conditions) \
    assert_all(expected, conditions, sizeof conditions / sizeof *conditions)

static void eval_accepts_true_conditions(void **state) {
    static const char *const conditions[] = {
        "true",
        "!false",
        "!!true",
        "1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && 1 != 2",
        "1 + 2 * 3 - 4 == 3",
        "2 * 3 * 4 - 5 - 6 == 13",
        "---7 == -7",
        "-(-7) == 7",
        "-9223372036854775808 < 0",
        "9223372036854775807 == context.big",
        "if 1 == 1 then true else 1 < \"\"",
        "true || 1",
        "!(false && 1)",
        "false || true",
        "true && true && !false",
        "1 != \"1\" && [] != {} && principal != \"u\"",
        "[1, 2, 2] == [2, 1, 1]",
        "[[1], [1]] == [[1]]",
        "{a: 1, b: [2]} == {\"b\": [2], \"a\": 1}",
        "{} == {}",
        "[1, 2].contains(2)",
        "[1, 2].containsAll([])",
        "[1, 2].containsAll([2, 2, 1])",
        "[1, 2].containsAny([3, 2])",
        "[].isEmpty()",
        "![1].isEmpty()",
        "[[]].contains([])",
        "principal.set == [2, 1]",
        "principal in principal",
        "principal in Group::\"g\"",
        "principal in Org::\"o\"",
        "principal in [Doc::\"x\", Org::\"o\"]",
        "action in Action::\"read\"",
        "resource in N::Doc::\"d\"",
        "!(principal in [])",
        "!(resource in principal)",
        "Doc::\"none\" in [Doc::\"none\"]",
        "principal is User",
        "!(principal is Doc)",
        "resource is N::Doc",
        "!(resource is Doc)",
        "principal is User in Group::\"g\"",
        "!(principal is Group in 1)",
        "context.ip.isIpv4()",
        "principal has n && !(principal has m)",
        "context has ip",
        "context has \"odd name\"",
        "principal has rec.a.b",
        "!(principal has rec.x.b)",
        "!(principal has ent.a)",
        "!(Doc::\"none\" has a)",
        "principal.rec.a.b",
        "principal[\"is\"] == 1",
        "context[\"odd name\"].b == 2",
        "context[\"odd name\"] has \"__entity\"",
        "principal.hasTag(\"t\")",
        "principal.getTag(\"t\") == \"v\"",
        "!principal.hasTag(\"n\")",
        "!resource.hasTag(\"t\")",
        "\"text\" like \"t*t\"",
        "\"text\" like \"*\"",
        "\"\" like \"\"",
        "\"\" like \"***\"",
        "\"a*b\" like \"a\\*b\"",
        "!(\"axb\" like \"a\\*b\")",
        "\"axb\" like \"a\\u{2a}b\"",
        "\"aaab\" like \"*a*ab\"",
        "\"é😀\" like \"é*\"",
        "!(\"ab\" like \"a\")",
        "!(\"abc\" like \"*b\")",
        "!(\"ab\" like \"ab*b\")",
        "\"a\\n\" like \"a\\x0a\"",
        "context.now.toDate() == datetime(\"2024-02-29\")",
        "context.now.toTime() == duration(\"12h30m\")",
        "context.call == datetime(\"1970-01-02\")",
        "context.now < datetime(\"2025-01-01\")",
        "duration(\"1h\") >= duration(\"60m\")",
        "ip(\"127.0.0.1\") == ip(\"127.0.0.1/32\")",
        "decimal(\"1.0\") == decimal(\"1.0000\")",
        "decimal(\"1.0\") != duration(\"1s\")",
        "{a: if true then {b: [true]} else {}}.a.b.contains(true)",
        "[principal, resource].contains(User::\"u\")",
    };
    ASSERT_ALL(YES, conditions);
}

static void eval_rejects_what_the_specification_calls_an_error(void **state) {
    static const char *const conditions[] = {
        "1",
        "principal",
        "[true]",
        "1 && true",
        "true && 1",
        "false || 1",
        "\"\" || true",
        "!1",
        "-true == 1",
        "if 1 then true else true",
        "9223372036854775807 + 1 == 0",
        "-9223372036854775808 - 1 == 0",
        "4611686018427387904 * 2 == 0",
        "-(-9223372036854775808) == 0",
        "--9223372036854775808 == 0",
        "1 + true == 2",
        "\"a\" + \"b\" == \"ab\"",
        "1 < \"1\"",
        "\"a\" < \"b\"",
        "true < false",
        "decimal(\"1.0\") < decimal(\"2.0\")",
        "datetime(\"2024-01-01\") < duration(\"1h\")",
        "1 < context.now",
        "ip(\"::1\") <= ip(\"::1\")",
        "1 in principal",
        "principal in 1",
        "principal in [Group::\"g\", 1]",
        "principal in {}",
        "principal in \"g\"",
        "1 is User",
        "principal is User in 1",
        "1 has a",
        "principal has n.a",
        "[] has a",
        "principal.m == 1",
        "context.m == 1",
        "Doc::\"none\".a == 1",
        "1.a == 1",
        "principal.ent.a == 1",
        "{a: 1}.b == 1",
        "principal.rec.a.b.c",
        "principal.getTag(\"x\") == \"v\"",
        "resource.getTag(\"t\") == \"v\"",
        "principal.getTag(1) == 1",
        "principal.hasTag(1)",
        "context.hasTag(\"t\")",
        "1 like \"1\"",
        "principal like \"*\"",
        "1.contains(1)",
        "[1].containsAll(1)",
        "{}.containsAny([])",
        "context.isEmpty()",
        "ip(\"300.0.0.1\").isIpv4()",
        "ip(1).isIpv4()",
        "ip().isIpv4()",
        "ip(\"::1\", \"::1\").isIpv4()",
        "context.ip.isIpv4(1)",
        "context.ip.isInRange()",
        "\"::1\".isIpv4()",
        "decimal(\"1\") == 1",
        "context.now.offset(1) == 1",
        "datetime(\"2024-13-01\") == 1",
        "duration(\"\") == 1",
        "decimal(\"1.0\").lessThan(1)",
        "context.ip.lessThan(decimal(\"1.0\"))",
        "context.now.toDays() == 1",
    };
    ASSERT_ALL(ERRS, conditions);
}

static void eval_rejects_false_conditions(void **state) {
    static const char *const conditions[] = {
        "false",
        "1 == 2",
        "true && false",
        "false && 1",
        "[1] == [1, 2]",
        "{a: 1} == {a: 1, b: 2}",
        "{a: 1} == {a: 2}",
        "principal in Group::\"h\"",
        "\"a\" == \"A\"",
        "ip(\"10.0.0.0/8\") == ip(\"10.0.0.1/8\")",
        "User::\"u\" == Group::\"u\"",
        "[[1]].contains([2])",
    };
    ASSERT_ALL(NO, conditions);
}

static void eval_skips_what_is_not_reached(void **state) {
    static const char *const conditions[] = {
        "true || context.m",
        "if true then true else context.m",
        "!(false && context.m)",
        "!(principal is Doc in context.m)",
    };
    ASSERT_ALL(YES, conditions);
}

static void eval_survives_its_budget(void **state) {
    // Sets of sets that are compared again and again would take hours.
    static char text[400000];
    struct policy_document document = {.name = BYTES_LITERAL("slow")};
    struct policy_set *set = NULL;
    struct policy_answer answer;
    size_t at = (size_t)snprintf(
        text, sizeof text,
        "permit(principal, action, resource) when { context.l.containsAll(context.l)");
    for (int i = 0; i < 3000; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, " && context.l.containsAll(context.l)");
    at += (size_t)snprintf(text + at, sizeof text - at, " };");
    document.text = bytes_of(text, at);
    assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, NULL, &set)));
    struct policy_request *request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    static struct bytes values[2000];
    static char names[2000][8];
    for (int i = 0; i < 2000; i++)
        values[i] = bytes_of(names[i], (size_t)snprintf(names[i], sizeof names[i], "%d", i));
    policy_put_strings(policy_request_context(request), "l", values, 2000);
    struct policy_uid nobody = policy_uid_of("U", BYTES_LITERAL(""));
    policy_request_ask(request, nobody, nobody, nobody);
    assert_int_equal(policy_authorize(set, request, &answer).class, VLT_LIMIT);
    policy_request_free(request);
    policy_set_free(set);
}

static void eval_survives_the_highest_tree(void **state) {
    char text[4096];
    size_t at = 0;
    // As many attributes as a tree may be high, and nested sets as deep as they go.
    at += (size_t)snprintf(text, sizeof text, "context");
    for (int i = 0; i < 590; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, ".a");
    assert_int_equal(evaluate(text), ERRS);
    at = 0;
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 120; i++)
            text[at++] = '[';
        at += (size_t)snprintf(text + at, 16, "principal");
        for (int i = 0; i < 120; i++)
            text[at++] = ']';
        at += (size_t)snprintf(text + at, 8, "%s", side ? "" : " == ");
    }
    assert_int_equal(evaluate(text), YES);
}

static void eval_survives_a_small_arena(void **state) {
    static const char text[] = "permit(principal, action, resource) when { [[principal, action], "
                               "[{a: [context]}]].contains([1]) };";
    struct policy_document document = {BYTES_LITERAL("m"), bytes_of_text(text)};
    struct policy_set *set = NULL;
    struct policy_answer answer;
    size_t refused = 0;
    assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, NULL, &set)));
    for (size_t max_bytes = 0; max_bytes < 2048; max_bytes += 16) {
        struct policy_request *request = policy_request_new(max_bytes);
        struct policy_uid nobody = policy_uid_of("U", BYTES_LITERAL(""));
        policy_put_bool(policy_request_context(request), "b", true);
        policy_put_bool(policy_put_record(policy_request_context(request), "r"), "b", true);
        policy_entity_parent(policy_entity_add(request, "U", BYTES_LITERAL("")), "G",
                             BYTES_LITERAL("g"));
        policy_request_ask(request, nobody, nobody, nobody);
        vlt_result result = policy_authorize(set, request, &answer);
        assert_true(vlt_is_ok(result) || result.class == VLT_LIMIT);
        refused += !vlt_is_ok(result);
        policy_request_free(request);
    }
    assert_in_range(refused, 20, 120);
    policy_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eval_accepts_true_conditions),
        cmocka_unit_test(eval_rejects_what_the_specification_calls_an_error),
        cmocka_unit_test(eval_rejects_false_conditions),
        cmocka_unit_test(eval_skips_what_is_not_reached),
        cmocka_unit_test(eval_survives_its_budget),
        cmocka_unit_test(eval_survives_the_highest_tree),
        cmocka_unit_test(eval_survives_a_small_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
