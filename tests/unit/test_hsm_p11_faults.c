// SPDX-License-Identifier: Apache-2.0
// Which calls reach a PKCS#11 module, and what becomes of a module that is slow,
// sick, gone or lies: a module of ours stands between us and SoftHSM and is
// loaded as any other, through p11-kit.
#include "tests/devices/device_bench.h"

#include <dlfcn.h>
#include <time.h>

#include "hsm/record.h"
#include "tests/devices/p11_shim.h"

static struct p11_shim *shim;

static int bench_shim(void **state) {
    (void)bench_p11(state);
    struct bench *b = *state;
    memset(shim, 0, sizeof *shim);
    snprintf(b->device.settings.p11_module, sizeof b->device.settings.p11_module, "%s",
             P11_SHIM_PATH);
    return 0;
}
static int bench_shim_key_wrap(void **state) {
    (void)bench_shim(state);
    ((struct bench *)*state)->device.settings.mechanism = HSM_MECHANISM_KEY_WRAP;
    return 0;
}
static int bench_shim_signature(void **state) {
    (void)bench_shim(state);
    ((struct bench *)*state)->device.settings.mechanism = HSM_MECHANISM_SIGNATURE;
    return 0;
}

static void set_uri(struct bench *b, const char *text) {
    snprintf(b->device.settings.p11_uri, sizeof b->device.settings.p11_uri, "%s", text);
}

#define OPEN_FAILS(wanted, word)                                                                   \
    FAILS(hsm_open(&b->device.settings, &b->fault, &b->hsm), wanted, word)

// --- which calls are made ---------------------------------------------------

// A thousand unwraps: one session, one login, no look at the value of a key.
static void p11_accepts_few_calls(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (unsigned i = 0; i < 1000; i++)
        opens(b, buf_bytes(&blob), plain);
    assert_int_equal(shim->login_count, 1);
    assert_int_equal(shim->session_count, 1);
    assert_int_equal(shim->session_max, 1);
    assert_int_equal(shim->initialize_count, 1);
    assert_int_equal(shim->value_count, 0);
    bench_close(b);
    assert_int_equal(shim->session_count, 0);
    buf_done(&blob);
    secret_free(plain);
}

// However often a device is lost, no session stays behind.
static void p11_accepts_no_leak_of_sessions(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (unsigned i = 0; i < 50; i++) {
        shim->decrypt = (struct p11_shim_fault){CKR_DEVICE_REMOVED, i % 3 + 1};
        (void)vlt_is_ok(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got));
        shim->find = (struct p11_shim_fault){CKR_GENERAL_ERROR, i % 2};
        (void)vlt_is_ok(hsm_check(b->hsm, &b->fault));
        assert_true(shim->session_count <= 1);
    }
    shim->decrypt.times = shim->find.times = 0;
    opens(b, buf_bytes(&blob), plain);
    assert_int_equal(shim->session_max, 1);
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
}

// --- error codes of each class ----------------------------------------------

struct answer {
    CK_RV rv;
    enum vlt_class class; // while the device goes on to say so
};

static void p11_survives_error_codes_of_each_class(void **state) {
    struct bench *b = *state;
    static const struct answer answers[] = {{CKR_HOST_MEMORY, VLT_UNAVAILABLE},
                                            {CKR_GENERAL_ERROR, VLT_UNAVAILABLE},
                                            {CKR_FUNCTION_FAILED, VLT_UNAVAILABLE},
                                            {CKR_DEVICE_ERROR, VLT_UNAVAILABLE},
                                            {CKR_DEVICE_MEMORY, VLT_UNAVAILABLE},
                                            {CKR_DEVICE_REMOVED, VLT_UNAVAILABLE},
                                            {CKR_SESSION_CLOSED, VLT_UNAVAILABLE},
                                            {CKR_SESSION_HANDLE_INVALID, VLT_UNAVAILABLE},
                                            {CKR_TOKEN_NOT_PRESENT, VLT_UNAVAILABLE},
                                            {CKR_USER_NOT_LOGGED_IN, VLT_UNAVAILABLE},
                                            {CKR_KEY_HANDLE_INVALID, VLT_UNAVAILABLE},
                                            {CKR_MECHANISM_INVALID, VLT_UNAVAILABLE},
                                            {CKR_CRYPTOKI_NOT_INITIALIZED, VLT_UNAVAILABLE},
                                            {CKR_OPERATION_ACTIVE, VLT_UNAVAILABLE},
                                            {CKR_VENDOR_DEFINED | 0x42, VLT_UNAVAILABLE},
                                            {CKR_PIN_EXPIRED, VLT_DENIED}};
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct buf none;
        buf_init(&none, HSM_BLOB_MAX_BYTES);
        shim->encrypt = (struct p11_shim_fault){answers[i].rv, 1000};
        vlt_result result = hsm_wrap(b->hsm, CONTEXT, plain, &b->fault, &none);
        if (result.class != answers[i].class || none.size || !b->fault.text[0])
            fail_msg("0x%lx: %s", (unsigned long)answers[i].rv, vlt_class_name(result.class));
        shim->encrypt.times = 0;
        shim->decrypt = (struct p11_shim_fault){answers[i].rv, 1000};
        result = hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got);
        // Never "the blob was altered": the known answer fails, too.
        if (vlt_is_ok(result) || result.class == VLT_CRYPTO || secret_size(got))
            fail_msg("0x%lx: %s", (unsigned long)answers[i].rv, vlt_class_name(result.class));
        shim->decrypt.times = 0;
        opens(b, buf_bytes(&blob), plain);
        buf_done(&none);
    }
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
}

static void pin_rejects_each_refusal_once(void **state) {
    struct bench *b = *state;
    static const CK_RV refusals[] = {CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE,
                                     CKR_PIN_LOCKED, CKR_PIN_EXPIRED};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        char pin[32], path[96]; // a PIN that was refused is refused for ever
        snprintf(pin, sizeof pin, "another-pin-%zu\n", i);
        device_fixture_write(&b->device, "other", pin, 0600, path);
        snprintf(b->device.settings.pin_source, 256, "%s", path);
        bool is_final = refusals[i] != CKR_PIN_LOCKED && refusals[i] != CKR_PIN_EXPIRED;
        shim->login = (struct p11_shim_fault){refusals[i], is_final ? 1 : 10};
        shim->login_count = 0;
        OPEN_FAILS(VLT_DENIED, "PIN");
        OPEN_FAILS(VLT_DENIED, "PIN");
        assert_int_equal(shim->login_count, is_final ? 1 : 2);
    }
}

// --- answers that lie -------------------------------------------------------

static void p11_survives_spoilt_answers(void **state) {
    struct bench *b = *state;
    static const enum p11_shim_spoil ways[] = {P11_SHIM_GARBAGE, P11_SHIM_SHORT, P11_SHIM_EMPTY,
                                               P11_SHIM_LONG};
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        shim->spoil = ways[i];
        shim->spoil_times = 1000;
        struct buf none;
        buf_init(&none, HSM_BLOB_MAX_BYTES);
        vlt_result result = hsm_wrap(b->hsm, CONTEXT, plain, &b->fault, &none);
        if (result.class != VLT_UNAVAILABLE || none.size) // no data key may be lost so
            fail_msg("wrap %zu: %s", i, vlt_class_name(result.class));
        if (b->device.settings.mechanism != HSM_MECHANISM_KEY_WRAP) { // that reads no output
            result = hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got);
            if (vlt_is_ok(result) || result.class == VLT_CRYPTO) // the blob is not accused
                fail_msg("unwrap %zu: %s", i, vlt_class_name(result.class));
        }
        shim->spoil_times = 0;
        opens(b, buf_bytes(&blob), plain);
        buf_done(&none);
    }
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void p11_survives_delay(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    shim->delay_ms = 100;
    int64_t began = now_ms();
    opens(b, buf_bytes(&blob), plain);
    int64_t took = now_ms() - began;
    if (took < 90) // waited for
        fail_msg("%lld ms", (long long)took);
    assert_in_range(shim->delay_count, 1, 9); // once for each call, and not given up
    shim->delay_ms = 0;
    buf_done(&blob);
    secret_free(plain);
}

static void p11_survives_being_pulled_out(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (unsigned i = 0; i < 5; i++) {
        shim->is_pulled_out = true;
        vlt_result r = hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got);
        assert_true(r.class == VLT_UNAVAILABLE || r.class == VLT_NOT_FOUND);
        assert_non_null(strstr(b->fault.text, "plug"));
        shim->is_pulled_out = false;
        opens(b, buf_bytes(&blob), plain);
    }
    assert_int_equal(shim->session_count, 1);
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
}

// A device that goes away while mechanisms are tried has not said that it lacks one.
static void p11_rejects_a_worse_mechanism_for_a_lost_device(void **state) {
    struct bench *b = *state;
    struct hsm_description d;
    bench_open(b);
    shim->encrypt = (struct p11_shim_fault){CKR_DEVICE_REMOVED, 1};
    FAILS(hsm_key_create(b->hsm, 1, &b->fault, &b->key), VLT_UNAVAILABLE, "wrap");
    OK(hsm_key_create(b->hsm, 1, &b->fault, &b->key));
    hsm_describe(b->hsm, &d);
    assert_non_null(strstr(d.mechanism, "CKM_AES_GCM"));
}

static void p11_accepts_signatures_where_aes_is_missing(void **state) {
    struct bench *b = *state;
    struct hsm_description d;
    shim->has_no_gcm = shim->has_no_key_wrap = true;
    bench_create(b);
    hsm_describe(b->hsm, &d);
    assert_non_null(strstr(d.mechanism, "RSA signature"));
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    opens(b, buf_bytes(&blob), plain);
    assert_int_equal(shim->value_count, 0);
    OK(hsm_key_destroy(b->hsm, &b->key, &b->fault));
    buf_done(&blob);
    secret_free(plain);
}

// --- a pad on the device ----------------------------------------------------

static void pin_accepts_a_pad(void **state) {
    struct bench *b = *state;
    b->device.settings.pin_source[0] = 0;
    OPEN_FAILS(VLT_NOT_FOUND, "wants a PIN");
    shim->has_pinpad = true;
    bench_create(b);
    assert_int_equal(shim->login_count, 1);
    assert_int_equal(shim->pin_count, 0); // no PIN went through this process
}

static void pin_rejects_a_pad_where_nobody_types(void **state) {
    struct bench *b = *state;
    static const CK_RV refusals[] = {CKR_PIN_INCORRECT, CKR_FUNCTION_CANCELED,
                                     CKR_FUNCTION_REJECTED};
    b->device.settings.pin_source[0] = 0;
    shim->has_pinpad = true;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (size_t i = 0; i < 3; i++) {
        shim->decrypt = (struct p11_shim_fault){CKR_DEVICE_REMOVED, 1};
        shim->login = (struct p11_shim_fault){refusals[i], 100};
        shim->login_count = 0;
        for (unsigned again = 0; again < 5; again++)
            FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_DENIED,
                  "vaultctl unseal");
        assert_int_equal(shim->login_count, 1);
        shim->login.times = 0;
        bench_close(b); // what unseal does: a person is there again
        bench_open(b);
        OK(hsm_key_find(b->hsm, &b->key, &b->fault));
        opens(b, buf_bytes(&blob), plain);
    }
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
}

// --- URIs -------------------------------------------------------------------

static void uri_accepts_every_way_to_name_a_device(void **state) {
    struct bench *b = *state;
    struct hsm_description d;
    char uri[512];
    bench_create(b);
    hsm_describe(b->hsm, &d);
    bench_close(b);
    const char *const ways[] = {"serial=",
                                "manufacturer=SoftHSM%20project;token=" DEVICE_FIXTURE_LABEL,
                                "model=SoftHSM%20v2;token=" DEVICE_FIXTURE_LABEL,
                                "library-manufacturer=SoftHSM;token=" DEVICE_FIXTURE_LABEL,
                                "slot-manufacturer=SoftHSM%20project;token=" DEVICE_FIXTURE_LABEL,
                                "token=" DEVICE_FIXTURE_LABEL ";object=vaultd;type=secret-key"};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        snprintf(uri, sizeof uri, "pkcs11:%s%s", ways[i], i == 0 ? d.serial : "");
        set_uri(b, uri);
        bench_open(b);
        OK(hsm_key_find(b->hsm, &b->key, &b->fault));
        bench_close(b);
    }
    const char *const others[] = {"serial=0123456789abcdef",
                                  "manufacturer=Acme",
                                  "model=Other",
                                  "library-manufacturer=Acme",
                                  "slot-manufacturer=Acme",
                                  "slot-description=nowhere",
                                  "slot-id=4711",
                                  "token=other"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        snprintf(uri, sizeof uri, "pkcs11:%s", others[i]);
        set_uri(b, uri);
        OPEN_FAILS(VLT_NOT_FOUND, "no device");
    }
}

static void uri_accepts_module_path_and_slot_id(void **state) {
    struct bench *b = *state;
    char uri[512], line[256];
    unsigned long slot = 0;
    bool is_found = false;
    b->device.settings.p11_module[0] = 0;
    FILE *out = popen("pkcs11-tool --module " DEVICE_FIXTURE_SOFTHSM " --list-token-slots", "r");
    assert_non_null(out);
    while (!is_found && fgets(line, sizeof line, out)) // the last slot is an empty one
        is_found = sscanf(line, "Slot %*u (0x%lx)", &slot) == 1;
    pclose(out);
    assert_true(is_found);
    snprintf(uri, sizeof uri, "pkcs11:slot-id=%lu?module-path=%s", slot, DEVICE_FIXTURE_SOFTHSM);
    set_uri(b, uri);
    bench_create(b);
}

static void uri_accepts_an_object_id(void **state) {
    struct bench *b = *state;
    enum hsm_kind kind;
    uint32_t generation;
    uint8_t id[HSM_KEY_ID_BYTES];
    struct hsm_key second;
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL ";id=short");
    bench_open(b);
    FAILS(hsm_key_create(b->hsm, 1, &b->fault, &b->key), VLT_MALFORMED, "16 bytes");
    bench_close(b);
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL ";id=0123456789abcde%00");
    bench_create(b);
    OK(hsm_key_facts(&b->key, &kind, &generation, id));
    assert_memory_equal(id, "0123456789abcde", sizeof id);
    OK(hsm_key_create(b->hsm, 2, &b->fault, &second)); // of its own id
    bench_close(b);
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL ";object=other;id=0123456789abcde%00");
    bench_open(b);
    FAILS(hsm_key_create(b->hsm, 1, &b->fault, &second), VLT_CONFLICT, "one of its id");
}

// --- signing ----------------------------------------------------------------

static void signer_accepts_its_life(void **state) {
    struct bench *b = *state;
    struct hsm_signer signer, other;
    uint8_t digest[HSM_DIGEST_BYTES] = {1}, signature[HSM_SIGNATURE_BYTES];
    bench_open(b);
    OK(hsm_signer_create(b->hsm, &b->fault, &signer));
    OK(hsm_signer_create(b->hsm, &b->fault, &other));
    OK(hsm_sign(b->hsm, &signer, digest, &b->fault, signature));
    OK(hsm_sign(b->hsm, &other, digest, &b->fault, signature));
    struct hsm_signer mixed = signer; // the key of one, the point of the other
    memcpy(mixed.point, other.point, sizeof mixed.point);
    FAILS(hsm_sign(b->hsm, &mixed, digest, &b->fault, signature), VLT_UNAVAILABLE, "not verify");
    OK(hsm_signer_destroy(b->hsm, other.id, &b->fault));
    FAILS(hsm_signer_destroy(b->hsm, other.id, &b->fault), VLT_NOT_FOUND, "does not hold");
    FAILS(hsm_sign(b->hsm, &other, digest, &b->fault, signature), VLT_NOT_FOUND, "--emergency");
    OK(hsm_sign(b->hsm, &signer, digest, &b->fault, signature));
    assert_int_equal(shim->value_count, 0);
}

static void signer_rejects_a_tpm(void **state) {
    struct bench *b = *state;
    struct hsm_signer signer = {.id = {0}};
    uint8_t digest[HSM_DIGEST_BYTES] = {0}, signature[HSM_SIGNATURE_BYTES];
    bench_open(b);
    FAILS(hsm_signer_create(b->hsm, &b->fault, &signer), VLT_MALFORMED, "only a PKCS#11");
    FAILS(hsm_sign(b->hsm, &signer, digest, &b->fault, signature), VLT_MALFORMED, "only a PKCS#11");
    FAILS(hsm_signer_destroy(b->hsm, signer.id, &b->fault), VLT_MALFORMED, "only a PKCS#11");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_shim, bench_stop)

int main(void) {
    bench_heap_open();
    void *module = dlopen(P11_SHIM_PATH, RTLD_NOW);
    shim = module ? dlsym(module, "p11_shim") : NULL;
    if (!shim)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    const struct CMUnitTest tests[] = {
        CASE(p11_accepts_few_calls),
        CASE(p11_accepts_no_leak_of_sessions),
        CASE(p11_survives_error_codes_of_each_class),
        CASE(pin_rejects_each_refusal_once),
        CASE(p11_survives_spoilt_answers),
        cmocka_unit_test_setup_teardown(p11_survives_spoilt_answers, bench_shim_key_wrap,
                                        bench_stop),
        cmocka_unit_test_setup_teardown(p11_survives_spoilt_answers, bench_shim_signature,
                                        bench_stop),
        CASE(p11_survives_delay),
        CASE(p11_survives_being_pulled_out),
        CASE(p11_rejects_a_worse_mechanism_for_a_lost_device),
        CASE(p11_accepts_signatures_where_aes_is_missing),
        CASE(pin_accepts_a_pad),
        CASE(pin_rejects_a_pad_where_nobody_types),
        CASE(uri_accepts_every_way_to_name_a_device),
        CASE(uri_accepts_module_path_and_slot_id),
        CASE(uri_accepts_an_object_id),
        CASE(signer_accepts_its_life),
        cmocka_unit_test_setup_teardown(signer_rejects_a_tpm, bench_tpm, bench_stop),
    };
    return cmocka_run_group_tests_name("PKCS#11 faults", tests, NULL, NULL);
}
