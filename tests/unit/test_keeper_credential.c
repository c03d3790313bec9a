// SPDX-License-Identifier: Apache-2.0
// Versions of a credential: every edge of the state machine in docs/rotation.md,
// also those that must be refused, with a token in use all the time; and the
// warning of those that grow old. Device and store are real.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"
#include "libvault/store/record_credential.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/ipc/credential_change.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/credential_age.h"
#include "vaultd/keeper/rotation.h"

static struct keeper_fixture fixture;
static struct signed_answer token;

static int begin(void **state) {
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    *state = &fixture;
    return vlt_is_ok(fixture_init(&fixture)) ? 0 : 1;
}
static int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

// ---- Calls ----

struct outcome {
    bool is_done;
    vlt_result result;
    uint32_t version;
};

static void stepped(vlt_result result, const struct answer_credential_step *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
    outcome->version = vlt_is_ok(result) ? answer->version : 0;
}

static vlt_result step_as(struct keeper_fixture *f, struct ask_credential_step ask,
                          uint32_t *ret_version) {
    struct outcome outcome = {.is_done = false};
    ask.name = BYTES_LITERAL("openai");
    ask.event = fixture_event("credential.step");
    ask_credential_step(f->mine[IPC_ADMIN], &ask, stepped, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    if (ret_version)
        *ret_version = outcome.version;
    return outcome.result;
}

static vlt_result step(struct keeper_fixture *f, enum credential_step which, uint32_t grace_s) {
    struct ask_credential_step ask = {.tenant = 1, .step = (uint8_t)which, .grace_s = grace_s};
    return step_as(f, ask, NULL);
}

static vlt_result put(struct keeper_fixture *f, const char *value, enum credential_put_mode mode,
                      const char *host, uint32_t *ret_version) {
    const struct put_request request = {.tenant = 1,
                                        .name = "openai",
                                        .value = value,
                                        .host = host,
                                        .rotates = mode == CREDENTIAL_ROTATE,
                                        .stages = mode == CREDENTIAL_STAGE,
                                        .grace_s = 60};
    return fixture_put(f, &request, ret_version);
}

static vlt_result stage(struct keeper_fixture *f, const char *value) {
    return put(f, value, CREDENTIAL_STAGE, "api.example", NULL);
}

static void create(struct keeper_fixture *f) {
    struct token_claims claims;
    assert_ok(put(f, "sk-1", CREDENTIAL_CREATE, "api.example", NULL));
    fixture_claims(&claims, "openai", 0);
    assert_ok(fixture_sign(f, &claims, 1, 600, &token));
}

static void opens_as(struct keeper_fixture *f, const char *value, uint32_t version) {
    struct opened_answer answer = {.version = 0};
    struct ask_open ask;
    fixture_open_request(&ask, token.token, "openai", 0);
    assert_ok(fixture_open(f, &ask, &answer));
    assert_string_equal(answer.value, value);
    assert_int_equal(answer.version, version);
}

static bool has_ciphertext(struct keeper_fixture *f, uint32_t version) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    struct bytes value;
    keeper_fixture_settle(f);
    assert_ok(store_snapshot_begin(f->keeper->store));
    vlt_result result = store_get(
        f->keeper->store, 1, STORE_CREDENTIAL_SECRET,
        record_credential_secret_name(BYTES_LITERAL("openai"), version, room), &value, NULL);
    store_snapshot_end(f->keeper->store);
    return vlt_is_ok(result);
}

// ---- Every edge ----

static void staged_accepts_the_way_into_use(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t version = 0;
    struct ask_credential_step promote = {.tenant = 1, .step = CREDENTIAL_PROMOTE, .grace_s = 60};
    create(f);
    assert_ok(put(f, "sk-2", CREDENTIAL_STAGE, "api.example", &version));
    assert_int_equal(version, 2);
    opens_as(f, "sk-1", 1);
    keeper_fixture_restart(f); // each state is in the store and nowhere else
    opens_as(f, "sk-1", 1);
    assert_ok(step(f, CREDENTIAL_VERIFIED, 0));
    keeper_fixture_restart(f);
    opens_as(f, "sk-1", 1);
    assert_ok(step_as(f, promote, &version));
    assert_int_equal(version, 2);
    opens_as(f, "sk-2", 2);
    assert_true(has_ciphertext(f, 1)); // its grace
    keeper_fixture_restart(f);
    opens_as(f, "sk-2", 2);
    assert_ok(fixture_rollback(f, "openai", NULL)); // and back, in one command
    opens_as(f, "sk-1", 3);
}

static void staged_accepts_its_end(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t version = 0;
    create(f);
    for (uint32_t i = 2; i < 4; i++) { // once unverified, once verified
        assert_ok(put(f, "sk-no", CREDENTIAL_STAGE, "api.example", &version));
        assert_int_equal(version, i); // an abandoned number is not used again
        if (i == 3)
            assert_ok(step(f, CREDENTIAL_VERIFIED, 0));
        assert_ok(step(f, CREDENTIAL_ABANDON, 0));
        assert_false(has_ciphertext(f, i));
        opens_as(f, "sk-1", 1);
    }
    assert_ok(put(f, "sk-2", CREDENTIAL_ROTATE, "api.example", &version));
    assert_int_equal(version, 4);
    assert_true(has_ciphertext(f, 1));
    assert_ok(stage(f, "sk-3"));
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DELETED)); // and with the credential
    assert_false(has_ciphertext(f, 5));
    assert_ok(put(f, "sk-4", CREDENTIAL_CREATE, "api.example", &version));
    assert_int_equal(version, 6);
}

enum { NOTHING_STAGED, IS_STAGED, IS_VERIFIED };

static void bring(struct keeper_fixture *f, unsigned to) {
    if (to >= IS_STAGED)
        assert_ok(stage(f, "sk-2"));
    if (to == IS_VERIFIED)
        assert_ok(step(f, CREDENTIAL_VERIFIED, 0));
}

// What is not listed in docs/rotation.md is a conflict and changes nothing.
static void staged_rejects_every_other_edge(void **state) {
    struct keeper_fixture *f = *state;
    static const struct {
        unsigned in;
        bool stages, verifies, promotes, abandons, rotates;
    } edges[] = {{NOTHING_STAGED, true, false, false, false, true},
                 {IS_STAGED, false, true, false, true, false},
                 {IS_VERIFIED, false, true, true, true, false}};
    create(f);
    for (size_t i = 0; i < 3; i++) {
        bring(f, edges[i].in);
        if (!edges[i].stages)
            assert_int_equal(stage(f, "sk-x").class, VLT_CONFLICT);
        if (!edges[i].rotates)
            assert_int_equal(put(f, "sk-x", CREDENTIAL_ROTATE, "api.example", NULL).class,
                             VLT_CONFLICT);
        if (!edges[i].verifies)
            assert_int_equal(step(f, CREDENTIAL_VERIFIED, 0).class, VLT_CONFLICT);
        if (!edges[i].promotes)
            assert_int_equal(step(f, CREDENTIAL_PROMOTE, 0).class, VLT_CONFLICT);
        if (!edges[i].abandons)
            assert_int_equal(step(f, CREDENTIAL_ABANDON, 0).class, VLT_CONFLICT);
        opens_as(f, "sk-1", 1);
        if (edges[i].in != NOTHING_STAGED)
            assert_ok(step(f, CREDENTIAL_ABANDON, 0));
    }
    bring(f, IS_VERIFIED);
    assert_int_equal(step(f, CREDENTIAL_PROMOTE, CREDENTIAL_GRACE_MAX_S + 1).class, VLT_LIMIT);
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DISABLED)); // can wait disabled
    assert_ok(step(f, CREDENTIAL_PROMOTE, 60));
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DELETED));
    assert_int_equal(step(f, CREDENTIAL_ABANDON, 0).class, VLT_NOT_FOUND);
    assert_int_equal(stage(f, "sk-x").class, VLT_NOT_FOUND);
}

static void staged_rejects_what_somebody_else_changed(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_credential_step stale = {
        .tenant = 1, .step = CREDENTIAL_ABANDON, .expected_revision = 1};
    create(f);
    bring(f, IS_VERIFIED);
    assert_int_equal(step_as(f, stale, NULL).class, VLT_CONFLICT);
    assert_ok(step(f, CREDENTIAL_PROMOTE, 60));
    opens_as(f, "sk-2", 2);
}

// Hosts belong to the value: they come into use with it, not before.
static void promotion_survives_another_host(void **state) {
    struct keeper_fixture *f = *state;
    struct opened_answer answer;
    struct ask_open ask;
    create(f);
    assert_ok(put(f, "sk-2", CREDENTIAL_STAGE, "other.example", NULL));
    fixture_open_request(&ask, token.token, "openai", 0);
    ask.host = BYTES_LITERAL("other.example");
    assert_int_equal(fixture_open(f, &ask, &answer).class, VLT_DENIED);
    opens_as(f, "sk-1", 1);
    assert_ok(step(f, CREDENTIAL_VERIFIED, 0));
    assert_ok(step(f, CREDENTIAL_PROMOTE, 0));
    ask.event = fixture_event("redeem");
    assert_ok(fixture_open(f, &ask, &answer));
    assert_string_equal(answer.value, "sk-2");
}

static void staged_survives_a_new_data_key(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_TENANT,
                             .mode = ROTATION_RUN,
                             .tenant = 1,
                             .records_per_s = ROTATION_RATE_UNLIMITED};
    create(f);
    bring(f, IS_VERIFIED);
    assert_ok(fixture_rotate(f, &ask, NULL));
    for (int i = 0; i < 100; i++) {
        rotations_tick(f->keeper);
        keeper_fixture_turn(f, 5);
    }
    assert_ok(step(f, CREDENTIAL_PROMOTE, 0));
    opens_as(f, "sk-2", 2);
}

// ---- By age ----

static size_t count_events(const struct keeper_fixture *f, const char *operation) {
    size_t count = 0;
    for (size_t i = 0; i < f->event_count && i < FIXTURE_EVENTS_MAX; i++)
        count += strcmp(f->events[i].operation, operation) == 0;
    return count;
}

static void tick(struct keeper_fixture *f, size_t times) {
    for (size_t i = 0; i < times; i++) {
        rotations_tick(f->keeper);
        keeper_fixture_turn(f, 5);
    }
}

// As if its value had come in so long ago.
static void make_old(struct keeper_fixture *f, int64_t age_s) {
    struct record_credential record;
    struct bytes value;
    keeper_fixture_settle(f);
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(
        store_get(f->keeper->store, 1, STORE_CREDENTIAL, BYTES_LITERAL("openai"), &value, NULL));
    assert_ok(record_credential_parse(value, NULL, &record));
    store_snapshot_end(f->keeper->store);
    record.rotated_at = clock_now_s() - age_s;
    json_t *json = record_credential_json(&record);
    char *text = json_dumps(json, JSON_COMPACT);
    struct store_change change = {.tenant = 1,
                                  .class = STORE_CREDENTIAL,
                                  .name = BYTES_LITERAL("openai"),
                                  .value = bytes_of_text(text),
                                  .expected_revision = STORE_ANY_REVISION};
    uint64_t revision;
    assert_ok(store_commit(f->keeper->store, &change, 1, &revision, NULL));
    free(text);
    json_decref(json);
    record_credential_done(&record);
}

static void counts(struct keeper_fixture *f, const char *due, const char *overdue) {
    char text[8192];
    tick(f, 12); // at least one whole pass
    assert_ok(fixture_status(f, text, sizeof text));
    assert_non_null(strstr(text, due));
    assert_non_null(strstr(text, overdue));
}

static void age_survives_old_and_young_credentials(void **state) {
    struct keeper_fixture *f = *state;
    create(f);
    f->keeper->settings.credential_age_s = 3600;
    counts(f, "\"due\":0", "\"overdue\":0");
    assert_int_equal(count_events(f, "rotate.credential.due"), 0);
    make_old(f, 3239); // a second later nine tenths: said before it is late, and once
    keeper_fixture_turn(f, 1100);
    counts(f, "\"due\":1", "\"overdue\":0");
    counts(f, "\"due\":1", "\"overdue\":0");
    assert_int_equal(count_events(f, "rotate.credential.due"), 1);
    make_old(f, 3599);
    keeper_fixture_turn(f, 1100);
    counts(f, "\"due\":0", "\"overdue\":1");
    assert_int_equal(count_events(f, "rotate.credential.due"), 1);
    assert_int_equal(count_events(f, "rotate.credential.overdue"), 1);
    keeper_fixture_restart(f); // nobody remembers: it is said again
    f->keeper->settings.credential_age_s = 3600;
    counts(f, "\"due\":0", "\"overdue\":1");
    assert_int_equal(count_events(f, "rotate.credential.overdue"), 2);
    assert_ok(put(f, "sk-2", CREDENTIAL_ROTATE, "api.example", NULL));
    counts(f, "\"due\":0", "\"overdue\":0");
}

// What would be stored and never work.
static void value_rejects_what_no_request_can_carry(void **state) {
    struct keeper_fixture *f = *state;
    static const struct {
        const char *value;
        bool is_line, is_text; // is accepted as
    } values[] = {{"sk-1", true, true},           {"sk 1", true, true},
                  {"p\xc3\xa4ss", true, false},   {"sk-1 ", true, false},
                  {" sk-1", true, false},         {"sk\n1", false, false},
                  {"sk-1\r\nx: 1", false, false}, {"sk\t1", false, false},
                  {"sk\x7f", false, false}};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        for (uint8_t form = 0; form < CREDENTIAL_FORM_COUNT; form++) {
            char name[] = "value-0-0";
            name[6] = (char)('0' + i);
            name[8] = (char)('0' + form);
            const struct put_request request = {.tenant = 1, .name = name, .form = form,
                                                .value = values[i].value, .host = "api.example"};
            bool is_good = form == CREDENTIAL_FORM_TEXT   ? values[i].is_text
                           : form == CREDENTIAL_FORM_LINE ? values[i].is_line
                                                          : true;
            vlt_result result = fixture_put(f, &request, NULL);
            assert_int_equal(result.class, is_good ? VLT_CLASS_OK : VLT_MALFORMED);
            assert_true(is_good || strstr(result.reason, "no request can carry it"));
        }
    }
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(staged_accepts_the_way_into_use),
        CASE(staged_accepts_its_end),
        CASE(staged_rejects_every_other_edge),
        CASE(staged_rejects_what_somebody_else_changed),
        CASE(promotion_survives_another_host),
        CASE(staged_survives_a_new_data_key),
        CASE(age_survives_old_and_young_credentials),
        CASE(value_rejects_what_no_request_can_carry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
