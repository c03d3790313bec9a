// SPDX-License-Identifier: Apache-2.0
// What revocations end and what they do not, by the second.
#include "tests/unit/gate_case.h"

#include "libvault/store/record_revocation.h"
#include "libvault/token/token_verify.h"

static void open_rejects_what_was_revoked(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    struct {
        uint8_t kind;
        const char *value;
    } rules[] = {{RECORD_REVOKE_PRINCIPAL, "https://id.example|alice"},
                 {RECORD_REVOKE_PRINCIPAL, "https://id.example|bot"}, // who acts for her
                 {RECORD_REVOKE_CLIENT, "cli"},
                 {RECORD_REVOKE_CREDENTIAL, "openai"}};
    struct ask_open ask;
    fixture_open_request(&ask, good.token, "openai", 0x11);
    assert_ok(fixture_open(f, &ask, &opened));
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "another"));
    fixture_open_request(&ask, good.token, "openai", 0x11);
    assert_ok(fixture_open(f, &ask, &opened));
    for (size_t i = 0; i < 4; i++) {
        assert_ok(fixture_revoke_rule(f, 1, rules[i].kind, rules[i].value));
        fixture_open_request(&ask, good.token, "openai", 0x11);
        expect_denied(f, &ask, VLT_DENIED, "the token was revoked");
        // A token that is issued later is not meant; rules count in seconds.
        sleep(1);
        while (clock_now_us() % 1000000 > 500000)
            usleep(1000);
        struct token_claims claims;
        fixture_claims(&claims, "openai", 0x11);
        assert_ok(fixture_sign(f, &claims, 1, 300, &good));
        fixture_open_request(&ask, good.token, "openai", 0x11);
        assert_ok(fixture_open(f, &ask, &opened));
    }
    assert_int_equal(fixture_revoke_token(f, 2, good.token).class, VLT_DENIED); // another tenant's
    assert_ok(fixture_revoke_token(f, 1, good.token));
    assert_int_equal(keeper_fixture_last_event(f)->kind, AUDIT_REVOKE);
    assert_string_equal(keeper_fixture_last_event(f)->operation, "token.revoke");
    assert_string_equal(keeper_fixture_last_event(f)->administrator, "");
    fixture_open_request(&ask, good.token, "openai", 0x11);
    expect_denied(f, &ask, VLT_DENIED, "the token was revoked");
    assert_int_equal(fixture_revoke_rule(f, 1, 9, "x").class, VLT_MALFORMED);
    assert_int_equal(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "").class, VLT_MALFORMED);
    assert_int_equal(fixture_revoke_rule(f, 7, RECORD_REVOKE_CLIENT, "x").class, VLT_NOT_FOUND);
    assert_false(vlt_is_ok(fixture_revoke_token(f, 1, "not.a.token")));
}

static void begin_a_second(void) {
    while (clock_now_us() % 1000000 > 100000)
        usleep(1000);
}

static vlt_result open_with(struct keeper_fixture *f, const char *token) {
    static struct opened_answer opened;
    struct ask_open ask;
    fixture_open_request(&ask, token, "openai", 0x11);
    return fixture_open(f, &ask, &opened);
}

static int64_t issued_at(const struct keeper_fixture *f, const char *token) {
    const struct token_expectation expected = {.keys = f->keeper->keys->token_keys,
                                               .issuer_base = BYTES_LITERAL(FIXTURE_ISSUER),
                                               .now_s = clock_now_s()};
    struct token_verified verified;
    assert_ok(token_verify(bytes_of_text(token), &expected, &verified));
    int64_t at = verified.claims.issued_at;
    token_verified_done(&verified);
    return at;
}

enum { BEFORE, AFTER, SHORT, BETWEEN, LATER, TOKENS };

// Before a rule and after it, and the same with another one. False: not within one second.
static bool rules_in_one_second(struct keeper_fixture *f, struct signed_answer tokens[TOKENS],
                                vlt_result results[TOKENS], int64_t *ret_second) {
    struct token_claims claims;
    fixture_claims(&claims, "openai", 0x11);
    begin_a_second();
    int64_t second = clock_now_s();
    assert_ok(fixture_sign(f, &claims, 1, 300, &tokens[BEFORE]));
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "cli"));
    assert_ok(fixture_sign(f, &claims, 1, 300, &tokens[AFTER]));
    assert_ok(fixture_sign(f, &claims, 1, 1, &tokens[SHORT]));
    for (size_t i = BEFORE; i <= SHORT; i++)
        results[i] = open_with(f, tokens[i].token);
    assert_ok(fixture_sign(f, &claims, 1, 300, &tokens[BETWEEN]));
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "cli"));
    assert_ok(fixture_sign(f, &claims, 1, 300, &tokens[LATER]));
    for (size_t i = BETWEEN; i <= LATER; i++)
        results[i] = open_with(f, tokens[i].token);
    *ret_second = second;
    return clock_now_s() == second;
}

static void open_accepts_what_was_issued_after_a_rule_of_its_second(void **state) {
    struct keeper_fixture *f = *state;
    static struct signed_answer tokens[TOKENS], last;
    struct token_claims claims;
    vlt_result results[TOKENS];
    int64_t second = 0;
    unsigned tries = 0;
    while (!rules_in_one_second(f, tokens, results, &second)) {
        assert_in_range(++tries, 1, 9); // a machine that is too slow for this
        sleep(3);                       // what was rounded up is over
    }
    assert_int_equal(results[BEFORE].class, VLT_DENIED);
    assert_ok(results[AFTER]);
    assert_int_equal(results[SHORT].class, VLT_DENIED); // no room to round up
    // The second rule ends that, too, and what follows it in doubt.
    assert_int_equal(results[BETWEEN].class, VLT_DENIED);
    assert_int_equal(results[LATER].class, VLT_DENIED);
    assert_int_equal(open_with(f, tokens[AFTER].token).class, VLT_DENIED);
    for (size_t i = 0; i < TOKENS; i++) // never farther than to the next second
        if (i != SHORT)
            assert_int_equal(issued_at(f, tokens[i].token), i == BEFORE ? second : second + 1);
    fixture_claims(&claims, "openai", 0x11);
    sleep(1);
    assert_ok(fixture_sign(f, &claims, 1, 300, &last));
    assert_ok(open_with(f, last.token));
    sleep(2);
    second = clock_now_s();
    assert_ok(fixture_sign(f, &claims, 1, 300, &last));
    assert_in_range(issued_at(f, last.token), second, clock_now_s()); // as it is
}

// A token after a rule, and another rule by the next keeper. False: not within one second.
static bool keepers_in_one_second(struct keeper_fixture *f, struct signed_answer *token) {
    struct token_claims claims;
    fixture_claims(&claims, "openai", 0x11);
    begin_a_second();
    int64_t second = clock_now_s();
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "another"));
    assert_ok(fixture_sign(f, &claims, 1, 300, token));
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "cli"));
    return clock_now_s() == second;
}

static void open_rejects_what_the_keeper_before_issued_in_this_second(void **state) {
    struct keeper_fixture *f = *state;
    static struct signed_answer token;
    unsigned tries = 0;
    while (!keepers_in_one_second(f, &token))
        assert_in_range(++tries, 1, 9); // a machine that is too slow for this
    assert_int_equal(open_with(f, token.token).class, VLT_DENIED);
}

// A token of a clock that went ahead, which was set right since.
static void open_rejects_what_was_revoked_before_it_seems_issued(void **state) {
    struct keeper_fixture *f = *state;
    static struct opened_answer opened;
    static char text[IPC_TOKEN_MAX + 1];
    struct token_claims claims;
    struct ask_open ask;
    struct buf token;
    fixture_claims(&claims, "openai", 0x11);
    claims.issuer = claims.audience = BYTES_LITERAL(FIXTURE_ISSUER);
    claims.id = BYTES_LITERAL("of-a-clock-that-went-ahead");
    claims.issued_at = clock_now_s() + 50;
    claims.expires_at = claims.issued_at + 300;
    buf_init(&token, IPC_TOKEN_MAX);
    assert_ok(token_sign(f->keeper->keys->signing, &claims, &token));
    assert_true(bytes_to_text(buf_bytes(&token), text, sizeof text));
    buf_done(&token);
    fixture_open_request(&ask, text, "openai", 0x11);
    assert_ok(fixture_open(f, &ask, &opened));
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "cli"));
    fixture_open_request(&ask, text, "openai", 0x11);
    expect_denied(f, &ask, VLT_DENIED, "the token was revoked");
    // The same again by a keeper that has not seen that token.
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "cli"));
    fixture_open_request(&ask, text, "openai", 0x11);
    expect_denied(f, &ask, VLT_DENIED, "the token was revoked");
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        CASE(open_rejects_what_was_revoked),
        CASE(open_accepts_what_was_issued_after_a_rule_of_its_second),
        CASE(open_rejects_what_the_keeper_before_issued_in_this_second),
        CASE(open_rejects_what_was_revoked_before_it_seems_issued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
