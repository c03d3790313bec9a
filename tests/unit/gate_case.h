// SPDX-License-Identifier: Apache-2.0
// A keeper with one credential and a token for it, which the gate lets through or does
// not. Included by test_keeper_gate.c and test_keeper_revoke.c only.
#ifndef VLT_TESTS_UNIT_GATE_CASE_H
#define VLT_TESTS_UNIT_GATE_CASE_H

#include <stdio.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"
#include "libvault/token/token_sign.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/keeper/system_keys.h"

static struct keeper_fixture fixture;
static struct signed_answer good; // bound to key 0x11, credential "openai"

static inline int begin(void **state) {
    static const struct put_request openai = {
        .tenant = 1, .name = "openai", .value = "sk-secret", .host = "api.example"};
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    struct token_claims claims;
    fixture_claims(&claims, "openai", 0x11);
    if (!vlt_is_ok(fixture_init(&fixture)) || !vlt_is_ok(fixture_put(&fixture, &openai, NULL)) ||
        !vlt_is_ok(fixture_sign(&fixture, &claims, 1, 300, &good)))
        return -1;
    *state = &fixture;
    return 0;
}
static inline int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

static inline void expect_denied(struct keeper_fixture *f, const struct ask_open *ask,
                                 enum vlt_class class, const char *reason) {
    static struct opened_answer opened;
    size_t before = f->event_count;
    vlt_result result = fixture_open(f, ask, &opened);
    if (result.class != class || (reason && strcmp(result.reason, reason) != 0))
        fail_msg("class %d instead of %d: %s", result.class, class, result.reason);
    assert_int_equal(f->event_count, before + 1);
    const struct noted_event *event = keeper_fixture_last_event(f);
    assert_int_equal(event->kind, AUDIT_REDEEM);
    assert_int_equal(event->outcome, AUDIT_DENY);
    assert_string_equal(event->reason, result.reason);
    assert_int_equal(opened.sequence, f->event_count); // names its record
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

#endif
