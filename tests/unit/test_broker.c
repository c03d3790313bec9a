// SPDX-License-Identifier: Apache-2.0
// The broker as its clients see it: token exchange (RFC 8693, 9396, 9449),
// introspection, revocation; and what is recorded.
#include "tests/unit/broker_fixture.h"

#define DETAILS "[{\"type\":\"credential_use\",\"credential\":\"openai\",\"models\":[\"gpt-*\"]}]"
#define PUBLIC "[{\"type\":\"credential_use\",\"credential\":\"public\"}]"
#define TYPE(name) "urn:ietf:params:oauth:token-type:" name
#define GRANT "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"

// ---- Requests ----

static char *agent_token(void) {
    char payload[512];
    int64_t now = clock_now_s();
    snprintf(payload, sizeof payload,
             "{\"iss\":\"https://agents.example\",\"aud\":\"vault\",\"sub\":\"bot\",\"iat\":%lld,"
             "\"exp\":%lld,\"client_id\":\"bot-app\"}",
             (long long)now, (long long)now + 600);
    return idp_sign(world.agents, NULL, payload);
}

static void put_escaped(struct buf *out, const char *text) {
    for (; *text; text++)
        buf_put_format(out, "%%%02X", (unsigned char)*text);
}

// A proof for this path, with the nonce of the broker.
static void put_proof(struct buf *headers, const char *path) {
    char nonce[DPOP_NONCE_TEXT_SIZE], payload[512], jti[24];
    struct buf header, proof;
    json_t *jwk = NULL;
    assert_true(vlt_is_ok(dpop_nonce_text(world.broker.nonces, clock_now_s(), nonce)));
    assert_true(vlt_is_ok(random_text(12, jti)));
    assert_true(vlt_is_ok(jwk_export(world.client, NULL, NULL, &jwk)));
    char *key = json_dumps(jwk, JSON_COMPACT);
    buf_init(&header, 1024);
    buf_init(&proof, 4096);
    buf_put_format(&header, "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":%s}", key);
    snprintf(payload, sizeof payload,
             "{\"jti\":\"%s\",\"htm\":\"POST\",\"htu\":\"" BASE_URL
             "%s\",\"iat\":%lld,\"nonce\":\"%s\"}",
             jti, path, (long long)clock_now_s(), nonce);
    assert_true(vlt_is_ok(
        jws_sign(world.client, buf_bytes(&header), bytes_of_text(payload), &proof)));
    buf_put_format(headers, "DPoP: %s\r\n", buf_text(&proof));
    free(key);
    json_decref(jwk);
    buf_done(&header);
    buf_done(&proof);
}

struct ask {
    const char *path;    // default /oauth2/token
    const char *subject; // claims behind iss, aud, iat, exp
    const char *details;
    const char *more;    // form parameters
    bool with_agent, with_proof;
};

static void ask_token(const struct ask *ask, struct answer *answer) {
    struct buf form, headers;
    const char *path = ask->path ? ask->path : "/oauth2/token";
    char *subject = user_token(ask->subject ? ask->subject : ALICE), *agent = agent_token();
    buf_init(&form, 65536);
    buf_init(&headers, 8192);
    buf_put_format(&form, GRANT "&subject_token_type=" TYPE("jwt") "&subject_token=%s", subject);
    if (ask->with_agent)
        buf_put_format(&form, "&actor_token_type=" TYPE("jwt") "&actor_token=%s", agent);
    if (ask->details) {
        buf_put_text(&form, "&authorization_details=");
        put_escaped(&form, ask->details);
    }
    buf_put_text(&form, ask->more ? ask->more : "");
    if (ask->with_proof)
        put_proof(&headers, path);
    const char *text = buf_text(&headers);
    post_form(path, text ? text : "", buf_text(&form), answer);
    buf_done(&form);
    buf_done(&headers);
    free(subject);
    free(agent);
}

static void assert_error(const struct answer *answer, unsigned status, const char *code) {
    if (answer->status != status || strcmp(json_text(answer, "error"), code) != 0)
        fail_msg("expected %u %s: %s\n%s\nevent %s", status, code, answer->head, answer->body,
                 world.last_event);
    assert_non_null(strstr(answer->head, "no-store"));
}

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

// ---- Introspection, revocation ----

static char *issued(void) {
    struct answer answer;
    ask_token(&(struct ask){.details = PUBLIC}, &answer);
    char *token = strdup(json_text(&answer, "access_token"));
    assert_true(strlen(token) > 100);
    answer_done(&answer);
    return token;
}

static void introspect(const char *bearer, const char *token, struct answer *answer) {
    struct buf headers, form;
    buf_init(&headers, 8192);
    buf_init(&form, 16384);
    if (bearer)
        buf_put_format(&headers, "Authorization: Bearer %s\r\n", bearer);
    buf_put_format(&form, "token=%s&token_type_hint=access_token", token);
    const char *text = buf_text(&headers);
    post_form("/oauth2/introspect", text ? text : "", buf_text(&form), answer);
    buf_done(&headers);
    buf_done(&form);
}

static void test_introspect_accepts_own_token_only(void **state) {
    struct answer answer;
    char *token = issued(), *alice = user_token(ALICE), *bob = user_token(",\"sub\":\"bob\"");
    reset(state);
    introspect(alice, token, &answer);
    assert_int_equal(answer.status, 200);
    assert_true(json_is_true(json_object_get(answer.json, "active")));
    assert_string_equal(json_text(&answer, "sub"), IDP "|alice");
    assert_int_equal(world.recorded_count, 1);
    answer_done(&answer);
    introspect(bob, token, &answer);
    assert_string_equal(answer.body, "{\"active\":false}");
    answer_done(&answer);
    introspect(alice, "not.a.token", &answer);
    assert_string_equal(answer.body, "{\"active\":false}");
    answer_done(&answer);
    introspect(alice, alice, &answer); // a subject token is not ours
    assert_string_equal(answer.body, "{\"active\":false}");
    answer_done(&answer);
    introspect(NULL, token, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strcasestr(answer.head, "\r\nwww-authenticate: Bearer"));
    answer_done(&answer);
    introspect(token, token, &answer); // our own token is no subject token
    assert_int_equal(answer.status, 401);
    answer_done(&answer);
    free(token);
    free(alice);
    free(bob);
}

static void test_introspect_rejects_revoked_token(void **state) {
    struct answer answer;
    char *token = issued(), *alice = user_token(ALICE);
    uint8_t until[8] = {0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF};
    commit_bytes(TENANT, STORE_REVOKED_TOKEN, BYTES_LITERAL("jti-1"), bytes_of(until, 8));
    introspect(alice, token, &answer);
    assert_string_equal(answer.body, "{\"active\":false}");
    answer_done(&answer);
    const struct store_change back = {.tenant = TENANT, .class = STORE_REVOKED_TOKEN,
                                      .name = BYTES_LITERAL("jti-1"), .remove = true,
                                      .expected_revision = STORE_ANY_REVISION};
    uint64_t revision;
    size_t conflict;
    assert_true(vlt_is_ok(store_commit(world.store, &back, 1, &revision, &conflict)));
    free(token);
    free(alice);
}

static void test_revoke_accepts_anything_but_needs_the_keeper(void **state) {
    struct answer answer;
    post_form("/oauth2/revoke", "", "token=abc", &answer);
    assert_int_equal(answer.status, 200);
    assert_string_equal(world.last_revoked, "abc");
    answer_done(&answer);
    world.keeper_says = vlt_fail(VLT_CRYPTO, "not ours");
    post_form("/oauth2/revoke", "", "token=xyz", &answer);
    assert_int_equal(answer.status, 200);
    answer_done(&answer);
    world.keeper_says = vlt_fail(VLT_UNAVAILABLE, "sealed");
    post_form("/oauth2/revoke", "", "token=abc", &answer);
    assert_int_equal(answer.status, 503);
    answer_done(&answer);
    post_form("/oauth2/revoke", "", "tokn=abc", &answer);
    assert_error(&answer, 400, "invalid_request");
    answer_done(&answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_token_accepts_proved_subject),
        CASE(test_token_accepts_agent_for_user_when_both_may),
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
        CASE(test_introspect_accepts_own_token_only),
        CASE(test_introspect_rejects_revoked_token),
        CASE(test_revoke_accepts_anything_but_needs_the_keeper),
    };
    return cmocka_run_group_tests_name("broker", tests, open_all, world_close);
}
