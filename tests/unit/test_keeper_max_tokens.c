// SPDX-License-Identifier: Apache-2.0
// max_tokens at the gate.
#include <stdio.h>

#include "libvault/secret/secret_heap.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"

static struct keeper_fixture fixture;

static int begin(void **state) {
    static const struct put_request openai = {
        .tenant = 1, .name = "openai", .value = "sk-secret", .host = "api.example"};
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    *state = &fixture;
    return vlt_is_ok(fixture_init(&fixture)) && vlt_is_ok(fixture_put(&fixture, &openai, NULL))
               ? 0
               : -1;
}
static int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

// The keeper holds the number to the token itself, whatever the redeemer thought of it.
static void open_rejects_numbers_beyond_the_token(void **state) {
    static const struct {
        uint64_t limit, asked;
        bool opens;
    } cases[] = {{4096, 4096, true}, {4096, 4097, false}, {4096, 0, false}, {0, 0, true},
                 {0, UINT64_MAX, true}};
    struct keeper_fixture *f = *state;
    struct token_claims claims;
    struct signed_answer token;
    struct ask_open ask;
    struct opened_answer opened;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_claims(&claims, "openai", 0);
        claims.details[0].max_tokens = cases[i].limit;
        assert_true(vlt_is_ok(fixture_sign(f, &claims, 1, 300, &token)));
        fixture_open_request(&ask, token.token, "openai", 0);
        ask.max_tokens = cases[i].asked;
        vlt_result result = fixture_open(f, &ask, &opened);
        assert_int_equal(result.class, cases[i].opens ? VLT_CLASS_OK : VLT_DENIED);
        const struct noted_event *event = keeper_fixture_last_event(f);
        assert_int_equal(event->outcome, cases[i].opens ? AUDIT_ALLOW : AUDIT_DENY);
        assert_true(event->max_tokens == cases[i].asked);
    }
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(open_rejects_numbers_beyond_the_token, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
