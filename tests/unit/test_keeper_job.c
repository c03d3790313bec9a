// SPDX-License-Identifier: Apache-2.0
// Rotation at providers, the keeper's half: the test plays the rotator. What is
// due by age begins, each edge of docs/rotation.md is there and no other, and a
// rotator that asks for what is not its turn gets nothing.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/secret/secret.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_rotation.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/ipc/job_outcome.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/rotation.h"

static struct keeper_fixture fixture;

static int begin(void **state) {
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    *state = &fixture;
    if (!vlt_is_ok(fixture_init(&fixture)))
        return 1;
    keeper_fixture_connect(&fixture, IPC_ROTATOR);
    fixture.keeper->settings.retry_s = 1;
    return 0;
}
static int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

// ---- The rotator ----

struct outcome {
    bool is_done;
    vlt_result result;
    uint8_t state; // of the job
    uint64_t revision;
    char value[64], key_id[64];
};

static void next_known(vlt_result result, const struct answer_job_next *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
    if (!vlt_is_ok(result))
        return;
    outcome->state = answer->state;
    outcome->revision = answer->revision;
    bytes_to_text(answer->key_id, outcome->key_id, sizeof outcome->key_id);
}

// What is next; `state` 0: nothing.
static struct outcome next(struct keeper_fixture *f) {
    struct outcome outcome = {.is_done = false};
    const struct ask_job_next ask = {0};
    ask_job_next(f->mine[IPC_ROTATOR], &ask, next_known, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    assert_ok(outcome.result);
    return outcome;
}

static void opened(vlt_result result, const struct answer_job_open *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
    if (vlt_is_ok(result))
        bytes_to_text(answer->value, outcome->value, sizeof outcome->value);
}

static vlt_result open_job(struct keeper_fixture *f, uint64_t revision, const char *host,
                           char *value) {
    struct outcome outcome = {.is_done = false};
    const struct ask_job_open ask = {.tenant = 1,
                                     .name = BYTES_LITERAL("openai"),
                                     .revision = revision,
                                     .host = bytes_of_text(host)};
    ask_job_open(f->mine[IPC_ROTATOR], &ask, opened, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    strcpy(value, outcome.value);
    return outcome.result;
}

static void reported(vlt_result result, const struct answer_job_report *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
}

static vlt_result report(struct keeper_fixture *f, uint64_t revision, enum job_outcome what) {
    struct outcome outcome = {.is_done = false};
    const struct ask_job_report ask = {.tenant = 1,
                                       .name = BYTES_LITERAL("openai"),
                                       .revision = revision,
                                       .outcome = (uint8_t)what,
                                       .mark = BYTES_LITERAL("vaultd-openai-1"),
                                       .why = BYTES_LITERAL("the provider \x01 said no")};
    ask_job_report(f->mine[IPC_ROTATOR], &ask, reported, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    return outcome.result;
}

static void minted(vlt_result result, const struct answer_job_minted *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
}

// Sealed to no key of this vault.
static vlt_result hand_in_nonsense(struct keeper_fixture *f, uint64_t revision) {
    struct outcome outcome = {.is_done = false};
    const struct ask_job_minted ask = {.tenant = 1,
                                       .name = BYTES_LITERAL("openai"),
                                       .revision = revision,
                                       .key_id = BYTES_LITERAL("key-2"),
                                       .intake_kid = BYTES_LITERAL("nobody"),
                                       .jwe_header = BYTES_LITERAL("e30"),
                                       .ciphertext = BYTES_LITERAL("x")};
    ask_job_minted(f->mine[IPC_ROTATOR], &ask, minted, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    return outcome.result;
}

// ---- The administrator ----

static void ordered(vlt_result result, const struct answer_job_order *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
}

static vlt_result order(struct keeper_fixture *f, const char *name) {
    uint8_t room[512];
    struct audit_event made = {.kind = AUDIT_ADMIN,
                               .outcome = AUDIT_ALLOW,
                               .operation = BYTES_LITERAL("rotate.credential"),
                               .administrator = BYTES_LITERAL("uid 0")};
    struct outcome outcome = {.is_done = false};
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &made);
    const struct ask_job_order ask = {.tenant = 1,
                                      .name = bytes_of_text(name),
                                      .mode = ROTATION_RUN,
                                      .event = bytes_of(room, w.size)};
    ask_job_order(f->mine[IPC_ADMIN], &ask, ordered, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    return outcome.result;
}

static void automate(struct keeper_fixture *f) {
    const struct put_request put = {
        .tenant = 1, .name = "openai", .value = "sk-1", .host = "api.example"};
    static const char plan[] =
        "{\"name\":\"openai\",\"recipe\":\"generic-rest\",\"key_id\":\"key-1\","
        "\"key_version\":1,\"created_at\":1}";
    const struct store_change change = {.tenant = 1,
                                        .class = STORE_ROTATION_PLAN,
                                        .name = BYTES_LITERAL("openai"),
                                        .value = bytes_of_text(plan),
                                        .expected_revision = 0};
    assert_ok(fixture_put(f, &put, NULL));
    assert_ok(fixture_commit(f, &change, 1));
}

static void tick(struct keeper_fixture *f, size_t times) {
    for (size_t i = 0; i < times; i++) {
        rotations_tick(f->keeper);
        keeper_fixture_turn(f, 5);
    }
}

// ---- Cases ----

static void schedule_accepts_what_is_old_enough(void **state) {
    struct keeper_fixture *f = *state;
    automate(f);
    f->keeper->settings.credential_age_s = 3600;
    tick(f, 12);
    assert_int_equal(next(f).state, 0); // it is young
    keeper_fixture_turn(f, 2100);
    f->keeper->settings.credential_age_s = 2;
    tick(f, 24);
    assert_int_equal(next(f).state, RECORD_ROTATION_ORDERED);
    keeper_fixture_stop(f); // whoever starts anew finds it
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
    keeper_fixture_connect(f, IPC_ROTATOR);
    tick(f, 24);
    assert_int_equal(next(f).state, RECORD_ROTATION_ORDERED);
}

static void open_accepts_the_step_that_is_next(void **state) {
    struct keeper_fixture *f = *state;
    char value[64];
    automate(f);
    assert_ok(order(f, "openai"));
    struct outcome job = next(f);
    assert_int_equal(job.state, RECORD_ROTATION_ORDERED);
    assert_ok(open_job(f, job.revision, "api.example", value));
    assert_string_equal(value, "sk-1");
    const struct noted_event *said = keeper_fixture_last_event(f);
    assert_string_equal(said->operation, "rotate.credential.open");
    assert_int_equal(said->outcome, AUDIT_ALLOW);
}

static void open_rejects_everything_else(void **state) {
    struct keeper_fixture *f = *state;
    char value[64] = "";
    automate(f);
    assert_int_equal(open_job(f, 0, "api.example", value).class, VLT_CONFLICT); // nothing ordered
    assert_ok(order(f, "openai"));
    struct outcome job = next(f);
    assert_int_equal(open_job(f, job.revision + 1, "api.example", value).class, VLT_CONFLICT);
    assert_int_equal(open_job(f, job.revision, "evil.example", value).class, VLT_DENIED);
    assert_int_equal(open_job(f, job.revision, "", value).class, VLT_DENIED);
    f->auditor = AUDITOR_FAILS; // no record, no value
    assert_false(vlt_is_ok(open_job(f, job.revision, "api.example", value)));
    f->auditor = AUDITOR_WRITES;
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DISABLED));
    assert_int_equal(open_job(f, job.revision, "api.example", value).class, VLT_CONFLICT);
    assert_string_equal(value, "");
}

static void report_rejects_edges_that_are_not_there(void **state) {
    struct keeper_fixture *f = *state;
    static const enum job_outcome of_ordered[] = {JOB_CLEANED, JOB_VERIFIED, JOB_REFUSED,
                                                  JOB_REVOKED},
                                  of_minting[] = {JOB_BEGUN, JOB_VERIFIED, JOB_REFUSED,
                                                  JOB_REVOKED};
    automate(f);
    assert_ok(order(f, "openai"));
    struct outcome job = next(f);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(report(f, job.revision, of_ordered[i]).class, VLT_CONFLICT);
    assert_int_equal(hand_in_nonsense(f, job.revision).class, VLT_CONFLICT);
    assert_ok(report(f, job.revision, JOB_BEGUN));
    assert_int_equal(report(f, job.revision, JOB_BEGUN).class, VLT_CONFLICT); // an old revision
    job = next(f);
    assert_int_equal(job.state, RECORD_ROTATION_MINTING);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(report(f, job.revision, of_minting[i]).class, VLT_CONFLICT);
    assert_false(vlt_is_ok(hand_in_nonsense(f, job.revision)));
    assert_int_equal(next(f).state, RECORD_ROTATION_MINTING); // and nothing has changed
    assert_ok(report(f, job.revision, JOB_CLEANED));
    assert_int_equal(next(f).state, RECORD_ROTATION_ORDERED);
}

static void report_accepts_failures_and_waits(void **state) {
    struct keeper_fixture *f = *state;
    f->keeper->settings.retry_s = 600; // longer than a busy machine takes
    automate(f);
    assert_ok(order(f, "openai"));
    struct outcome job = next(f);
    assert_ok(report(f, job.revision, JOB_FAILED));
    const struct noted_event *said = keeper_fixture_last_event(f);
    assert_string_equal(said->operation, "rotate.credential.failed");
    assert_int_equal(said->outcome, AUDIT_ERROR);
    assert_string_equal(said->reason, "the provider ? said no");
    assert_int_equal(next(f).state, 0); // later
    assert_ok(order(f, "openai"));      // or when somebody says so
    assert_int_equal(next(f).state, RECORD_ROTATION_ORDERED);
}

static void order_rejects_what_nothing_says_how(void **state) {
    struct keeper_fixture *f = *state;
    assert_int_equal(order(f, "nobody").class, VLT_NOT_FOUND);
    const struct put_request put = {
        .tenant = 1, .name = "plain", .value = "sk-1", .host = "api.example"};
    assert_ok(fixture_put(f, &put, NULL));
    assert_int_equal(order(f, "plain").class, VLT_NOT_FOUND);
    automate(f);
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DISABLED));
    assert_int_equal(order(f, "openai").class, VLT_CONFLICT);
    assert_ok(fixture_state(f, 1, "openai", RECORD_CREDENTIAL_DELETED));
    assert_int_equal(order(f, "openai").class, VLT_NOT_FOUND);
    const struct put_request again = {
        .tenant = 1, .name = "openai", .value = "sk-2", .host = "api.example"};
    assert_ok(fixture_put(f, &again, NULL)); // the plan was for the one before
    assert_int_equal(order(f, "openai").class, VLT_NOT_FOUND);
}

// A value waits for its record: what was disabled meanwhile does not leave.
static void open_rejects_a_manager_that_is_disabled_meanwhile(void **state) {
    struct keeper_fixture *f = *state;
    const struct put_request manager = {
        .tenant = 1, .name = "maker", .value = "sk-maker", .host = "api.example"};
    static const char plan[] = "{\"name\":\"openai\",\"recipe\":\"generic-rest\","
                               "\"manager\":\"maker\",\"created_at\":1}";
    const struct store_change change = {.tenant = 1,
                                        .class = STORE_ROTATION_PLAN,
                                        .name = BYTES_LITERAL("openai"),
                                        .value = bytes_of_text(plan),
                                        .expected_revision = STORE_ANY_REVISION};
    struct outcome outcome = {.is_done = false};
    char value[64];
    assert_ok(fixture_put(f, &manager, NULL));
    automate(f);
    assert_ok(fixture_commit(f, &change, 1));
    assert_ok(order(f, "openai"));
    struct outcome job = next(f);
    assert_ok(open_job(f, job.revision, "api.example", value));
    assert_string_equal(value, "sk-maker");
    const struct ask_job_open ask = {.tenant = 1,
                                     .name = BYTES_LITERAL("openai"),
                                     .revision = job.revision,
                                     .host = BYTES_LITERAL("api.example")};
    f->auditor = AUDITOR_WAITS;
    ask_job_open(f->mine[IPC_ROTATOR], &ask, opened, &outcome);
    keeper_fixture_turn(f, 50);
    assert_int_equal(f->waiting_count, 1);
    f->auditor = AUDITOR_WRITES;
    assert_ok(fixture_state(f, 1, "maker", RECORD_CREDENTIAL_DISABLED));
    keeper_fixture_release_records(f);
    keeper_fixture_wait(f, &outcome.is_done);
    assert_int_equal(outcome.result.class, VLT_DENIED);
    assert_string_equal(outcome.value, "");
    const struct noted_event *said = keeper_fixture_last_event(f); // and the log says so
    assert_string_equal(said->operation, "rotate.credential.open");
    assert_string_equal(said->credential, "maker");
    assert_string_equal(said->tenant, "default");
    assert_int_equal(said->outcome, AUDIT_DENY);
}

// The name of a plan is what the admin role wrote: as long as any key may be.
static void schedule_survives_the_longest_name(void **state) {
    struct keeper_fixture *f = *state;
    uint8_t name[STORE_NAME_MAX];
    memset(name, 'n', sizeof name);
    const struct store_change plan = {.tenant = 1,
                                      .class = STORE_ROTATION_PLAN,
                                      .name = bytes_of(name, sizeof name),
                                      .value = BYTES_LITERAL("{}"),
                                      .expected_revision = 0};
    vlt_result result = fixture_commit(f, &plan, 1);
    assert_int_equal(result.class, VLT_MALFORMED);
    // Refused above; a store of an earlier version may have it.
    assert_ok(store_commit(f->keeper->store, &plan, 1, NULL, NULL));
    automate(f);
    f->keeper->settings.credential_age_s = 3600;
    tick(f, 24);
    assert_int_equal(next(f).state, 0);
    assert_true(f->keeper->rotations->jobs.after_bytes <= sizeof f->keeper->rotations->jobs.after);
}

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(schedule_accepts_what_is_old_enough),
        CASE(open_accepts_the_step_that_is_next),
        CASE(open_rejects_everything_else),
        CASE(report_rejects_edges_that_are_not_there),
        CASE(report_accepts_failures_and_waits),
        CASE(order_rejects_what_nothing_says_how),
        CASE(open_rejects_a_manager_that_is_disabled_meanwhile),
        CASE(schedule_survives_the_longest_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
