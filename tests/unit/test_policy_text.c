// SPDX-License-Identifier: Apache-2.0
// Policy text: what the parser takes, what it refuses and where.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/policy/policy.h"
#include "tests/unit/check.h"

static vlt_result parse(const char *text, struct fault *fault, struct policy_set **ret_set) {
    struct policy_document document = {BYTES_LITERAL("main"), bytes_of_text(text)};
    return policy_set_parse(&document, 1, POLICY_IDS_NAMED, fault, ret_set);
}

static void assert_parses(const char *text) {
    struct policy_set *set = NULL;
    struct fault fault = {0};
    vlt_result result = parse(text, &fault, &set);
    if (!vlt_is_ok(result))
        fail_msg("%s\n%u:%u: %s", text, fault.line, fault.column, fault.text);
    policy_set_free(set);
}

static void assert_refused_at(const char *text, enum vlt_class class, unsigned line,
                              unsigned column) {
    struct policy_set *set = NULL;
    struct fault fault = {0};
    vlt_result result = parse(text, &fault, &set);
    if (vlt_is_ok(result))
        fail_msg("parsed: %s", text);
    if (result.class != class || fault.line != line || fault.column != column)
        fail_msg("%s\nrefused as %s at %u:%u: %s", text, vlt_class_name(result.class), fault.line,
                 fault.column, fault.text);
    assert_null(set);
    assert_true(strncmp(fault.text, "main: ", 6) == 0);
}

static void text_accepts_the_whole_language(void **state) {
    static const char *const texts[] = {
        "",
        " // nothing but a comment",
        "permit(principal,action,resource);",
        "forbid ( principal , action , resource , ) ;",
        "@a @b(\"\") @if(\"é\\u{e9}\") permit(principal, action, resource);",
        "permit(principal == User::\"a\", action == Action::\"v\", resource == N::S::T::\"\");",
        "permit(principal in (User::\"a\"), action in [Action::\"v\", N::Action::\"w\",], resource "
        "in ((Doc::\"d\")));",
        "permit(principal is User, action in Action::\"g\", resource is Doc in Folder::\"f\");",
        "permit(principal in ?principal, action, resource == ?resource);",
        "permit(principal is principal in ?principal, action in [], resource is "
        "context::resource);",
        "permit(principal, action, resource) when { true } unless { false } when { true };",
        "permit(principal, action, resource) when { if true then 1 < 2 else !!!!false };",
        "permit(principal, action, resource) when { ----1 == -9223372036854775808 };",
        "permit(principal, action, resource) when { 1 + 2 * 3 - -4 == 9223372036854775807 };",
        "permit(principal, action, resource) when { -1.a == -1[\"a\"] };",
        "permit(principal, action, resource) when { context has a.b.principal || context has "
        "\"if\" };",
        "permit(principal, action, resource) when { principal is A::B in [resource, A::\"\"] };",
        "permit(principal, action, resource) when { \"a\" like \"*\\*\\u{2a}\" };",
        "permit(principal, action, resource) when { {a: 1, \"b c\": [],}[\"b c\"].contains(1) };",
        "permit(principal, action, resource) when { principal.permit.when.context[\"\"].x };",
        "permit(principal, action, resource) when { ip(\"::1\",).isInRange(ip(\"x\")) };",
        "permit(principal, action, resource) when { ip() == ip(1, 2) && context.a.offset() };",
        "permit(principal, action, resource) when { permit::\"a\" == when::unless::\"b\" };",
        "permit(principal,\u00a0action,\u3000resource\u2028);",
        "permit(principal, action, resource) when { 1in[] };",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_parses(texts[i]);
}

static void text_rejects_what_the_grammar_does_not_have(void **state) {
    static const struct {
        const char *text;
        unsigned column;
    } cases[] = {
        {"permit", 7},
        {"allow(principal, action, resource);", 1},
        {"permit(principal, action, resource)", 36},
        {"permit(action, principal, resource);", 8},
        {"permit(principal, action);", 25},
        {"permit(principal, action, resource, context);", 37},
        {"permit(principal: User, action, resource);", 17},
        {"permit(principal = User::\"a\", action, resource);", 18},
        {"permit(principal == User::\"a\" in G::\"b\", action, resource);", 31},
        {"permit(principal == ?resource, action, resource);", 21},
        {"permit(principal == [User::\"a\"], action, resource);", 21},
        {"permit(principal, action == ?action, resource);", 29},
        {"permit(principal, action == User::\"a\", resource);", 29},
        {"permit(principal, action == XAction::\"a\", resource);", 29},
        {"permit(principal, action is Action, resource);", 26},
        {"permit(principal, action in [[Action::\"a\"]], resource);", 30},
        {"permit(principal is User == User::\"a\", action, resource);", 26},
        {"permit(principal is if, action, resource);", 21},
        {"permit(principal is A::__cedar, action, resource);", 24},
        {"@a(\"1\") @a(\"2\") permit(principal, action, resource);", 9},
        {"@a(1) permit(principal, action, resource);", 4},
        {"permit(principal, action, resource) when {};", 43},
        {"permit(principal, action, resource) where { true };", 37},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused_at(cases[i].text, VLT_MALFORMED, 1, cases[i].column);
}

static void text_rejects_wrong_expressions(void **state) {
    static const struct {
        const char *text;
        unsigned column; // in the second line
    } cases[] = {
        {"", 1},
        {"1 < 2 < 3", 7},
        {"1 == 2 == 3", 8},
        {"1 = 2", 3},
        {"1 / 2", 3},
        {"1 % 2", 3},
        {"!!!!!true", 6},
        {"-----1", 6},
        {"!-1", 2},
        {"9223372036854775808", 1},
        {"-9223372036854775809", 2},
        {"-9223372036854775808.a", 2},
        {"foo", 1},
        {"foo.bar", 1},
        {"foo(1)", 1},
        {"isIpv4(\"::1\")", 1},
        {"a::ip(\"::1\")", 1},
        {"principal()", 10},
        {"ip(\"::1\")()", 10},
        {"principal.ip(\"::1\")", 11},
        {"principal.foo()", 11},
        {"[].contains()", 4},
        {"[].contains(1, 2)", 4},
        {"[].isEmpty(1)", 4},
        {"principal.in", 11},
        {"principal.__cedar", 11},
        {"principal[1]", 11},
        {"principal[(\"a\")]", 11},
        {"principal has (a)", 15},
        {"principal has if", 15},
        {"principal has \"a\".b", 18},
        {"principal has a::b", 16},
        {"principal has a in b", 17},
        {"principal is (User)", 14},
        {"principal is User::\"a\"", 20},
        {"\"a\" like b", 10},
        {"\"a\" like (\"b\")", 10},
        {"\"a\" == \"\\q\"", 8},
        {"\"a\" == \"\\*\"", 8},
        {"\"a\" == \"\\x80\"", 8},
        {"\"a\" == \"\\xg0\"", 8},
        {"\"a\" == \"\\u{d800}\"", 8},
        {"\"a\" == \"\\u{110000}\"", 8},
        {"\"a\" == \"\\u{0000041}\"", 8},
        {"\"a\" == \"\\u{_1}\"", 8},
        {"\"a\" == \"\\u{}\"", 8},
        {"\"a\" == \"\\u41\"", 8},
        {"\"a\" == \"\r\"", 8},
        {"\"a\" == \"b", 8},
        {"{a: 1, a: 2}", 1},
        {"{if: 1}", 2},
        {"{(a): 1}", 2},
        {"{a 1}", 4},
        {"[1,,2]", 4},
        {"(,)", 2},
        {"User::{id: \"a\"}", 7},
        {"?principal", 1},
        {"if true then 1", 15},
        {"true && ", 9},
        {"é", 1},
        {"1 & 2", 3},
        {"#", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        snprintf(text, sizeof text, "permit(principal, action, resource) when {\n%s\n};",
                 cases[i].text);
        bool ends_early = cases[i].column > strlen(cases[i].text) || !cases[i].text[0];
        // What is missing at the end is noticed at the brace in the next line.
        assert_refused_at(text, VLT_MALFORMED, ends_early ? 3 : 2,
                          ends_early ? 1 : cases[i].column);
    }
}

static void text_rejects_what_is_too_large_or_too_deep(void **state) {
    static const char head[] = "permit(principal, action, resource) when { ";
    struct fault fault = {0};
    struct policy_set *set = NULL;
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    // One string literal of the largest size, and one more byte.
    int size = snprintf(text, 1 << 20, "%s\"\" == \"%0*d\" };", head, POLICY_LITERAL_MAX_BYTES, 0);
    assert_int_equal(size, strlen(text));
    assert_parses(text);
    snprintf(text, 1 << 20, "%s\"\" == \"%0*d\" };", head, POLICY_LITERAL_MAX_BYTES + 1, 0);
    assert_int_equal(parse(text, &fault, &set).class, VLT_LIMIT);
    assert_int_equal(fault.column, 50);
    // Parentheses to the limit, and one more.
    for (int extra = 0; extra < 2; extra++) {
        size_t depth = POLICY_DEPTH_MAX - 1 + (size_t)extra;
        size_t at = (size_t)snprintf(text, 1 << 20, "%s", head);
        for (size_t i = 0; i < depth; i++)
            text[at++] = '(';
        at += (size_t)snprintf(text + at, 8, "true");
        for (size_t i = 0; i < depth; i++)
            text[at++] = ')';
        snprintf(text + at, 8, "};");
        assert_int_equal(parse(text, &fault, &set).class, extra ? VLT_LIMIT : VLT_CLASS_OK);
        policy_set_free(set);
        set = NULL;
    }
    // A chain is not depth, but a path of attributes is.
    size_t at = (size_t)snprintf(text, 1 << 20, "%strue", head);
    for (int i = 0; i < 5000; i++)
        at += (size_t)snprintf(text + at, 16, " && true");
    snprintf(text + at, 8, "};");
    assert_parses(text);
    at = (size_t)snprintf(text, 1 << 20, "%scontext", head);
    for (int i = 0; i < 5000; i++)
        at += (size_t)snprintf(text + at, 16, ".a");
    snprintf(text + at, 8, "};");
    assert_int_equal(parse(text, &fault, &set).class, VLT_LIMIT);
    free(text);
}

static void text_rejects_what_is_not_utf8_with_its_place(void **state) {
    assert_refused_at("permit(principal,\n  action, r\xff" "esource);", VLT_MALFORMED, 2, 12);
    assert_refused_at("// é\xc3", VLT_MALFORMED, 1, 5);
    struct fault fault = {0};
    struct policy_set *set = NULL;
    char *text = malloc(POLICY_TEXT_MAX_BYTES + 1);
    assert_non_null(text);
    memset(text, ' ', POLICY_TEXT_MAX_BYTES + 1);
    struct policy_document document = {BYTES_LITERAL("large"),
                                       bytes_of(text, POLICY_TEXT_MAX_BYTES)};
    assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, &fault, &set)));
    policy_set_free(set);
    document.text.size++;
    assert_int_equal(policy_set_parse(&document, 1, POLICY_IDS_NAMED, &fault, &set).class,
                     VLT_LIMIT);
    free(text);
}

static void set_rejects_too_many_policies(void **state) {
    static const char one[] = "permit(principal,action,resource);\n";
    size_t size = sizeof one - 1;
    char *text = malloc(size * (POLICY_SET_MAX + 1) + 1);
    struct policy_set *set = NULL;
    struct fault fault = {0};
    assert_non_null(text);
    for (size_t i = 0; i <= POLICY_SET_MAX; i++)
        memcpy(text + i * size, one, size);
    struct policy_document document = {BYTES_LITERAL("many"),
                                       bytes_of(text, size * POLICY_SET_MAX)};
    assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, &fault, &set)));
    assert_int_equal(policy_set_count(set), POLICY_SET_MAX);
    assert_true(bytes_equal_text(policy_set_view(set, 9999).id, "policy9999"));
    policy_set_free(set);
    document.text.size += size;
    assert_int_equal(policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, &fault, &set).class,
                     VLT_LIMIT);
    assert_int_equal(fault.line, POLICY_SET_MAX + 1);
    free(text);
}

static void set_accepts_several_documents(void **state) {
    struct policy_document documents[] = {
        {BYTES_LITERAL("ops"),
         BYTES_LITERAL("@id(\"open\") @advice(\"call us\") permit(principal, action, resource);\n"
                       "\n  forbid(principal, action, resource == ?resource);")},
        {BYTES_LITERAL("dev"), BYTES_LITERAL("permit(principal, action, resource);")},
    };
    struct policy_set *set = NULL;
    struct bytes value = {0};
    assert_true(vlt_is_ok(policy_set_parse(documents, 2, POLICY_IDS_NAMED, NULL, &set)));
    assert_int_equal(policy_set_count(set), 3);
    assert_true(bytes_equal_text(policy_set_view(set, 0).id, "open"));
    assert_true(policy_set_annotation(set, 0, "advice", &value));
    assert_true(bytes_equal_text(value, "call us"));
    assert_false(policy_set_annotation(set, 1, "advice", &value));
    struct policy_view view = policy_set_view(set, 1);
    assert_true(bytes_equal_text(view.id, "ops.policy1"));
    assert_true(view.is_forbid && view.is_template);
    assert_int_equal(view.line, 3);
    assert_int_equal(view.column, 3);
    assert_true(bytes_equal_text(policy_set_view(set, 2).id, "dev.policy0"));
    assert_true(bytes_equal_text(policy_set_view(set, 2).document, "dev"));
    policy_set_free(set);
}

static void set_rejects_two_policies_of_one_id(void **state) {
    assert_refused_at("@id(\"a\") permit(principal, action, resource);\n @id(\"a\") "
                      "forbid(principal, action, resource);",
                      VLT_CONFLICT, 2, 2);
    assert_refused_at("@id(\"\") permit(principal, action, resource);", VLT_MALFORMED, 1, 1);
    assert_refused_at("@id(\"a\\nb\") permit(principal, action, resource);", VLT_MALFORMED, 1, 1);
}

static void set_links_templates(void **state) {
    struct policy_document document = {
        BYTES_LITERAL("t"),
        BYTES_LITERAL(
            "@id(\"both\") permit(principal in ?principal, action, resource == ?resource);"
            "@id(\"none\") permit(principal, action, resource);")};
    struct policy_set *set = NULL;
    struct fault fault = {0};
    struct policy_uid group = policy_uid_of("Group", BYTES_LITERAL("g"));
    struct policy_uid file = policy_uid_of("N::Doc", BYTES_LITERAL("d"));
    struct policy_uid wrong = policy_uid_of("N::", BYTES_LITERAL("d"));
    struct bytes both = BYTES_LITERAL("both"), id = BYTES_LITERAL("l1");
    assert_true(vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, NULL, &set)));
    assert_int_equal(policy_set_link(set, BYTES_LITERAL("none"), id, NULL, NULL, &fault).class,
                     VLT_NOT_FOUND);
    assert_int_equal(policy_set_link(set, BYTES_LITERAL("gone"), id, NULL, NULL, &fault).class,
                     VLT_NOT_FOUND);
    assert_int_equal(policy_set_link(set, both, id, &group, NULL, &fault).class, VLT_MALFORMED);
    assert_int_equal(policy_set_link(set, both, id, &wrong, &file, &fault).class, VLT_MALFORMED);
    assert_int_equal(policy_set_link(set, both, both, &group, &file, &fault).class, VLT_CONFLICT);
    assert_true(vlt_is_ok(policy_set_link(set, both, id, &group, &file, &fault)));
    assert_int_equal(policy_set_count(set), 3);
    assert_false(policy_set_view(set, 2).is_template);
    assert_int_equal(policy_set_link(set, id, BYTES_LITERAL("l2"), &group, &file, &fault).class,
                     VLT_NOT_FOUND);
    policy_set_free(set);
}

static const char sample[] =
    "@id(\"x\\u{e9}\") permit(principal is User in Group::\"g\", action in [Action::\"a\"], "
    "resource)\n"
    "when { {a: [1, -2], \"b\": ip(\"10.0.0.0/8\")}.b.isInRange(context.ip) && \"é\" like \"*\\*\" "
    "}\n"
    "unless { if context has a.b then 1 + 2 * 3 < 4 else principal.getTag(\"t\") != [] }; // end\n"
    "forbid(principal == ?principal, action, resource in ?resource);";

static void try_bytes(const char *text, size_t size) {
    struct policy_document document = {BYTES_LITERAL("m"), bytes_of(text, size)};
    struct policy_set *set = NULL;
    struct fault fault = {0};
    if (vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, &fault, &set)))
        policy_set_free(set);
    else
        assert_true(fault.line > 0 && fault.column > 0 && fault.text[0]);
}

static void text_survives_mutation(void **state) {
    char text[sizeof sample + 8];
    size_t size = sizeof sample - 1;
    assert_parses(sample);
    for (size_t i = 0; i < size; i++) {
        try_bytes(sample, i);
        try_bytes(sample + i, size - i);
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(text, sample, size);
            text[i] = (char)(text[i] ^ (1 << bit));
            try_bytes(text, size);
        }
        // A byte left out, and one put in.
        memcpy(text, sample, i);
        memcpy(text + i, sample + i + 1, size - i - 1);
        try_bytes(text, size - 1);
        for (const char *c = "\"\\({[]})?:.,;@*\xff"; *c; c++) {
            memcpy(text, sample, i);
            text[i] = *c;
            memcpy(text + i + 1, sample + i, size - i);
            try_bytes(text, size + 1);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_accepts_the_whole_language),
        cmocka_unit_test(text_rejects_what_the_grammar_does_not_have),
        cmocka_unit_test(text_rejects_wrong_expressions),
        cmocka_unit_test(text_rejects_what_is_too_large_or_too_deep),
        cmocka_unit_test(text_rejects_what_is_not_utf8_with_its_place),
        cmocka_unit_test(set_rejects_too_many_policies),
        cmocka_unit_test(set_accepts_several_documents),
        cmocka_unit_test(set_rejects_two_policies_of_one_id),
        cmocka_unit_test(set_links_templates),
        cmocka_unit_test(text_survives_mutation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
