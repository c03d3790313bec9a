// SPDX-License-Identifier: Apache-2.0
// A swtpm with an endorsement certificate, and its evidence as it is verified on
// another machine. Included by test_hsm_attest*.c only.
#ifndef VLT_TESTS_UNIT_ATTEST_LAB_H
#define VLT_TESTS_UNIT_ATTEST_LAB_H

#include "tests/devices/boot_signer.h"
#include "tests/devices/device_bench.h"

#define NONCE "nonce-4711"

struct lab {
    struct bench bench; // first
    struct buf roots;
    struct evidence *evidence, *other;
    struct boot_signer approver;
};

static inline void read_file(const char *path, struct buf *out) {
    char piece[8192];
    FILE *in = fopen(path, "rbe");
    assert_non_null(in);
    size_t size = fread(piece, 1, sizeof piece, in);
    fclose(in);
    buf_put(out, bytes_of(piece, size));
}

static inline void lab_read_roots(struct lab *lab) {
    char path[160];
    buf_done(&lab->roots);
    buf_init(&lab->roots, 65536);
    snprintf(path, sizeof path, "%s/ca/issuercert.pem", lab->bench.device.folder);
    read_file(path, &lab->roots);
    snprintf(path, sizeof path, "%s/ca/swtpm-localca-rootca-cert.pem", lab->bench.device.folder);
    read_file(path, &lab->roots);
}

static inline int lab_start(void **state) {
    struct lab *lab = calloc(1, sizeof *lab);
    bench_start(&lab->bench, HSM_TPM);
    device_fixture_endorse(&lab->bench.device);
    lab->evidence = calloc(1, sizeof *lab->evidence);
    lab->other = calloc(1, sizeof *lab->other);
    boot_signer_init(&lab->approver);
    lab_read_roots(lab);
    *state = lab;
    return 0;
}

static inline int lab_stop(void **state) {
    struct lab *lab = *state;
    hsm_close(lab->bench.hsm);
    device_fixture_stop(&lab->bench.device);
    boot_signer_done(&lab->approver);
    buf_done(&lab->roots);
    free(lab->evidence);
    free(lab->other);
    free(lab);
    return 0;
}

static inline vlt_result verify(const struct lab *lab, const struct evidence *evidence,
                                const char *nonce, const uint8_t *known, struct fault *fault) {
    *fault = (struct fault){0};
    VLT_TRY(evidence_verify_statements(evidence, nonce, fault));
    VLT_TRY(evidence_verify_endorsement(evidence, buf_bytes(&lab->roots), fault));
    return evidence_verify_binding(evidence, nonce, known, fault);
}

// Through the file, as it is sent to another machine.
static inline void pass_on(struct evidence *evidence) {
    struct fault fault = {0};
    json_t *json = evidence_json(evidence);
    char *text = json_dumps(json, JSON_INDENT(2));
    struct evidence *again = calloc(1, sizeof *again);
    vlt_result result = evidence_parse(bytes_of_text(text), &fault, again);
    if (!vlt_is_ok(result))
        fail_msg("%s", fault.text);
    assert_memory_equal(again, evidence, sizeof *again);
    free(again);
    free(text);
    json_decref(json);
}

static inline void complete(struct lab *lab, char nonce[CHALLENGE_NONCE_SIZE]) {
    struct bench *b = &lab->bench;
    struct challenge challenge, read;
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    OK(challenge_make(&lab->evidence->endorsement, &lab->evidence->attestation, &challenge, nonce));
    json_t *json = challenge_json(&challenge);
    char *text = json_dumps(json, 0);
    OK(challenge_parse(bytes_of_text(text), &b->fault, &read));
    assert_null(strstr(text, nonce + 10)); // the secret is not in the file
    free(text);
    json_decref(json);
    OK(hsm_attest(b->hsm, NULL, &read, &b->fault, lab->evidence));
    pass_on(lab->evidence);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, lab_start, lab_stop)

#endif
