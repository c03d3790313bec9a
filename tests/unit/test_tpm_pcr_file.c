// SPDX-License-Identifier: Apache-2.0
#include <openssl/pem.h>

#include "libvault/tpm/boot_key.h"
#include "libvault/tpm/pcr_file.h"
#include "tests/devices/boot_signer.h"
#include "tests/unit/check.h"

#define HEX16 "00112233445566778899aAbBcCdDeEfF"

// --- text -------------------------------------------------------------------

static vlt_result read_text(const char *text, struct boot_state *state, uint32_t *found,
                            struct fault *fault) {
    *fault = (struct fault){0};
    *state = (struct boot_state){.pcrs = 0};
    return pcr_text_read(bytes_of_text(text), fault, state, found);
}

static void text_accepts_what_tools_print(void **unused) {
    struct boot_state state;
    struct fault fault;
    uint32_t found = 0;
    const char *text = "sha1:\n  0 : 0x0000000000000000000000000000000000000001\n"
                       "sha256:\r\n  0 : 0x" HEX16 HEX16 "\n\n  # by hand\n 22= " HEX16 HEX16
                       " # the last\nsha384:\n 3 : 0xff\n";
    assert_true(vlt_is_ok(read_text(text, &state, &found, &fault)));
    assert_int_equal(found, 1u << 0 | 1u << 22);
    assert_int_equal(state.values[0][1], 0x11);
    assert_int_equal(state.values[22][31], 0xff);
    assert_true(vlt_is_ok(read_text("7=" HEX16 HEX16, &state, &found, &fault)));
    assert_int_equal(found, 1u << 7);
}

static void text_rejects_what_is_none(void **unused) {
    static const char *const bad[] = {
        "", "\n\n", "sha1:\n0 : 0x00", "sha256:\n", "24=" HEX16 HEX16, "x=" HEX16 HEX16,
        "0=" HEX16, "0=" HEX16 HEX16 "0", "0=" HEX16 HEX16 "00", "0 " HEX16 HEX16, "0", "=",
        "-1=" HEX16 HEX16, "0001=" HEX16 HEX16, "0=0x0x" HEX16 HEX16, "0=g" HEX16 HEX16,
        "0=" HEX16 HEX16 "\n0=" HEX16 HEX16, "4294967296=" HEX16 HEX16};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct boot_state state;
        struct fault fault;
        uint32_t found = 77;
        if (read_text(bad[i], &state, &found, &fault).class != VLT_MALFORMED)
            fail_msg("case %zu", i);
        assert_int_equal(found, 77); // untouched
    }
    struct boot_state state;
    struct fault fault;
    uint32_t found;
    assert_false(vlt_is_ok(read_text("0=" HEX16 HEX16 "\n# x\n1=zz\n", &state, &found, &fault)));
    assert_int_equal(fault.line, 3);
}

// --- event log --------------------------------------------------------------

struct log {
    uint8_t at[1024];
    size_t size;
};

static void put(struct log *log, const void *at, size_t size) {
    memcpy(log->at + log->size, at, size);
    log->size += size;
}
static void put_number(struct log *log, uint32_t number, size_t size) {
    for (size_t i = 0; i < size; i++, number >>= 8)
        log->at[log->size++] = (uint8_t)number;
}

static void put_head(struct log *log, uint16_t algorithm, uint16_t digest_bytes) {
    const uint8_t zero[20] = {0};
    *log = (struct log){.size = 0};
    put_number(log, 0, 4);
    put_number(log, 3, 4); // EV_NO_ACTION
    put(log, zero, 20);
    put_number(log, 37, 4);
    put(log, "Spec ID Event03", 16);
    put_number(log, 0, 4);
    put(log, "\0\2\0\2", 4);
    put_number(log, 2, 4);
    put_number(log, 4, 2);
    put_number(log, 20, 2);
    put_number(log, algorithm, 2);
    put_number(log, digest_bytes, 2);
    put_number(log, 0, 1);
}

static void put_event(struct log *log, uint32_t pcr, uint32_t type, uint8_t fill,
                      const void *content, uint32_t content_bytes) {
    const uint8_t zero[20] = {0};
    uint8_t digest[32];
    memset(digest, fill, sizeof digest);
    put_number(log, pcr, 4);
    put_number(log, type, 4);
    put_number(log, 2, 4);
    put_number(log, 4, 2);
    put(log, zero, 20);
    put_number(log, 0x0b, 2);
    put(log, digest, 32);
    put_number(log, content_bytes, 4);
    put(log, content, content_bytes);
}

static struct log sample_log(void) {
    struct log log;
    put_head(&log, 0x0b, 32);
    put_event(&log, 0, 3, 0, "StartupLocality\0\3", 17);
    put_event(&log, 0, 8, 0x11, "version", 7);
    put_event(&log, 7, 0x80000001, 0x22, "", 0);
    put_event(&log, 7, 4, 0x23, "x", 1);
    put_event(&log, 17, 4, 0x33, "x", 1);
    return log;
}

static vlt_result replay(const struct log *log, struct boot_state *state, uint32_t *found) {
    struct fault fault;
    *state = (struct boot_state){.pcrs = 0};
    return pcr_log_replay(bytes_of(log->at, log->size), &fault, state, found);
}

static void log_accepts_a_boot(void **unused) {
    const struct log log = sample_log();
    struct boot_state state, wanted = {.pcrs = 0};
    uint32_t found = 0;
    assert_true(vlt_is_ok(replay(&log, &state, &found)));
    assert_int_equal(found, 1u << 0 | 1u << 7 | 1u << 17);
    wanted.values[0][31] = 3; // the locality
    boot_signer_measure(&wanted, 0, 0x11);
    boot_signer_measure(&wanted, 7, 0x22);
    boot_signer_measure(&wanted, 7, 0x23);
    memset(wanted.values[17], 0xff, 32);
    boot_signer_measure(&wanted, 17, 0x33);
    assert_memory_equal(&state, &wanted, sizeof wanted);
}

static void log_rejects_what_it_cannot_replay(void **unused) {
    struct boot_state state;
    uint32_t found = 0;
    struct log log;
    put_head(&log, 0x0c, 48); // no SHA-256
    assert_int_equal(replay(&log, &state, &found).class, VLT_NOT_FOUND);
    put_head(&log, 0x0b, 31);
    assert_int_equal(replay(&log, &state, &found).class, VLT_MALFORMED);
    log = sample_log();
    put_event(&log, 24, 8, 1, "", 0);
    assert_int_equal(replay(&log, &state, &found).class, VLT_MALFORMED);
    log = sample_log();
    put_number(&log, 4, 4); // an event without any digest would extend nothing
    put_number(&log, 8, 4);
    put_number(&log, 0, 4);
    put_number(&log, 0, 4);
    assert_int_equal(replay(&log, &state, &found).class, VLT_MALFORMED);
    log.size = 0;
    assert_int_equal(replay(&log, &state, &found).class, VLT_MALFORMED);
}

static void log_survives_mutation(void **unused) {
    const struct log good = sample_log();
    struct boot_state state;
    uint32_t found;
    unsigned whole = 0;
    for (size_t size = 0; size < good.size; size++) {
        struct log cut = good;
        cut.size = size;
        whole += vlt_is_ok(replay(&cut, &state, &found));
    }
    assert_int_equal(whole, 5); // only where an event ends
    for (size_t bit = 0; bit < good.size * 8; bit++) {
        struct log bad = good;
        bad.at[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (vlt_is_ok(replay(&bad, &state, &found)))
            assert_int_equal(found >> BOOT_PCRS, 0);
    }
    struct log longer = good;
    longer.at[longer.size++] = 0;
    assert_false(vlt_is_ok(replay(&longer, &state, &found)));
}

// --- the approver's key -----------------------------------------------------

static size_t pem_of(EVP_PKEY *key, bool is_private, char text[4096]) {
    BIO *bio = BIO_new(BIO_s_mem());
    int done = is_private ? PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL)
                          : PEM_write_bio_PUBKEY(bio, key);
    assert_int_equal(done, 1);
    int size = BIO_read(bio, text, 4095);
    text[size] = 0;
    BIO_free(bio);
    return (size_t)size;
}

static void key_accepts_pem_of_both_halves(void **unused) {
    struct boot_signer signer;
    uint8_t point[BOOT_POINT_BYTES];
    char text[4096];
    struct boot_approval approval = {.state = {.pcrs = 1}};
    boot_signer_init(&signer);
    assert_true(
        vlt_is_ok(boot_key_point(bytes_of(text, pem_of(signer.key, false, text)), NULL, point)));
    assert_memory_equal(point, signer.point, sizeof point);
    size_t size = pem_of(signer.key, true, text);
    memset(point, 0, sizeof point);
    assert_true(vlt_is_ok(boot_key_point(bytes_of(text, size), NULL, point)));
    assert_memory_equal(point, signer.point, sizeof point);
    assert_true(
        vlt_is_ok(boot_key_sign(bytes_of(text, size), &approval.state, NULL, approval.signature)));
    assert_true(vlt_is_ok(boot_approval_verify(&approval, signer.point)));
    boot_signer_done(&signer);
}

static void key_rejects_other_files(void **unused) {
    uint8_t point[BOOT_POINT_BYTES], signature[BOOT_SIGNATURE_BYTES];
    char text[4096];
    const struct boot_state state = {.pcrs = 1};
    EVP_PKEY *others[] = {EVP_EC_gen("P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")};
    for (size_t i = 0; i < 2; i++) {
        size_t size = pem_of(others[i], false, text);
        assert_int_equal(boot_key_point(bytes_of(text, size), NULL, point).class, VLT_MALFORMED);
        assert_int_equal(boot_key_sign(bytes_of(text, size), &state, NULL, signature).class,
                         VLT_MALFORMED);
        size = pem_of(others[i], true, text);
        assert_int_equal(boot_key_point(bytes_of(text, size), NULL, point).class, VLT_MALFORMED);
        assert_int_equal(boot_key_sign(bytes_of(text, size), &state, NULL, signature).class,
                         VLT_MALFORMED);
        EVP_PKEY_free(others[i]);
    }
    assert_int_equal(boot_key_point(bytes_of("", 0), NULL, point).class, VLT_MALFORMED);
    assert_int_equal(
        boot_key_point(BYTES_LITERAL("-----BEGIN PUBLIC KEY-----\nAAAA\n"), NULL, point).class,
        VLT_MALFORMED);
}

static void signature_survives_mutation(void **unused) {
    struct boot_signer signer;
    boot_signer_init(&signer);
    const struct boot_state state = {.pcrs = 1};
    const struct boot_approval approval = boot_signer_approve(&signer, "x", &state);
    uint8_t again[BOOT_SIGNATURE_BYTES], der[80];
    assert_true(vlt_is_ok(boot_signature_read(bytes_of(approval.signature, 64), again)));
    assert_memory_equal(again, approval.signature, 64);
    ECDSA_SIG *signature = ECDSA_SIG_new();
    ECDSA_SIG_set0(signature, BN_bin2bn(approval.signature, 32, NULL),
                   BN_bin2bn(approval.signature + 32, 32, NULL));
    uint8_t *at = der;
    size_t size = (size_t)i2d_ECDSA_SIG(signature, &at);
    ECDSA_SIG_free(signature);
    memset(again, 0, sizeof again);
    assert_true(vlt_is_ok(boot_signature_read(bytes_of(der, size), again)));
    assert_memory_equal(again, approval.signature, 64);
    for (size_t cut = 0; cut < size; cut++)
        if (cut != 64)
            assert_false(vlt_is_ok(boot_signature_read(bytes_of(der, cut), again)));
    assert_false(vlt_is_ok(boot_signature_read(bytes_of(der, size + 1), again)));
    for (size_t bit = 0; bit < size * 8; bit++) {
        struct boot_approval bad = approval;
        der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (vlt_is_ok(boot_signature_read(bytes_of(der, size), bad.signature)))
            assert_false(vlt_is_ok(boot_approval_verify(&bad, signer.point)));
        der[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    boot_signer_done(&signer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_accepts_what_tools_print),
        cmocka_unit_test(text_rejects_what_is_none),
        cmocka_unit_test(log_accepts_a_boot),
        cmocka_unit_test(log_rejects_what_it_cannot_replay),
        cmocka_unit_test(log_survives_mutation),
        cmocka_unit_test(key_accepts_pem_of_both_halves),
        cmocka_unit_test(key_rejects_other_files),
        cmocka_unit_test(signature_survives_mutation),
    };
    return cmocka_run_group_tests_name("PCR files", tests, NULL, NULL);
}
