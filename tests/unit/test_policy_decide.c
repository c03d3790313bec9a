// SPDX-License-Identifier: Apache-2.0
// What we put around the engine: failing closed, explaining, our vocabulary,
// test files, and the starter policies.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/policy/policy_testfile.h"
#include "libvault/policy/policy_vocabulary.h"
#include "tests/unit/check.h"

static struct policy_set *set_of(const char *text) {
    struct policy_document document = {BYTES_LITERAL("main"), bytes_of_text(text)};
    struct policy_set *set = NULL;
    struct fault fault = {0};
    if (!vlt_is_ok(policy_set_parse(&document, 1, POLICY_IDS_NAMED, &fault, &set)))
        fail_msg("%u:%u: %s", fault.line, fault.column, fault.text);
    return set;
}

static struct policy_request *request_of_alice(void) {
    struct policy_request *request = policy_request_new(POLICY_REQUEST_MAX_BYTES);
    assert_non_null(request);
    policy_request_ask(request, policy_uid_of("User", BYTES_LITERAL("i|alice")),
                       policy_uid_of("Action", BYTES_LITERAL("issue")),
                       policy_uid_of("Credential", BYTES_LITERAL("c")));
    return request;
}

static void assert_decision(const char *policies, enum policy_cause cause, const char *sentence) {
    struct policy_set *set = set_of(policies);
    struct policy_request *request = request_of_alice();
    struct policy_decision decision = policy_decide(set, request);
    struct buf text;
    buf_init(&text, 4096);
    policy_decision_text(&decision, &text);
    assert_string_equal(policy_cause_name(decision.cause), policy_cause_name(cause));
    assert_int_equal(decision.is_allowed, cause == POLICY_ALLOWED);
    assert_string_equal(buf_text(&text), sentence);
    buf_done(&text);
    policy_request_free(request);
    policy_set_free(set);
}

static void decide_accepts_a_clean_permit(void **state) {
    assert_decision(
        "@id(\"p\") permit(principal, action, resource); permit(principal, action, resource);",
        POLICY_ALLOWED, "allowed by p, main.policy1");
    // A permit that errs denies nothing that another one allows.
    assert_decision("permit(principal, action, resource) when { context.a }; permit(principal, "
                    "action, resource);",
                    POLICY_ALLOWED, "allowed by main.policy1");
}

static void decide_rejects_closed(void **state) {
    assert_decision("", POLICY_NO_PERMIT, "denied: no permit matched");
    assert_decision("permit(principal, action, resource) when { context.a };", POLICY_NO_PERMIT,
                    "denied: no permit matched; permit main.policy0 errored: main:1:44: there is "
                    "no such attribute (a)");
    assert_decision(
        "permit(principal, action, resource); @id(\"f\") forbid(principal, action, resource);",
        POLICY_FORBIDDEN, "denied: forbidden by f");
    assert_decision("permit(principal, action, resource);\n@id(\"f\") forbid(principal, action, "
                    "resource)\nwhen { principal.a };",
                    POLICY_FORBID_ERRORED,
                    "denied: a forbid could not be evaluated; forbid f errored: main:3:8: there is "
                    "no such entity (a)");
    assert_decision("@id(\"f\") forbid(principal, action, resource) when { context.a }; @id(\"g\") "
                    "forbid(principal, action, resource);",
                    POLICY_FORBIDDEN, "denied: forbidden by g");
    // Without any permit the forbid that errs is still what to say.
    assert_decision(
        "@id(\"f\") forbid(principal, action, resource) unless { 1 };", POLICY_FORBID_ERRORED,
        "denied: a forbid could not be evaluated; forbid f errored: main:1:55: expected a bool");
}

static void decide_rejects_what_cannot_be_evaluated(void **state) {
    struct policy_set *set = set_of("permit(principal, action, resource);");
    struct policy_request *request = request_of_alice();
    policy_put_ip(policy_request_context(request), "ip", BYTES_LITERAL("nonsense"));
    struct policy_decision decision = policy_decide(set, request);
    assert_false(decision.is_allowed);
    assert_int_equal(decision.cause, POLICY_NOT_EVALUATED);
    assert_int_equal(decision.result.class, VLT_MALFORMED);
    policy_request_free(request);
    policy_set_free(set);
}

struct told {
    enum policy_stage stages[16];
    unsigned lines[16];
    size_t count;
};

static bool tell(void *context, const struct policy_outcome *outcome) {
    struct told *told = context;
    told->stages[told->count] = outcome->stage;
    told->lines[told->count++] = outcome->line;
    assert_int_equal(outcome->message.size > 0, outcome->stage == POLICY_STAGE_ERRORED);
    return told->count < 6;
}

static void explain_accepts_every_stage(void **state) {
    static const enum policy_stage stages[] = {POLICY_STAGE_PRINCIPAL, POLICY_STAGE_ACTION,
                                               POLICY_STAGE_RESOURCE,  POLICY_STAGE_CONDITION,
                                               POLICY_STAGE_ERRORED,   POLICY_STAGE_SATISFIED};
    struct policy_set *set =
        set_of("permit(principal == User::\"b\", action, resource);\n"
               "permit(principal,\n action == Action::\"redeem\", resource);\n"
               "permit(principal, action,\n resource is Model);\n"
               "permit(principal, action, resource)\n when { true }\n unless { true };\n"
               "permit(principal, action, resource) when { true }\n when { context.a };\n"
               "forbid(principal, action, resource);\n"
               "permit(principal in ?principal, action, resource);\n"
               "permit(principal, action, resource);");
    static const unsigned lines[] = {1, 3, 5, 8, 10, 11};
    struct policy_request *request = request_of_alice();
    struct told told = {0};
    assert_true(vlt_is_ok(policy_explain(set, request, tell, &told)));
    assert_int_equal(told.count, 6); // stopped there
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(told.stages[i], stages[i]);
        assert_int_equal(told.lines[i], lines[i]);
    }
    policy_request_free(request);
    policy_set_free(set);
}

static bool is_momentary(const char *text) {
    struct policy_set *set = set_of(text);
    struct policy_request *request = request_of_alice();
    bool result = policy_decide(set, request).answer.is_momentary;
    policy_request_free(request);
    policy_set_free(set);
    return result;
}

static void decide_accepts_answers_that_may_be_used_again(void **state) {
    static const char *const lasting[] = {
        "permit(principal, action, resource);",
        "permit(principal, action, resource) when { context has bound && context.bound };",
        ("permit(principal, action, resource); forbid(principal, action == Action::\"seal\", "
         "resource) when { context.now == context.now };"),
        "permit(principal, action, resource) when { {now: 1}.now == 1 };"};
    static const char *const momentary[] = {
        "permit(principal, action, resource) when { context.now < datetime(\"2026-01-01\") };",
        "permit(principal, action, resource); forbid(principal, action, resource) unless { true || "
        "context.sourceIp.isLoopback() };",
        "permit(principal, action, resource); permit(principal, action, resource) when { [1, {a: "
        "context has tokenAge}].isEmpty() };",
        "permit(principal, action, resource) when { context == {} };",
        "permit(principal, action, resource) unless { if true then context else context };"};
    for (size_t i = 0; i < sizeof lasting / sizeof *lasting; i++)
        if (is_momentary(lasting[i]))
            fail_msg("%s", lasting[i]);
    for (size_t i = 0; i < sizeof momentary / sizeof *momentary; i++)
        if (!is_momentary(momentary[i]))
            fail_msg("%s", momentary[i]);
}

static bool reads_max_tokens(const char *text) {
    struct policy_set *set = set_of(text);
    struct policy_request *request = request_of_alice();
    bool result = policy_decide(set, request).answer.reads_max_tokens;
    policy_request_free(request);
    policy_set_free(set);
    return result;
}

// An answer that did not look at the number holds for every number.
static void decide_accepts_answers_that_hold_for_every_number(void **state) {
    static const char *const every[] = {
        "permit(principal, action, resource);",
        "permit(principal, action, resource) when { {maxTokens: 1}.maxTokens == 1 };",
        ("permit(principal, action, resource); forbid(principal, action == Action::\"seal\", "
         "resource) when { context.maxTokens > 1 };")};
    static const char *const one[] = {
        "permit(principal, action, resource) when { context.maxTokens <= 4096 };",
        "permit(principal, action, resource) when { context[\"maxTokens\"] <= 4096 };",
        ("permit(principal, action, resource); forbid(principal, action, resource) unless { "
         "context has maxTokens };"),
        "permit(principal, action, resource) when { context == {} };"};
    for (size_t i = 0; i < sizeof every / sizeof *every; i++)
        if (reads_max_tokens(every[i]))
            fail_msg("%s", every[i]);
    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        if (!reads_max_tokens(one[i]))
            fail_msg("%s", one[i]);
    assert_false(is_momentary(one[0]));
}

struct unmet {
    size_t count;
    struct policy_outcome outcomes[8];
};

static bool keep_outcome(void *context, const struct policy_outcome *outcome) {
    struct unmet *unmet = context;
    unmet->outcomes[unmet->count++] = *outcome;
    return unmet->count < 8;
}

static void explain_accepts_everything_that_was_missing(void **state) {
    static const struct {
        size_t count;
        struct policy_unmet unmet[3];
    } expected[] = {
        {3,
         {{POLICY_STAGE_PRINCIPAL, 1, 8, false},
          {POLICY_STAGE_ACTION, 2, 2, false},
          {POLICY_STAGE_RESOURCE, 3, 2, false}}},
        {1, {{POLICY_STAGE_RESOURCE, 4, 27, false}}},
        {1,
         {{POLICY_STAGE_CONDITION, 7, 1, false}}}, // b of `a && (x || b …`: the part that is false
        {1, {{POLICY_STAGE_CONDITION, 9, 20, true}}},  // the part of an unless that is true
        {1, {{POLICY_STAGE_CONDITION, 10, 46, true}}}, // inside of a negation
        {1, {{POLICY_STAGE_ERRORED, 11, 52, false}}},
        {0, {{.stage = 0}}},
    };
    struct policy_set *set = set_of(
        "permit(principal == User::\"b\",\n action == Action::\"redeem\",\n resource is Model);\n"
        "permit(principal, action, resource is Model);\n"
        "permit(principal, action, resource) when { true &&\n (\n1 == 2 || false) && true };\n"
        "permit(principal, action, resource)\nunless { false || (1 == 1) };\n"
        "permit(principal, action, resource) when { !(1 == 1) };\n"
        "permit(principal, action, resource) when { true && context.absent };\n"
        "permit(principal, action, resource);");
    struct policy_request *request = request_of_alice();
    struct unmet unmet = {0};
    assert_true(vlt_is_ok(policy_explain(set, request, keep_outcome, &unmet)));
    assert_int_equal(unmet.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < unmet.count; i++) {
        const struct policy_outcome *outcome = &unmet.outcomes[i];
        assert_int_equal(outcome->unmet_count, expected[i].count);
        for (size_t k = 0; k < outcome->unmet_count; k++) {
            assert_int_equal(outcome->unmet[k].stage, expected[i].unmet[k].stage);
            assert_int_equal(outcome->unmet[k].line, expected[i].unmet[k].line);
            assert_int_equal(outcome->unmet[k].column, expected[i].unmet[k].column);
            assert_int_equal(outcome->unmet[k].is_true, expected[i].unmet[k].is_true);
        }
    }
    policy_request_free(request);
    policy_set_free(set);
}

static void assert_unknown(const char *text, unsigned line, unsigned column, const char *sentence) {
    struct policy_set *set = set_of(text);
    struct fault fault = {0};
    assert_int_equal(policy_vocabulary_check(set, &fault).class, VLT_MALFORMED);
    assert_string_equal(fault.text, sentence);
    assert_int_equal(fault.line, line);
    assert_int_equal(fault.column, column);
    policy_set_free(set);
}

static void vocabulary_accepts_known_names(void **state) {
    static const char *const texts[] = {
        "permit(principal, action, resource);",
        "permit(principal in ?principal, action in Action::\"administer\", resource in "
        "Tenant::\"t\");",
        "permit(principal is Agent in Group::\"g\", action in [Action::\"issue\", "
        "Action::\"callTool\"], resource)"
        " when { principal.issuer == \"i\" && principal has acr && principal.amr.contains(\"mfa\") "
        "&& context has device.compliant &&"
        " context has actor && context.actor.subject == \"s\" && resource.name == \"x\" && "
        "principal.hasTag(\"anything\") };",
        "permit(principal, action == Action::\"redeem\", resource) when { context.path like \"/x\" "
        "&& context.tokenAge < 5 && resource.hosts.isEmpty() };",
        "permit(principal, action, resource) when { action in Action::\"use\" && {own: 1}.own == 1 "
        "&& [User::\"a\"].contains(principal) };",
        "permit(principal, action, resource) when { (if context.bound then principal else "
        "resource) == Model::\"openai/x\" };",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct policy_set *set = set_of(texts[i]);
        struct fault fault = {0};
        if (!vlt_is_ok(policy_vocabulary_check(set, &fault)))
            fail_msg("%s: %u:%u: %s", texts[i], fault.line, fault.column, fault.text);
        policy_set_free(set);
    }
}

static void vocabulary_rejects_unknown_names(void **state) {
    assert_unknown("permit(principal,\n  action == Action::\"isue\", resource);", 2, 13,
                   "main: unknown action Action::\"isue\"; did you mean Action::\"issue\"?");
    assert_unknown(
        "permit(principal, action in [Action::\"issue\",\n Action::\"redem\"], resource);", 2, 2,
        "main: unknown action Action::\"redem\"; did you mean Action::\"redeem\"?");
    assert_unknown("permit(principal == Usr::\"a\", action, resource);", 1, 21,
                   "main: unknown entity type Usr; did you mean User?");
    assert_unknown("permit(principal is Grup in Group::\"g\", action, resource);", 1, 21,
                   "main: unknown entity type Grup; did you mean Group?");
    assert_unknown("permit(principal, action, resource in Zzzzzzzzzzz::\"g\");", 1, 39,
                   "main: unknown entity type Zzzzzzzzzzz");
    assert_unknown("permit(principal, action, resource)\nwhen { context.sourceIP == ip(\"::1\") };",
                   2, 8, "main: unknown member of the context sourceIP; did you mean sourceIp?");
    assert_unknown("permit(principal, action, resource) when { principal.isuer == \"\" };", 1, 44,
                   "main: unknown attribute isuer; did you mean issuer?");
    assert_unknown("permit(principal, action, resource) when { principal has subjct };", 1, 44,
                   "main: unknown attribute subjct; did you mean subject?");
    assert_unknown("permit(principal, action, resource) when { context.device.complaint };", 1, 44,
                   "main: unknown attribute complaint; did you mean compliant?");
    assert_unknown(
        "permit(principal, action, resource) when { [[User::\"a\"], [Uzer::\"a\"]].isEmpty() };", 1,
        44, "main: unknown entity type Uzer; did you mean User?");
    assert_unknown("permit(principal, action, resource) when { resource is Modell };", 1, 44,
                   "main: unknown entity type Modell; did you mean Model?");
    assert_unknown("permit(principal, action == N::Action::\"issue\", resource);", 1, 29,
                   "main: unknown entity type N::Action; did you mean Action?");
    // Known, but not of this action or type.
    assert_unknown(
        "permit(principal, action == Action::\"issue\", resource) when { context.tokenAge < 1 };",
        1, 63, "main: unknown member of the context tokenAge");
    assert_unknown(
        "permit(principal, action in Action::\"administer\", resource) when { context.bound };", 1,
        68, "main: unknown member of the context bound");
    assert_unknown("permit(principal, action == Action::\"callModel\", resource) when { "
                   "resource.hosts.isEmpty() };",
                   1, 67, "main: unknown attribute hosts");
}

static void read_file(const char *path, struct buf *text) {
    FILE *file = fopen(path, "rb");
    char part[4096];
    size_t size;
    if (!file)
        fail_msg("%s is not there", path);
    buf_init(text, 1 << 20);
    while ((size = fread(part, 1, sizeof part, file)) > 0)
        buf_put(text, bytes_of(part, size));
    fclose(file);
    assert_false(buf_failed(text));
}

static void schema_says_what_the_table_says(void **state) {
    struct buf made, kept;
    buf_init(&made, 1 << 20);
    policy_vocabulary_schema(&made);
    read_file(VAULT_SOURCE_DIR "/schemas/vault.cedarschema", &kept);
    assert_string_equal(buf_text(&made), buf_text(&kept));
    buf_done(&made);
    buf_done(&kept);
}

static void print_failure(void *context, const struct policy_testcase *result) {
    struct buf text;
    if (result->passed)
        return;
    buf_init(&text, 4096);
    policy_decision_text(result->decision, &text);
    print_error("%s: %s: %s\n", (const char *)context, result->name, buf_text(&text));
    buf_done(&text);
}

static size_t run_starter(const char *name) {
    char policies[512], cases[512];
    struct buf policy_text, case_text;
    struct policy_set *set = NULL;
    struct fault fault = {0};
    size_t passed = 0, failed = 0;
    snprintf(policies, sizeof policies, VAULT_SOURCE_DIR "/deploy/policies/%s", name);
    snprintf(cases, sizeof cases, "%.*s.tests.json", (int)(strlen(policies) - strlen(".cedar")),
             policies);
    read_file(policies, &policy_text);
    read_file(cases, &case_text);
    struct policy_document document = {bytes_of_text(name), buf_bytes(&policy_text)};
    vlt_result result = policy_set_parse(&document, 1, POLICY_IDS_NAMED, &fault, &set);
    if (vlt_is_ok(result))
        result = policy_vocabulary_check(set, &fault);
    if (vlt_is_ok(result))
        result = policy_testfile_run(set, buf_bytes(&case_text), print_failure, policies, &fault,
                                     &passed, &failed);
    if (!vlt_is_ok(result))
        fail_msg("%s: %u:%u: %s", name, fault.line, fault.column, fault_or_reason(&fault, result));
    assert_int_equal(failed, 0);
    policy_set_free(set);
    buf_done(&policy_text);
    buf_done(&case_text);
    return passed;
}

static void starter_policies_accept_and_reject_as_their_tests_say(void **state) {
    DIR *folder = opendir(VAULT_SOURCE_DIR "/deploy/policies");
    struct dirent *entry;
    size_t count = 0;
    assert_non_null(folder);
    while ((entry = readdir(folder)))
        if (strlen(entry->d_name) > 6 &&
            strcmp(entry->d_name + strlen(entry->d_name) - 6, ".cedar") == 0) {
            assert_true(run_starter(entry->d_name) >= 5);
            count++;
        }
    closedir(folder);
    assert_true(count >= 6);
}

#define CASE(principal, action, resource, rest)                                                    \
    "[{\"name\":\"n\",\"principal\":" principal ",\"action\":\"" action                            \
    "\",\"resource\":" resource rest "}]"
#define ALICE "{\"type\":\"User\",\"id\":\"i|alice\"}"
#define MODEL "{\"type\":\"Model\",\"id\":\"openai/gpt-x\",\"provider\":\"openai\"}"

static vlt_result run_cases(const char *policies, const char *json, size_t *ret_passed,
                            size_t *ret_failed, struct fault *fault) {
    struct policy_set *set = set_of(policies);
    vlt_result result =
        policy_testfile_run(set, bytes_of_text(json), NULL, NULL, fault, ret_passed, ret_failed);
    policy_set_free(set);
    return result;
}

static void testfile_accepts_and_counts(void **state) {
    static const char policies[] =
        "permit(principal, action in Action::\"use\", resource in Provider::\"openai\") when { "
        "resource.name == \"gpt-x\" && principal.issuer == \"i\" };";
    size_t passed = 9, failed = 9;
    assert_true(
        vlt_is_ok(run_cases(policies, CASE(ALICE, "callModel", MODEL, ",\"expect\":\"allow\""),
                            &passed, &failed, NULL)));
    assert_int_equal(passed, 1);
    assert_int_equal(failed, 0);
    assert_true(
        vlt_is_ok(run_cases(policies, CASE(ALICE, "callModel", MODEL, ",\"expect\":\"deny\""),
                            &passed, &failed, NULL)));
    assert_int_equal(passed, 0);
    assert_int_equal(failed, 1);
}

static void testfile_rejects_what_is_not_a_test(void **state) {
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "[1]",
        CASE(ALICE, "callModel", MODEL, ""),
        CASE(ALICE, "callModel", MODEL, ",\"expect\":\"maybe\""),
        CASE(ALICE, "callMode", MODEL, ",\"expect\":\"deny\""),
        CASE(ALICE, "use", MODEL, ",\"expect\":\"deny\""),
        CASE("{\"type\":\"User\",\"id\":\"alice\"}", "callModel", MODEL, ",\"expect\":\"deny\""),
        CASE("{\"type\":\"Group\",\"id\":\"i|a\"}", "callModel", MODEL, ",\"expect\":\"deny\""),
        CASE(ALICE, "callModel", "{\"type\":\"Modell\",\"id\":\"x\"}", ",\"expect\":\"deny\""),
        CASE(ALICE, "callModel", MODEL, ",\"expect\":\"deny\",\"typo\":1"),
        CASE(ALICE, "callModel", MODEL, ",\"expect\":\"deny\",\"context\":[]"),
        CASE("{\"type\":\"User\",\"id\":\"i|a\",\"groups\":[1]}", "callModel", MODEL,
             ",\"expect\":\"deny\""),
        CASE(ALICE, "callModel", MODEL,
             ",\"expect\":\"deny\",\"entities\":[{\"uid\":" ALICE
             ",\"attrs\":{},\"parents\":[]}]")};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        size_t passed = 9, failed = 9;
        struct fault fault = {0};
        if (vlt_is_ok(run_cases("", wrong[i], &passed, &failed, &fault)))
            fail_msg("ran %s", wrong[i]);
        assert_true(fault.text[0] && passed == 9 && failed == 9);
    }
}

static void testfile_accepts_one_question(void **state) {
    struct policy_set *set =
        set_of("permit(principal, action == Action::\"issue\", resource) when { context.bound };");
    struct policy_request *request = request_of_alice();
    struct fault fault = {0};
    assert_true(vlt_is_ok(policy_testfile_ask(
        request,
        BYTES_LITERAL("{\"principal\":" ALICE
                      ",\"action\":\"issue\",\"resource\":{\"type\":\"Credential\",\"id\":\"c\"},"
                      "\"context\":{\"bound\":true}}"),
        &fault)));
    assert_true(policy_decide(set, request).is_allowed);
    assert_false(vlt_is_ok(policy_testfile_ask(request, BYTES_LITERAL("{}"), &fault)));
    assert_false(policy_decide(set, request).is_allowed);
    policy_request_free(request);
    policy_set_free(set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decide_accepts_a_clean_permit),
        cmocka_unit_test(decide_rejects_closed),
        cmocka_unit_test(decide_rejects_what_cannot_be_evaluated),
        cmocka_unit_test(decide_accepts_answers_that_may_be_used_again),
        cmocka_unit_test(decide_accepts_answers_that_hold_for_every_number),
        cmocka_unit_test(explain_accepts_every_stage),
        cmocka_unit_test(explain_accepts_everything_that_was_missing),
        cmocka_unit_test(vocabulary_accepts_known_names),
        cmocka_unit_test(vocabulary_rejects_unknown_names),
        cmocka_unit_test(schema_says_what_the_table_says),
        cmocka_unit_test(starter_policies_accept_and_reject_as_their_tests_say),
        cmocka_unit_test(testfile_accepts_and_counts),
        cmocka_unit_test(testfile_rejects_what_is_not_a_test),
        cmocka_unit_test(testfile_accepts_one_question),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
