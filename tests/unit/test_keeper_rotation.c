// SPDX-License-Identifier: Apache-2.0
// Every edge of the state machines in docs/rotation.md, also those that must be
// refused: signing and intake keys, data keys, wrapping keys, versions of a
// credential. Device and store are real.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_datakey.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/commit_queue.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/reencrypt.h"
#include "vaultd/keeper/rotate_key.h"
#include "vaultd/keeper/rotate_tenant.h"
#include "vaultd/keeper/rotate_wrapping.h"
#include "vaultd/keeper/system_keys.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        vlt_result assert_result = (call);                                                         \
        if (!vlt_is_ok(assert_result))                                                             \
            fail_msg("%s: %s", #call, assert_result.reason);                                       \
    } while (0)
#define assert_class(call, expected)                                                               \
    do {                                                                                           \
        vlt_result assert_result = (call);                                                         \
        if (assert_result.class != (expected))                                                     \
            fail_msg("%s: class %d, %s", #call, assert_result.class, assert_result.reason);        \
    } while (0)

static struct keeper_fixture fixture;

static int begin_with(void **state, enum hsm_kind kind) {
    keeper_fixture_begin(&fixture, kind);
    keeper_fixture_start(&fixture);
    *state = &fixture;
    return vlt_is_ok(fixture_init(&fixture)) ? 0 : 1;
}
static int begin(void **state) {
    return begin_with(state, HSM_PKCS11);
}
static int begin_tpm(void **state) {
    return begin_with(state, HSM_TPM);
}
static int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

static void restart(struct keeper_fixture *f) {
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
    keeper_fixture_wait_state(f, KEEPER_UNSEALED);
}

// ---- Calls ----

struct outcome {
    bool is_done;
    vlt_result result;
    json_t *json; // owned
    uint32_t version;
};

static struct bytes event(void) {
    static uint8_t room[512];
    struct audit_event made = {.kind = AUDIT_ADMIN,
                               .outcome = AUDIT_ALLOW,
                               .operation = BYTES_LITERAL("rotate"),
                               .administrator = BYTES_LITERAL("uid 0")};
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &made);
    return bytes_of(room, w.size);
}

static void rotated(vlt_result result, const struct answer_rotate *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
    if (vlt_is_ok(result))
        outcome->json =
            json_loadb((const char *)answer->description.at, answer->description.size, 0, NULL);
}

static vlt_result rotate_as(struct keeper_fixture *f, const struct ask_rotate *how,
                            json_t **ret_json) {
    struct outcome outcome = {.is_done = false};
    struct ask_rotate ask = *how;
    ask.event = event();
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    if (ret_json)
        *ret_json = outcome.json;
    else
        json_decref(outcome.json);
    return outcome.result;
}

static vlt_result rotate(struct keeper_fixture *f, unsigned kind, unsigned mode, uint32_t tenant) {
    struct ask_rotate ask = {.kind = (uint8_t)kind,
                             .mode = (uint8_t)mode,
                             .tenant = tenant,
                             .records_per_s = ROTATION_RATE_UNLIMITED};
    return rotate_as(f, &ask, NULL);
}

static void destroyed(vlt_result result, const struct answer_key_destroy *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
}

static vlt_result destroy(struct keeper_fixture *f, unsigned kind, uint32_t tenant,
                          const char *key) {
    struct outcome outcome = {.is_done = false};
    struct ask_key_destroy ask = {
        .kind = (uint8_t)kind, .tenant = tenant, .key = bytes_of_text(key), .event = event()};
    ask_key_destroy(f->mine[IPC_ADMIN], &ask, destroyed, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    return outcome.result;
}

static void rolled_back(vlt_result result, const struct answer_credential_rollback *answer,
                        void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
    if (vlt_is_ok(result))
        outcome->version = answer->version;
}

static vlt_result rollback(struct keeper_fixture *f, const char *name, uint32_t *ret_version) {
    struct outcome outcome = {.is_done = false};
    struct ask_credential_rollback ask = {
        .tenant = 1, .name = bytes_of_text(name), .grace_s = 60, .event = event()};
    ask_credential_rollback(f->mine[IPC_ADMIN], &ask, rolled_back, &outcome);
    keeper_fixture_wait(f, &outcome.is_done);
    *ret_version = outcome.version;
    return outcome.result;
}

// ---- Looking ----

static json_t *look(struct keeper_fixture *f, unsigned kind, uint32_t tenant) {
    struct ask_rotate ask = {.kind = (uint8_t)kind, .mode = ROTATION_LOOK, .tenant = tenant};
    json_t *json = NULL;
    assert_ok(rotate_as(f, &ask, &json));
    assert_non_null(json);
    return json;
}

static void is_in_state(struct keeper_fixture *f, unsigned kind, const char *expected) {
    json_t *json = look(f, kind, 1);
    assert_string_equal(json_string_value(json_object_get(json, "state")), expected);
    json_decref(json);
}

static void key_of(struct keeper_fixture *f, unsigned kind, const char *member, char *key) {
    json_t *json = look(f, kind, 1), *part = json_object_get(json, member);
    if (json_is_array(part))
        part = json_array_get(part, 0);
    const char *text = json_string_value(json_object_get(part, "key"));
    assert_non_null(text);
    strcpy(key, text);
    json_decref(json);
}

static uint64_t revision_of(struct keeper_fixture *f, unsigned kind) {
    json_t *json = look(f, kind, 1);
    uint64_t revision =
        (uint64_t)json_integer_value(json_object_get(json_object_get(json, "active"), "revision"));
    json_decref(json);
    return revision;
}

static void wait_steady(struct keeper_fixture *f, unsigned kind, uint32_t tenant) {
    for (int i = 0; i < 3000; i++) {
        json_t *json = look(f, kind, tenant);
        bool is_steady = !json_is_true(json_object_get(json, "is_under_way"));
        json_decref(json);
        if (is_steady)
            return;
        rotations_tick(f->keeper);
        keeper_fixture_turn(f, 5);
    }
    fail_msg("the rotation does not end");
}

static void tick(struct keeper_fixture *f) {
    rotations_tick(f->keeper);
    keeper_fixture_turn(f, 60);
}

// ---- Credentials and tokens ----

static void put(struct keeper_fixture *f, uint32_t tenant, const char *name, const char *value,
                bool rotates, uint32_t grace_s) {
    const struct put_request request = {.tenant = tenant,
                                        .name = name,
                                        .value = value,
                                        .host = "api.example",
                                        .rotates = rotates,
                                        .grace_s = grace_s};
    assert_ok(fixture_put(f, &request, NULL));
}

static void sign(struct keeper_fixture *f, const char *name, struct signed_answer *token) {
    struct token_claims claims;
    fixture_claims(&claims, name, 0x11);
    assert_ok(fixture_sign(f, &claims, 1, 300, token));
}

static vlt_result open_with(struct keeper_fixture *f, const char *token, const char *name,
                            struct opened_answer *opened) {
    struct ask_open ask;
    fixture_open_request(&ask, token, name, 0x11);
    return fixture_open(f, &ask, opened);
}

static void opens_as(struct keeper_fixture *f, const char *name, const char *value) {
    struct signed_answer token;
    struct opened_answer opened;
    sign(f, name, &token);
    assert_ok(open_with(f, token.token, name, &opened));
    assert_string_equal(opened.value, value);
}

// ---- Signing keys ----

static void signing_accepts_next_active_retired_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer before, after;
    struct opened_answer opened;
    char first[65], next[65], now[65];
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &before);
    key_of(f, ROTATION_SIGNING, "active", first);
    f->keeper->settings.publication_s = 600;
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0));
    is_in_state(f, ROTATION_SIGNING, "published");
    key_of(f, ROTATION_SIGNING, "next", next);
    tick(f); // published for too short a time: nothing signs with it
    assert_string_equal(f->keeper->keys->signing->kid, first);
    assert_int_equal(f->keeper->keys->token_keys->count, 2);
    f->keeper->settings.publication_s = 0;
    tick(f);
    is_in_state(f, ROTATION_SIGNING, "overlapping");
    key_of(f, ROTATION_SIGNING, "active", now);
    assert_string_equal(now, next);
    assert_string_equal(f->keeper->keys->signing->kid, next);
    assert_ok(open_with(f, before.token, "openai", &opened)); // of the retired key
    sign(f, "openai", &after);
    restart(f);
    assert_ok(open_with(f, before.token, "openai", &opened));
    assert_ok(open_with(f, after.token, "openai", &opened));
    assert_class(destroy(f, ROTATION_SIGNING, 0, first), VLT_CONFLICT); // tokens are out
    assert_class(destroy(f, ROTATION_SIGNING, 0, next), VLT_CONFLICT);  // in use
    assert_class(destroy(f, ROTATION_SIGNING, 0, "no such key"), VLT_NOT_FOUND);
}

static void signing_accepts_the_end_of_a_retired_key(void **state) {
    struct keeper_fixture *f = *state;
    char first[65];
    struct signed_answer token;
    struct opened_answer opened;
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &token);
    key_of(f, ROTATION_SIGNING, "active", first);
    uint32_t lifetime_s = f->keeper->settings.token_max_lifetime_s;
    f->keeper->settings.token_max_lifetime_s = 0; // no token can be out
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0));
    tick(f);
    tick(f);
    f->keeper->settings.token_max_lifetime_s = lifetime_s;
    is_in_state(f, ROTATION_SIGNING, "steady");
    assert_class(destroy(f, ROTATION_SIGNING, 0, first), VLT_NOT_FOUND);
    assert_int_equal(f->keeper->keys->token_keys->count, 1);
    assert_false(vlt_is_ok(open_with(f, token.token, "openai", &opened)));
    opens_as(f, "openai", "sk-1");
}

static void signing_accepts_a_next_key_that_is_given_up(void **state) {
    struct keeper_fixture *f = *state;
    char next[65];
    f->keeper->settings.publication_s = 600;
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0));
    key_of(f, ROTATION_SIGNING, "next", next);
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0)); // the same command goes on
    assert_ok(destroy(f, ROTATION_SIGNING, 0, next));
    is_in_state(f, ROTATION_SIGNING, "steady");
    assert_int_equal(f->keeper->keys->token_keys->count, 1);
}

static void signing_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_SIGNING, .mode = ROTATION_RUN};
    f->keeper->settings.publication_s = 600;
    ask.expected_revision = revision_of(f, ROTATION_SIGNING);
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.event = event();
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    json_decref(first.json);
    assert_class(rotate_as(f, &ask, NULL), VLT_CONFLICT); // and a later third
}

static void emergency_rejects_every_older_token(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct opened_answer opened;
    char first[65], now[65];
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &token);
    assert_ok(open_with(f, token.token, "openai", &opened)); // seen
    key_of(f, ROTATION_SIGNING, "active", first);
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_EMERGENCY, 0));
    assert_class(open_with(f, token.token, "openai", &opened), VLT_CRYPTO); // unknown key
    key_of(f, ROTATION_SIGNING, "active", now);
    assert_string_not_equal(first, now);
    is_in_state(f, ROTATION_SIGNING, "steady");
    opens_as(f, "openai", "sk-1");
    restart(f);
    assert_class(open_with(f, token.token, "openai", &opened), VLT_CRYPTO);
}

static void note_opened(vlt_result result, const struct answer_open *answer, void *context) {
    struct outcome *outcome = context;
    outcome->is_done = true;
    outcome->result = result;
}

static void emergency_rejects_what_waits_for_its_record(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct ask_open ask;
    struct outcome opened = {.is_done = false}, changed = {.is_done = false};
    struct ask_rotate now = {.kind = ROTATION_SIGNING, .mode = ROTATION_EMERGENCY};
    put(f, 1, "openai", "sk-1", false, 0);
    sign(f, "openai", &token);
    fixture_open_request(&ask, token.token, "openai", 0x11);
    f->auditor = AUDITOR_WAITS;
    ask_open(f->mine[IPC_REDEEMER], &ask, note_opened, &opened);
    while (f->waiting_count < 1)
        keeper_fixture_turn(f, 5);
    struct ipc_call *held = f->waiting[0];
    f->waiting_count = 0;
    now.event = event();
    ask_rotate(f->mine[IPC_ADMIN], &now, rotated, &changed);
    while (f->waiting_count < 1)
        keeper_fixture_turn(f, 5);
    keeper_fixture_release_records(f);
    f->auditor = AUDITOR_WRITES;
    keeper_fixture_wait(f, &changed.is_done);
    assert_ok(changed.result);
    json_decref(changed.json);
    struct answer_record answer = {.sequence = 1};
    reply_record(held, vlt_ok(), &answer);
    keeper_fixture_wait(f, &opened.is_done);
    assert_int_equal(opened.result.class, VLT_DENIED);
}

// ---- Intake keys ----

static void intake_accepts_values_for_the_old_key(void **state) {
    struct keeper_fixture *f = *state;
    char first[65], second[65];
    EVP_PKEY *pkey;
    key_of(f, ROTATION_INTAKE, "active", first);
    f->keeper->settings.intake_overlap_s = 600;
    assert_ok(rotate(f, ROTATION_INTAKE, ROTATION_RUN, 0));
    is_in_state(f, ROTATION_INTAKE, "overlapping");
    key_of(f, ROTATION_INTAKE, "active", second);
    assert_string_not_equal(first, second);
    assert_ok(system_keys_intake(f->keeper->keys, bytes_of_text(first), &pkey));
    assert_ok(system_keys_intake(f->keeper->keys, bytes_of_text(second), &pkey));
    put(f, 1, "openai", "sk-1", false, 0); // sealed to whichever is listed first
    assert_class(destroy(f, ROTATION_INTAKE, 0, first), VLT_CONFLICT);
    assert_class(destroy(f, ROTATION_INTAKE, 0, second), VLT_CONFLICT);
    assert_ok(rotate(f, ROTATION_INTAKE, ROTATION_EMERGENCY, 0));
    assert_class(system_keys_intake(f->keeper->keys, bytes_of_text(first), &pkey), VLT_NOT_FOUND);
    assert_class(system_keys_intake(f->keeper->keys, bytes_of_text(second), &pkey), VLT_NOT_FOUND);
    put(f, 1, "other", "sk-2", false, 0);
}

static void intake_rejects_more_keys_than_can_be_loaded(void **state) {
    struct keeper_fixture *f = *state;
    f->keeper->settings.intake_overlap_s = 600;
    int made = 0;
    while (made < 20 && vlt_is_ok(rotate(f, ROTATION_INTAKE, ROTATION_RUN, 0)))
        made++;
    assert_int_equal(made, SYSTEM_INTAKE_MAX - 1);
    restart(f); // and all of them can be
    put(f, 1, "openai", "sk-1", false, 0);
}

// ---- Data keys ----

static void fill(struct keeper_fixture *f, int from, int to) {
    char name[32], value[32];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "c%d", i);
        snprintf(value, sizeof value, "sk-%d", i);
        put(f, 1, name, value, false, 0);
    }
}

static void all_open(struct keeper_fixture *f, int count) {
    char name[32], value[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "c%d", i);
        snprintf(value, sizeof value, "sk-%d", i);
        opens_as(f, name, value);
    }
}

static bool note_number(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct record_credential_secret secret;
    uint32_t *seen = context;
    assert_ok(record_credential_secret_get(value, &secret));
    seen[secret.data_key < 8 ? secret.data_key : 0]++;
    return true;
}

static void count_numbers(struct keeper_fixture *f, uint32_t seen[8]) {
    memset(seen, 0, 8 * sizeof *seen);
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(store_each(f->keeper->store, 1, STORE_CREDENTIAL_SECRET, bytes_of(NULL, 0),
                         bytes_of(NULL, 0), note_number, seen));
    store_snapshot_end(f->keeper->store);
}

static void tenant_accepts_active_retired_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t seen[8];
    fill(f, 0, 40);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    put(f, 1, "c40", "sk-40", false, 0); // new writes at once under the new key
    wait_steady(f, ROTATION_TENANT, 1);
    count_numbers(f, seen);
    assert_int_equal(seen[2], 41);
    assert_int_equal(seen[1], 0);
    all_open(f, 41);
    assert_null(datakey_find(f->keeper->datakeys, 1, 1));
    assert_class(destroy(f, ROTATION_TENANT, 1, "2"), VLT_CONFLICT);  // in use
    assert_class(destroy(f, ROTATION_TENANT, 1, "1"), VLT_NOT_FOUND); // gone
    assert_class(destroy(f, ROTATION_TENANT, 1, "x"), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_TENANT, ROTATION_EMERGENCY, 1), VLT_MALFORMED);
    assert_class(rotate(f, ROTATION_TENANT, ROTATION_RUN, 99), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_TENANT, ROTATION_RUN, 0), VLT_NOT_FOUND);
    restart(f);
    all_open(f, 41);
}

static void tenant_survives_a_restart_in_the_middle(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t seen[8];
    fill(f, 0, 300);
    struct ask_rotate slow = {
        .kind = ROTATION_TENANT, .mode = ROTATION_RUN, .tenant = 1, .records_per_s = 200};
    assert_ok(rotate_as(f, &slow, NULL));
    for (int i = 0; i < 30; i++)
        keeper_fixture_turn(f, 10);
    count_numbers(f, seen);
    assert_true(seen[1] > 0 && seen[2] > 0);
    assert_class(destroy(f, ROTATION_TENANT, 1, "1"), VLT_CONFLICT); // records name it
    restart(f);
    rotations_tick(f->keeper);                              // as the timer does
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1)); // the same command: faster
    wait_steady(f, ROTATION_TENANT, 1);
    count_numbers(f, seen);
    assert_int_equal(seen[2], 300);
    assert_int_equal(seen[1], 0);
    all_open(f, 20);
}

static void tenant_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_TENANT, .mode = ROTATION_RUN, .tenant = 1};
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.expected_revision = revision_of(f, ROTATION_TENANT);
    ask.event = event();
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    json_decref(first.json);
    wait_steady(f, ROTATION_TENANT, 1);
    assert_class(rotate_as(f, &ask, NULL), VLT_CONFLICT); // the revision is an old one
}

struct copy {
    uint8_t name[RECORD_SECRET_NAME_MAX], value[2048];
    size_t name_bytes, value_bytes;
};

static bool take_copy(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct copy *copy = context;
    memcpy(copy->name, name.at, copy->name_bytes = name.size);
    memcpy(copy->value, value.at, copy->value_bytes = value.size);
    return false;
}

struct raw_commit {
    struct commit commit;
    bool is_done;
    vlt_result result;
};
static void raw_done(struct commit *commit, vlt_result result, uint64_t revision) {
    struct raw_commit *raw = (struct raw_commit *)commit;
    raw->is_done = true;
    raw->result = result;
}

// Crypto-shredding: ciphertext of before, put back as from a backup, is noise.
static void tenant_rejects_old_ciphertext_after_its_key_was_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    struct copy old = {.name_bytes = 0};
    struct opened_answer opened;
    struct signed_answer token;
    fill(f, 0, 3);
    sign(f, "c0", &token);
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(store_each(f->keeper->store, 1, STORE_CREDENTIAL_SECRET, bytes_of(NULL, 0),
                         bytes_of(NULL, 0), take_copy, &old));
    store_snapshot_end(f->keeper->store);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    wait_steady(f, ROTATION_TENANT, 1);
    const struct store_change change = {.tenant = 1,
                                        .class = STORE_CREDENTIAL_SECRET,
                                        .name = bytes_of(old.name, old.name_bytes),
                                        .value = bytes_of(old.value, old.value_bytes),
                                        .expected_revision = STORE_ANY_REVISION};
    struct raw_commit raw = {.commit = {.changes = &change, .count = 1, .done = raw_done}};
    commit_queue_add(f->keeper->commits, &raw.commit);
    keeper_fixture_wait(f, &raw.is_done);
    assert_ok(raw.result);
    assert_false(vlt_is_ok(open_with(f, token.token, "c0", &opened)));
    opens_as(f, "c1", "sk-1");
    // Another rotation does not trip over it: it ends for everybody else and says so.
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    for (int i = 0; i < 40; i++)
        keeper_fixture_turn(f, 5);
    opens_as(f, "c1", "sk-1");
    is_in_state(f, ROTATION_TENANT, "waiting");
}

// A put that waits for its record is encrypted under the key that is replaced
// meanwhile: the key must outlive it.
static void tenant_survives_a_put_that_is_overtaken(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t seen[8];
    fill(f, 0, 2);
    struct datakey_use *use = datakey_use_begin(f->keeper, 1, 1);
    assert_non_null(use);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    for (int i = 0; i < 40; i++)
        keeper_fixture_turn(f, 5);
    count_numbers(f, seen);
    assert_int_equal(seen[1], 0);
    is_in_state(f, ROTATION_TENANT, "counting"); // nothing names it, and it is kept
    assert_class(destroy(f, ROTATION_TENANT, 1, "1"), VLT_CONFLICT);
    datakey_use_end(f->keeper, use);
    wait_steady(f, ROTATION_TENANT, 1);
    all_open(f, 2);
}

// ---- Wrapping keys ----

static bool note_slots(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct record_datakey record;
    uint32_t *seen = context;
    assert_ok(record_datakey_get(value, &record));
    for (size_t i = 0; i < record.slot_count; i++)
        seen[record.slots[i].generation < 8 ? record.slots[i].generation : 0]++;
    return true;
}

static void count_slots(struct keeper_fixture *f, uint32_t seen[8]) {
    memset(seen, 0, 8 * sizeof *seen);
    assert_ok(store_snapshot_begin(f->keeper->store));
    for (uint32_t tenant = 0; tenant < f->keeper->next_tenant; tenant++)
        assert_ok(store_each(f->keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0),
                             bytes_of(NULL, 0), note_slots, seen));
    store_snapshot_end(f->keeper->store);
}

static void wrapping_accepts_active_retired_ending_gone(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t number, seen[8];
    char first[65], second[65], name[16];
    for (int i = 0; i < 5; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_ok(fixture_tenant(f, name, &number));
    }
    fill(f, 0, 2);
    key_of(f, ROTATION_WRAPPING, "active", first);
    assert_ok(rotate(f, ROTATION_WRAPPING, ROTATION_RUN, 0));
    assert_class(destroy(f, ROTATION_WRAPPING, 0, first), VLT_CONFLICT);
    wait_steady(f, ROTATION_WRAPPING, 0);
    key_of(f, ROTATION_WRAPPING, "active", second);
    assert_string_not_equal(first, second);
    assert_class(destroy(f, ROTATION_WRAPPING, 0, second), VLT_CONFLICT);
    assert_class(destroy(f, ROTATION_WRAPPING, 0, first), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_WRAPPING, ROTATION_EMERGENCY, 0), VLT_MALFORMED);
    count_slots(f, seen);
    assert_int_equal(seen[1], 0);
    assert_int_equal(seen[2], 7); // the system's, the first tenant's, and five
    assert_int_equal(seen[0], 7); // their offline slots are as they were
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    wait_steady(f, ROTATION_TENANT, 1);
    count_slots(f, seen);
    assert_int_equal(seen[0], 7); // a new data key has one, too
    all_open(f, 2);
    restart(f);
    all_open(f, 2);
    assert_ok(fixture_tenant(f, "late", &number));
    put(f, number, "x", "sk-x", false, 0);
    for (int i = 0; i < 4; i++) { // more generations than a device has open at once
        assert_ok(rotate(f, ROTATION_WRAPPING, ROTATION_RUN, 0));
        wait_steady(f, ROTATION_WRAPPING, 0);
    }
    restart(f);
    all_open(f, 2);
}

static void wrapping_survives_a_restart_at_every_step(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t number, seen[8];
    char name[16];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_ok(fixture_tenant(f, name, &number));
    }
    fill(f, 0, 2);
    assert_ok(rotate(f, ROTATION_WRAPPING, ROTATION_RUN, 0));
    for (unsigned i = 0; i < 12; i++) { // each gets a little further
        keeper_fixture_turn(f, i);
        restart(f);
        all_open(f, 1);
        rotations_tick(f->keeper);
    }
    wait_steady(f, ROTATION_WRAPPING, 0);
    count_slots(f, seen);
    assert_int_equal(seen[2], 8);
    all_open(f, 2);
}

static void wrapping_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_WRAPPING, .mode = ROTATION_RUN};
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.expected_revision = revision_of(f, ROTATION_WRAPPING);
    ask.event = event();
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    json_decref(first.json);
    wait_steady(f, ROTATION_WRAPPING, 0);
}

// ---- Versions of a credential ----

static void rollback_accepts_the_previous_value(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t version = 0;
    put(f, 1, "openai", "sk-1", false, 0);
    assert_class(rollback(f, "openai", &version), VLT_CONFLICT); // nothing to go back to
    assert_class(rollback(f, "nobody", &version), VLT_NOT_FOUND);
    put(f, 1, "openai", "sk-2", true, 300);
    opens_as(f, "openai", "sk-2");
    assert_ok(rollback(f, "openai", &version));
    assert_int_equal(version, 3); // numbers only grow
    opens_as(f, "openai", "sk-1");
    assert_ok(rollback(f, "openai", &version)); // and forward again
    assert_int_equal(version, 4);
    opens_as(f, "openai", "sk-2");
    put(f, 1, "openai", "sk-3", true, 0); // no grace: the previous one is gone
    assert_class(rollback(f, "openai", &version), VLT_CONFLICT);
    restart(f);
    opens_as(f, "openai", "sk-3");
}

static void rollback_accepts_a_value_under_a_retired_data_key(void **state) {
    struct keeper_fixture *f = *state;
    uint32_t version = 0, seen[8];
    put(f, 1, "openai", "sk-1", false, 0);
    put(f, 1, "openai", "sk-2", true, 300);
    assert_ok(rotate(f, ROTATION_TENANT, ROTATION_RUN, 1));
    assert_ok(rollback(f, "openai", &version));
    wait_steady(f, ROTATION_TENANT, 1);
    opens_as(f, "openai", "sk-1");
    count_numbers(f, seen);
    assert_int_equal(seen[1], 0);
}

// ---- The vault's own data key ----

static void system_accepts_active_retired_destroyed(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer before;
    struct opened_answer opened;
    fill(f, 0, 3);
    sign(f, "c0", &before);
    f->keeper->settings.publication_s = 600;
    f->keeper->settings.intake_overlap_s = 600;
    assert_ok(rotate(f, ROTATION_SIGNING, ROTATION_RUN, 0)); // a published key is one, too
    assert_ok(rotate(f, ROTATION_INTAKE, ROTATION_RUN, 0));
    assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
    is_in_state(f, ROTATION_SYSTEM, "re-encrypting");
    assert_int_equal(f->keeper->keys->active_datakey, 2);
    assert_class(destroy(f, ROTATION_SYSTEM, 0, "1"), VLT_CONFLICT); // records name it
    assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));          // the same command goes on
    wait_steady(f, ROTATION_SYSTEM, 0);
    assert_int_equal(f->keeper->keys->datakey_count, 1);
    assert_class(destroy(f, ROTATION_SYSTEM, 0, "2"), VLT_CONFLICT);  // in use
    assert_class(destroy(f, ROTATION_SYSTEM, 0, "1"), VLT_NOT_FOUND); // gone
    assert_class(destroy(f, ROTATION_SYSTEM, 0, "x"), VLT_NOT_FOUND);
    assert_class(rotate(f, ROTATION_SYSTEM, ROTATION_EMERGENCY, 0), VLT_MALFORMED);
    assert_ok(open_with(f, before.token, "c0", &opened)); // what it signed is what it was
    restart(f); // loads every record of the vault with that one key
    assert_int_equal(f->keeper->keys->token_keys->count, 2);
    assert_int_equal(f->keeper->keys->intake_count, 2);
    assert_int_equal(f->keeper->keys->active_datakey, 2);
    assert_ok(open_with(f, before.token, "c0", &opened));
    all_open(f, 3);
}

static void system_accepts_many_rotations(void **state) {
    struct keeper_fixture *f = *state;
    fill(f, 0, 1);
    for (uint32_t i = 2; i < SYSTEM_DATAKEYS_MAX + 4; i++) {
        assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
        wait_steady(f, ROTATION_SYSTEM, 0);
        assert_int_equal(f->keeper->keys->active_datakey, i);
    }
    restart(f);
    all_open(f, 1);
}

static void system_survives_a_restart_at_every_step(void **state) {
    struct keeper_fixture *f = *state;
    fill(f, 0, 2);
    for (int steps = 0; steps < 4; steps++) {
        assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
        for (int i = 0; i < steps; i++) {
            rotations_tick(f->keeper);
            keeper_fixture_turn(f, 5);
        }
        restart(f);
        all_open(f, 2);
        wait_steady(f, ROTATION_SYSTEM, 0);
        assert_int_equal(f->keeper->keys->datakey_count, 1);
    }
    restart(f);
    all_open(f, 2);
}

static void system_rejects_the_second_of_two_administrators(void **state) {
    struct keeper_fixture *f = *state;
    struct ask_rotate ask = {.kind = ROTATION_SYSTEM, .mode = ROTATION_RUN};
    struct outcome first = {.is_done = false}, second = {.is_done = false};
    ask.expected_revision = revision_of(f, ROTATION_SYSTEM);
    ask.event = event();
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &first);
    ask_rotate(f->mine[IPC_ADMIN], &ask, rotated, &second);
    keeper_fixture_wait(f, &first.is_done);
    keeper_fixture_wait(f, &second.is_done);
    assert_ok(first.result);
    assert_int_equal(second.result.class, VLT_CONFLICT);
    json_decref(first.json);
    wait_steady(f, ROTATION_SYSTEM, 0);
    assert_class(rotate_as(f, &ask, NULL), VLT_CONFLICT); // the revision is an old one
}

// A key that was encrypted before and is not committed yet: the old data key waits.
static void system_survives_a_writer_that_is_overtaken(void **state) {
    struct keeper_fixture *f = *state;
    fill(f, 0, 1);
    f->keeper->rotations->is_changing_keys = true;
    assert_ok(rotate(f, ROTATION_SYSTEM, ROTATION_RUN, 0));
    for (int i = 0; i < 40; i++) {
        rotations_tick(f->keeper);
        keeper_fixture_turn(f, 5);
    }
    assert_int_equal(f->keeper->keys->datakey_count, 2);
    is_in_state(f, ROTATION_SYSTEM, "re-encrypting");
    f->keeper->rotations->is_changing_keys = false;
    wait_steady(f, ROTATION_SYSTEM, 0);
    all_open(f, 1);
}

// ---- By age ----

static void schedule_accepts_keys_that_are_old_enough(void **state) {
    struct keeper_fixture *f = *state;
    char before[5][65], after[5][65];
    static const unsigned kinds[] = {ROTATION_SIGNING, ROTATION_INTAKE, ROTATION_TENANT,
                                     ROTATION_WRAPPING, ROTATION_SYSTEM};
    fill(f, 0, 2);
    for (size_t i = 0; i < 5; i++)
        key_of(f, kinds[i], "active", before[i]);
    struct keeper_settings *settings = &f->keeper->settings;
    settings->signing_age_s = settings->intake_age_s = settings->tenant_age_s =
        settings->wrapping_age_s = settings->system_age_s = 3600;
    settings->intake_overlap_s = 600;
    for (int i = 0; i < 12; i++)
        tick(f);
    for (size_t i = 0; i < 5; i++) { // all are young
        key_of(f, kinds[i], "active", after[i]);
        assert_string_equal(before[i], after[i]);
    }
    keeper_fixture_turn(f, 1100);
    settings->signing_age_s = settings->intake_age_s = settings->tenant_age_s =
        settings->wrapping_age_s = settings->system_age_s = 1;
    size_t changed = 0;
    for (int i = 0; i < 150 && changed < 5; i++) {
        tick(f);
        for (changed = 0; changed < 5; changed++) {
            key_of(f, kinds[changed], "active", after[changed]);
            if (strcmp(before[changed], after[changed]) == 0)
                break;
        }
    }
    assert_int_equal(changed, 5);
    settings->signing_age_s = settings->intake_age_s = settings->tenant_age_s =
        settings->wrapping_age_s = settings->system_age_s = 0;
    all_open(f, 2);
}

static void age_accepts_a_tenth_earlier_and_never_later(void **state) {
    struct keeper_fixture *f = *state;
    int64_t now_s = clock_now_s();
    unsigned early = 0;
    for (uint32_t seed = 0; seed < 1000; seed++) {
        assert_true(key_age_is_due(f->keeper, ROTATION_SIGNING, "k", now_s - 1000, 1000, seed));
        assert_false(key_age_is_due(f->keeper, ROTATION_SIGNING, "k", now_s - 890, 1000, seed));
        early += key_age_is_due(f->keeper, ROTATION_SIGNING, "k", now_s - 950, 1000, seed);
    }
    assert_in_range(early, 400, 600);                           // spread evenly
    assert_false(key_age_is_due(f->keeper, ROTATION_SIGNING, "k", 1, 0, 1)); // by hand only
}

static size_t said(const struct keeper_fixture *f, const char *operation) {
    size_t count = 0;
    for (size_t i = 0; i < f->event_count; i++)
        count += strcmp(f->events[i].operation, operation) == 0;
    return count;
}

static bool status_names(struct keeper_fixture *f, const char *list, const char *kind) {
    json_t *json = key_age_json(f->keeper);
    const json_t *kinds = json_object_get(json, list);
    bool is_named = json_array_size(kinds) == 1 &&
                    strcmp(json_string_value(json_array_get(kinds, 0)), kind) == 0;
    json_decref(json);
    return is_named;
}

static void age_accepts_and_says_what_is_late(void **state) {
    struct keeper_fixture *f = *state;
    int64_t now_s = clock_now_s();
    assert_true(key_age_is_due(f->keeper, ROTATION_INTAKE, "k", now_s - 100020, 100000, 1));
    keeper_fixture_settle(f);
    assert_false(status_names(f, "due", "intake")); // in time: nothing to be said
    for (int i = 0; i < 3; i++)                     // said once
        assert_true(key_age_is_due(f->keeper, ROTATION_INTAKE, "k", now_s - 103000, 100000, 1));
    keeper_fixture_turn(f, 50);
    assert_int_equal(said(f, "rotate.intake.due"), 1);
    assert_true(status_names(f, "due", "intake"));
    for (int i = 0; i < 3; i++) // and again when it is worse
        assert_true(key_age_is_due(f->keeper, ROTATION_INTAKE, "k", now_s - 111000, 100000, 1));
    keeper_fixture_turn(f, 50);
    assert_int_equal(said(f, "rotate.intake.overdue"), 1);
    assert_int_equal(said(f, "rotate.intake.due"), 1);
    assert_true(status_names(f, "overdue", "intake"));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define CASE_TPM(test)                                                                             \
    { #test "_tpm", test, begin_tpm, end, NULL }

int main(void) {
    struct fault fault = {0};
    if (!vlt_is_ok(secret_heap_open((size_t)16 << 20, &fault))) {
        fprintf(stderr, "%s\n", fault.text);
        return 99;
    }
    const struct CMUnitTest tests[] = {
        CASE(signing_accepts_next_active_retired_destroyed),
        CASE(signing_accepts_the_end_of_a_retired_key),
        CASE(signing_accepts_a_next_key_that_is_given_up),
        CASE(signing_rejects_the_second_of_two_administrators),
        CASE(emergency_rejects_every_older_token),
        CASE(emergency_rejects_what_waits_for_its_record),
        CASE(intake_accepts_values_for_the_old_key),
        CASE(intake_rejects_more_keys_than_can_be_loaded),
        CASE(tenant_accepts_active_retired_destroyed),
        CASE(tenant_survives_a_restart_in_the_middle),
        CASE(tenant_rejects_the_second_of_two_administrators),
        CASE(tenant_rejects_old_ciphertext_after_its_key_was_destroyed),
        CASE(tenant_survives_a_put_that_is_overtaken),
        CASE(wrapping_accepts_active_retired_ending_gone),
        CASE_TPM(wrapping_accepts_active_retired_ending_gone),
        CASE(wrapping_survives_a_restart_at_every_step),
        CASE(wrapping_rejects_the_second_of_two_administrators),
        CASE(rollback_accepts_the_previous_value),
        CASE(rollback_accepts_a_value_under_a_retired_data_key),
        CASE(system_accepts_active_retired_destroyed),
        CASE(system_accepts_many_rotations),
        CASE(system_survives_a_restart_at_every_step),
        CASE(system_rejects_the_second_of_two_administrators),
        CASE(system_survives_a_writer_that_is_overtaken),
        CASE(schedule_accepts_keys_that_are_old_enough),
        CASE(age_accepts_a_tenth_earlier_and_never_later),
        CASE(age_accepts_and_says_what_is_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
