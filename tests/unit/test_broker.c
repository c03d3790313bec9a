// SPDX-License-Identifier: Apache-2.0
// The broker as its clients see it: token exchange (RFC 8693, 9396, 9449), and what is
// recorded of it. Introspection, revocation, request ids: test_broker_caller.c.
#include "tests/unit/broker_ask.h"

// ---- Token exchange ----

static void test_token_accepts_proved_subject(void **state) {
    struct answer answer;
    ask_token(&(struct ask){.details = DETAILS, .with_proof = true}, &answer);
    if (answer.status != 200)
        fail_msg("%s\n%s\n%s", answer.head, answer.body, world.last_event);
    assert_string_equal(json_text(&answer, "token_type"), "DPoP");
    assert_string_equal(json_text(&answer, "issued_token_type"),
                        "urn:ietf:params:oauth:token-type:access_token");
    assert_int_equal(json_array_size(json_object_get(answer.json, "authorization_details")), 1);
    assert_true(json_integer_value(json_object_get(answer.json, "expires_in")) <= 300);
    assert_non_null(strstr(answer.head, "no-store"));
    assert_non_null(strstr(world.last_claims, "\"sub\":\"" IDP "|alice\""));
    assert_non_null(strstr(world.last_claims, "\"cnf\":{\"jkt\":"));
    assert_non_null(strstr(world.last_claims, "\"groups\":[\"eng\"]"));
    assert_non_null(strstr(world.last_claims, "\"pol\":\""));
    assert_int_equal(world.last_ask.tenant, TENANT);
    assert_true(world.last_ask.proof_until > (uint64_t)clock_now_s());
    assert_non_null(strstr(world.last_event, "\"policies\":\"eng\""));
    assert_non_null(strstr(world.last_event, "\"outcome\":\"allow\""));
    assert_int_equal(world.recorded_count, 0); // the keeper records what it signs
    answer_done(&answer);
}

static void test_token_accepts_agent_for_user_when_both_may(void **state) {
    struct answer answer;
    ask_token(&(struct ask){.details = DETAILS, .with_proof = true, .with_agent = true}, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(world.last_claims, "\"act\":{\"sub\":\"https://agents.example|bot\""));
    assert_non_null(strstr(world.last_claims, "\"client_id\":\"bot-app\""));
    assert_non_null(strstr(world.last_event, "\"actor\":\"https://agents.example|bot\""));
    assert_int_equal(world.last_ask.lifetime_s, 60); // @lifetime of the agents' policy
    answer_done(&answer);
    // The user may not: the agent's permission does not help.
    ask_token(&(struct ask){.subject = ",\"sub\":\"carol\"", .details = DETAILS,
                            .with_proof = true, .with_agent = true}, &answer);
    assert_error(&answer, 400, "invalid_request");
    answer_done(&answer);
}

// DESIGN promise 6: never longer than what it was given for.
static void test_token_accepts_no_longer_life_than_the_subject_token(void **state) {
    struct answer answer;
    ask_token(&(struct ask){.details = DETAILS, .with_proof = true}, &answer);
    assert_int_equal(answer.status, 200);
    assert_int_equal(world.last_ask.lifetime_s, 300);
    answer_done(&answer);
    ask_token(&(struct ask){.details = DETAILS, .with_proof = true, .subject_s = 100}, &answer);
    assert_int_equal(answer.status, 200);
    assert_in_range(world.last_ask.lifetime_s, 1, 100);
    answer_done(&answer);
}

static void test_token_rejects_bearer_unless_policy_allows(void **state) {
    struct answer answer;
    ask_token(&(struct ask){.details = DETAILS}, &answer);
    assert_error(&answer, 400, "invalid_request");
    assert_int_equal(world.recorded_count, 1);
    assert_int_equal(world.signed_count, 0);
    answer_done(&answer);
    ask_token(&(struct ask){.details = PUBLIC}, &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(json_text(&answer, "token_type"), "Bearer");
    assert_null(strstr(world.last_claims, "cnf"));
    answer_done(&answer);
}

static void test_token_rejects_what_policies_and_store_refuse_alike(void **state) {
    static const char unknown[] = "[{\"type\":\"credential_use\",\"credential\":\"nope\"}]";
    static const char disabled[] = "[{\"type\":\"credential_use\",\"credential\":\"disabled\"}]";
    static const char models[] =
        "[{\"type\":\"credential_use\",\"credential\":\"openai\",\"models\":[\"o3\"]}]";
    const struct ask asks[] = {
        {.details = models, .with_proof = true},
        {.details = unknown, .with_proof = true},
        {.details = disabled, .with_proof = true},
        {.subject = ",\"sub\":\"mallory\",\"groups\":[\"eng\"]",
         .details = DETAILS,
         .with_proof = true},
        {.subject = ",\"sub\":\"bob\"", .details = DETAILS, .with_proof = true},
        {.subject = ",\"groups\":[\"eng\"]", .details = DETAILS, .with_proof = true},
        {.path = "/t/acme/oauth2/token", .details = DETAILS, .with_proof = true},
        {.path = "/t/NO/oauth2/token", .details = DETAILS, .with_proof = true}};
    char first[512] = "";
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        struct answer answer;
        reset(state);
        ask_token(&asks[i], &answer);
        assert_error(&answer, 400, "invalid_request");
        assert_int_equal(world.recorded_count, 1);
        assert_int_equal(world.signed_count, 0);
        assert_non_null(strstr(world.last_event, "\"outcome\":\"deny\""));
        if (!first[0])
            assert_true(bytes_to_text(bytes_of_text(answer.body), first, sizeof first));
        assert_string_equal(answer.body, first); // no oracle
        answer_done(&answer);
    }
}

static void test_token_rejects_details_beyond_the_subject_token(void **state) {
    struct answer answer;
    static const char subject[] =
        ALICE ",\"authorization_details\":[{\"type\":\"other\"},{\"type\":\"credential_use\","
              "\"credential\":\"openai\",\"models\":[\"gpt-*\"],\"paths\":[\"/v1/*\"]}]";
    ask_token(&(struct ask){.subject = subject, .details = DETAILS, .with_proof = true}, &answer);
    assert_int_equal(answer.status, 200);
    assert_non_null(strstr(world.last_claims, "\"paths\":[\"/v1/*\"]")); // inherited
    answer_done(&answer);
    ask_token(&(struct ask){.subject = subject, .details = PUBLIC}, &answer);
    assert_error(&answer, 400, "invalid_request");
    answer_done(&answer);
}

static void test_token_rejects_bad_forms(void **state) {
    static const struct {
        const char *form, *code;
    } forms[] = {
        {"", "invalid_request"},
        {"grant_type=password", "unsupported_grant_type"},
        {GRANT, "invalid_request"},
        {GRANT "&subject_token=x", "invalid_request"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("saml2"), "invalid_request"},
        {GRANT "&" GRANT, "invalid_request"},
        {GRANT "&subject_token=%zz", "invalid_request"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("jwt") "&actor_token=y",
         "invalid_request"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("jwt") "&actor_token_type=" TYPE("jwt"),
         "invalid_request"},
        {GRANT
         "&subject_token=x&subject_token_type=" TYPE("jwt") "&requested_token_type=" TYPE("saml1"),
         "invalid_request"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("jwt") "&scope=a", "invalid_scope"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("jwt") "&resource=https%3A%2F%2Fx",
         "invalid_target"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("jwt") "&audience=x&audience=y",
         "invalid_target"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("jwt"), "invalid_authorization_details"},
        {GRANT "&subject_token=x&subject_token_type=" TYPE("jwt") "&authorization_details=%5B%5D",
         "invalid_authorization_details"}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct answer answer;
        post_form("/oauth2/token", "", forms[i].form, &answer);
        if (answer.status != 400 || strcmp(json_text(&answer, "error"), forms[i].code) != 0)
            fail_msg("%s: %s", forms[i].form, answer.body);
        answer_done(&answer);
    }
    assert_int_equal(world.signed_count, 0);
}

static void test_token_rejects_other_media_and_methods(void **state) {
    struct answer answer;
    send_request("POST", "/oauth2/token", "application/json", "", "{}", &answer);
    assert_true(answer.status == 400 || answer.status == 415);
    assert_string_equal(json_text(&answer, "error"), "invalid_request");
    answer_done(&answer);
    send_request("GET", "/oauth2/token", NULL, "", NULL, &answer);
    assert_int_equal(answer.status, 405);
    answer_done(&answer);
}

static void test_token_rejects_bad_proofs(void **state) {
    struct answer answer;
    struct buf headers;
    post_form("/oauth2/token", "DPoP: a.b.c\r\n",
              GRANT "&subject_token=x&subject_token_type=" TYPE(
                  "jwt") "&authorization_details="
                         "%5B%7B%22type%22%3A%22credential_use%22%2C%22credential%22%3A%22openai%"
                         "22%7D%5D",
              &answer);
    assert_error(&answer, 400, "invalid_dpop_proof");
    answer_done(&answer);
    buf_init(&headers, 8192);
    put_proof(&headers, "/oauth2/token");
    put_proof(&headers, "/oauth2/token");
    post_form("/oauth2/token", buf_text(&headers),
              GRANT "&subject_token=x&subject_token_type=" TYPE(
                  "jwt") "&authorization_details="
                         "%5B%7B%22type%22%3A%22credential_use%22%2C%22credential%22%3A%22openai%"
                         "22%7D%5D",
              &answer);
    assert_error(&answer, 400, "invalid_dpop_proof"); // two fields
    answer_done(&answer);
    // A nonce of another process: the right one comes with the refusal.
    struct dpop_nonces *own = world.broker.nonces, *other = NULL;
    assert_true(vlt_is_ok(dpop_nonces_new((const uint8_t[32]){2}, &other)));
    buf_clear(&headers);
    world.broker.nonces = other;
    put_proof(&headers, "/oauth2/token");
    world.broker.nonces = own;
    post_form("/oauth2/token", buf_text(&headers),
              GRANT "&subject_token=x&subject_token_type=" TYPE(
                  "jwt") "&authorization_details="
                         "%5B%7B%22type%22%3A%22credential_use%22%2C%22credential%22%3A%22openai%"
                         "22%7D%5D",
              &answer);
    assert_error(&answer, 400, "use_dpop_nonce");
    assert_non_null(strcasestr(answer.head, "\r\ndpop-nonce: "));
    answer_done(&answer);
    dpop_nonces_free(other);
    buf_done(&headers);
}

static void test_token_rejects_key_bound_subject_without_its_key(void **state) {
    struct answer answer;
    char jkt[JWK_THUMBPRINT_TEXT_SIZE], subject[256];
    assert_true(vlt_is_ok(jwk_thumbprint_text(world.client, jkt)));
    snprintf(subject, sizeof subject, ALICE ",\"cnf\":{\"jkt\":\"%s\"}", jkt);
    ask_token(&(struct ask){.subject = subject, .details = DETAILS, .with_proof = true}, &answer);
    assert_int_equal(answer.status, 200);
    answer_done(&answer);
    ask_token(&(struct ask){.subject = subject, .details = PUBLIC}, &answer);
    assert_error(&answer, 400, "invalid_request");
    answer_done(&answer);
    assert_true(vlt_is_ok(jwk_thumbprint_text(world.signer, jkt)));
    snprintf(subject, sizeof subject, ALICE ",\"cnf\":{\"jkt\":\"%s\"}", jkt);
    ask_token(&(struct ask){.subject = subject, .details = DETAILS, .with_proof = true}, &answer);
    assert_error(&answer, 400, "invalid_request");
    answer_done(&answer);
}

static void test_token_rejects_actor_that_may_not_act(void **state) {
    struct answer answer;
    ask_token(&(struct ask){.subject = ALICE
                            ",\"may_act\":{\"sub\":\"bot\",\"iss\":\"https://agents.example\"}",
                            .details = DETAILS,
                            .with_proof = true,
                            .with_agent = true},
              &answer);
    assert_int_equal(answer.status, 200);
    answer_done(&answer);
    static const char *const others[] = {
        ALICE ",\"may_act\":{\"sub\":\"bot\"}", // of alice's issuer, and this bot is of another
        ALICE ",\"may_act\":{\"sub\":\"other\"}", ALICE ",\"may_act\":{}",
        ALICE ",\"may_act\":{\"sub\":\"bot\",\"iss\":\"https://else.example\"}",
        ALICE ",\"may_act\":{\"sub\":\"bot\",\"client_id\":\"else\"}",
        ALICE ",\"may_act\":{\"iss\":\"https://agents.example\"}"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ask_token(
            &(struct ask){
                .subject = others[i], .details = DETAILS, .with_proof = true, .with_agent = true},
            &answer);
        assert_error(&answer, 400, "invalid_request");
        answer_done(&answer);
    }
}

static void test_token_rejects_too_long_chain_of_actors(void **state) {
    struct answer answer;
    ask_token(
        &(struct ask){.subject = ALICE
                      ",\"act\":{\"sub\":\"a\",\"act\":{\"sub\":\"b\",\"act\":{\"sub\":\"c\"}}}",
                      .details = DETAILS,
                      .with_proof = true,
                      .with_agent = true},
        &answer);
    assert_int_equal(answer.status, 200); // four with the agent
    assert_non_null(strstr(world.last_claims, "\"act\":{\"sub\":\"" IDP "|c\""));
    answer_done(&answer);
    ask_token(&(struct ask){.subject = ALICE
                            ",\"act\":{\"sub\":\"a\",\"act\":{\"sub\":\"b\",\"act\":{\"sub\":\"c\","
                            "\"act\":{\"sub\":\"d\"}}}}",
                            .details = DETAILS,
                            .with_proof = true,
                            .with_agent = true},
              &answer);
    assert_error(&answer, 400, "invalid_request");
    answer_done(&answer);
}

static void test_token_survives_without_keeper_or_auditor(void **state) {
    struct answer answer;
    world.broker.keeper = NULL;
    ask_token(&(struct ask){.details = DETAILS, .with_proof = true}, &answer);
    assert_error(&answer, 503, "temporarily_unavailable");
    answer_done(&answer);
    reset(state);
    world.broker.auditor = NULL; // what can not be recorded is not even refused
    ask_token(&(struct ask){.details = DETAILS}, &answer);
    assert_error(&answer, 503, "temporarily_unavailable");
    answer_done(&answer);
    reset(state);
    world.auditor_says = vlt_fail(VLT_UNAVAILABLE, "disk full");
    ask_token(&(struct ask){.details = DETAILS}, &answer);
    assert_error(&answer, 503, "temporarily_unavailable");
    answer_done(&answer);
}

static void test_token_rejects_what_the_keeper_refuses(void **state) {
    static const struct {
        enum vlt_class class;
        const char *reason, *code;
        unsigned status;
    } answers[] = {{VLT_DENIED, REASON_PROOF_REPLAYED, "invalid_dpop_proof", 400},
                   {VLT_DENIED, "the credential is not active", "invalid_request", 400},
                   {VLT_NOT_FOUND, "there is no such credential", "invalid_request", 400},
                   {VLT_LIMIT, "too many proofs", "use_dpop_nonce", 400},
                   {VLT_UNAVAILABLE, "the vault is sealed", "temporarily_unavailable", 503}};
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct answer answer;
        world.keeper_says = vlt_fail(answers[i].class, answers[i].reason);
        ask_token(&(struct ask){.details = DETAILS, .with_proof = true}, &answer);
        assert_error(&answer, answers[i].status, answers[i].code);
        assert_null(strstr(answer.body, "access_token"));
        assert_non_null(strstr(answer.head, "vault-audit-entry: 4711\r\n")); // the keeper's
        answer_done(&answer);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_token_accepts_proved_subject),
        CASE(test_token_accepts_agent_for_user_when_both_may),
        CASE(test_token_accepts_no_longer_life_than_the_subject_token),
        CASE(test_token_rejects_bearer_unless_policy_allows),
        CASE(test_token_rejects_what_policies_and_store_refuse_alike),
        CASE(test_token_rejects_details_beyond_the_subject_token),
        CASE(test_token_rejects_bad_forms),
        CASE(test_token_rejects_other_media_and_methods),
        CASE(test_token_rejects_bad_proofs),
        CASE(test_token_rejects_key_bound_subject_without_its_key),
        CASE(test_token_rejects_actor_that_may_not_act),
        CASE(test_token_rejects_too_long_chain_of_actors),
        CASE(test_token_survives_without_keeper_or_auditor),
        CASE(test_token_rejects_what_the_keeper_refuses),
    };
    return cmocka_run_group_tests_name("broker", tests, open_all, world_close);
}
