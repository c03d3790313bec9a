// SPDX-License-Identifier: Apache-2.0
// What else callers ask the broker: introspection, revocation; which request it was, and
// that nothing is refused without an entry.
#include "tests/unit/broker_ask.h"

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

// Who sends a token that is bound to a key has not proven to be its subject: the entry
// names nobody, and is counted like others that cost nothing.
static void test_introspect_rejects_a_key_bound_bearer(void **state) {
    struct answer answer;
    char jkt[JWK_THUMBPRINT_TEXT_SIZE], claims[256], *token = issued();
    assert_true(vlt_is_ok(jwk_thumbprint_text(world.client, jkt)));
    snprintf(claims, sizeof claims, ALICE ",\"cnf\":{\"jkt\":\"%s\"}", jkt);
    char *bound = user_token(claims);
    reset(state);
    introspect(bound, token, &answer);
    assert_int_equal(answer.status, 401);
    assert_non_null(strstr(world.last_event, "bound to a key"));
    assert_null(strstr(world.last_event, "alice"));
    answer_done(&answer);
    free(bound);
    free(token);
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

// ---- Which request it was, and that nothing is refused without an entry ----

static void assert_said(const struct answer *answer, unsigned status, const char *outcome,
                        const char *reason) {
    char wanted[160];
    if (answer->status != status)
        fail_msg("expected %u: %s\n%s", status, answer->head, answer->body);
    assert_non_null(strcasestr(answer->head, "\r\nx-request-id: mine-1"));
    snprintf(wanted, sizeof wanted, "\"outcome\":\"%s\"", outcome);
    assert_non_null(strstr(world.last_event, wanted));
    snprintf(wanted, sizeof wanted, "\"reason\":\"%s\"", reason);
    if (*reason && !strstr(world.last_event, wanted))
        fail_msg("expected %s: %s", wanted, world.last_event);
    assert_non_null(strstr(world.last_event, "\"correlation\":\"mine-1\""));
}

static void post_named(const char *path, const char *form, struct answer *answer) {
    world.recorded_count = 0;
    world.last_event[0] = 0;
    post_form(path, "X-Request-ID: mine-1\r\n", form, answer);
}

static void test_request_accepts_an_id_of_the_caller(void **state) {
    struct answer answer;
    char *alice = user_token(ALICE);
    struct buf form;
    buf_init(&form, 8192);
    buf_put_format(&form, GRANT "&subject_token_type=" TYPE("jwt") "&subject_token=%s"
                   "&authorization_details=", alice);
    put_escaped(&form, PUBLIC);
    post_named("/oauth2/token", buf_text(&form), &answer);
    assert_said(&answer, 200, "allow", "");
    assert_non_null(strstr(world.last_claims, "\"txn\":\"mine-1\""));
    answer_done(&answer);
    post_named("/oauth2/revoke", "token=abc", &answer);
    assert_said(&answer, 200, "allow", "");
    answer_done(&answer);
    // Nobody's id but one of its own when what was sent can be none.
    static const char *const bad[] = {"", "X-Request-ID: a b\r\n", "X-Request-ID: \xc3\xa4\r\n",
                                      "X-Request-ID: a\r\nX-Request-ID: b\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        post_form("/oauth2/revoke", bad[i], "token=abc", &answer);
        assert_int_equal(answer.status, 200);
        const char *given = strcasestr(answer.head, "\r\nx-request-id: ");
        char wanted[64];
        assert_non_null(given);
        snprintf(wanted, sizeof wanted, "\"correlation\":\"%.22s\"", given + 16);
        assert_non_null(strstr(world.last_event, wanted));
        answer_done(&answer);
    }
    free(alice);
    buf_done(&form);
}

static void test_request_rejects_only_with_an_entry(void **state) {
    static const struct {
        const char *path, *form, *reason;
        unsigned status;
    } rows[] = {
        {"/oauth2/revoke", "tokn=abc", "malformed request: token is missing", 400},
        {"/oauth2/revoke", "a=1&a=2", "malformed request: a parameter is repeated", 400},
        {"/t/nope/oauth2/revoke", "token=abc", "no such tenant, or it is disabled", 200},
        {"/oauth2/introspect", "token=abc", "no Authorization", 401},
        {"/t/nope/oauth2/introspect", "token=abc", "no such tenant, or it is disabled", 401},
        {"/oauth2/token", "secretword=1&secretword=2", "a parameter is repeated", 400},
    };
    struct answer answer;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        post_named(rows[i].path, rows[i].form, &answer);
        assert_said(&answer, rows[i].status, "deny", rows[i].reason);
        assert_int_equal(world.recorded_count, 1);
        assert_null(strstr(world.last_event, "secretword"));
        answer_done(&answer);
        world.auditor_says = vlt_fail(VLT_UNAVAILABLE, "full");
        post_named(rows[i].path, rows[i].form, &answer);
        assert_int_equal(answer.status, 503);
        answer_done(&answer);
        world.auditor_says = vlt_ok();
    }
    char long_token[9000];
    memset(long_token, 'x', sizeof long_token - 1);
    memcpy(long_token, "token=", 6);
    long_token[sizeof long_token - 1] = 0;
    post_named("/oauth2/revoke", long_token, &answer);
    assert_said(&answer, 200, "deny", "too long for a token");
    answer_done(&answer);
    struct buf large;
    buf_init(&large, 1 << 17);
    for (size_t i = 0; i < 70000; i++)
        buf_put_byte(&large, 'x');
    world.last_event[0] = 0;
    post_form("/oauth2/introspect", "", buf_text(&large), &answer);
    assert_int_equal(answer.status, 413);
    assert_non_null(strstr(world.last_event, "\"malformed request: the body is too large\""));
    assert_non_null(strstr(world.last_event, "\"kind\":\"introspect\""));
    answer_done(&answer);
    buf_done(&large);
}

// Of what the keeper did not hear of, the broker says so; of the rest the keeper did.
static void test_request_rejects_with_an_entry_what_nobody_decides(void **state) {
    struct answer answer;
    world.keeper_says = vlt_fail(VLT_UNAVAILABLE, "the vault is sealed or not ready");
    post_named("/oauth2/revoke", "token=abc", &answer);
    assert_said(&answer, 503, "error", "the vault is sealed or not ready");
    assert_int_equal(world.recorded_count, 1);
    answer_done(&answer);
    ask_token(&(struct ask){.details = DETAILS, .with_proof = true}, &answer);
    assert_error(&answer, 503, "temporarily_unavailable");
    assert_int_equal(world.recorded_count, 2);
    assert_non_null(strstr(world.last_event, "\"outcome\":\"error\""));
    assert_non_null(strstr(world.last_event, "\"principal\":\"" IDP "|alice\""));
    assert_non_null(strstr(world.last_event, "\"credential\":\"openai\""));
    assert_non_null(strstr(world.last_event, "\"policies\":\"eng\""));
    assert_non_null(strcasestr(answer.head, "\r\nvault-audit-entry: ")); // issue names it
    answer_done(&answer);
    world.keeper_says = vlt_fail(VLT_UNAVAILABLE, "the device does not answer");
    post_named("/oauth2/revoke", "token=abc", &answer);
    assert_int_equal(answer.status, 503);
    assert_int_equal(world.recorded_count, 0);
    answer_done(&answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(test_introspect_accepts_own_token_only),
        CASE(test_introspect_rejects_a_key_bound_bearer),
        CASE(test_introspect_rejects_revoked_token),
        CASE(test_revoke_accepts_anything_but_needs_the_keeper),
        CASE(test_request_accepts_an_id_of_the_caller),
        CASE(test_request_rejects_only_with_an_entry),
        CASE(test_request_rejects_with_an_entry_what_nobody_decides),
    };
    return cmocka_run_group_tests_name("broker_caller", tests, open_all, world_close);
}
