// SPDX-License-Identifier: Apache-2.0
// The broker as its clients see it: metadata, health, AuthZEN.
#include "tests/unit/broker_fixture.h"

// ---- Metadata, health ----

static void test_metadata_accepts_both_places(void **state) {
    static const char *const paths[] = {"/.well-known/oauth-authorization-server",
                                        "/.well-known/openid-configuration"};
    struct answer answer;
    for (size_t i = 0; i < 2; i++) {
        send_request("GET", paths[i], NULL, "", NULL, &answer);
        assert_int_equal(answer.status, 200);
        assert_string_equal(json_text(&answer, "issuer"), BASE_URL);
        assert_string_equal(json_text(&answer, "jwks_uri"), BASE_URL "/oauth2/jwks");
        answer_done(&answer);
    }
    send_request("GET", "/oauth2/jwks", NULL, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(json_array_size(json_object_get(answer.json, "keys")), 1);
    assert_null(strstr(answer.body, "\"d\""));
    assert_non_null(strstr(answer.head, "max-age"));
    answer_done(&answer);
    send_request("GET", "/.well-known/authzen-configuration", NULL, "", NULL, &answer);
    assert_string_equal(json_text(&answer, "policy_decision_point"), BASE_URL);
    answer_done(&answer);
    send_request("GET", "/v1/health", NULL, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    answer_done(&answer);
    send_request("GET", "/v1/ready", NULL, "", NULL, &answer);
    assert_int_equal(answer.status, 200);
    answer_done(&answer);
    vlt_result *const says[] = {&world.keeper_says, &world.auditor_says};
    for (size_t i = 0; i < 2; i++) {
        *says[i] = vlt_fail(VLT_UNAVAILABLE, "sealed, or the disk is full");
        send_request("GET", "/v1/ready", NULL, "", NULL, &answer);
        assert_int_equal(answer.status, 503);
        assert_null(strstr(answer.body, "disk is full")); // why is not everybody's business
        answer_done(&answer);
        *says[i] = vlt_ok();
    }
    world.broker.keeper = NULL;
    send_request("GET", "/v1/ready", NULL, "", NULL, &answer);
    assert_int_equal(answer.status, 503);
    answer_done(&answer);
}

// ---- AuthZEN ----

static void evaluate_as(const char *claims, const char *path, const char *body,
                        struct answer *answer) {
    struct buf headers;
    char *token = user_token(claims);
    buf_init(&headers, 8192);
    buf_put_format(&headers, "Authorization: Bearer %s\r\nX-Request-ID: req-7\r\n", token);
    send_request("POST", path, "application/json", buf_text(&headers), body, answer);
    buf_done(&headers);
    free(token);
}

#define SUBJECT(id) "\"subject\":{\"type\":\"user\",\"id\":\"" id "\"}"
#define ISSUE "\"action\":{\"name\":\"issue\"}"
#define ON(name) "\"resource\":{\"type\":\"credential\",\"id\":\"" name "\"}"

static bool decides(const char *claims, const char *body) {
    struct answer answer;
    unsigned before = world.recorded_count;
    evaluate_as(claims, "/access/v1/evaluation", body, &answer);
    if (answer.status != 200)
        fail_msg("%s: %s", body, answer.body);
    assert_non_null(strcasestr(answer.head, "\r\nx-request-id: req-7"));
    assert_int_equal(world.recorded_count, before + 1);
    bool decision = json_is_true(json_object_get(answer.json, "decision"));
    answer_done(&answer);
    return decision;
}

static void test_evaluate_accepts_questions_about_oneself(void **state) {
    assert_true(decides(ALICE, "{" SUBJECT("alice") "," ISSUE "," ON(
                                   "openai") ",\"context\":{\"models\":[\"gpt-*\"]}}"));
    assert_true(decides(ALICE, "{" SUBJECT(IDP "|alice") "," ISSUE "," ON("public") "}"));
    assert_false(decides(ALICE, "{" SUBJECT("alice") "," ISSUE "," ON(
                                    "openai") ",\"context\":{\"models\":[\"o3\"]}}"));
    assert_false(decides(ALICE, "{" SUBJECT("bob") "," ISSUE "," ON("public") "}"));
    assert_false(decides(ALICE, "{" SUBJECT("alice") "," ISSUE "," ON("nope") "}"));
    assert_false(decides(ALICE, "{" SUBJECT("alice") "," ISSUE "," ON("disabled") "}"));
    assert_false(
        decides(",\"sub\":\"mallory\"", "{" SUBJECT("mallory") "," ISSUE "," ON("public") "}"));
    assert_true(
        decides(ALICE, "{" SUBJECT("alice") ",\"action\":{\"name\":\"redeem\"}," ON(
                           "public") ",\"context\":{\"method\":\"POST\",\"path\":\"/v1/x\"}}"));
    assert_false(decides(ALICE,
                         "{" SUBJECT("alice") ",\"action\":{\"name\":\"callModel\"},"
                                              "\"resource\":{\"type\":\"model\",\"id\":\"gpt-5\"},"
                                              "\"context\":{\"credential\":\"public\"}}"));
}

static void test_evaluate_rejects_malformed_questions(void **state) {
    static const char *const wrongs[] = {
        "{}", "[]", "{", "{" SUBJECT("alice") "," ISSUE "}",
        "{" SUBJECT("alice") "," ISSUE "," ON("public") ",\"x\":1}",
        "{" SUBJECT("alice") "," ISSUE "," ON("public") ",\"context\":{\"x\":1}}",
        "{" SUBJECT("alice") "," ISSUE "," ON("public") ",\"context\":[]}",
        "{" SUBJECT("alice") "," ISSUE "," ON("public") ",\"context\":{\"bound\":1}}",
        "{" SUBJECT("alice") "," ISSUE "," ON("public") ",\"context\":{\"models\":\"x\"}}",
        "{" SUBJECT("alice") ",\"action\":{\"name\":\"fly\"}," ON("public") "}",
        "{" SUBJECT("alice") ",\"action\":{\"name\":\"callModel\"}," ON("public") "}",
        "{\"subject\":{\"type\":\"user\"}," ISSUE "," ON("public") "}",
        "{" SUBJECT("alice") "," ISSUE "," ON("../x") "}"};
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        struct answer answer;
        evaluate_as(ALICE, "/access/v1/evaluation", wrongs[i], &answer);
        if (answer.status != 400)
            fail_msg("%s: %u %s", wrongs[i], answer.status, answer.body);
        assert_non_null(strstr(answer.head, "application/problem+json"));
        assert_non_null(strcasestr(answer.head, "\r\nx-request-id: req-7"));
        answer_done(&answer);
        assert_int_equal(world.recorded_count, i + 1);
        assert_non_null(strstr(world.last_event, "\"reason\":\"malformed request: "));
        assert_non_null(strstr(world.last_event, "\"outcome\":\"deny\""));
        assert_non_null(strstr(world.last_event, "\"correlation\":\"req-7\""));
        assert_non_null(strstr(world.last_event, "|alice\""));
    }
    struct answer answer;
    world.recorded_count = 0;
    send_request("POST", "/access/v1/evaluation", "application/json", "", "{}", &answer);
    assert_int_equal(answer.status, 401);
    answer_done(&answer);
    assert_int_equal(world.recorded_count, 1);
    assert_non_null(strstr(world.last_event, "\"kind\":\"evaluate\""));
    world.auditor_says = vlt_fail(VLT_UNAVAILABLE, "full");
    send_request("POST", "/access/v1/evaluation", "application/json", "", "{}", &answer);
    assert_int_equal(answer.status, 503);
    answer_done(&answer);
}

static void test_evaluations_accepts_defaults_and_semantics(void **state) {
    struct answer answer;
    evaluate_as(ALICE, "/access/v1/evaluations",
                "{" SUBJECT("alice") "," ISSUE ",\"evaluations\":[{" ON("public") "},{" ON(
                    "nope") "},{" ON("public") "}]}",
                &answer);
    assert_string_equal(
        answer.body,
        "{\"evaluations\":[{\"decision\":true},{\"decision\":false},{\"decision\":true}]}");
    assert_int_equal(world.recorded_count, 3);
    answer_done(&answer);
    evaluate_as(
        ALICE, "/access/v1/evaluations",
        "{" SUBJECT(
            "alice") "," ISSUE ",\"options\":{\"evaluations_semantic\":\"deny_on_first_deny\"},"
                     "\"evaluations\":[{" ON("public") "},{" ON("nope") "},{" ON("public") "}]}",
        &answer);
    assert_string_equal(answer.body,
                        "{\"evaluations\":[{\"decision\":true},{\"decision\":false}]}");
    answer_done(&answer);
    evaluate_as(
        ALICE, "/access/v1/evaluations",
        "{" SUBJECT("alice") "," ISSUE
                             ",\"options\":{\"evaluations_semantic\":\"permit_on_first_permit\"},"
                             "\"evaluations\":[{" ON("public") "},{" ON("public") "}]}",
        &answer);
    assert_string_equal(answer.body, "{\"evaluations\":[{\"decision\":true}]}");
    answer_done(&answer);
    evaluate_as(
        ALICE, "/access/v1/evaluations",
        "{" SUBJECT("alice") "," ISSUE
                             ",\"options\":{\"evaluations_semantic\":\"x\"},\"evaluations\":[{" ON(
                                 "public") "}]}",
        &answer);
    assert_int_equal(answer.status, 400);
    answer_done(&answer);
    world.auditor_says = vlt_fail(VLT_UNAVAILABLE, "disk full");
    evaluate_as(ALICE, "/access/v1/evaluation", "{" SUBJECT("alice") "," ISSUE "," ON("public") "}",
                &answer);
    assert_int_equal(answer.status, 503);
    answer_done(&answer);
}

// Every path that is served is in the published description.
static void test_routes_accepts_only_described_paths(void **state) {
    static char text[131072];
    FILE *file = fopen(VAULT_SOURCE_DIR "/schemas/openapi.yaml", "re");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    for (size_t i = 0; i < broker_route_count; i++) {
        char line[128];
        snprintf(line, sizeof line, "\n  %s:\n", broker_routes[i].path);
        if (!strstr(text, line))
            fail_msg("%s is not in schemas/openapi.yaml", broker_routes[i].path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_metadata_accepts_both_places),
        CASE(test_evaluate_accepts_questions_about_oneself),
        CASE(test_evaluate_rejects_malformed_questions),
        CASE(test_evaluations_accepts_defaults_and_semantics),
        CASE(test_routes_accepts_only_described_paths),
    };
    return cmocka_run_group_tests_name("broker: metadata and AuthZEN", tests, open_all,
                                       world_close);
}
