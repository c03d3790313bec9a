// SPDX-License-Identifier: Apache-2.0
// A keeper whose keys are rotated, and how a test asks for it and looks at it.
// Included by test_keeper_rotation.c and test_keeper_rotation_data.c only.
#ifndef VLT_TESTS_UNIT_ROTATION_CASE_H
#define VLT_TESTS_UNIT_ROTATION_CASE_H

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_datakey.h"
#include "tests/unit/check.h"
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

static struct keeper_fixture fixture;

static inline int begin_with(void **state, enum hsm_kind kind) {
    keeper_fixture_begin(&fixture, kind);
    keeper_fixture_start(&fixture);
    *state = &fixture;
    return vlt_is_ok(fixture_init(&fixture)) ? 0 : 1;
}
static inline int begin(void **state) {
    return begin_with(state, HSM_PKCS11);
}
static inline int begin_tpm(void **state) {
    return begin_with(state, HSM_TPM);
}
static inline int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

// ---- Calls ----

struct outcome { // of calls that race another
    bool is_done;
    vlt_result result;
};
static inline void rotated(vlt_result result, const struct answer_rotate *answer, void *context) {
    *(struct outcome *)context = (struct outcome){true, result};
}

static inline vlt_result rotate(struct keeper_fixture *f, unsigned kind, unsigned mode,
                                uint32_t tenant) {
    struct ask_rotate ask = {.kind = (uint8_t)kind,
                             .mode = (uint8_t)mode,
                             .tenant = tenant,
                             .records_per_s = ROTATION_RATE_UNLIMITED};
    return fixture_rotate(f, &ask, NULL);
}

// ---- Looking ----

static inline json_t *look(struct keeper_fixture *f, unsigned kind, uint32_t tenant) {
    struct ask_rotate ask = {.kind = (uint8_t)kind, .mode = ROTATION_LOOK, .tenant = tenant};
    json_t *json = NULL;
    assert_ok(fixture_rotate(f, &ask, &json));
    assert_non_null(json);
    return json;
}

static inline void is_in_state(struct keeper_fixture *f, unsigned kind, const char *expected) {
    json_t *json = look(f, kind, 1);
    assert_string_equal(json_string_value(json_object_get(json, "state")), expected);
    json_decref(json);
}

static inline void key_of(struct keeper_fixture *f, unsigned kind, const char *member, char *key) {
    json_t *json = look(f, kind, 1), *part = json_object_get(json, member);
    if (json_is_array(part))
        part = json_array_get(part, 0);
    const char *text = json_string_value(json_object_get(part, "key"));
    assert_non_null(text);
    strcpy(key, text);
    json_decref(json);
}

static inline uint64_t revision_of(struct keeper_fixture *f, unsigned kind) {
    json_t *json = look(f, kind, 1);
    uint64_t revision =
        (uint64_t)json_integer_value(json_object_get(json_object_get(json, "active"), "revision"));
    json_decref(json);
    return revision;
}

static inline void wait_steady(struct keeper_fixture *f, unsigned kind, uint32_t tenant) {
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

static inline void tick(struct keeper_fixture *f) {
    rotations_tick(f->keeper);
    keeper_fixture_turn(f, 60);
}

// ---- Credentials and tokens ----

static inline void put(struct keeper_fixture *f, uint32_t tenant, const char *name,
                       const char *value, bool rotates, uint32_t grace_s) {
    const struct put_request request = {.tenant = tenant,
                                        .name = name,
                                        .value = value,
                                        .host = "api.example",
                                        .rotates = rotates,
                                        .grace_s = grace_s};
    assert_ok(fixture_put(f, &request, NULL));
}

static inline void sign(struct keeper_fixture *f, const char *name, struct signed_answer *token) {
    struct token_claims claims;
    fixture_claims(&claims, name, 0x11);
    assert_ok(fixture_sign(f, &claims, 1, 300, token));
}

static inline vlt_result open_with(struct keeper_fixture *f, const char *token, const char *name,
                            struct opened_answer *opened) {
    struct ask_open ask;
    fixture_open_request(&ask, token, name, 0x11);
    return fixture_open(f, &ask, opened);
}

static inline void opens_as(struct keeper_fixture *f, const char *name, const char *value) {
    struct signed_answer token;
    struct opened_answer opened;
    sign(f, name, &token);
    assert_ok(open_with(f, token.token, name, &opened));
    assert_string_equal(opened.value, value);
}

// ---- Many credentials ----

static inline void fill(struct keeper_fixture *f, int from, int to) {
    char name[32], value[32];
    for (int i = from; i < to; i++) {
        snprintf(name, sizeof name, "c%d", i);
        snprintf(value, sizeof value, "sk-%d", i);
        put(f, 1, name, value, false, 0);
    }
}

static inline void all_open(struct keeper_fixture *f, int count) {
    char name[32], value[32];
    for (int i = 0; i < count; i++) {
        snprintf(name, sizeof name, "c%d", i);
        snprintf(value, sizeof value, "sk-%d", i);
        opens_as(f, name, value);
    }
}

static inline bool note_number(struct bytes name, struct bytes value, uint64_t revision,
                               void *context) {
    struct record_credential_secret secret;
    uint32_t *seen = context;
    assert_ok(record_credential_secret_get(value, &secret));
    seen[secret.data_key < 8 ? secret.data_key : 0]++;
    return true;
}

static inline void count_numbers(struct keeper_fixture *f, uint32_t seen[8]) {
    memset(seen, 0, 8 * sizeof *seen);
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(store_each(f->keeper->store, 1, STORE_CREDENTIAL_SECRET, bytes_of(NULL, 0),
                         bytes_of(NULL, 0), note_number, seen));
    store_snapshot_end(f->keeper->store);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
#define CASE_TPM(test)                                                                             \
    { #test "_tpm", test, begin_tpm, end, NULL }

#endif
