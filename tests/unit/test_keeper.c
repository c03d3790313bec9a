// SPDX-License-Identifier: Apache-2.0
// Life of a keeper: init, tenants, credentials and their versions, what is swept and
// committed, restart. What fails is in test_keeper_faults.c.
#include "tests/unit/keeper_case.h"

static void keeper_accepts_the_main_job(void **state) {
    struct keeper_fixture *f = *state;
    keeper_fixture_wait_state(f, KEEPER_UNINITIALISED);
    assert_ok(fixture_init(f));
    assert_int_equal(f->keeper->state, KEEPER_UNSEALED);
    assert_string_equal(keeper_fixture_last_event(f)->operation, "vault.init");
    uint32_t version = 0;
    assert_ok(fixture_put(f, &openai, &version));
    assert_int_equal(version, 1);
    opens_as(f, "openai", "sk-secret-1", 1);
    const struct noted_event *event = keeper_fixture_last_event(f);
    assert_int_equal(event->kind, AUDIT_REDEEM);
    assert_int_equal(event->outcome, AUDIT_ALLOW);
    assert_int_equal(event->version, 1);
    assert_string_equal(event->credential, "openai");
    assert_string_equal(event->tenant, "default"); // and not what the peer made up
    assert_string_equal(event->principal, "https://id.example|alice");
    assert_string_equal(event->administrator, ""); // whatever the peer says
    assert_int_equal(strlen(event->token_id), 22);
    assert_true(f->generations >= 2);
    // A restart unseals by itself and finds everything.
    restart(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    opens_as(f, "openai", "sk-secret-1", 1);
    keeper_fixture_turn(f, 20);
    assert_string_equal(f->events[(f->event_count - 3) % FIXTURE_EVENTS_MAX].operation,
                        "vault.unseal");
}

static void init_rejects_a_second_time(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    assert_false(vlt_is_ok(fixture_init(f)));
    restart(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    assert_false(vlt_is_ok(fixture_init(f)));
}

static void init_survives_an_auditor_that_fails(void **state) {
    struct keeper_fixture *f = *state;
    f->auditor = AUDITOR_FAILS;
    assert_int_equal(fixture_init(f).class, VLT_UNAVAILABLE);
    assert_int_equal(f->keeper->state, KEEPER_UNINITIALISED);
    // As after a crash: the device holds a key that nothing refers to.
    restart(f);
    f->auditor = AUDITOR_WRITES;
    keeper_fixture_wait_state(f, KEEPER_UNINITIALISED);
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    opens_as(f, "openai", "sk-secret-1", 1);
}

static void init_rejects_without_a_device(void **state) {
    struct keeper_fixture *f = *state;
    char status[4096];
    device_fixture_unplug(&f->device);
    assert_false(vlt_is_ok(fixture_init(f)));
    assert_int_equal(f->keeper->state, KEEPER_UNINITIALISED);
    assert_ok(fixture_status(f, status, sizeof status));
    assert_non_null(strstr(status, "\"reason\":\""));
    device_fixture_plug(&f->device);
    assert_ok(fixture_init(f));
    assert_ok(fixture_status(f, status, sizeof status));
    assert_null(strstr(status, "\"reason\":\""));
}

static void credential_accepts_rotation(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    sign_openai(f, &token);
    assert_int_equal(fixture_put(f, &openai, NULL).class, VLT_CONFLICT); // exists
    struct put_request next = openai;
    next.rotates = true;
    next.value = "sk-secret-2";
    next.grace_s = 60;
    uint32_t version = 0;
    assert_ok(fixture_put(f, &next, &version));
    assert_int_equal(version, 2);
    assert_ok(try_open(f, token.token, &opened)); // the same token, the new value
    assert_string_equal(opened.value, "sk-secret-2");
    assert_int_equal(opened.version, 2);
    next.revision = 1; // somebody who read an older record
    assert_int_equal(fixture_put(f, &next, NULL).class, VLT_CONFLICT);
    next.name = "nobody";
    assert_int_equal(fixture_put(f, &next, NULL).class, VLT_NOT_FOUND);
}

static bool has_secret(struct keeper_fixture *f, uint32_t version) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    struct bytes value;
    assert_ok(store_snapshot_begin(f->keeper->store));
    vlt_result result = store_get(
        f->keeper->store, 1, STORE_CREDENTIAL_SECRET,
        record_credential_secret_name(BYTES_LITERAL("openai"), version, room), &value, NULL);
    store_snapshot_end(f->keeper->store);
    return vlt_is_ok(result);
}

static void sweep_removes_versions_whose_grace_is_over(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    struct put_request next = openai;
    next.rotates = true;
    next.grace_s = 3600;
    assert_ok(fixture_put(f, &next, NULL));
    sweep_step(f->keeper);
    keeper_fixture_turn(f, 50);
    assert_true(has_secret(f, 1)); // still in its grace
    next.grace_s = 0;
    assert_ok(fixture_put(f, &next, NULL));
    assert_false(has_secret(f, 1)); // a version before the previous one
    assert_true(has_secret(f, 2));
    sleep(1);
    sweep_step(f->keeper);
    keeper_fixture_turn(f, 50);
    assert_false(has_secret(f, 2));
    assert_true(has_secret(f, 3));
    opens_as(f, "openai", "sk-secret-1", 3);
}

static void sweep_removes_revocations_of_expired_tokens(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    uint8_t room[STORE_NAME_MAX + 16];
    int64_t now_s = clock_now_s();
    for (int i = 0; i < 250; i++) { // more than one step removes
        char id[16];
        struct store_change change;
        snprintf(id, sizeof id, "old-%d", i);
        assert_ok(record_revocation_change(1, RECORD_REVOKE_TOKEN, bytes_of_text(id), now_s - 3605,
                                           room, &change));
        assert_ok(store_commit(f->keeper->store, &change, 1, NULL, NULL));
    }
    struct store_size before, after;
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_TOKEN, "young"));
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "cli"));
    assert_ok(store_measure(f->keeper->store, &before));
    sweep_step(f->keeper);
    keeper_fixture_turn(f, 200);
    assert_ok(store_measure(f->keeper->store, &after));
    assert_int_equal(before.records - after.records, 250);
}

static void credential_accepts_states(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    sign_openai(f, &token);
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DISABLED));
    assert_int_equal(try_open(f, token.token, &opened).class, VLT_DENIED);
    struct token_claims claims;
    fixture_claims(&claims, "openai", 0x11);
    assert_int_equal(fixture_sign(f, &claims, 1, 300, &token).class, VLT_DENIED);
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_ACTIVE));
    sign_openai(f, &token);
    assert_ok(try_open(f, token.token, &opened));
    assert_true(has_secret(f, 1));
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DELETED));
    assert_false(has_secret(f, 1));
    assert_int_equal(try_open(f, token.token, &opened).class, VLT_NOT_FOUND);
    assert_int_equal(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_ACTIVE).class, VLT_NOT_FOUND);
    // The same name again: its version was never used before.
    uint32_t version = 0;
    assert_ok(fixture_put(f, &openai, &version));
    assert_int_equal(version, 2);
    assert_int_equal(fixture_state(f, 1, "openai", 9).class, VLT_MALFORMED);
}

static void put_rejects_what_is_not_right(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    struct put_request wrong = openai;
    wrong.breaks_tag = true;
    assert_int_equal(fixture_put(f, &wrong, NULL).class, VLT_CRYPTO);
    assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_DENY);
    wrong = openai;
    wrong.tenant = 2;
    assert_int_equal(fixture_put(f, &wrong, NULL).class, VLT_NOT_FOUND);
    wrong = openai;
    wrong.tenant = 0;
    assert_int_equal(fixture_put(f, &wrong, NULL).class, VLT_NOT_FOUND);
    wrong = openai;
    wrong.host = "API.example";
    assert_int_equal(fixture_put(f, &wrong, NULL).class, VLT_MALFORMED);
    wrong = openai;
    wrong.name = "Not A Name";
    assert_int_equal(fixture_put(f, &wrong, NULL).class, VLT_MALFORMED);
    assert_false(has_secret(f, 1));
    assert_int_equal(secret_size(f->keeper->plaintext), 0); // nothing stays behind
}

// ---- DESIGN promise 5: a record opens only where it belongs ----

static struct record_credential_secret read_secret(struct keeper_fixture *f, const char *name,
                                                   uint32_t version, uint8_t copy[4096]) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    struct record_credential_secret secret;
    struct bytes value;
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(store_get(f->keeper->store, 1, STORE_CREDENTIAL_SECRET,
                        record_credential_secret_name(bytes_of_text(name), version, room), &value,
                        NULL));
    assert_true(value.size <= 4096);
    memcpy(copy, value.at, value.size);
    store_snapshot_end(f->keeper->store);
    assert_ok(record_credential_secret_get(bytes_of(copy, value.size), &secret));
    return secret;
}

// As whoever can write the disk does: in the place of version 2 of "openai".
static void plant(struct keeper_fixture *f, const struct record_credential_secret *secret) {
    uint8_t room[RECORD_SECRET_NAME_MAX], value[4096];
    struct wire_writer w;
    wire_writer_init(&w, value, sizeof value);
    record_credential_secret_put(&w, secret);
    assert_false(w.failed);
    const struct store_change change = {
        .tenant = 1,
        .class = STORE_CREDENTIAL_SECRET,
        .value = bytes_of(value, w.size),
        .name = record_credential_secret_name(BYTES_LITERAL("openai"), 2, room),
        .expected_revision = STORE_ANY_REVISION};
    assert_ok(store_commit(f->keeper->store, &change, 1, NULL, NULL));
}

static void open_rejects_a_record_that_was_moved_or_altered(void **state) {
    static uint8_t own[4096], earlier[4096], of_another[4096];
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    struct ask_open ask;
    struct put_request other = openai, next = openai;
    uint8_t hosts[64];
    struct wire_writer w;
    other.name = "other";
    next.rotates = true;
    next.value = "sk-secret-2";
    next.grace_s = 60;
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    assert_ok(fixture_put(f, &other, NULL));
    assert_ok(fixture_put(f, &next, NULL));
    sign_openai(f, &token);
    wire_writer_init(&w, hosts, sizeof hosts);
    wire_put_text(&w, "evil.example");
    const struct record_credential_secret good = read_secret(f, "openai", 2, own);
    struct record_credential_secret bad[] = {read_secret(f, "openai", 1, earlier),
                                             read_secret(f, "other", 1, of_another), good, good,
                                             good};
    bad[2].profile = BYTES_LITERAL("openai");
    bad[3].parameters = BYTES_LITERAL("{\"a\":\"1\",\"b\":\"3\"}");
    bad[4].hosts = bytes_of(hosts, w.size);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        plant(f, &bad[i]);
        fixture_open_request(&ask, token.token, "openai", 0x11);
        if (i == 4) // where the credential would go now
            ask.host = BYTES_LITERAL("evil.example");
        vlt_result result = fixture_open(f, &ask, &opened);
        if (result.class != VLT_CRYPTO)
            fail_msg("record %zu: %s", i, result.reason);
        assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_DENY);
        assert_int_equal(secret_size(f->keeper->plaintext), 0);
        plant(f, &good);
        assert_ok(try_open(f, token.token, &opened));
        assert_string_equal(opened.value, "sk-secret-2");
    }
}

// ---- Tenants ----

static void tenant_accepts_its_own_data_key(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t number = 0;
    assert_ok(fixture_init(f));
    assert_ok(fixture_tenant(f, "team-a", &number));
    assert_int_equal(number, 2);
    assert_int_equal(fixture_tenant(f, "team-a", &number).class, VLT_CONFLICT);
    assert_int_equal(fixture_tenant(f, "Team A", &number).class, VLT_MALFORMED);
    struct put_request request = openai;
    request.tenant = 2;
    request.value = "of team a";
    assert_ok(fixture_put(f, &request, NULL));
    struct token_claims claims;
    struct signed_answer token;
    struct ask_open ask;
    struct opened_answer opened;
    fixture_claims(&claims, "openai", 0);
    assert_int_equal(fixture_sign(f, &claims, 2, 300, &token).class, VLT_DENIED); // name ≠ number
    assert_int_equal(fixture_sign(f, &claims, 1, 300, &token).class, VLT_NOT_FOUND); // not theirs
    claims.tenant = BYTES_LITERAL("team-a");
    assert_ok(fixture_sign(f, &claims, 2, 300, &token));
    fixture_open_request(&ask, token.token, "openai", 0);
    assert_ok(fixture_open(f, &ask, &opened));
    assert_string_equal(opened.value, "of team a");
    restart(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    assert_ok(fixture_tenant(f, "team-b", &number));
    assert_int_equal(number, 3);
}

static void tenant_rejects_use_while_disabled(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    sign_openai(f, &token);
    assert_ok(try_open(f, token.token, &opened));
    struct store_change row = {
        .class = STORE_TENANT,
        .name = BYTES_LITERAL("default"),
        .value =
            BYTES_LITERAL("{\"name\":\"default\",\"number\":1,\"disabled\":true,\"created_at\":1}"),
        .expected_revision = STORE_ANY_REVISION};
    assert_ok(fixture_commit(f, &row, 1));
    assert_int_equal(try_open(f, token.token, &opened).class, VLT_DENIED);
    row.value = BYTES_LITERAL("{\"name\":\"default\",\"number\":1,\"created_at\":1}");
    assert_ok(fixture_commit(f, &row, 1));
    assert_ok(try_open(f, token.token, &opened));
    row.value = BYTES_LITERAL("{\"name\":\"default\",\"number\":2,\"created_at\":1}");
    assert_int_equal(fixture_commit(f, &row, 1).class, VLT_DENIED);
    row.remove = true;
    assert_int_equal(fixture_commit(f, &row, 1).class, VLT_DENIED);
}

static void commit_rejects_what_is_not_plain(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    for (int class = 0; class < 256; class ++) {
        struct store_change row = {.tenant = 1,
                                   .class = (enum store_class) class,
                                   .name = BYTES_LITERAL("x"),
                                   .value = BYTES_LITERAL("{}"),
                                   .expected_revision = STORE_ANY_REVISION};
        bool is_open =
            class == STORE_ISSUER || class == STORE_POLICY_SET || class == STORE_POLICY_TEXT ||
            class == STORE_ROTATION_PLAN;
        vlt_result result = fixture_commit(f, &row, 1);
        if (vlt_is_ok(result) != is_open)
            fail_msg("class %d: %s", class, result.reason);
    }
    struct store_change row = {.tenant = 2,
                               .class = STORE_ISSUER,
                               .name = BYTES_LITERAL("x"),
                               .value = BYTES_LITERAL("{}"),
                               .expected_revision = 0};
    assert_int_equal(fixture_commit(f, &row, 1).class, VLT_DENIED); // no such tenant
    row.tenant = 1;
    assert_int_equal(fixture_commit(f, &row, 1).class, VLT_CONFLICT); // it is there
    keeper_fixture_turn(f, 20);
    assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_ERROR); // permitted, not made
    struct store_change pair[2] = {row, row};
    pair[0].name = BYTES_LITERAL("new");
    pair[1].class = STORE_SIGNING_KEY; // one that is not permitted spoils all
    assert_int_equal(fixture_commit(f, pair, 2).class, VLT_DENIED);
    pair[1] = pair[0];
    assert_int_equal(fixture_commit(f, pair, 2).class, VLT_MALFORMED);
    assert_int_equal(fixture_commit(f, pair, 0).class, VLT_MALFORMED);
}

// Whoever asks for changes faster than they are recorded gets no memory for it.
static void commit_rejects_more_than_may_wait(void **state) {
    struct keeper_fixture *f = *state;
    static uint8_t large[STORE_VALUE_MAX];
    const struct store_change row = {.tenant = 1,
                                     .class = STORE_POLICY_TEXT,
                                     .name = BYTES_LITERAL("x"),
                                     .value = bytes_of(large, sizeof large),
                                     .expected_revision = STORE_ANY_REVISION};
    assert_ok(fixture_init(f));
    assert_ok(fixture_commit(f, &row, 1));
    keeper_fixture_settle(f);
    assert_int_equal(f->keeper->changes_bytes, 0); // nothing waits
    f->keeper->changes_bytes = CHANGES_WAITING_MAX_BYTES - 1; // as if others did
    assert_ok(fixture_commit(f, &row, 1));
    f->keeper->changes_bytes = CHANGES_WAITING_MAX_BYTES;
    assert_int_equal(fixture_commit(f, &row, 1).class, VLT_UNAVAILABLE);
    assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_ERROR); // and it is recorded
    f->keeper->changes_bytes = 0;
    f->auditor = AUDITOR_FAILS;
    assert_false(vlt_is_ok(fixture_commit(f, &row, 1)));
    assert_int_equal(f->keeper->changes_bytes, 0);
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        P11(keeper_accepts_the_main_job),
        TPM(keeper_accepts_the_main_job),
        P11(init_rejects_a_second_time),
        P11(init_survives_an_auditor_that_fails),
        TPM(init_survives_an_auditor_that_fails),
        P11(init_rejects_without_a_device),
        TPM(init_rejects_without_a_device),
        P11(credential_accepts_rotation),
        P11(credential_accepts_states),
        P11(sweep_removes_versions_whose_grace_is_over),
        P11(sweep_removes_revocations_of_expired_tokens),
        P11(put_rejects_what_is_not_right),
        P11(open_rejects_a_record_that_was_moved_or_altered),
        P11(tenant_accepts_its_own_data_key),
        P11(tenant_rejects_use_while_disabled),
        P11(commit_rejects_what_is_not_plain),
        P11(commit_rejects_more_than_may_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
