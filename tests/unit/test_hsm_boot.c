// SPDX-License-Identifier: Apache-2.0
// Wrapping keys that are bound to measured boot, on a swtpm whose PCRs we extend
// and reset as firmware and a reboot would.
#include "tests/devices/device_bench.h"

#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "hsm/record.h"
#include "tests/devices/boot_signer.h"
#include "tests/devices/tpm_proxy.h"

static const char *own_path; // this program, for the role of a process that crashes

#define PCRS (1u << 4 | 1u << 7 | 1u << 9)

struct machine {
    struct bench bench; // first
    struct boot_signer approver;
    struct secret *plain, *got;
    struct buf blob;
};

// A machine that booted, and a vault that was made on it.
static int machine_start(void **state) {
    struct machine *m = calloc(1, sizeof *m);
    struct bench *b = &m->bench;
    bench_start(b, HSM_TPM);
    boot_signer_init(&m->approver);
    device_fixture_measure(&b->device, 4, 0x41);
    device_fixture_measure(&b->device, 7, 0x71);
    b->device.settings.boot_pcrs = PCRS;
    memcpy(b->device.settings.boot_approver, m->approver.point, BOOT_POINT_BYTES);
    bench_create(b);
    m->plain = fresh_key();
    m->got = secret_new(HSM_DATA_KEY_BYTES);
    bench_wrap(b, m->plain, &m->blob);
    opens(b, buf_bytes(&m->blob), m->plain);
    bench_close(b);
    *state = m;
    return 0;
}

static int machine_stop(void **state) {
    struct machine *m = *state;
    hsm_close(m->bench.hsm);
    device_fixture_stop(&m->bench.device);
    boot_signer_done(&m->approver);
    secret_free(m->plain);
    secret_free(m->got);
    buf_done(&m->blob);
    free(m);
    return 0;
}

// Boots: PCRs reset, then the two measurements.
static void machine_boot(struct machine *m, uint8_t pcr4, uint8_t pcr7) {
    device_fixture_unplug(&m->bench.device);
    device_fixture_plug(&m->bench.device);
    device_fixture_measure(&m->bench.device, 4, pcr4);
    device_fixture_measure(&m->bench.device, 7, pcr7);
}

static struct boot_state machine_expect(uint8_t pcr4, uint8_t pcr7) {
    struct boot_state state = {.pcrs = PCRS};
    boot_signer_measure(&state, 4, pcr4);
    boot_signer_measure(&state, 7, pcr7);
    return state;
}

static vlt_result machine_find(struct machine *m, const struct boot_approval *approvals,
                               size_t count) {
    struct bench *b = &m->bench;
    bench_close(b);
    bench_open(b);
    OK(hsm_approvals_set(b->hsm, approvals, count));
    return hsm_key_find(b->hsm, &b->key, &b->fault);
}

static void boot_accepts_the_state_of_creation(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    struct hsm_description description;
    machine_boot(m, 0x41, 0x71);
    OK(machine_find(m, NULL, 0));
    for (unsigned i = 0; i < 3; i++) // the policy session is used again
        opens(b, buf_bytes(&m->blob), m->plain);
    OK(hsm_check(b->hsm, &b->fault));
    hsm_describe(b->hsm, &description);
    assert_int_equal(description.boot_pcrs, PCRS);
    assert_string_equal(description.boot_name, "");
    struct boot_binding binding;
    OK(hsm_key_boot(&b->key, &binding));
    const struct boot_state wanted = machine_expect(0x41, 0x71);
    assert_memory_equal(&binding.created, &wanted, sizeof wanted);
}

static void boot_rejects_another_state(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    machine_boot(m, 0x42, 0x71);
    FAILS(machine_find(m, NULL, 0), VLT_DENIED, "PCR 4 differ");
    assert_non_null(strstr(b->fault.text, "vaultctl device authorize-boot"));
    machine_boot(m, 0x42, 0x72);
    FAILS(machine_find(m, NULL, 0), VLT_DENIED, "PCR 4,7 differ");
    device_fixture_unplug(&b->device);
    device_fixture_plug(&b->device);
    FAILS(machine_find(m, NULL, 0), VLT_DENIED, "PCR 4,7 differ");
    bench_close(b);
    device_fixture_measure(&b->device, 12, 1); // does not count
    machine_boot(m, 0x41, 0x71);
    OK(machine_find(m, NULL, 0));
}

// The approval is made before that state was ever booted.
static void boot_accepts_what_was_approved_before(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    const struct boot_state next = machine_expect(0x42, 0x71), later = machine_expect(0x43, 0x73);
    const struct boot_approval approvals[] = {
        boot_signer_approve(&m->approver, "kernel 2", &next),
        boot_signer_approve(&m->approver, "kernel 3", &later)};
    machine_boot(m, 0x42, 0x71);
    OK(machine_find(m, approvals, 2));
    opens(b, buf_bytes(&m->blob), m->plain);
    opens(b, buf_bytes(&m->blob), m->plain);
    struct hsm_description description;
    hsm_describe(b->hsm, &description);
    assert_string_equal(description.boot_name, "kernel 2");
    bench_close(b);
    machine_boot(m, 0x43, 0x73);
    OK(machine_find(m, approvals, 2));
    opens(b, buf_bytes(&m->blob), m->plain);
    bench_close(b);
    machine_boot(m, 0x43, 0x71); // halves of two approved states
    FAILS(machine_find(m, approvals, 2), VLT_DENIED, "PCR 4 from the approved state 'kernel 2'");
    bench_close(b);
    machine_boot(m, 0x41, 0x71); // and the first state is still good
    OK(machine_find(m, approvals, 2));
}

static void boot_rejects_what_the_approver_did_not_sign(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    struct boot_signer other;
    boot_signer_init(&other);
    const struct boot_state next = machine_expect(0x42, 0x71), created = machine_expect(0x41, 0x71);
    struct boot_approval forged = boot_signer_approve(&other, "forged", &next);
    machine_boot(m, 0x42, 0x71);
    FAILS(machine_find(m, &forged, 1), VLT_DENIED, "PCR 4 differ");
    forged = boot_signer_approve(&m->approver, "moved", &created); // signed for another state
    forged.state = next;
    FAILS(machine_find(m, &forged, 1), VLT_DENIED, "PCR 4 differ");
    struct boot_state fewer = next;
    fewer.pcrs = 1u << 7;
    forged = boot_signer_approve(&m->approver, "fewer", &fewer); // of other PCRs than the key's
    FAILS(machine_find(m, &forged, 1), VLT_DENIED, "PCR 4 differ");
    const struct boot_approval many[HSM_APPROVALS_MAX + 1];
    assert_int_equal(hsm_approvals_set(b->hsm, many, HSM_APPROVALS_MAX + 1).class, VLT_LIMIT);
    boot_signer_done(&other);
}

// The TPM enforces it, not our reading of its PCRs: somebody on the bus shows us
// the PCRs that we want to see.
static void boot_rejects_pcrs_that_the_bus_made_up(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    machine_boot(m, 0x42, 0x71);
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    const struct boot_state created = machine_expect(0x41, 0x71);
    uint8_t answer[10 + 4 + 4 + 6 + 4 + 3 * 34] = {0x80, 1, 0, 0, 0, sizeof answer};
    const uint8_t head[] = {0, 0, 0, 1, 0, 0, 0, 1, 0, 0x0b, 3, 0x90, 0x02, 0, 0, 0, 0, 3};
    memcpy(answer + 10, head, sizeof head);
    static const unsigned in_order[] = {4, 7, 9};
    for (unsigned i = 0; i < 3; i++) {
        answer[28 + i * 34 + 1] = 32;
        memcpy(answer + 28 + i * 34 + 2, created.values[in_order[i]], 32);
    }
    tpm_proxy_forge(proxy, TPM2_CC_PCR_Read, 99, answer, sizeof answer);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    bench_open(b);
    vlt_result result = hsm_key_find(b->hsm, &b->key, &b->fault);
    assert_int_equal(result.class, VLT_UNAVAILABLE);
    assert_non_null(strstr(b->fault.text, "branch of the policy"));
    bench_close(b);
    tpm_proxy_stop(proxy);
}

static void boot_rejects_useless_pcrs(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    static const unsigned useless[] = {16, 23, 24, 31};
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++) {
        b->device.settings.boot_pcrs = PCRS | 1u << useless[i];
        FAILS(hsm_open(&b->device.settings, &b->fault, &b->hsm), VLT_MALFORMED, "PCR");
    }
}

// A new generation is bound to the state in which it is made, and to no older one.
static void boot_accepts_rotation(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    const struct boot_state next = machine_expect(0x42, 0x71);
    const struct boot_approval approval = boot_signer_approve(&m->approver, "kernel 2", &next);
    machine_boot(m, 0x42, 0x71);
    OK(machine_find(m, &approval, 1));
    struct hsm_key first = b->key;
    OK(hsm_key_create(b->hsm, 2, &b->fault, &b->key));
    buf_done(&m->blob);
    bench_wrap(b, m->plain, &m->blob);
    OK(machine_find(m, NULL, 0));
    opens(b, buf_bytes(&m->blob), m->plain);
    b->key = first;
    FAILS(machine_find(m, NULL, 0), VLT_DENIED, "PCR 4 differ");
}

static void boot_rejects_altered_records(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    const struct hsm_key good = b->key;
    bench_open(b);
    struct hsm_record record;
    OK(hsm_record_decode(bytes_of(good.at, good.size), &record));
    record.of.tpm.boot.created = machine_expect(0x66, 0x71); // the state of an attacker
    OK(hsm_record_encode(&record, &b->key));
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CRYPTO, "altered");
    struct boot_signer other;
    boot_signer_init(&other);
    OK(hsm_record_decode(bytes_of(good.at, good.size), &record));
    memcpy(record.of.tpm.boot.approver, other.point, BOOT_POINT_BYTES);
    OK(hsm_record_encode(&record, &b->key));
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CRYPTO, "altered");
    OK(hsm_record_decode(bytes_of(good.at, good.size), &record));
    record.of.tpm.boot.created.pcrs = 0; // as if it were not bound
    OK(hsm_record_encode(&record, &b->key));
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CRYPTO, "altered");
    for (size_t size = 0; size < good.size; size++) {
        b->key = good;
        b->key.size = size;
        FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_MALFORMED, "damaged");
    }
    for (size_t at = 0; at < good.size; at++) {
        b->key = good;
        b->key.at[at] ^= 1;
        // A generation is a number of ours: it is in the record and not in the key.
        if (at >= 3 && at < 7)
            continue;
        vlt_result result = hsm_key_find(b->hsm, &b->key, &b->fault);
        if (vlt_is_ok(result) || result.class == VLT_UNAVAILABLE || result.class == VLT_BUG)
            fail_msg("byte %zu: %s", at, vlt_class_name(result.class));
    }
    boot_signer_done(&other);
}

// The PIN is part of the policy, not replaced by it.
static void boot_rejects_a_wrong_pin(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    snprintf(b->device.settings.pin_source, 256, "%s", b->device.pin_path);
    FAILS(machine_find(m, NULL, 0), VLT_DENIED, "PIN file");
}

static void boot_survives_pcrs_that_change_meanwhile(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 2, TPM_PROXY_ANSWER, TPM2_RC_PCR_CHANGED);
    opens(b, buf_bytes(&m->blob), m->plain);
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 9, TPM_PROXY_ANSWER, TPM2_RC_PCR_CHANGED);
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&m->blob), &b->fault, m->got), VLT_UNAVAILABLE,
          "being extended");
    // Nothing is left behind in any of the steps, and the next call works.
    static const uint32_t steps[] = {TPM2_CC_PCR_Read, TPM2_CC_PolicyRestart, TPM2_CC_PolicyPCR,
                                     TPM2_CC_PolicyOR, TPM2_CC_PolicyAuthValue};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        tpm_proxy_fail(proxy, steps[i], 1, TPM_PROXY_ANSWER, TPM2_RC_NV_UNAVAILABLE);
        FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&m->blob), &b->fault, m->got), VLT_UNAVAILABLE,
              "TPM_RC_NV_UNAVAILABLE");
        opens(b, buf_bytes(&m->blob), m->plain);
        tpm_proxy_fail(proxy, steps[i], 12, TPM_PROXY_ANSWER, TPM2_RC_RETRY);
        opens(b, buf_bytes(&m->blob), m->plain);
        tpm_proxy_fail(proxy, steps[i], 1, TPM_PROXY_CUT, 0); // reached again by itself
        opens(b, buf_bytes(&m->blob), m->plain);
    }
    bench_close(b);
    tpm_proxy_stop(proxy);
}

// Each crash leaves a storage key, a wrapping key and two sessions behind, one of them
// a policy session; a TPM has three slots of each kind.
static void boot_survives_crashed_predecessors(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    const char *const argv[] = {own_path, "crash", b->device.settings.tcti, NULL};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(device_fixture_run(argv), 0);
    OK(machine_find(m, NULL, 0));
    opens(b, buf_bytes(&m->blob), m->plain);
}

static int crash(const char *tcti) {
    struct hsm_settings settings = {.kind = HSM_TPM, .boot_pcrs = PCRS};
    struct boot_signer approver;
    struct hsm *hsm = NULL;
    struct hsm_key key;
    boot_signer_init(&approver);
    memcpy(settings.boot_approver, approver.point, BOOT_POINT_BYTES);
    snprintf(settings.tcti, sizeof settings.tcti, "%s", tcti);
    if (!vlt_is_ok(hsm_open(&settings, NULL, &hsm)) ||
        !vlt_is_ok(hsm_key_create(hsm, 1, NULL, &key)))
        _exit(1);
    _exit(0);
}

// The policy session encrypts what the key gives, as the other session does.
static void boot_hides_parameters_on_the_bus(void **state) {
    struct machine *m = *state;
    struct bench *b = &m->bench;
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    opens(b, buf_bytes(&m->blob), m->plain);
    assert_true(tpm_proxy_saw(proxy, "\x00\x00\x01\x54", 4)); // TPM2_CC_ECDH_ZGen went over it
    assert_false(tpm_proxy_saw(proxy, m->blob.at + RECORD_BLOB_HEADER_BYTES + 1, 32));
    assert_false(tpm_proxy_saw(proxy, m->blob.at + RECORD_BLOB_HEADER_BYTES + 33, 32));
    assert_false(tpm_proxy_saw(proxy, secret_borrow(m->plain), 32));
    secret_release(m->plain);
    bench_close(b);
    tpm_proxy_stop(proxy);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, machine_start, machine_stop)

int main(int argc, char **argv) {
    bench_heap_open();
    own_path = argv[0];
    if (argc == 3 && !strcmp(argv[1], "crash"))
        return crash(argv[2]);
    const struct CMUnitTest tests[] = {
        CASE(boot_accepts_the_state_of_creation),
        CASE(boot_rejects_another_state),
        CASE(boot_accepts_what_was_approved_before),
        CASE(boot_rejects_what_the_approver_did_not_sign),
        CASE(boot_rejects_pcrs_that_the_bus_made_up),
        CASE(boot_rejects_useless_pcrs),
        CASE(boot_accepts_rotation),
        CASE(boot_rejects_altered_records),
        CASE(boot_rejects_a_wrong_pin),
        CASE(boot_survives_pcrs_that_change_meanwhile),
        CASE(boot_survives_crashed_predecessors),
        CASE(boot_hides_parameters_on_the_bus),
    };
    return cmocka_run_group_tests_name("measured boot on a TPM", tests, NULL, NULL);
}
