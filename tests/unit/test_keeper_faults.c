// SPDX-License-Identifier: Apache-2.0
// The keeper when it is sealed, when nothing can be recorded, and when peers, devices
// or its store fail.
#include "tests/unit/keeper_case.h"

// ---- Sealed ----

static void seal_wipes_and_unseal_brings_back(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    char status[4096];
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    sign_openai(f, &token);
    assert_ok(try_open(f, token.token, &opened));
    unsigned generations = f->generations;
    assert_ok(fixture_seal(f, true));
    assert_int_equal(f->generations, generations + 1); // forwarders drop what they hold
    assert_int_equal(f->keeper->state, KEEPER_SEALED);
    assert_null(f->keeper->keys);
    assert_int_equal(try_open(f, token.token, &opened).class, VLT_UNAVAILABLE);
    assert_ok(fixture_status(f, status, sizeof status));
    assert_non_null(strstr(status, "\"state\":\"sealed\""));
    assert_non_null(strstr(status, "sealed by an administrator"));
    assert_non_null(strstr(status, "\"data_keys_loaded\":0"));
    // A rule can be made while it is sealed, and binds afterwards.
    assert_ok(fixture_revoke_rule(f, 1, RECORD_REVOKE_CLIENT, "other-client"));
    assert_ok(fixture_seal(f, true)); // again is fine
    assert_ok(fixture_seal(f, false));
    assert_int_equal(f->keeper->state, KEEPER_UNSEALED);
    assert_ok(try_open(f, token.token, &opened));
    assert_string_equal(opened.value, "sk-secret-1");
}

static void seal_survives_an_auditor_that_is_gone(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    keeper_fixture_disconnect(f, IPC_AUDITOR);
    assert_int_equal(fixture_seal(f, true).class, VLT_UNAVAILABLE); // not recorded, and yet
    assert_int_equal(f->keeper->state, KEEPER_SEALED);
    assert_int_equal(fixture_seal(f, false).class, VLT_UNAVAILABLE);
    assert_int_equal(f->keeper->state, KEEPER_SEALED); // unsealing waits for the auditor
}

static void status_accepts_every_state(void **state) {
    struct keeper_fixture *f = *state;
    char status[4096];
    assert_ok(fixture_status(f, status, sizeof status));
    assert_non_null(strstr(status, "\"state\":\"uninitialised\""));
    assert_ok(fixture_init(f));
    assert_ok(fixture_status(f, status, sizeof status));
    assert_non_null(strstr(status, "\"state\":\"unsealed\""));
    assert_non_null(strstr(status, "\"revision\""));
    assert_non_null(strstr(status, "\"mechanism\""));
    assert_non_null(strstr(status, "\"secret_memory\""));
}

// ---- Audit first ----

static void audit_first_rejects_without_a_record(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    struct token_claims claims;
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    sign_openai(f, &token);
    keeper_fixture_settle(f); // the epoch follows a change by itself
    assert_ok(store_snapshot_begin(f->keeper->store));
    uint64_t revision = store_snapshot_revision(f->keeper->store);
    store_snapshot_end(f->keeper->store);
    for (int gone = 0; gone < 2; gone++) {
        if (gone)
            keeper_fixture_disconnect(f, IPC_AUDITOR);
        f->auditor = AUDITOR_FAILS;
        struct put_request next = openai;
        next.rotates = true;
        uint32_t number;
        fixture_claims(&claims, "openai", 0x11);
        assert_int_equal(try_open(f, token.token, &opened).class, VLT_UNAVAILABLE);
        assert_int_equal(fixture_sign(f, &claims, 1, 300, &token).class, VLT_UNAVAILABLE);
        assert_int_equal(fixture_put(f, &next, NULL).class, VLT_UNAVAILABLE);
        assert_int_equal(fixture_tenant(f, "t", &number).class, VLT_UNAVAILABLE);
        assert_int_equal(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DISABLED).class,
                         VLT_UNAVAILABLE);
        assert_int_equal(fixture_revoke_token(f, 1, token.token).class, VLT_UNAVAILABLE);
        // A refusal is a decision, too.
        assert_int_equal(try_open(f, "no.such.token", &opened).class, VLT_UNAVAILABLE);
    }
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_int_equal(store_snapshot_revision(f->keeper->store), revision);
    store_snapshot_end(f->keeper->store);
}

// What happened is told to the next auditor: when none was there, when one failed, and
// not more of it than fits.
static void events_survive_without_an_auditor(void **state) {
    struct keeper_fixture *f = *state;
    struct audit_event event = {.kind = AUDIT_DEVICE,
                                .outcome = AUDIT_ERROR,
                                .operation = BYTES_LITERAL("device.lost")};
    keeper_fixture_disconnect(f, IPC_AUDITOR);
    for (unsigned i = 0; i < 100; i++)
        audit_later(f->keeper, &event);
    event.operation = BYTES_LITERAL("device.back");
    audit_later(f->keeper, &event);
    f->auditor = AUDITOR_FAILS;
    keeper_fixture_connect(f, IPC_AUDITOR);
    keeper_fixture_turn(f, 50);
    keeper_fixture_disconnect(f, IPC_AUDITOR);
    f->auditor = AUDITOR_WRITES;
    size_t before = f->event_count;
    keeper_fixture_connect(f, IPC_AUDITOR);
    keeper_fixture_turn(f, 50);
    assert_int_equal(f->event_count - before, 64);
    assert_string_equal(keeper_fixture_last_event(f)->operation, "device.back");
    audit_later(f->keeper, &event); // and nothing twice
    keeper_fixture_turn(f, 50);
    assert_int_equal(f->event_count - before, 65);
    keeper_fixture_disconnect(f, IPC_AUDITOR);
    audit_later(f->keeper, &event); // the end of the keeper frees it
}

struct late {
    bool is_done;
    vlt_result result;
};
static void late_opened(vlt_result result, const struct answer_open *answer, void *context) {
    struct late *late = context;
    late->is_done = true;
    late->result = result;
}

// The answer does not leave before the record is durable; and what changes in
// between still counts.
static void open_rejects_what_was_revoked_while_it_was_recorded(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct ask_open ask;
    struct late late = {.is_done = false};
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    sign_openai(f, &token);
    f->auditor = AUDITOR_WAITS;
    fixture_open_request(&ask, token.token, "openai", 0x11);
    ask_open(f->mine[IPC_REDEEMER], &ask, late_opened, &late);
    while (f->waiting_count == 0)
        keeper_fixture_turn(f, 0);
    keeper_fixture_turn(f, 30);
    assert_false(late.is_done);
    f->auditor = AUDITOR_WRITES;
    assert_ok(fixture_revoke_token(f, 1, token.token)); // returns
    keeper_fixture_release_records(f);
    keeper_fixture_wait(f, &late.is_done);
    assert_int_equal(late.result.class, VLT_DENIED);
    assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_DENY);
    assert_string_equal(keeper_fixture_last_event(f)->reason, "the token was revoked");
}

static void late_revoked(vlt_result result, const struct answer_revoke_rule *answer,
                         void *context) {
    *(struct late *)context = (struct late){.is_done = true, .result = result};
}

// A slow disk, and a second that passes: what was issued before a revocation returned is
// ended by it, and what is issued later is not.
static void open_rejects_what_was_signed_while_a_rule_was_recorded(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    struct ask_open ask;
    struct late late = {.is_done = false};
    struct ask_revoke_rule rule = {
        .tenant = 1, .kind = RECORD_REVOKE_CLIENT, .value = BYTES_LITERAL("cli")};
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    f->auditor = AUDITOR_WAITS;
    rule.event = fixture_event("revoke.rule");
    ask_revoke_rule(f->mine[IPC_ADMIN], &rule, late_revoked, &late);
    while (f->waiting_count == 0)
        keeper_fixture_turn(f, 0);
    f->auditor = AUDITOR_WRITES;
    sleep(1);
    sign_openai(f, &token);
    fixture_open_request(&ask, token.token, "openai", 0x11);
    assert_ok(fixture_open(f, &ask, &opened));
    keeper_fixture_release_records(f);
    keeper_fixture_wait(f, &late.is_done);
    assert_ok(late.result);
    fixture_open_request(&ask, token.token, "openai", 0x11);
    assert_int_equal(fixture_open(f, &ask, &opened).class, VLT_DENIED);
    sign_openai(f, &token);
    fixture_open_request(&ask, token.token, "openai", 0x11);
    assert_ok(fixture_open(f, &ask, &opened));
}

static void open_rejects_after_a_seal_while_it_was_recorded(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct ask_open ask;
    struct late late = {.is_done = false};
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    sign_openai(f, &token);
    f->auditor = AUDITOR_WAITS;
    fixture_open_request(&ask, token.token, "openai", 0x11);
    ask_open(f->mine[IPC_REDEEMER], &ask, late_opened, &late);
    while (f->waiting_count == 0)
        keeper_fixture_turn(f, 0);
    f->auditor = AUDITOR_WRITES;
    assert_ok(fixture_seal(f, true));
    keeper_fixture_release_records(f);
    keeper_fixture_wait(f, &late.is_done);
    assert_int_equal(late.result.class, VLT_UNAVAILABLE);
}

static void keeper_survives_peers_that_die(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct ask_open ask;
    struct late late = {.is_done = false};
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    keeper_fixture_settle(f);
    sign_openai(f, &token);
    f->auditor = AUDITOR_WAITS;
    fixture_open_request(&ask, token.token, "openai", 0x11);
    ask_open(f->mine[IPC_REDEEMER], &ask, late_opened, &late);
    while (f->waiting_count == 0)
        keeper_fixture_turn(f, 0);
    keeper_fixture_disconnect(f, IPC_REDEEMER); // who asked is gone
    f->auditor = AUDITOR_WRITES;
    keeper_fixture_release_records(f);
    keeper_fixture_turn(f, 20);
    assert_int_equal(f->keeper->in_flight, 0);
    keeper_fixture_connect(f, IPC_REDEEMER);
    // The auditor dies with a record in flight: that call fails, the next is fine.
    late = (struct late){.is_done = false};
    f->auditor = AUDITOR_WAITS;
    fixture_open_request(&ask, token.token, "openai", 0x11);
    ask_open(f->mine[IPC_REDEEMER], &ask, late_opened, &late);
    while (f->waiting_count == 0)
        keeper_fixture_turn(f, 0);
    keeper_fixture_disconnect(f, IPC_AUDITOR);
    keeper_fixture_wait(f, &late.is_done);
    assert_int_equal(late.result.class, VLT_UNAVAILABLE);
    f->auditor = AUDITOR_WRITES;
    keeper_fixture_connect(f, IPC_AUDITOR);
    opens_as(f, "openai", "sk-secret-1", 1);
}

static void keeper_survives_frames_that_do_not_decode(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    // An event that is none: the peer loses its channel, the keeper lives on.
    struct late late = {.is_done = false};
    struct ask_open ask = {.token = BYTES_LITERAL("x"), .event = BYTES_LITERAL("junk")};
    ask_open(f->mine[IPC_REDEEMER], &ask, late_opened, &late);
    keeper_fixture_wait(f, &late.is_done);
    assert_int_equal(f->closed[IPC_REDEEMER], 1);
    keeper_fixture_connect(f, IPC_REDEEMER);
    assert_ok(fixture_put(f, &openai, NULL));
    opens_as(f, "openai", "sk-secret-1", 1);
}

// ---- Devices that fail ----

static void unseal_rejects_a_wrong_pin_and_tries_once(void **state) {
    struct keeper_fixture *f = *state;
    char wrong[96], right[96];
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    strcpy(right, f->device.settings.pin_source);
    keeper_fixture_stop(f);
    device_fixture_write(&f->device, "wrong-pin", "0000-wrong", 0600, wrong);
    strcpy(f->device.settings.pin_source, wrong);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_SEALED);
    assert_true(f->keeper->why[0] != 0);
    assert_false(event_pending(f->keeper->retry, EV_TIMEOUT, NULL)); // never again by itself
    strcpy(f->device.settings.pin_source, right);
    assert_ok(keeper_fixture_reload(f, NULL)); // SIGHUP with the right file
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    opens_as(f, "openai", "sk-secret-1", 1);
}

static void unseal_survives_a_missing_device(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    keeper_fixture_stop(f);
    device_fixture_unplug(&f->device);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_SEALED);
    assert_true(event_pending(f->keeper->retry, EV_TIMEOUT, NULL));
    assert_int_equal(fixture_seal(f, false).class == VLT_CLASS_OK, 0);
    device_fixture_plug(&f->device);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED); // by itself
    opens_as(f, "openai", "sk-secret-1", 1);
}

static void unseal_rejects_another_device(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    keeper_fixture_stop(f);
    device_fixture_replace(&f->device);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_SEALED);
    assert_true(f->keeper->why[0] != 0);
    assert_null(f->keeper->keys);
}

static void start_rejects_a_newer_store(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    struct store_change newer = {.class = STORE_META,
                                 .name = BYTES_LITERAL("format"),
                                 .value = bytes_of("\0\0\0\7", 4),
                                 .expected_revision = STORE_ANY_REVISION};
    assert_ok(store_commit(f->keeper->store, &newer, 1, NULL, NULL));
    restart(f);
    assert_int_equal(f->keeper->state, KEEPER_SEALED);
    assert_non_null(strstr(f->keeper->why, "format 7"));
    assert_int_equal(fixture_seal(f, false).class, VLT_CONFLICT);
    assert_false(vlt_is_ok(fixture_init(f))); // nothing is overwritten
    char status[4096];
    assert_ok(fixture_status(f, status, sizeof status));
    assert_non_null(strstr(status, "newer version"));
}

static void start_rejects_an_altered_key(void **state) {
    struct keeper_fixture *f = *state;
    assert_ok(fixture_init(f));
    const char *kid = f->keeper->keys->signing->kid;
    struct bytes value;
    uint8_t copy[512];
    struct store_change row = {.class = STORE_SIGNING_SECRET,
                               .name = bytes_of_text(kid),
                               .expected_revision = STORE_ANY_REVISION};
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(store_get(f->keeper->store, 0, STORE_SIGNING_SECRET, row.name, &value, NULL));
    memcpy(copy, value.at, value.size);
    store_snapshot_end(f->keeper->store);
    copy[value.size - 1] ^= 1;
    row.value = bytes_of(copy, value.size);
    assert_ok(store_commit(f->keeper->store, &row, 1, NULL, NULL));
    restart(f);
    keeper_fixture_wait_state(f, KEEPER_SEALED);
    assert_non_null(strstr(f->keeper->why, "altered"));
    assert_false(event_pending(f->keeper->retry, EV_TIMEOUT, NULL));
}

static void data_keys_survive_being_idle(void **state) {
    struct keeper_fixture *f = *state;
    f->idle_s = 1;
    assert_ok(keeper_fixture_reload(f, NULL));
    assert_ok(fixture_init(f));
    assert_ok(fixture_put(f, &openai, NULL));
    opens_as(f, "openai", "sk-secret-1", 1);
    char status[4096];
    sleep(1);
    keeper_fixture_turn(f, 200);
    sweep_step(f->keeper);
    assert_ok(fixture_status(f, status, sizeof status));
    assert_non_null(strstr(status, "\"data_keys_loaded\":0"));
    opens_as(f, "openai", "sk-secret-1", 1); // comes back from the device
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        P11(seal_wipes_and_unseal_brings_back),
        TPM(seal_wipes_and_unseal_brings_back),
        P11(seal_survives_an_auditor_that_is_gone),
        P11(status_accepts_every_state),
        P11(audit_first_rejects_without_a_record),
        P11(events_survive_without_an_auditor),
        P11(open_rejects_what_was_revoked_while_it_was_recorded),
        P11(open_rejects_what_was_signed_while_a_rule_was_recorded),
        P11(open_rejects_after_a_seal_while_it_was_recorded),
        P11(keeper_survives_peers_that_die),
        P11(keeper_survives_frames_that_do_not_decode),
        P11(unseal_rejects_a_wrong_pin_and_tries_once),
        P11(unseal_survives_a_missing_device),
        TPM(unseal_survives_a_missing_device),
        P11(unseal_rejects_another_device),
        TPM(unseal_rejects_another_device),
        P11(start_rejects_a_newer_store),
        P11(start_rejects_an_altered_key),
        P11(data_keys_survive_being_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
