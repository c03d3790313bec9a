// SPDX-License-Identifier: Apache-2.0
// Records that are no JSON, and what ends tokens before they expire.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/store/record_credential.h"
#include "libvault/store/record_datakey.h"
#include "libvault/store/record_key.h"
#include "libvault/store/record_revocation.h"
#include "tests/unit/check.h"

static void state_survives_mutation(void **state) {
    uint8_t room[32];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    struct record_credential_state in = {RECORD_CREDENTIAL_ACTIVE, 4, 3, 99, 7}, out;
    record_credential_state_put(&w, &in);
    assert_ok(record_credential_state_get(bytes_of(room, w.size), &out));
    assert_int_equal(out.version, 4);
    assert_int_equal(out.previous_version, 3);
    assert_int_equal(out.previous_until, 99);
    assert_int_equal(out.created_at, 7);
    for (size_t cut = 0; cut < w.size; cut++)
        assert_int_equal(vlt_is_ok(record_credential_state_get(bytes_of(room, cut), &out)),
                         cut == w.size - sizeof out.created_at); // of before it was kept
    assert_int_equal(out.created_at, 0);
    assert_false(vlt_is_ok(record_credential_state_get(bytes_of(room, w.size + 1), &out)));
    room[0] = 4;
    assert_false(vlt_is_ok(record_credential_state_get(bytes_of(room, w.size), &out)));
    room[0] = 0;
    assert_false(vlt_is_ok(record_credential_state_get(bytes_of(room, w.size), &out)));
}

static struct record_credential_secret some_secret(void) {
    return (struct record_credential_secret){.algorithm = 1,
                                             .data_key = 2,
                                             .profile = BYTES_LITERAL("openai"),
                                             .hosts = BYTES_LITERAL("hosts"),
                                             .parameters = BYTES_LITERAL("{}"),
                                             .nonce = BYTES_LITERAL("123456789012345678901234"),
                                             .ciphertext = BYTES_LITERAL("ciphertextandtag")};
}

static void secret_survives_truncation(void **state) {
    uint8_t room[256];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    struct record_credential_secret in = some_secret(), out;
    record_credential_secret_put(&w, &in);
    assert_false(w.failed);
    assert_ok(record_credential_secret_get(bytes_of(room, w.size), &out));
    assert_true(bytes_equal(out.ciphertext, in.ciphertext) && bytes_equal(out.nonce, in.nonce));
    for (size_t cut = 0; cut < w.size; cut++)
        assert_false(vlt_is_ok(record_credential_secret_get(bytes_of(room, cut), &out)));
    room[0] = 2; // an algorithm of the future
    assert_false(vlt_is_ok(record_credential_secret_get(bytes_of(room, w.size), &out)));
}

// DESIGN promise 5: whatever part of its place changes, the context changes.
static void context_rejects_every_other_place(void **state) {
    struct record_credential_secret variants[7];
    uint8_t rooms[10][512];
    struct wire_writer w[10];
    for (size_t i = 0; i < 7; i++)
        variants[i] = some_secret();
    variants[1].data_key = 3;
    variants[2].profile = BYTES_LITERAL("opena");
    variants[3].hosts = BYTES_LITERAL("host");
    variants[4].parameters = BYTES_LITERAL("{\"a\":1}");
    variants[5].algorithm = 2;
    variants[6].profile = BYTES_LITERAL("openaihosts"); // moved across a field border
    variants[6].hosts = BYTES_LITERAL("");
    for (size_t i = 0; i < 10; i++) {
        wire_writer_init(&w[i], rooms[i], sizeof rooms[i]);
        record_credential_context(&w[i], i == 7 ? 2 : 1,
                                  i == 8 ? BYTES_LITERAL("b") : BYTES_LITERAL("a"), i == 9 ? 2 : 1,
                                  &variants[i < 7 ? i : 0]);
        assert_false(w[i].failed);
        for (size_t j = 0; j < i; j++)
            assert_false(bytes_equal(bytes_of(rooms[i], w[i].size), bytes_of(rooms[j], w[j].size)));
    }
}

static void datakey_survives_mutation(void **state) {
    static uint8_t room[RECORD_DATAKEY_MAX];
    struct record_datakey in = {.state = RECORD_WRAPPING_ACTIVE, .created_at = 5, .slot_count = 2},
                          out;
    memset(in.slots[1].device, 7, sizeof in.slots[1].device);
    in.slots[1].generation = 9;
    in.slots[0].blob = BYTES_LITERAL("first");
    in.slots[1].blob = BYTES_LITERAL("second");
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_datakey_put(&w, &in);
    assert_ok(record_datakey_get(bytes_of(room, w.size), &out));
    assert_int_equal(out.slot_count, 2);
    assert_int_equal(out.slots[1].generation, 9);
    assert_memory_equal(out.slots[1].device, in.slots[1].device, sizeof in.slots[1].device);
    assert_true(bytes_equal_text(out.slots[1].blob, "second"));
    for (size_t cut = 0; cut < w.size; cut++)
        assert_false(vlt_is_ok(record_datakey_get(bytes_of(room, cut), &out)));
    room[0]++;
    assert_int_equal(record_datakey_get(bytes_of(room, w.size), &out).class, VLT_CONFLICT);
}

static void device_accepts_and_rejects(void **state) {
    uint8_t room[128];
    struct record_device in = {1, RECORD_WRAPPING_ACTIVE, 3,
                               5, BYTES_LITERAL("key"),   BYTES_LITERAL("hsm")},
                         out;
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_device_put(&w, &in);
    assert_ok(record_device_get(bytes_of(room, w.size), &out));
    assert_int_equal(out.generation, 3);
    assert_true(bytes_equal_text(out.key, "key"));
    for (size_t cut = 0; cut < w.size; cut++)
        assert_false(vlt_is_ok(record_device_get(bytes_of(room, cut), &out)));
    room[0]++;
    assert_int_equal(record_device_get(bytes_of(room, w.size), &out).class, VLT_CONFLICT);
}

// ---- Revocation ----

static struct store *make_store(char folder[64]) {
    strcpy(folder, "/tmp/vault-record-XXXXXX");
    assert_non_null(mkdtemp(folder));
    struct store *store = NULL;
    assert_ok(store_open(folder, STORE_CREATE, NULL, &store));
    return store;
}

static void drop_store(struct store *store, const char *folder) {
    static const char *const files[] = {"data.mdb", "lock.mdb", "writer.lock"};
    store_close(store);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static void end_by(struct store *store, enum record_revocation_kind kind, struct bytes value,
                   int64_t at) {
    uint8_t room[STORE_NAME_MAX + 16];
    struct store_change change;
    assert_ok(record_revocation_change(4, kind, value, at, room, &change));
    assert_ok(store_commit(store, &change, 1, NULL, NULL));
}

static bool is_revoked(struct store *store, const struct record_revocation_query *query) {
    bool revoked = false;
    assert_ok(store_snapshot_begin(store));
    assert_ok(record_is_revoked(store, query, &revoked));
    store_snapshot_end(store);
    return revoked;
}

static void revocation_accepts_each_kind(void **state) {
    char folder[64], long_principal[500];
    memset(long_principal, 'p', sizeof long_principal);
    struct store *store = make_store(folder);
    struct record_revocation_query query = {.tenant = 4,
                                            .jti = BYTES_LITERAL("j1"),
                                            .principal = bytes_of(long_principal, 500),
                                            .client = BYTES_LITERAL("cli"),
                                            .credential = BYTES_LITERAL("openai"),
                                            .actors = {BYTES_LITERAL("agent")},
                                            .actor_count = 1,
                                            .issued_at = 100};
    assert_false(is_revoked(store, &query));
    struct {
        enum record_revocation_kind kind;
        struct bytes value;
    } rules[] = {{RECORD_REVOKE_PRINCIPAL, query.principal},
                 {RECORD_REVOKE_CLIENT, query.client},
                 {RECORD_REVOKE_CREDENTIAL, query.credential},
                 {RECORD_REVOKE_PRINCIPAL, query.actors[0]}};
    for (size_t i = 0; i < 4; i++) {
        end_by(store, rules[i].kind, rules[i].value, 99); // older than the token
        assert_false(is_revoked(store, &query));
        end_by(store, rules[i].kind, rules[i].value, 100);
        assert_true(is_revoked(store, &query));
        end_by(store, rules[i].kind, rules[i].value, 0);
    }
    end_by(store, RECORD_REVOKE_TOKEN, BYTES_LITERAL("j2"), 1);
    assert_false(is_revoked(store, &query));
    end_by(store, RECORD_REVOKE_TOKEN, query.jti, 1);
    assert_true(is_revoked(store, &query));
    query.tenant = 5;
    assert_false(is_revoked(store, &query));
    drop_store(store, folder);
}

static void revocation_rejects_nobody(void **state) {
    uint8_t room[STORE_NAME_MAX + 16];
    struct store_change change;
    assert_false(vlt_is_ok(
        record_revocation_change(1, RECORD_REVOKE_CLIENT, BYTES_LITERAL(""), 1, room, &change)));
    assert_false(vlt_is_ok(record_revocation_change(1, 0, BYTES_LITERAL("x"), 1, room, &change)));
    assert_false(vlt_is_ok(record_revocation_change(1, 9, BYTES_LITERAL("x"), 1, room, &change)));
    assert_false(vlt_is_ok(
        record_revocation_change(1, RECORD_REVOKE_CLIENT, BYTES_LITERAL("x"), -1, room, &change)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(state_survives_mutation),
        cmocka_unit_test(secret_survives_truncation),
        cmocka_unit_test(context_rejects_every_other_place),
        cmocka_unit_test(datakey_survives_mutation),
        cmocka_unit_test(device_accepts_and_rejects),
        cmocka_unit_test(revocation_accepts_each_kind),
        cmocka_unit_test(revocation_rejects_nobody),
    };
    return cmocka_run_group_tests_name("binary records and revocation", tests, NULL, NULL);
}
