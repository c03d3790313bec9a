// SPDX-License-Identifier: Apache-2.0
// Who may have what recorded: each role what it decides itself, and nobody the
// deeds of another.
#include "tests/unit/check.h"
#include "vaultd/auditor/speaker.h"

static bool may_say(enum ipc_role role, uint8_t kind, uint8_t outcome) {
    const struct audit_event event = {.kind = kind, .outcome = outcome};
    return speaker_refusal(role, &event) == NULL;
}

static void speaker_accepts_what_each_role_decides(void **state) {
    assert_true(may_say(IPC_BROKER, AUDIT_ISSUE, AUDIT_DENY));
    assert_true(may_say(IPC_BROKER, AUDIT_ISSUE, AUDIT_ERROR));
    assert_true(may_say(IPC_BROKER, AUDIT_REVOKE, AUDIT_DENY));
    assert_true(may_say(IPC_BROKER, AUDIT_REVOKE, AUDIT_ERROR));
    assert_true(may_say(IPC_BROKER, AUDIT_INTROSPECT, AUDIT_ALLOW));
    assert_true(may_say(IPC_BROKER, AUDIT_EVALUATE, AUDIT_ALLOW));
    assert_true(may_say(IPC_REDEEMER, AUDIT_REDEEM, AUDIT_DENY));
    assert_true(may_say(IPC_REDEEMER, AUDIT_REDEEM, AUDIT_ERROR));
    assert_true(may_say(IPC_ADMIN, AUDIT_ADMIN, AUDIT_DENY));
    assert_true(may_say(IPC_ADMIN, AUDIT_ADMIN, AUDIT_ERROR));
    for (uint8_t outcome = AUDIT_ALLOW; outcome < AUDIT_OUTCOME_COUNT; outcome++) {
        assert_true(may_say(IPC_SUPERVISOR, AUDIT_VAULT, outcome));
        for (uint8_t kind = AUDIT_ISSUE; kind < AUDIT_KIND_COUNT; kind++)
            assert_true(may_say(IPC_KEEPER, kind, outcome));
    }
}

static void speaker_rejects_what_others_decide(void **state) {
    assert_false(may_say(IPC_BROKER, AUDIT_ISSUE, AUDIT_ALLOW));
    assert_false(may_say(IPC_BROKER, AUDIT_REVOKE, AUDIT_ALLOW));
    assert_false(may_say(IPC_REDEEMER, AUDIT_REDEEM, AUDIT_ALLOW));
    assert_false(may_say(IPC_ADMIN, AUDIT_ADMIN, AUDIT_ALLOW));
    assert_false(may_say(IPC_SUPERVISOR, AUDIT_ADMIN, AUDIT_ALLOW));
    for (uint8_t outcome = AUDIT_ALLOW; outcome < AUDIT_OUTCOME_COUNT; outcome++) {
        for (uint8_t kind = AUDIT_REVOKE; kind < AUDIT_KIND_COUNT; kind++)
            assert_false(may_say(IPC_REDEEMER, kind, outcome));
        for (uint8_t kind = AUDIT_ADMIN; kind < AUDIT_KIND_COUNT; kind++)
            assert_false(may_say(IPC_BROKER, kind, outcome));
        for (uint8_t kind = AUDIT_ISSUE; kind < AUDIT_ADMIN; kind++)
            assert_false(may_say(IPC_ADMIN, kind, outcome));
        for (uint8_t kind = AUDIT_ISSUE; kind < AUDIT_KIND_COUNT; kind++) {
            assert_false(may_say(IPC_SHIPPER, kind, outcome));
            assert_false(may_say(IPC_ROTATOR, kind, outcome));
            assert_false(may_say(IPC_ROLE_COUNT, kind, outcome));
        }
    }
}

static void speaker_rejects_borrowed_names_times_and_counts(void **state) {
    struct audit_event event = {.kind = AUDIT_ISSUE, .outcome = AUDIT_DENY, .at_us = 1};
    assert_non_null(speaker_refusal(IPC_BROKER, &event));
    assert_non_null(speaker_refusal(IPC_KEEPER, &event));
    event.at_us = 0;
    event.repeats = 1;
    assert_non_null(speaker_refusal(IPC_BROKER, &event));
    event.repeats = 0;
    assert_null(speaker_refusal(IPC_BROKER, &event));
    event.administrator = BYTES_LITERAL("uid 0 (root)");
    assert_non_null(speaker_refusal(IPC_BROKER, &event));
    event.kind = AUDIT_VAULT;
    assert_non_null(speaker_refusal(IPC_SUPERVISOR, &event));
    event.administrator = bytes_of(NULL, 0);
    event.at_us = 1; // what happened before the auditor was there
    assert_null(speaker_refusal(IPC_SUPERVISOR, &event));
    event.at_us = 0; // what may be missing from the log is for the auditor alone to say
    event.operation = BYTES_LITERAL("audit.prune");
    assert_non_null(speaker_refusal(IPC_SUPERVISOR, &event));
    assert_non_null(speaker_refusal(IPC_KEEPER, &event));
    event = (struct audit_event){.kind = AUDIT_ADMIN,
                                 .outcome = AUDIT_DENY,
                                 .administrator = BYTES_LITERAL("uid 1000")};
    assert_null(speaker_refusal(IPC_ADMIN, &event));
    assert_null(speaker_refusal(IPC_KEEPER, &event));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaker_accepts_what_each_role_decides),
        cmocka_unit_test(speaker_rejects_what_others_decide),
        cmocka_unit_test(speaker_rejects_borrowed_names_times_and_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
