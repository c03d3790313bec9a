// SPDX-License-Identifier: Apache-2.0
// The token signing key in a PKCS#11 device: from memory into it and back, what
// is signed meanwhile, what a device that is slow, sick or gone does to it.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"
#include "libvault/store/record_key.h"
#include "tests/devices/p11_shim.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/keeper/device_thread.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/keeper/system_keys.h"

static struct p11_shim *shim;
static struct keeper_fixture fixture;

static int begin_in(void **state, bool in_device) {
    memset(shim, 0, sizeof *shim);
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    snprintf(fixture.device.settings.p11_module, sizeof fixture.device.settings.p11_module, "%s",
             P11_SHIM_PATH);
    fixture.signs_in_device = in_device;
    keeper_fixture_start(&fixture);
    *state = &fixture;
    if (!vlt_is_ok(fixture_init(&fixture)))
        return 1;
    struct put_request put = {
        .tenant = 1, .name = "openai", .value = "sk-1", .host = "api.example"};
    uint32_t version;
    return vlt_is_ok(fixture_put(&fixture, &put, &version)) ? 0 : 1;
}
static int begin(void **state) {
    return begin_in(state, true);
}
static int begin_in_memory(void **state) {
    return begin_in(state, false);
}
static int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

static vlt_result sign(struct keeper_fixture *f, struct signed_answer *answer) {
    struct token_claims claims;
    fixture_claims(&claims, "openai", 0);
    return fixture_sign(f, &claims, 1, 60, answer);
}

static vlt_result open_with(struct keeper_fixture *f, const char *token) {
    struct ask_open ask;
    struct opened_answer opened;
    fixture_open_request(&ask, token, "openai", 0);
    return fixture_open(f, &ask, &opened);
}

static void signs_and_opens(struct keeper_fixture *f, struct signed_answer *answer) {
    assert_ok(sign(f, answer));
    assert_ok(open_with(f, answer->token));
}

// Of a device that was sick until now: a look may have found it lost meanwhile, and then the
// next one has to find it back.
static void signs_and_opens_again(struct keeper_fixture *f, struct signed_answer *answer) {
    for (unsigned turns = 0; !vlt_is_ok(sign(f, answer)); turns++) {
        assert_in_range(turns, 0, 600);
        keeper_fixture_turn(f, 100);
    }
    assert_ok(open_with(f, answer->token));
}

static bool is_in_device(struct keeper_fixture *f) {
    return system_keys_signer(f->keeper->keys, f->keeper->keys->signing->kid) != NULL;
}

// ---- Rotation ----

static vlt_result rotate(struct keeper_fixture *f, unsigned mode) {
    const struct ask_rotate ask = {.kind = ROTATION_SIGNING, .mode = (uint8_t)mode};
    return fixture_rotate(f, &ask, NULL);
}

static void tick(struct keeper_fixture *f) {
    rotations_tick(f->keeper);
    keeper_fixture_settle(f);
    while (device_pending(f->keeper->device))
        keeper_fixture_turn(f, 10);
}

static void move_to(struct keeper_fixture *f, bool in_device) {
    f->keeper->settings.signs_in_device = in_device;
    f->keeper->settings.publication_s = 0;
    assert_ok(rotate(f, ROTATION_RUN));
    tick(f);
    assert_int_equal(is_in_device(f), in_device);
}

// What the device itself says, asked from outside.
static unsigned pairs_in_device(void) {
    char line[256];
    unsigned count = 0;
    FILE *out = popen("pkcs11-tool --module " DEVICE_FIXTURE_SOFTHSM
                      " --token-label " DEVICE_FIXTURE_LABEL " --login --pin " DEVICE_FIXTURE_PIN
                      " --list-objects --type privkey 2>/dev/null",
                      "r");
    assert_non_null(out);
    while (fgets(line, sizeof line, out))
        count += strstr(line, "Private Key Object") != NULL;
    pclose(out);
    return count;
}

// ---- Cases ----

static void signer_accepts_a_birth_in_the_device(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer before, after;
    char text[4096];
    assert_true(is_in_device(f));
    assert_false(f->keeper->keys->signing->is_private); // nothing here could sign
    signs_and_opens(f, &before);
    assert_ok(fixture_status(f, text, sizeof text));
    assert_non_null(strstr(text, "\"signing_in\":\"device\""));
    assert_null(strstr(text, "\"known_answer_at\":0"));
    assert_non_null(strstr(text, "CKM_AES_GCM"));
    keeper_fixture_restart(f);
    assert_ok(open_with(f, before.token));
    signs_and_opens(f, &after);
    assert_int_equal(shim->value_count, 0);
}

static void signer_accepts_the_way_into_the_device_and_back(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer tokens[3];
    assert_false(is_in_device(f));
    assert_int_equal(pairs_in_device(), 0);
    signs_and_opens(f, &tokens[0]);
    move_to(f, true);
    signs_and_opens(f, &tokens[1]);
    assert_int_equal(pairs_in_device(), 1);
    move_to(f, false);
    signs_and_opens(f, &tokens[2]);
    for (size_t i = 0; i < 3; i++) // no client noticed
        assert_ok(open_with(f, tokens[i].token));
    keeper_fixture_restart(f);
    for (size_t i = 0; i < 3; i++)
        assert_ok(open_with(f, tokens[i].token));
    f->keeper->settings.token_max_lifetime_s = 0;
    assert_ok(
        rotate(f, ROTATION_EMERGENCY)); // every other key is destroyed, that in the device too
    tick(f);
    assert_int_equal(pairs_in_device(), 0);
    for (size_t i = 0; i < 3; i++)
        assert_class(open_with(f, tokens[i].token), VLT_CRYPTO);
}

static void signer_accepts_rotation_in_the_device(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer old, new;
    signs_and_opens(f, &old);
    f->keeper->settings.token_max_lifetime_s = 0; // the old key has nothing to wait for
    move_to(f, true);
    f->keeper->settings.token_max_lifetime_s = 600;
    signs_and_opens(f, &new);
    tick(f); // destroys the retired one
    tick(f);
    assert_int_equal(pairs_in_device(), 1);
    assert_int_equal(f->keeper->keys->signer_count, 1);
    assert_false(vlt_is_ok(open_with(f, old.token)));
    assert_ok(open_with(f, new.token));
}

static void signer_rejects_what_leaves_no_trace(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    f->keeper->settings.signs_in_device = true;
    shim->generate = (struct p11_shim_fault){CKR_DEVICE_MEMORY, 1};
    assert_class(rotate(f, ROTATION_RUN), VLT_UNAVAILABLE);
    signs_and_opens(f, &token);
    f->auditor = AUDITOR_FAILS; // made, and the change is refused: destroyed again
    assert_class(rotate(f, ROTATION_RUN), VLT_UNAVAILABLE);
    f->auditor = AUDITOR_WRITES;
    tick(f);
    assert_int_equal(pairs_in_device(), 0);
    assert_ok(rotate(f, ROTATION_RUN));
    assert_int_equal(pairs_in_device(), 1);
}

struct counted {
    unsigned signed_count, failed_count;
};

static void counted(vlt_result result, const struct answer_sign *answer, void *context) {
    struct counted *count = context;
    count->signed_count += vlt_is_ok(result);
    count->failed_count += !vlt_is_ok(result);
}

static void ask_many(struct keeper_fixture *f, unsigned times, struct counted *count) {
    uint8_t claims_room[4096], event_room[512];
    struct token_claims claims;
    struct audit_event event = {.kind = AUDIT_ISSUE, .outcome = AUDIT_ALLOW};
    struct wire_writer w;
    fixture_claims(&claims, "openai", 0);
    wire_writer_init(&w, claims_room, sizeof claims_room);
    token_claims_put(&w, &claims);
    struct ask_sign ask = {.tenant = 1, .claims = bytes_of(claims_room, w.size), .lifetime_s = 60};
    wire_writer_init(&w, event_room, sizeof event_room);
    audit_event_put(&w, &event);
    ask.event = bytes_of(event_room, w.size);
    for (unsigned i = 0; i < times; i++)
        ask_sign(f->mine[IPC_BROKER], &ask, counted, count);
}

static bool opens_beside_slow_signatures(struct keeper_fixture *f, const char *token) {
    struct counted count = {0};
    ask_many(f, 4, &count);
    keeper_fixture_turn(f, 20); // they are with the device now
    int64_t began = clock_elapsed_ms();
    assert_ok(open_with(f, token));
    int64_t took = clock_elapsed_ms() - began;
    bool was_first = count.signed_count + count.failed_count == 0;
    while (count.signed_count + count.failed_count < 4)
        keeper_fixture_turn(f, 50);
    assert_int_equal(count.signed_count, 4);
    return was_first && took <= 90;
}

// A device that takes 100 ms each time delays its own signatures and nothing else.
static void signer_survives_a_slow_device(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    unsigned tries = 0;
    signs_and_opens(f, &token);
    shim->delay_ms = 100;
    while (!opens_beside_slow_signatures(f, token.token))
        assert_in_range(++tries, 1, 9); // a machine that held it up each time
    shim->delay_ms = 0;
}

static void signer_survives_a_sick_device(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    static const enum p11_shim_spoil ways[] = {P11_SHIM_GARBAGE, P11_SHIM_SHORT, P11_SHIM_EMPTY,
                                               P11_SHIM_LONG};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        shim->spoil = ways[i];
        shim->spoil_times = 1; // once: reached anew, and nobody hears of it
        signs_and_opens(f, &token);
        shim->spoil_times = 100;
        assert_class(sign(f, &token), VLT_UNAVAILABLE);
        assert_int_equal(keeper_fixture_last_event(f)->outcome, AUDIT_ERROR);
        assert_ok(open_with(f, token.token)); // what was signed before is good
        shim->spoil_times = 0;
        signs_and_opens_again(f, &token);
    }
}

static void signer_survives_a_device_that_is_pulled_out(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    char text[4096];
    signs_and_opens(f, &token);
    shim->is_pulled_out = true;
    struct signed_answer none;
    for (unsigned i = 0; i < 3; i++)
        assert_class(sign(f, &none), VLT_UNAVAILABLE);
    assert_ok(fixture_status(f, text, sizeof text));
    // In the words of the call that failed, or of the look that found the device lost.
    assert_non_null(strstr(text, "\"signing_trouble\":\""));
    assert_ok(open_with(f, token.token));
    shim->is_pulled_out = false;
    signs_and_opens_again(f, &token); // no restart, no command
    assert_ok(fixture_status(f, text, sizeof text));
    assert_null(strstr(text, "signing_trouble"));
    assert_int_equal(shim->session_count, 1);
}

static void signer_survives_seal_while_the_device_signs(void **state) {
    struct keeper_fixture *f = *state;
    struct signed_answer token;
    struct counted count = {0};
    shim->delay_ms = 50;
    ask_many(f, 3, &count);
    keeper_fixture_turn(f, 10);
    assert_ok(fixture_seal(f, true));
    while (count.signed_count + count.failed_count < 3)
        keeper_fixture_turn(f, 20);
    while (device_pending(f->keeper->device))
        keeper_fixture_turn(f, 20);
    shim->delay_ms = 0;
    assert_int_equal(count.signed_count, 0); // sealed means nothing leaves
    assert_ok(fixture_seal(f, false));
    signs_and_opens(f, &token);
}

// Whoever can write the store names a key of theirs: it does not decrypt.
static void signer_rejects_an_altered_record(void **state) {
    struct keeper_fixture *f = *state;
    char kid[RECORD_KID_MAX + 1];
    uint8_t value[512];
    struct bytes found;
    assert_true(bytes_to_text(bytes_of_text(f->keeper->keys->signing->kid), kid, sizeof kid));
    assert_ok(store_snapshot_begin(f->keeper->store));
    assert_ok(store_get(f->keeper->store, STORE_SYSTEM_TENANT, STORE_SIGNING_SECRET,
                        bytes_of_text(kid), &found, NULL));
    size_t size = found.size;
    memcpy(value, found.at, size);
    store_snapshot_end(f->keeper->store);
    for (size_t i = 0; i < size; i += i == 0 ? 1 : 7) {
        value[i] ^= i ? 1 : RECORD_KEY_PRIVATE ^ RECORD_KEY_IN_DEVICE;
        struct store_change change = {.tenant = STORE_SYSTEM_TENANT,
                                      .class = STORE_SIGNING_SECRET,
                                      .name = bytes_of_text(kid),
                                      .value = bytes_of(value, size),
                                      .expected_revision = STORE_ANY_REVISION};
        uint64_t revision;
        assert_ok(store_commit(f->keeper->store, &change, 1, &revision, NULL));
        struct system_keys next = *f->keeper->keys;
        assert_ok(store_snapshot_begin(f->keeper->store));
        vlt_result result = system_keys_reload(&next, f->keeper->store, NULL);
        store_snapshot_end(f->keeper->store);
        if (vlt_is_ok(result))
            fail_msg("byte %zu of the record of a key was altered and it still loads", i);
        value[i] ^= i ? 1 : RECORD_KEY_PRIVATE ^ RECORD_KEY_IN_DEVICE;
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define MEMORY_CASE(name) cmocka_unit_test_setup_teardown(name, begin_in_memory, end)

int main(void) {
    struct fault fault = {0};
    void *module = dlopen(P11_SHIM_PATH, RTLD_NOW);
    shim = module ? dlsym(module, "p11_shim") : NULL;
    if (!shim || !vlt_is_ok(secret_heap_open(4 << 20, &fault)))
        return fprintf(stderr, "%s\n", shim ? fault.text : dlerror()), 1;
    const struct CMUnitTest tests[] = {
        CASE(signer_accepts_a_birth_in_the_device),
        MEMORY_CASE(signer_accepts_the_way_into_the_device_and_back),
        CASE(signer_accepts_rotation_in_the_device),
        MEMORY_CASE(signer_rejects_what_leaves_no_trace),
        CASE(signer_rejects_an_altered_record),
        CASE(signer_survives_a_slow_device),
        CASE(signer_survives_a_sick_device),
        CASE(signer_survives_a_device_that_is_pulled_out),
        CASE(signer_survives_seal_while_the_device_signs),
    };
    return cmocka_run_group_tests_name("signing key in a device", tests, NULL, NULL);
}
