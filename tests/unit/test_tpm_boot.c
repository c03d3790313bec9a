// SPDX-License-Identifier: Apache-2.0
#include "tests/devices/boot_signer.h"
#include "tests/unit/check.h"

static void pcrs_rejects_what_binds_nothing(void **state) {
    struct fault fault = {0};
    assert_int_equal(boot_pcrs_check(0, &fault).class, VLT_MALFORMED);
    assert_int_equal(boot_pcrs_check(1u << 24, &fault).class, VLT_MALFORMED);
    assert_int_equal(boot_pcrs_check(1u << 7 | 1u << 16, &fault).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "PCR 16"));
    assert_int_equal(boot_pcrs_check(1u << 23, &fault).class, VLT_MALFORMED);
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        assert_int_equal(vlt_is_ok(boot_pcrs_check(1u << i, NULL)), i != 16 && i != 23);
}

static void list_accepts_every_set(void **state) {
    char text[BOOT_LIST_SIZE];
    boot_list(0, text);
    assert_string_equal(text, "none");
    boot_list(1u << 0 | 1u << 4 | 1u << 11, text);
    assert_string_equal(text, "0,4,11");
    boot_list(0xffffff, text);
    assert_string_equal(text + strlen(text) - 6, ",22,23");
}

// PolicyPCR of PCR 0 with a zero value: computed by hand from part 3, 23.7.
static void policy_accepts_a_known_answer(void **unused) {
    struct boot_state state = {.pcrs = 1};
    uint8_t got[32], zero[32] = {0}, all[32], wanted[32];
    uint8_t text[32 + 4 + 10 + 32] = {0};
    const uint8_t command_and_selection[] = {0, 0, 1, 0x7f, 0, 0, 0, 1, 0, 0x0b, 3, 1, 0, 0};
    EVP_Digest(zero, 32, all, NULL, EVP_sha256(), NULL);
    memcpy(text + 32, command_and_selection, sizeof command_and_selection);
    memcpy(text + 46, all, 32);
    EVP_Digest(text, sizeof text, wanted, NULL, EVP_sha256(), NULL);
    assert_true(vlt_is_ok(boot_state_policy(&state, got)));
    assert_memory_equal(got, wanted, 32);
}

static void difference_accepts_values_and_sets(void **unused) {
    struct boot_state a = {.pcrs = 1u << 4 | 1u << 7}, b = a;
    assert_int_equal(boot_difference(&a, &b), 0);
    b.values[7][31] = 1;
    assert_int_equal(boot_difference(&a, &b), 1u << 7);
    b.values[3][0] = 1; // does not count
    assert_int_equal(boot_difference(&a, &b), 1u << 7);
    b.pcrs |= 1u << 3;
    assert_int_equal(boot_difference(&a, &b), 1u << 7 | 1u << 3);
}

static void approval_rejects_every_mutation(void **unused) {
    struct boot_signer signer, other;
    boot_signer_init(&signer);
    boot_signer_init(&other);
    struct boot_state state = {.pcrs = 1u << 4 | 1u << 7};
    state.values[4][0] = 9;
    const struct boot_approval good = boot_signer_approve(&signer, "good", &state);
    assert_true(vlt_is_ok(boot_approval_verify(&good, signer.point)));
    assert_int_equal(boot_approval_verify(&good, other.point).class, VLT_CRYPTO);
    for (unsigned bit = 0; bit < 512; bit++) {
        struct boot_approval bad = good;
        bad.signature[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(boot_approval_verify(&bad, signer.point).class, VLT_CRYPTO);
    }
    struct boot_approval bad = good;
    bad.state.values[7][0] ^= 1;
    assert_int_equal(boot_approval_verify(&bad, signer.point).class, VLT_CRYPTO);
    bad = good;
    bad.state.pcrs |= 1; // a value of zero, but it was not signed for
    assert_int_equal(boot_approval_verify(&bad, signer.point).class, VLT_CRYPTO);
    memset(bad.signature, 0, sizeof bad.signature);
    assert_int_equal(boot_approval_verify(&bad, signer.point).class, VLT_CRYPTO);
    uint8_t off_curve[BOOT_POINT_BYTES] = {4, 1};
    assert_false(vlt_is_ok(boot_approval_verify(&good, off_curve)));
    boot_signer_done(&signer);
    boot_signer_done(&other);
}

static void state_survives_mutation(void **unused) {
    struct boot_state state = {.pcrs = 0x8091}, again = {0};
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (state.pcrs >> i & 1)
            memset(state.values[i], (int)i + 1, BOOT_PCR_BYTES);
    uint8_t room[BOOT_STATE_MAX_BYTES];
    struct wire_writer w;
    struct wire_reader r;
    wire_writer_init(&w, room, sizeof room);
    boot_state_put(&w, &state);
    assert_false(w.failed);
    wire_reader_init(&r, bytes_of(room, w.size));
    boot_state_get(&r, &again);
    assert_true(vlt_is_ok(wire_reader_end(&r)));
    assert_memory_equal(&state, &again, sizeof state);
    for (size_t size = 0; size < w.size; size++) {
        wire_reader_init(&r, bytes_of(room, size));
        boot_state_get(&r, &again);
        assert_false(vlt_is_ok(wire_reader_end(&r)));
    }
    for (unsigned bit = 0; bit < 32; bit++) {
        room[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        wire_reader_init(&r, bytes_of(room, w.size));
        boot_state_get(&r, &again);
        assert_false(vlt_is_ok(wire_reader_end(&r))); // another size, or no such PCR
        room[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pcrs_rejects_what_binds_nothing),
        cmocka_unit_test(list_accepts_every_set),
        cmocka_unit_test(policy_accepts_a_known_answer),
        cmocka_unit_test(difference_accepts_values_and_sets),
        cmocka_unit_test(approval_rejects_every_mutation),
        cmocka_unit_test(state_survives_mutation),
    };
    return cmocka_run_group_tests_name("measured boot", tests, NULL, NULL);
}
