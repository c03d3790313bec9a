// SPDX-License-Identifier: Apache-2.0
// Evidence and challenges that were altered on their way.
#include "tests/unit/attest_lab.h"

// Every bit of everything that the evidence says counts.
static void attest_rejects_every_mutation(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    char nonce[CHALLENGE_NONCE_SIZE];
    struct fault fault;
    b->device.settings.boot_pcrs = 1u << 4;
    memcpy(b->device.settings.boot_approver, lab->approver.point, BOOT_POINT_BYTES);
    bench_create(b);
    complete(lab, nonce);
    OK(verify(lab, lab->evidence, nonce, NULL, &b->fault));
    assert_int_equal(lab->evidence->boot.created.pcrs, 1u << 4);
    assert_int_equal(lab->evidence->quoted.pcrs, 1u << 4);
    struct evidence *e = lab->other;
    *e = *lab->evidence;
    const struct {
        const char *name;
        uint8_t *at;
        size_t size;
    } parts[] = {
        {"endorsement certificate", e->endorsement_certificate.at, e->endorsement_certificate.size},
        {"endorsement key", e->endorsement.at, e->endorsement.size},
        {"attestation key", e->attestation.at, e->attestation.size},
        {"wrapping key", e->wrapping.at, e->wrapping.size},
        {"certify", e->certify.at, e->certify.size},
        {"its signature", e->certify.signature, 64},
        {"quote", e->quote.at, e->quote.size},
        {"its signature", e->quote.signature, 64},
        {"PCR value", e->quoted.values[4], 32},
        {"PCRs", (uint8_t *)&e->quoted.pcrs, 3},
        {"state of creation", e->boot.created.values[4], 32},
        {"PCRs of creation", (uint8_t *)&e->boot.created.pcrs, 3},
        {"approver", e->boot.approver + 1, 64},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        for (size_t byte = 0; byte < parts[i].size; byte++) {
            uint8_t before = parts[i].at[byte];
            parts[i].at[byte] ^= (uint8_t)(1u << (byte % 8));
            if (vlt_is_ok(verify(lab, e, nonce, NULL, &fault)))
                fail_msg("%s, byte %zu", parts[i].name, byte);
            parts[i].at[byte] = before;
        }
    OK(verify(lab, e, nonce, NULL, &fault));
    struct evidence_statement swapped = e->certify;
    e->certify = e->quote;
    e->quote = swapped;
    assert_false(vlt_is_ok(verify(lab, e, nonce, NULL, &fault)));
}

static void evidence_survives_mutation(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    struct fault fault;
    bench_create(b);
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    json_t *json = evidence_json(lab->evidence);
    char *text = json_dumps(json, JSON_COMPACT);
    size_t size = strlen(text);
    for (size_t cut = 0; cut < size; cut += 7)
        assert_false(vlt_is_ok(evidence_parse(bytes_of(text, cut), &fault, lab->other)));
    for (size_t at = 0; at < size; at++) {
        char before = text[at];
        text[at] ^= 1;
        if (vlt_is_ok(evidence_parse(bytes_of(text, size), &fault, lab->other)))
            (void)vlt_is_ok(evidence_verify_statements(lab->other, NONCE, &fault));
        text[at] = before;
    }
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(json, next, name, value) { // every member is needed
        json_t *fewer = json_copy(json);
        json_object_del(fewer, name);
        char *without = json_dumps(fewer, 0);
        FAILS(evidence_parse(bytes_of_text(without), &b->fault, lab->other), VLT_MALFORMED, name);
        free(without);
        json_decref(fewer);
    }
    json_object_set_new(json, "more", json_true());
    char *more = json_dumps(json, 0);
    FAILS(evidence_parse(bytes_of_text(more), &b->fault, lab->other), VLT_MALFORMED, "the file");
    free(more);
    free(text);
    json_decref(json);
}

static void challenge_survives_mutation(void **state) {
    struct lab *lab = *state;
    struct bench *b = &lab->bench;
    char nonce[CHALLENGE_NONCE_SIZE];
    struct challenge challenge, read;
    struct fault fault;
    bench_create(b);
    OK(hsm_attest(b->hsm, NONCE, NULL, &b->fault, lab->evidence));
    OK(challenge_make(&lab->evidence->endorsement, &lab->evidence->attestation, &challenge, nonce));
    json_t *json = challenge_json(&challenge);
    char *text = json_dumps(json, JSON_COMPACT);
    size_t size = strlen(text);
    for (size_t cut = 0; cut < size; cut++)
        assert_false(vlt_is_ok(challenge_parse(bytes_of(text, cut), &fault, &read)));
    for (size_t at = 0; at < size; at++) {
        char before = text[at];
        text[at] ^= 1;
        if (vlt_is_ok(challenge_parse(bytes_of(text, size), &fault, &read)))
            assert_false(
                bytes_equal(bytes_of(&read, sizeof read), bytes_of(&challenge, sizeof challenge)));
        text[at] = before;
    }
    // What the TPM makes of an altered one, and of sizes that it does not expect.
    read = challenge;
    read.credential[40] ^= 1;
    FAILS(hsm_attest(b->hsm, NULL, &read, &b->fault, lab->other), VLT_CRYPTO, "altered");
    read = challenge;
    read.seed[0] ^= 1;
    FAILS(hsm_attest(b->hsm, NULL, &read, &b->fault, lab->other), VLT_CRYPTO, "altered");
    read = challenge;
    read.credential_bytes = 3;
    FAILS(hsm_attest(b->hsm, NULL, &read, &b->fault, lab->other), VLT_CRYPTO, "altered");
    read = challenge;
    read.seed_bytes = 10;
    FAILS(hsm_attest(b->hsm, NULL, &read, &b->fault, lab->other), VLT_CRYPTO, "altered");
    OK(hsm_attest(b->hsm, NULL, &challenge, &b->fault, lab->other)); // nothing was left behind
    free(text);
    json_decref(json);
}

int main(void) {
    bench_heap_open();
    const struct CMUnitTest tests[] = {
        CASE(attest_rejects_every_mutation),
        CASE(evidence_survives_mutation),
        CASE(challenge_survives_mutation),
    };
    return cmocka_run_group_tests_name("altered evidence", tests, NULL, NULL);
}
