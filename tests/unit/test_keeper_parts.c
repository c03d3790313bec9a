// SPDX-License-Identifier: Apache-2.0
// The keeper's small parts: permit, replay, seen tokens, settings, rests.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "vaultd/keeper/keeper_settings.h"
#include "vaultd/keeper/permit.h"
#include "vaultd/keeper/replay.h"
#include "vaultd/keeper/scrub.h"
#include "vaultd/keeper/seen.h"

// ---- permit: every message × state × role against a table of its own ----

struct allowed {
    unsigned message;
    enum ipc_role from;
    const char *states; // letters: s starting, n uninitialised, S sealed, U unsealed
};
static const struct allowed every_ask[] = {
    {IPC_ASK_sign, IPC_BROKER, "U"},          {IPC_ASK_revoke_token, IPC_BROKER, "U"},
    {IPC_ASK_open, IPC_REDEEMER, "U"},        {IPC_ASK_init, IPC_ADMIN, "n"},
    {IPC_ASK_seal, IPC_ADMIN, "SU"},          {IPC_ASK_status, IPC_ADMIN, "snSU"},
    {IPC_ASK_tenant_create, IPC_ADMIN, "U"},  {IPC_ASK_commit, IPC_ADMIN, "U"},
    {IPC_ASK_credential_put, IPC_ADMIN, "U"}, {IPC_ASK_credential_state, IPC_ADMIN, "U"},
    {IPC_ASK_revoke_rule, IPC_ADMIN, "SU"},   {IPC_ASK_rotate, IPC_ADMIN, "U"},
    {IPC_ASK_key_list, IPC_ADMIN, "U"},       {IPC_ASK_key_destroy, IPC_ADMIN, "U"},
    {IPC_ASK_credential_rollback, IPC_ADMIN, "U"},
    {IPC_ASK_credential_step, IPC_ADMIN, "U"},
    {IPC_ASK_job_next, IPC_ROTATOR, "U"},     {IPC_ASK_job_open, IPC_ROTATOR, "U"},
    {IPC_ASK_job_report, IPC_ROTATOR, "U"},   {IPC_ASK_job_minted, IPC_ROTATOR, "U"},
    {IPC_ASK_job_order, IPC_ADMIN, "U"},
    {IPC_ASK_sign_checkpoint, IPC_AUDITOR, "U"},
    {IPC_ASK_backup_begin, IPC_ADMIN, "U"},   {IPC_ASK_backup_next, IPC_ADMIN, "U"},
    {IPC_ASK_recovery_key, IPC_ADMIN, "S"},   {IPC_ASK_recover, IPC_ADMIN, "S"},
    {IPC_ASK_attest, IPC_ADMIN, "U"},
    {IPC_ASK_device_list, IPC_ADMIN, "snSU"}, {IPC_ASK_device_change, IPC_ADMIN, "U"},
    {IPC_ASK_serving, IPC_BROKER, "U"},       {IPC_ASK_serving, IPC_REDEEMER, "U"},
    {IPC_ASK_boot_show, IPC_ADMIN, "snSU"},   {IPC_ASK_boot_approve, IPC_ADMIN, "SU"},
    {IPC_ASK_alive, IPC_SUPERVISOR, "snSU"},
};

static bool is_allowed(unsigned message, enum ipc_role from, enum keeper_state state) {
    static const char letters[] = "snSU";
    for (size_t i = 0; i < sizeof every_ask / sizeof *every_ask; i++)
        if (every_ask[i].message == message && every_ask[i].from == from)
            return strchr(every_ask[i].states, letters[state]);
    return false;
}

static void permit_accepts_exactly_the_table(void **state) {
    unsigned permitted = 0;
    for (unsigned message = 0; message < IPC_MESSAGE_COUNT + 5; message++)
        for (unsigned from = 0; from < IPC_ROLE_COUNT + 2; from++)
            for (unsigned at = KEEPER_STARTING; at <= KEEPER_UNSEALED; at++) {
                bool is_ok =
                    vlt_is_ok(permit_ask(message, (enum ipc_role)from, (enum keeper_state)at));
                if (is_ok != is_allowed(message, (enum ipc_role)from, (enum keeper_state)at))
                    fail_msg("message %u from role %u in state %u", message, from, at);
                permitted += is_ok;
            }
    assert_int_equal(permitted, 49);
}

static void permit_rejects_with_a_class_that_helps(void **state) {
    assert_int_equal(permit_ask(IPC_ASK_open, IPC_BROKER, KEEPER_UNSEALED).class, VLT_DENIED);
    assert_int_equal(permit_ask(IPC_ASK_record, IPC_ADMIN, KEEPER_UNSEALED).class, VLT_DENIED);
    assert_int_equal(permit_ask(IPC_ASK_open, IPC_REDEEMER, KEEPER_SEALED).class, VLT_UNAVAILABLE);
    assert_int_equal(permit_ask(IPC_ASK_init, IPC_ADMIN, KEEPER_UNSEALED).class, VLT_CONFLICT);
}

// ---- replay ----

static void id_of(uint32_t number, uint8_t id[REPLAY_ID_SIZE]) {
    // Spread like a hash: consecutive numbers do not share a set.
    for (size_t i = 0; i < REPLAY_ID_SIZE; i++)
        id[i] = (uint8_t)((number * 2654435761u) >> (i % 4 * 8)) ^ (uint8_t)(i * 31);
}

static void replay_rejects_the_second_use(void **state) {
    struct replay *replay = replay_new(1024);
    uint8_t id[REPLAY_ID_SIZE], other[REPLAY_ID_SIZE];
    id_of(1, id);
    id_of(2, other);
    assert_ok(replay_check(replay, id, 1060, 1000));
    assert_int_equal(replay_check(replay, id, 1060, 1000).class, VLT_DENIED);
    assert_int_equal(replay_check(replay, id, 1060, 1060).class, VLT_DENIED);
    assert_ok(replay_check(replay, other, 1060, 1060));
    // Stale now: the verifier refuses it for its age, and we forget it.
    assert_int_equal(replay_check(replay, id, 1060, 1061).class, VLT_DENIED);
    assert_ok(replay_check(replay, id, 1200, 1100));
    replay_free(replay);
}

static void replay_rejects_odd_times(void **state) {
    struct replay *replay = replay_new(64);
    uint8_t id[REPLAY_ID_SIZE];
    id_of(1, id);
    assert_int_equal(replay_check(replay, id, 999, 1000).class, VLT_DENIED);
    assert_int_equal(replay_check(replay, id, 1001 + REPLAY_HORIZON_MAX_S, 1000).class, VLT_DENIED);
    assert_int_equal(replay_check(replay, id, UINT64_MAX, 1000).class, VLT_DENIED);
    assert_ok(replay_check(replay, id, 1000 + REPLAY_HORIZON_MAX_S, 1000));
    id_of(2, id);
    assert_int_equal(replay_check(replay, id, 10, 5).class, VLT_UNAVAILABLE); // clock set back
    replay_free(replay);
}

static void replay_survives_being_full(void **state) {
    struct replay *replay = replay_new(256);
    uint8_t id[REPLAY_ID_SIZE];
    unsigned taken = 0, refused = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        id_of(i, id);
        vlt_result result = replay_check(replay, id, 1050, 1000);
        taken += vlt_is_ok(result);
        refused += result.class == VLT_LIMIT;
    }
    assert_int_equal(taken + refused, 2000);
    assert_int_equal(taken, 256); // every place is used, and not one more
    // Nothing that was taken is forgotten while it counts.
    unsigned again = 0;
    for (uint32_t i = 0; i < 2000; i++) {
        id_of(i, id);
        again += vlt_is_ok(replay_check(replay, id, 1050, 1000));
    }
    assert_int_equal(again, 0);
    for (uint32_t i = 0; i < 100; i++) {
        id_of(i + 5000, id);
        assert_ok(replay_check(replay, id, 1100, 1051)); // the old ones are stale
    }
    replay_free(replay);
}

static void replay_knows_no_proof(void **state) {
    uint8_t id[REPLAY_ID_SIZE] = {0};
    assert_true(replay_id_is_none(id));
    id[31] = 1;
    assert_false(replay_id_is_none(id));
}

// ---- seen tokens ----

static struct seen_token *add(struct seen *seen, uint8_t number, const char *id) {
    struct token_claims claims = {.tenant = BYTES_LITERAL("default"),
                                  .id = bytes_of_text(id),
                                  .principal = BYTES_LITERAL("i|s"),
                                  .client = BYTES_LITERAL("cli"),
                                  .detail_count = 1};
    claims.details[0].credential = BYTES_LITERAL("c");
    uint8_t key[SEEN_KEY_SIZE] = {number};
    return seen_add(seen, key, &claims);
}

static void seen_accepts_and_forgets_the_oldest(void **state) {
    struct seen *seen = seen_new(3);
    struct seen_token *held = seen_hold(add(seen, 0, "zero"));
    for (uint8_t i = 1; i < 5; i++)
        assert_non_null(add(seen, i, "more"));
    for (uint8_t i = 0; i < 5; i++) {
        uint8_t key[SEEN_KEY_SIZE] = {i};
        assert_int_equal(seen_find(seen, key) != NULL, i >= 2);
    }
    struct token_claims claims; // what is held outlives its place
    assert_ok(token_claims_get(bytes_of(held->claims, held->claims_bytes), &claims));
    assert_true(bytes_equal_text(claims.id, "zero"));
    seen_release(held);
    seen_clear(seen);
    uint8_t key[SEEN_KEY_SIZE] = {4};
    assert_null(seen_find(seen, key));
    seen_free(seen);
}

static void seen_rejects_a_key_that_differs_late(void **state) {
    struct seen *seen = seen_new(3);
    add(seen, 1, "a");
    uint8_t key[SEEN_KEY_SIZE] = {1};
    assert_non_null(seen_find(seen, key));
    key[SEEN_KEY_SIZE - 1] = 1; // same bucket
    assert_null(seen_find(seen, key));
    seen_free(seen);
}

// ---- settings ----

static struct bytes settings_of(struct tell_settings_keeper tell) {
    static uint8_t room[4096];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    tell_settings_keeper_encode(&w, &tell);
    return bytes_of(room, w.size);
}

static void settings_accept_more_devices(void **state) {
    uint8_t room[1024];
    struct wire_writer w;
    struct keeper_settings settings, next;
    struct fault fault = {0};
    static const char *const texts[] = {"spare", "pkcs11", "", "pkcs11:token=spare",
                                        "/m.so", "/pin"};
    wire_writer_init(&w, room, sizeof room);
    for (size_t i = 0; i < 6; i++)
        wire_put_text(&w, texts[i]);
    wire_put_u32(&w, 0); // bound to no PCR, no approver
    wire_put_raw(&w, bytes_of((const uint8_t[BOOT_POINT_BYTES]){0}, BOOT_POINT_BYTES));
    struct tell_settings_keeper tell = {.issuer = BYTES_LITERAL("https://v"),
                                        .store_path = BYTES_LITERAL("/s"),
                                        .device_kind = BYTES_LITERAL("tpm"),
                                        .device_tcti = BYTES_LITERAL("device:/dev/tpmrm0"),
                                        .token_max_lifetime_s = 600};
    assert_ok(keeper_settings_decode(settings_of(tell), &fault, &settings));
    assert_int_equal(settings.device_count, 1);
    assert_string_equal(settings.devices[0].name, "main");
    assert_int_equal(settings.device_probe_s, 10);
    tell.more_devices = bytes_of(room, w.size);
    assert_ok(keeper_settings_decode(settings_of(tell), &fault, &next));
    assert_int_equal(next.device_count, 2);
    assert_string_equal(next.devices[1].name, "spare");
    assert_string_equal(next.devices[1].hsm.p11_uri, "pkcs11:token=spare");
    // They may come with a reload, not go or change.
    assert_ok(keeper_settings_check_reload(&settings, &next, &fault));
    assert_int_equal(keeper_settings_check_reload(&next, &settings, &fault).class, VLT_CONFLICT);
    assert_non_null(strstr(fault.text, "spare"));
    for (size_t cut = 1; cut < w.size; cut++) {
        tell.more_devices = bytes_of(room, cut);
        assert_false(vlt_is_ok(keeper_settings_decode(settings_of(tell), &fault, &next)));
    }
    for (size_t n = 1; n < 4; n++) // with the first one: one too many
        memcpy(room + n * w.size, room, w.size);
    tell.more_devices = bytes_of(room, 4 * w.size);
    assert_int_equal(keeper_settings_decode(settings_of(tell), &fault, &next).class, VLT_LIMIT);
}

static void settings_accept_and_reject(void **state) {
    const struct tell_settings_keeper good = {.issuer = BYTES_LITERAL("https://v"),
                                              .store_path = BYTES_LITERAL("/s"),
                                              .device_kind = BYTES_LITERAL("tpm"),
                                              .device_tcti = BYTES_LITERAL("device:/dev/tpmrm0"),
                                              .token_max_lifetime_s = 600};
    struct keeper_settings settings, next;
    struct fault fault = {0};
    assert_ok(keeper_settings_decode(settings_of(good), &fault, &settings));
    assert_int_equal(settings.device.kind, HSM_TPM);
    struct tell_settings_keeper bad = good;
    bad.device_kind = BYTES_LITERAL("soft");
    assert_false(vlt_is_ok(keeper_settings_decode(settings_of(bad), &fault, &next)));
    assert_non_null(strstr(fault.text, "device kind"));
    bad = good;
    bad.token_max_lifetime_s = 0;
    assert_false(vlt_is_ok(keeper_settings_decode(settings_of(bad), &fault, &next)));
    bad.token_max_lifetime_s = KEEPER_LIFETIME_MAX_S + 1;
    assert_false(vlt_is_ok(keeper_settings_decode(settings_of(bad), &fault, &next)));
    bad = good;
    bad.issuer = BYTES_LITERAL("");
    assert_false(vlt_is_ok(keeper_settings_decode(settings_of(bad), &fault, &next)));
    bad = good;
    bad.token_max_lifetime_s = 5;
    assert_ok(keeper_settings_decode(settings_of(bad), &fault, &next));
    assert_ok(keeper_settings_check_reload(&settings, &next, &fault));
    bad.device_tcti = BYTES_LITERAL("device:/dev/other");
    assert_ok(keeper_settings_decode(settings_of(bad), &fault, &next));
    assert_int_equal(keeper_settings_check_reload(&settings, &next, &fault).class, VLT_CONFLICT);
    bad = good;
    bad.store_path = BYTES_LITERAL("/t");
    assert_ok(keeper_settings_decode(settings_of(bad), &fault, &next));
    assert_int_equal(keeper_settings_check_reload(&settings, &next, &fault).class, VLT_CONFLICT);
}

// ---- scrub: how long what is destroyed next may stay ----

static void scrub_rest_survives_a_run_that_was_held_up(void **state) {
    const uint64_t gib = 1 << 18; // pages
    assert_int_equal(scrub_rest_ms(0, 0), 10000);
    assert_int_equal(scrub_rest_ms(100, 44), 10000);
    assert_int_equal(scrub_rest_ms(7000, 44), 10000); // not 140 s
    assert_int_equal(scrub_rest_ms(INT64_MAX, 44), 10000);
    // A large file is not overwritten all the time.
    assert_int_equal(scrub_rest_ms(4000, gib), 80000);
    assert_int_equal(scrub_rest_ms(60000, gib), 163840);
    assert_int_equal(scrub_rest_ms(INT64_MAX, gib), 163840);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permit_accepts_exactly_the_table),
        cmocka_unit_test(permit_rejects_with_a_class_that_helps),
        cmocka_unit_test(replay_rejects_the_second_use),
        cmocka_unit_test(replay_rejects_odd_times),
        cmocka_unit_test(replay_survives_being_full),
        cmocka_unit_test(replay_knows_no_proof),
        cmocka_unit_test(seen_accepts_and_forgets_the_oldest),
        cmocka_unit_test(seen_rejects_a_key_that_differs_late),
        cmocka_unit_test(settings_accept_and_reject),
        cmocka_unit_test(settings_accept_more_devices),
        cmocka_unit_test(scrub_rest_survives_a_run_that_was_held_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
