// SPDX-License-Identifier: Apache-2.0
// Changes of the store as processes send them to each other.
#include "libvault/store/store.h"
#include "tests/unit/check.h"

static void change_accepts_its_own_spelling(void **state) {
    uint8_t room[256];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    const struct store_change change = {.tenant = 9,
                                        .class = STORE_ISSUER,
                                        .name = BYTES_LITERAL("issuer"),
                                        .value = BYTES_LITERAL("{}"),
                                        .expected_revision = 17};
    struct store_change got;
    store_change_put(&w, &change);
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(room, w.size));
    store_change_get(&r, &got);
    assert_ok(wire_reader_end(&r));
    assert_int_equal(got.tenant, 9);
    assert_int_equal(got.class, STORE_ISSUER);
    assert_true(bytes_equal_text(got.name, "issuer") && bytes_equal_text(got.value, "{}"));
    assert_int_equal(got.expected_revision, 17);
    for (size_t cut = 0; cut < w.size; cut++) {
        wire_reader_init(&r, bytes_of(room, cut));
        store_change_get(&r, &got);
        assert_false(vlt_is_ok(wire_reader_end(&r)));
    }
}

static void change_rejects_a_removal_with_a_value(void **state) {
    uint8_t room[256];
    for (int flag = 1; flag < 4; flag++) {
        struct wire_writer w;
        wire_writer_init(&w, room, sizeof room);
        wire_put_u32(&w, 1);
        wire_put_u8(&w, STORE_ISSUER);
        wire_put_text(&w, "x");
        wire_put_u8(&w, (uint8_t)flag);
        wire_put_text(&w, flag == 1 ? "value" : "");
        wire_put_u64(&w, 0);
        struct wire_reader r;
        struct store_change got;
        wire_reader_init(&r, bytes_of(room, w.size));
        store_change_get(&r, &got);
        assert_false(vlt_is_ok(wire_reader_end(&r)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(change_accepts_its_own_spelling),
        cmocka_unit_test(change_rejects_a_removal_with_a_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
