// SPDX-License-Identifier: Apache-2.0
// What only a PKCS#11 device can do: PINs, modules, attributes, its own errors.
#include "tests/devices/device_bench.h"

#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hsm/pin.h"
#include "tests/devices/p11_shim.h"

static struct p11_shim *shim;

// The device behind the shim, all faults off.
static int bench_shim(void **state) {
    (void)bench_p11(state);
    struct bench *b = *state;
    memset(shim, 0, sizeof *shim);
    snprintf(b->device.settings.p11_module, sizeof b->device.settings.p11_module, "%s",
             P11_SHIM_PATH);
    return 0;
}

static void set_pin_file(struct bench *b, const char *name, const char *text, unsigned mode) {
    char path[96];
    device_fixture_write(&b->device, name, text, mode, path);
    snprintf(b->device.settings.pin_source, sizeof b->device.settings.pin_source, "%s", path);
}

static void set_uri(struct bench *b, const char *text) {
    snprintf(b->device.settings.p11_uri, sizeof b->device.settings.p11_uri, "%s", text);
}

#define OPEN_FAILS(wanted, word)                                                                   \
    FAILS(hsm_open(&b->device.settings, &b->fault, &b->hsm), wanted, word)

// --- PINs -------------------------------------------------------------------

static void pin_rejects_wrong_one_and_tries_it_once(void **state) {
    struct bench *b = *state;
    set_pin_file(b, "wrong", "not-the-pin\n", 0600);
    OPEN_FAILS(VLT_DENIED, "PIN is wrong");
    assert_int_equal(shim->login_count, 1);
    for (unsigned i = 0; i < 20; i++)
        OPEN_FAILS(VLT_DENIED, "not tried again");
    set_uri(b, "pkcs11:model=SoftHSM%20v2;token=" DEVICE_FIXTURE_LABEL); // another spelling
    OPEN_FAILS(VLT_DENIED, "not tried again");
    assert_int_equal(shim->login_count, 1);
    set_pin_file(b, "right", DEVICE_FIXTURE_PIN "\n", 0400);
    bench_open(b);
    assert_int_equal(shim->login_count, 2);
}

static void pin_rejects_a_device_on_its_last_try(void **state) {
    struct bench *b = *state;
    shim->token_flags = CKF_USER_PIN_FINAL_TRY;
    OPEN_FAILS(VLT_DENIED, "one more wrong PIN would lock");
    shim->token_flags = CKF_USER_PIN_LOCKED;
    OPEN_FAILS(VLT_DENIED, "security officer");
    assert_int_equal(shim->login_count, 0);
    shim->token_flags = CKF_USER_PIN_COUNT_LOW; // one earlier mistake does not keep us out
    bench_open(b);
}

static void pin_rejects_files_that_others_can_use(void **state) {
    struct bench *b = *state;
    static const unsigned modes[] = {0440, 0640, 0644, 0604, 0620, 0602, 0666, 0660};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        set_pin_file(b, "open", DEVICE_FIXTURE_PIN "\n", modes[i]);
        OPEN_FAILS(VLT_DENIED, "chmod 0400");
    }
    assert_int_equal(shim->login_count, 0);
    set_pin_file(b, "owner", DEVICE_FIXTURE_PIN "\n", 0400);
    bench_open(b);
}

static void pin_rejects_what_is_not_one_pin(void **state) {
    struct bench *b = *state;
    static const char *const wrong[] = {
        "", "\n", "one\ntwo\n", "one\n\n",
        "12345678901234567890123456789012345678901234567890123456789012345\n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        set_pin_file(b, "odd", wrong[i], 0600);
        OPEN_FAILS(VLT_MALFORMED, "one line of 1 to 64");
    }
    snprintf(b->device.settings.pin_source, 256, "%s", b->device.folder);
    OPEN_FAILS(VLT_MALFORMED, "not a regular file");
    snprintf(b->device.settings.pin_source, 256, "%s/absent", b->device.folder);
    OPEN_FAILS(VLT_NOT_FOUND, "cannot be opened");
    snprintf(b->device.settings.pin_source, 256, "relative/path");
    OPEN_FAILS(VLT_MALFORMED, "neither an absolute path");
    b->device.settings.pin_source[0] = 0;
    OPEN_FAILS(VLT_NOT_FOUND, "wants a PIN");
    assert_int_equal(shim->login_count, 0);
}

static void pin_accepts_the_longest_and_no_newline(void **state) {
    struct bench *b = *state;
    char text[65], path[96];
    memset(text, 'x', 64);
    text[64] = 0;
    struct secret *pin = NULL;
    device_fixture_write(&b->device, "long", text, 0600, path);
    OK(pin_read(path, &b->fault, &pin));
    assert_int_equal(secret_size(pin), 64);
    secret_free(pin);
    set_pin_file(b, "bare", DEVICE_FIXTURE_PIN, 0600);
    bench_open(b);
}

static void pin_accepts_systemd_credential(void **state) {
    struct bench *b = *state;
    snprintf(b->device.settings.pin_source, 256, "pin");
    unsetenv("CREDENTIALS_DIRECTORY");
    OPEN_FAILS(VLT_NOT_FOUND, "LoadCredential=pin");
    setenv("CREDENTIALS_DIRECTORY", b->device.folder, 1);
    bench_open(b);
    bench_close(b);
    // As systemd makes it for a service with a user of its own; nothing wider.
    static const unsigned modes[] = {0444, 0460, 0442, 0440};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(chmod(b->device.pin_path, modes[i]), 0);
        if (modes[i] == 0440)
            bench_open(b);
        else
            OPEN_FAILS(VLT_DENIED, "chmod 0400");
    }
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void pin_accepts_source_in_the_uri(void **state) {
    struct bench *b = *state;
    char uri[256];
    b->device.settings.pin_source[0] = 0;
    snprintf(uri, sizeof uri, "pkcs11:token=%s?pin-source=file:%s", DEVICE_FIXTURE_LABEL,
             b->device.pin_path);
    set_uri(b, uri);
    bench_open(b);
}

// --- URIs and modules -------------------------------------------------------

static void p11_rejects_unusable_settings(void **state) {
    struct bench *b = *state;
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL "?pin-value=1234");
    OPEN_FAILS(VLT_MALFORMED, "pin-value");
    assert_null(strstr(b->fault.text, "1234"));
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL ";colour=red");
    OPEN_FAILS(VLT_MALFORMED, "RFC 7512");
    set_uri(b, "https://example.com/");
    OPEN_FAILS(VLT_MALFORMED, "URI");
    set_uri(b, "pkcs11:token=another");
    OPEN_FAILS(VLT_NOT_FOUND, "'" DEVICE_FIXTURE_LABEL "'"); // tells what is there
    set_uri(b, "");
    OPEN_FAILS(VLT_MALFORMED, "URI");
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL);
    snprintf(b->device.settings.p11_module, 256, "/nonexistent/module.so");
    OPEN_FAILS(VLT_NOT_FOUND, "/nonexistent/module.so");
    b->device.settings.mechanism = HSM_MECHANISM_ECDH;
    OPEN_FAILS(VLT_MALFORMED, "mechanism");
}

static void p11_rejects_uri_of_several_devices(void **state) {
    struct bench *b = *state;
    const char *const argv[] = {"softhsm2-util", "--init-token", "--free",   "--label",
                                DEVICE_FIXTURE_LABEL, "--pin", DEVICE_FIXTURE_PIN, "--so-pin",
                                DEVICE_FIXTURE_SO_PIN, NULL};
    assert_int_equal(device_fixture_run(argv), 0);
    OPEN_FAILS(VLT_CONFLICT, "2 devices");
}

static void p11_accepts_configured_modules(void **state) {
    struct bench *b = *state;
    b->device.settings.p11_module[0] = 0; // Debian registers SoftHSM with p11-kit
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL);
    bench_create(b);
    bench_close(b);
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL "?module-name=softhsm2");
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    bench_close(b);
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL "?module-name=absent");
    OPEN_FAILS(VLT_NOT_FOUND, "no device");
}

// --- keys -------------------------------------------------------------------

static void p11_rejects_label_that_is_taken(void **state) {
    struct bench *b = *state;
    struct hsm_key other;
    bench_create(b);
    bench_close(b);
    bench_open(b);
    FAILS(hsm_key_create(b->hsm, 1, &b->fault, &other), VLT_CONFLICT, "object=");
    bench_close(b);
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL ";object=second-vault");
    bench_open(b);
    OK(hsm_key_create(b->hsm, 1, &b->fault, &other));
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
}

// Somebody replaced the key by one of the same id and label that can leave.
static void p11_rejects_extractable_key(void **state) {
    struct bench *b = *state;
    bench_create(b);
    enum hsm_kind kind;
    uint32_t generation;
    uint8_t id[HSM_KEY_ID_BYTES];
    char hex[2 * HSM_KEY_ID_BYTES + 1];
    OK(hsm_key_facts(&b->key, &kind, &generation, id));
    for (size_t i = 0; i < sizeof id; i++)
        snprintf(hex + 2 * i, 3, "%02x", id[i]);
    bench_close(b);
    const char *const delete[] = {"pkcs11-tool",
                                  "--module",
                                  DEVICE_FIXTURE_SOFTHSM,
                                  "--token-label",
                                  DEVICE_FIXTURE_LABEL,
                                  "--login",
                                  "--pin",
                                  DEVICE_FIXTURE_PIN,
                                  "--delete-object",
                                  "--type",
                                  "secrkey",
                                  "--id",
                                  hex,
                                  NULL};
    const char *const make[] = {"pkcs11-tool",
                                "--module",
                                DEVICE_FIXTURE_SOFTHSM,
                                "--token-label",
                                DEVICE_FIXTURE_LABEL,
                                "--login",
                                "--pin",
                                DEVICE_FIXTURE_PIN,
                                "--keygen",
                                "--key-type",
                                "AES:32",
                                "--label",
                                "vaultd",
                                "--id",
                                hex,
                                "--extractable",
                                NULL};
    assert_int_equal(device_fixture_run(delete), 0);
    bench_open(b);
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_NOT_FOUND, "key was deleted");
    bench_close(b);
    assert_int_equal(device_fixture_run(make), 0);
    bench_open(b);
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CRYPTO, "extractable 1");
}

// --- mechanisms -------------------------------------------------------------

static void p11_accepts_key_wrap_where_gcm_is_missing(void **state) {
    struct bench *b = *state;
    struct hsm_description d;
    shim->has_no_gcm = true;
    bench_create(b);
    hsm_describe(b->hsm, &d);
    assert_non_null(strstr(d.mechanism, "key wrap"));
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
    bench_close(b);
    b->device.settings.mechanism = HSM_MECHANISM_GCM;
    set_uri(b, "pkcs11:token=" DEVICE_FIXTURE_LABEL ";object=forced");
    bench_open(b);
    FAILS(hsm_key_create(b->hsm, 1, &b->fault, &b->key), VLT_UNAVAILABLE, "cannot");
}

static void p11_rejects_gcm_that_ignores_the_context(void **state) {
    struct bench *b = *state;
    struct hsm_description d;
    shim->has_broken_gcm = true;
    bench_create(b);
    hsm_describe(b->hsm, &d);
    assert_non_null(strstr(d.mechanism, "key wrap"));
}

static void p11_survives_failure_of_creation(void **state) {
    struct bench *b = *state;
    bench_open(b);
    shim->generate = (struct p11_shim_fault){CKR_DEVICE_MEMORY, 100};
    FAILS(hsm_key_create(b->hsm, 1, &b->fault, &b->key), VLT_UNAVAILABLE, "full");
    shim->generate.times = 0;
    OK(hsm_key_create(b->hsm, 1, &b->fault, &b->key)); // nothing was left behind
}

// --- a module that answers with errors --------------------------------------

static void p11_survives_every_loss(void **state) {
    struct bench *b = *state;
    static const CK_RV lost[] = {CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_DEVICE_REMOVED,
                                 CKR_DEVICE_ERROR,           CKR_TOKEN_NOT_PRESENT,
                                 CKR_USER_NOT_LOGGED_IN,     CKR_KEY_HANDLE_INVALID,
                                 CKR_CRYPTOKI_NOT_INITIALIZED};
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (size_t i = 0; i < sizeof lost / sizeof *lost; i++) {
        unsigned before = shim->initialize_count;
        // DEVICE_ERROR is ambiguous: the blob first, then the known answer.
        shim->decrypt = (struct p11_shim_fault){lost[i], lost[i] == CKR_DEVICE_ERROR ? 2 : 1};
        opens(b, buf_bytes(&blob), plain); // reached anew without a word
        assert_int_equal(shim->initialize_count, before + 1);
        shim->encrypt = (struct p11_shim_fault){lost[i], 1};
        struct buf again;
        bench_wrap(b, plain, &again);
        buf_done(&again);
    }
    buf_done(&blob);
    secret_free(plain);
}

// The same CKR_GENERAL_ERROR: once the blob's fault, once the device's.
static void p11_survives_general_error(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    shim->decrypt = (struct p11_shim_fault){CKR_GENERAL_ERROR, 1};
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_CRYPTO, "healthy");
    shim->decrypt = (struct p11_shim_fault){CKR_GENERAL_ERROR, 1000};
    vlt_result r = hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got);
    assert_int_not_equal(r.class, VLT_CRYPTO);
    assert_int_not_equal(r.class, VLT_CLASS_OK);
    shim->decrypt.times = 0;
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
}

static void p11_survives_failure_to_come_back(void **state) {
    struct bench *b = *state;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    shim->decrypt = (struct p11_shim_fault){CKR_DEVICE_REMOVED, 1};
    shim->open_session = (struct p11_shim_fault){CKR_SESSION_COUNT, 1};
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_UNAVAILABLE,
          "sessions");
    opens(b, buf_bytes(&blob), plain);
    // Somebody changed the PIN meanwhile: one try, then none.
    shim->decrypt = (struct p11_shim_fault){CKR_DEVICE_REMOVED, 1};
    shim->login = (struct p11_shim_fault){CKR_PIN_INCORRECT, 1};
    unsigned before = shim->login_count;
    for (unsigned i = 0; i < 5; i++)
        FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_DENIED, "PIN");
    assert_int_equal(shim->login_count, before + 1);
    buf_done(&blob);
    secret_free(got);
    secret_free(plain);
}

// The new number is written, the old one cannot be removed: nothing goes back.
static void p11_survives_interrupted_counter(void **state) {
    struct bench *b = *state;
    struct hsm_counter counter;
    uint64_t first = 0, value = 0;
    bench_open(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &first));
    shim->destroy = (struct p11_shim_fault){CKR_DEVICE_MEMORY, 1};
    FAILS(hsm_counter_advance(b->hsm, &counter, first + 1, &b->fault), VLT_UNAVAILABLE, "remove");
    OK(hsm_counter_read(b->hsm, &counter, &b->fault, &value));
    assert_int_equal(value, first + 1);
    OK(hsm_counter_advance(b->hsm, &counter, first + 1, &b->fault));
    OK(hsm_counter_advance(b->hsm, &counter, first + 2, &b->fault));
    OK(hsm_counter_read(b->hsm, &counter, &b->fault, &value));
    assert_int_equal(value, first + 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_shim, bench_stop)

int main(void) {
    bench_heap_open();
    void *module = dlopen(P11_SHIM_PATH, RTLD_NOW);
    shim = module ? dlsym(module, "p11_shim") : NULL;
    if (!shim)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    // One of p11-kit's modules; stays loaded, so that its own leaks have its name.
    if (!dlopen("libtpm2_pkcs11.so.1", RTLD_NOW | RTLD_NODELETE))
        return fprintf(stderr, "%s\n", dlerror()), 1;
    const struct CMUnitTest tests[] = {
        CASE(pin_rejects_wrong_one_and_tries_it_once),
        CASE(pin_rejects_a_device_on_its_last_try),
        CASE(pin_rejects_files_that_others_can_use),
        CASE(pin_rejects_what_is_not_one_pin),
        CASE(pin_accepts_the_longest_and_no_newline),
        CASE(pin_accepts_systemd_credential),
        CASE(pin_accepts_source_in_the_uri),
        CASE(p11_rejects_unusable_settings),
        CASE(p11_rejects_uri_of_several_devices),
        CASE(p11_accepts_configured_modules),
        CASE(p11_rejects_label_that_is_taken),
        CASE(p11_rejects_extractable_key),
        CASE(p11_accepts_key_wrap_where_gcm_is_missing),
        CASE(p11_rejects_gcm_that_ignores_the_context),
        CASE(p11_survives_failure_of_creation),
        CASE(p11_survives_every_loss),
        CASE(p11_survives_general_error),
        CASE(p11_survives_failure_to_come_back),
        CASE(p11_survives_interrupted_counter),
    };
    return cmocka_run_group_tests_name("PKCS#11", tests, NULL, NULL);
}
