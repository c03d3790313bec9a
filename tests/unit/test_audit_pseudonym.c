// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/pseudonym.h"
#include "tests/unit/check.h"

#define KEY BYTES_LITERAL("0123456789abcdef0123456789abcdef")
#define OTHER_KEY BYTES_LITERAL("0123456789abcdef0123456789abcdeF")
#define ALICE BYTES_LITERAL("https://idp.example|alice")

static void pseudonym_accepts_the_same_for_the_same(void **state) {
    char first[PSEUDONYM_TEXT_MAX], second[PSEUDONYM_TEXT_MAX];
    struct bytes a, b;
    assert_ok(pseudonym_of(KEY, ALICE, first, &a));
    assert_ok(pseudonym_of(KEY, ALICE, second, &b));
    assert_true(bytes_equal(a, b));
    assert_true(bytes_begin_with(a, BYTES_LITERAL("https://idp.example|~")));
    assert_int_equal(a.size, strlen("https://idp.example|~") + 22);
    assert_null(memmem(a.at, a.size, "alice", 5));
}

static void pseudonym_rejects_guesses_without_the_key(void **state) {
    char room[4][PSEUDONYM_TEXT_MAX];
    struct bytes of[4];
    assert_ok(pseudonym_of(KEY, ALICE, room[0], &of[0]));
    assert_ok(pseudonym_of(OTHER_KEY, ALICE, room[1], &of[1]));
    assert_ok(pseudonym_of(KEY, BYTES_LITERAL("https://idp.example|alicf"), room[2], &of[2]));
    assert_ok(pseudonym_of(KEY, BYTES_LITERAL("https://idp.exampld|alice"), room[3], &of[3]));
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < i; j++) {
            struct bytes a = bytes_from(of[i], of[i].size - 22),
                         b = bytes_from(of[j], of[j].size - 22);
            assert_false(bytes_equal(a, b));
        }
}

static void event_accepts_what_names_no_person(void **state) {
    struct pseudonym_room room;
    struct audit_event event = {.kind = AUDIT_ADMIN,
                                .outcome = AUDIT_ALLOW,
                                .administrator = BYTES_LITERAL("uid 0 (root)"),
                                .source = BYTES_LITERAL("unix uid 0"),
                                .client = BYTES_LITERAL("agent-7"),
                                .subject = BYTES_LITERAL("credential openai-prod"),
                                .credential = BYTES_LITERAL("openai-prod")};
    pseudonym_event(KEY, &event, &room);
    assert_true(bytes_equal_text(event.administrator, "uid 0 (root)"));
    assert_true(bytes_equal_text(event.source, "unix uid 0"));
    assert_true(bytes_equal_text(event.client, "agent-7"));
    assert_true(bytes_equal_text(event.subject, "credential openai-prod"));
    assert_int_equal(event.principal.size, 0);
    event.administrator = BYTES_LITERAL("vaultd");
    pseudonym_event(KEY, &event, &room);
    assert_true(bytes_equal_text(event.administrator, "vaultd"));
}

// One hash for a user of the machine, whatever it is called and wherever it stands.
static void event_rejects_names_of_local_users(void **state) {
    struct pseudonym_room room;
    char name[PSEUDONYM_TEXT_MAX];
    struct bytes renamed;
    struct audit_event event = {.kind = AUDIT_ADMIN,
                                .outcome = AUDIT_ALLOW,
                                .administrator = BYTES_LITERAL("uid 1000 (alice)"),
                                .source = BYTES_LITERAL("unix uid 1000")};
    pseudonym_event(KEY, &event, &room);
    assert_true(bytes_begin_with(event.administrator, BYTES_LITERAL("uid ~")));
    assert_int_equal(event.administrator.size, strlen("uid ~") + 22);
    assert_true(bytes_begin_with(event.source, BYTES_LITERAL("unix uid ~")));
    assert_true(bytes_equal(bytes_from(event.source, 5), event.administrator));
    assert_ok(pseudonym_of(KEY, BYTES_LITERAL("uid 1000 (bob)"), name, &renamed));
    assert_true(bytes_equal(renamed, event.administrator));
    assert_ok(pseudonym_of(KEY, BYTES_LITERAL("uid 10000 (alice)"), name, &renamed));
    assert_false(bytes_equal(renamed, event.administrator));
    assert_ok(pseudonym_of(KEY, BYTES_LITERAL("uid 1000"), name, &renamed));
    assert_true(bytes_equal(renamed, event.administrator));
}

static void event_rejects_every_name_of_a_person(void **state) {
    struct pseudonym_room room;
    struct audit_event event = {.kind = AUDIT_ISSUE,
                                .outcome = AUDIT_ALLOW,
                                .principal = ALICE,
                                .actor = ALICE,
                                .administrator = ALICE,
                                .client = ALICE,
                                .source = BYTES_LITERAL("192.0.2.7"),
                                .subject = BYTES_LITERAL("principal https://idp.example|alice")};
    pseudonym_event(KEY, &event, &room);
    const struct bytes texts[] = {event.principal, event.actor,  event.administrator,
                                  event.client,    event.source, event.subject};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_null(memmem(texts[i].at, texts[i].size, "alice", 5));
        assert_null(memmem(texts[i].at, texts[i].size, "192.0", 5));
    }
    assert_true(bytes_begin_with(event.subject, BYTES_LITERAL("principal https://idp.example|~")));
    assert_true(bytes_begin_with(event.source, BYTES_LITERAL("~")));
}

static void event_survives_texts_that_are_too_long(void **state) {
    static uint8_t issuer[700];
    struct pseudonym_room room;
    memset(issuer, 'i', sizeof issuer);
    issuer[sizeof issuer - 2] = '|';
    struct audit_event event = {.principal = bytes_of(issuer, sizeof issuer),
                                .subject = bytes_of(issuer, sizeof issuer)};
    pseudonym_event(KEY, &event, &room);
    assert_int_equal(event.principal.size, 0); // rather nothing than the name
    assert_int_equal(event.subject.size, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pseudonym_accepts_the_same_for_the_same),
        cmocka_unit_test(pseudonym_rejects_guesses_without_the_key),
        cmocka_unit_test(event_accepts_what_names_no_person),
        cmocka_unit_test(event_rejects_every_name_of_a_person),
        cmocka_unit_test(event_rejects_names_of_local_users),
        cmocka_unit_test(event_survives_texts_that_are_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
