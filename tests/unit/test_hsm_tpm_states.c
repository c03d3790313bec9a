// SPDX-License-Identifier: Apache-2.0
// States that a TPM can be in: locked out, cleared, owned by somebody, slow; and
// what an eavesdropper learns from a whole life of a key.
#include "tests/devices/device_bench.h"

#include <openssl/hmac.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <tss2/tss2_esys.h>

#include "hsm/record.h"
#include "hsm/tpm/link.h"
#include "libvault/base/clock.h"
#include "tests/devices/tpm_proxy.h"

// A program of somebody else on the same TPM.
struct stranger {
    struct tpm_link *link;
    ESYS_CONTEXT *esys;
};

static void stranger_come(struct bench *b, struct stranger *s) {
    s->link = NULL;
    s->esys = NULL;
    OK(tpm_link_open(b->device.settings.tcti, 10000, &b->fault, &s->link));
    assert_int_equal(Esys_Initialize(&s->esys, tpm_link_tcti(s->link), NULL), 0);
}

static void stranger_go(struct stranger *s) {
    Esys_Finalize(&s->esys);
    tpm_link_close(s->link);
}

static uint32_t tpm_property(struct stranger *s, TPM2_PT property) {
    TPMS_CAPABILITY_DATA *found = NULL;
    assert_int_equal(Esys_GetCapability(s->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        TPM2_CAP_TPM_PROPERTIES, property, 1, NULL, &found),
                     0);
    uint32_t value = found->data.tpmProperties.tpmProperty[0].value;
    assert_int_equal(found->data.tpmProperties.tpmProperty[0].property, property);
    Esys_Free(found);
    return value;
}

// --- dictionary-attack lockout ----------------------------------------------

// The stranger makes a key that counts, and tries wrong passwords until it is told off.
static void lock_out(struct bench *b) {
    struct stranger s;
    ESYS_TR key = ESYS_TR_NONE;
    const TPM2B_SENSITIVE_CREATE sensitive = {
        .sensitive = {.userAuth = {.size = 4, .buffer = "good"}}};
    const TPM2B_AUTH wrong = {.size = 3, .buffer = "bad"};
    const TPM2B_DATA outside = {.size = 0};
    const TPML_PCR_SELECTION pcrs = {.count = 0};
    TPM2B_PUBLIC template = {.publicArea = {.type = TPM2_ALG_ECC,
                                            .nameAlg = TPM2_ALG_SHA256,
                                            .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT |
                                                                TPMA_OBJECT_USERWITHAUTH |
                                                                TPMA_OBJECT_SENSITIVEDATAORIGIN}};
    template.publicArea.parameters.eccDetail = (TPMS_ECC_PARMS){
        .symmetric = {.algorithm = TPM2_ALG_NULL},
        .scheme = {.scheme = TPM2_ALG_ECDSA, .details.ecdsa.hashAlg = TPM2_ALG_SHA256},
        .curveID = TPM2_ECC_NIST_P256,
        .kdf = {.scheme = TPM2_ALG_NULL}};
    stranger_come(b, &s);
    assert_int_equal(Esys_CreatePrimary(s.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                        ESYS_TR_NONE, &sensitive, &template, &outside, &pcrs, &key,
                                        NULL, NULL, NULL, NULL),
                     0);
    assert_int_equal(Esys_TR_SetAuth(s.esys, key, &wrong), 0);
    const TPM2B_DIGEST digest = {.size = 32};
    const TPMT_SIG_SCHEME scheme = {.scheme = TPM2_ALG_NULL};
    const TPMT_TK_HASHCHECK ticket = {.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
    TSS2_RC rc = 0;
    for (unsigned i = 0; i < 64 && rc != TPM2_RC_LOCKOUT; i++) {
        TPMT_SIGNATURE *signature = NULL;
        rc = Esys_Sign(s.esys, key, ESYS_TR_PASSWORD, ESYS_TR_NONE, ESYS_TR_NONE, &digest, &scheme,
                       &ticket, &signature);
        assert_int_not_equal(rc, 0);
    }
    assert_int_equal(rc, TPM2_RC_LOCKOUT);
    Esys_FlushContext(s.esys, key);
    stranger_go(&s);
}

static void tpm_survives_a_lockout_of_others(void **state) {
    struct bench *b = *state;
    struct hsm_counter counter;
    uint64_t value = 0, now = 0;
    snprintf(b->device.settings.pin_source, 256, "%s", b->device.pin_path);
    bench_create(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &value));
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    bench_close(b);
    lock_out(b);
    bench_open(b); // nothing of ours takes part in it
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    opens(b, buf_bytes(&blob), plain);
    OK(hsm_counter_advance(b->hsm, &counter, value + 1, &b->fault));
    OK(hsm_counter_read(b->hsm, &counter, &b->fault, &now));
    assert_int_equal(now, value + 1);
    bench_close(b);
    bench_create(b); // nor does making a key
    buf_done(&blob);
    secret_free(plain);
}

// Forty wrong PINs of ours, and the TPM's counter of failures has not moved.
static void tpm_survives_our_own_wrong_pins(void **state) {
    struct bench *b = *state;
    struct stranger s;
    struct hsm_counter counter;
    uint64_t value = 0;
    char wrong[96];
    snprintf(b->device.settings.pin_source, 256, "%s", b->device.pin_path);
    bench_create(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &value));
    bench_close(b);
    device_fixture_write(&b->device, "wrong", "not-the-pin\n", 0600, wrong);
    snprintf(b->device.settings.pin_source, 256, "%s", wrong);
    bench_open(b);
    for (unsigned i = 0; i < 20; i++) {
        FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_DENIED, "PIN file");
        FAILS(hsm_counter_read(b->hsm, &counter, &b->fault, &value), VLT_DENIED, "authorization");
    }
    bench_close(b);
    stranger_come(b, &s);
    assert_int_equal(tpm_property(&s, TPM2_PT_LOCKOUT_COUNTER), 0);
    stranger_go(&s);
}

// --- cleared, or owned by somebody -------------------------------------------

// Told apart from tampering: the class is not VLT_CRYPTO, and nothing is retried.
static void tpm_rejects_itself_once_cleared(void **state) {
    struct bench *b = *state;
    struct hsm_counter counter;
    uint64_t value = 0;
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    bench_create(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &value));
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 2, TPM_PROXY_CUT, 0); // makes room for the clearing
    FAILS(hsm_check(b->hsm, &b->fault), VLT_UNAVAILABLE, "broken");
    device_fixture_clear(&b->device);
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_CONFLICT, "cleared");
    bench_close(b);
    bench_open(b);
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CONFLICT, "cleared");
    FAILS(hsm_counter_read(b->hsm, &counter, &b->fault, &value), VLT_NOT_FOUND, "cleared");
    bench_close(b);
    tpm_proxy_stop(proxy);
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
}

// Somebody put another TPM on the bus, one whose every key they know. It answers well;
// but it is not the pinned one, and nothing of ours goes to it, not even encrypted to
// its storage key.
static void tpm_rejects_a_substitute_before_it_learns_anything(void **state) {
    struct bench *b = *state;
    bench_create(b);
    bench_close(b);
    device_fixture_replace(&b->device);
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    tpm_proxy_fail(proxy, TPM2_CC_Load, 0, TPM_PROXY_ANSWER, 0); // only counts
    bench_open(b);
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CONFLICT,
          "not the one that made this store");
    assert_int_equal(tpm_proxy_count(proxy), 0);
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 0, TPM_PROXY_ANSWER, 0);
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_CONFLICT,
          "not the one that made this store");
    assert_int_equal(tpm_proxy_count(proxy), 0);
    struct hsm_record record;
    OK(hsm_record_decode(bytes_of(b->key.at, b->key.size), &record));
    assert_false(tpm_proxy_saw(proxy, record.of.tpm.private_area + 2, 32));
    bench_close(b);
    tpm_proxy_stop(proxy);
}

static void tpm_rejects_an_owner_password(void **state) {
    struct bench *b = *state;
    struct stranger s;
    const TPM2B_AUTH password = {.size = 6, .buffer = "secret"};
    stranger_come(b, &s);
    assert_int_equal(Esys_HierarchyChangeAuth(s.esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD,
                                              ESYS_TR_NONE, ESYS_TR_NONE, &password),
                     0);
    stranger_go(&s);
    FAILS(hsm_open(&b->device.settings, &b->fault, &b->hsm), VLT_DENIED,
          "owner hierarchy has a password");
    stranger_come(b, &s);
    assert_int_equal(tpm_property(&s, TPM2_PT_LOCKOUT_COUNTER), 0); // hierarchies do not count
    stranger_go(&s);
}

static void tpm_rejects_a_hierarchy_that_is_off(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    tpm_proxy_fail(proxy, TPM2_CC_CreatePrimary, 9, TPM_PROXY_ANSWER, TPM2_RC_HIERARCHY | 0x100);
    FAILS(hsm_open(&b->device.settings, &b->fault, &b->hsm), VLT_UNAVAILABLE,
          "disabled in the firmware");
    tpm_proxy_stop(proxy);
}

// --- slow -------------------------------------------------------------------

static void stand_still(int signal_number) { poll(NULL, 0, 1800); }

// Late, but in time: it waits, and hears an answer that came in time when it was held up
// itself. Too late: the caller hears about it, and the answer
// that comes afterwards is not taken for that of another command.
static void tpm_survives_late_answers(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    b->device.settings.timeout_ms = 1500; // the machine may stand still for seconds
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 1, TPM_PROXY_DELAY, 200);
    int64_t from = clock_elapsed_ms();
    opens(b, buf_bytes(&blob), plain);
    assert_true(clock_elapsed_ms() - from >= 190);
    const struct itimerval soon = {.it_value.tv_usec = 100000};
    signal(SIGALRM, stand_still);
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 1, TPM_PROXY_DELAY, 300);
    assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
    opens(b, buf_bytes(&blob), plain);
    signal(SIGALRM, SIG_DFL);
    for (unsigned i = 0; i < 2; i++) {
        tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 1, TPM_PROXY_DELAY, 4500);
        FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_UNAVAILABLE,
              "within 1500 ms");
        poll(NULL, 0, 3200); // the late answer is there now
        opens(b, buf_bytes(&blob), plain);
    }
    bench_close(b);
    tpm_proxy_stop(proxy);
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
}

// --- the bus ----------------------------------------------------------------

static void auth_of(const uint8_t seed[RECORD_SEED_BYTES], uint8_t auth[32]) {
    static const char label[] = "vaultd tpm auth v1";
    unsigned size = 0;
    assert_non_null(HMAC(EVP_sha256(), seed, RECORD_SEED_BYTES, (const uint8_t *)label,
                         sizeof label - 1, auth, &size));
}

// Making, opening and using a key and a counter: everything that went over the bus
// is searched for the secrets of all of it.
static void tpm_hides_a_whole_life_on_the_bus(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    struct hsm_counter counter;
    uint64_t value = 0;
    bench_create(b);
    OK(hsm_counter_create(b->hsm, &b->fault, &counter, &value));
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    opens(b, buf_bytes(&blob), plain);
    OK(hsm_counter_advance(b->hsm, &counter, value + 1, &b->fault));
    bench_close(b);
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    opens(b, buf_bytes(&blob), plain);
    struct hsm_record record;
    struct record_counter counter_record;
    uint8_t auth[32];
    OK(hsm_record_decode(bytes_of(b->key.at, b->key.size), &record));
    OK(record_counter_decode(bytes_of(counter.at, counter.size), &counter_record));
    static const uint32_t commands[] = {TPM2_CC_Create, TPM2_CC_Load, TPM2_CC_ECDH_ZGen,
                                        TPM2_CC_NV_DefineSpace, TPM2_CC_NV_Increment};
    for (size_t i = 0; i < sizeof commands / sizeof *commands;
         i++) { // all of it went over this bus
        const uint8_t code[4] = {0, 0, (uint8_t)(commands[i] >> 8), (uint8_t)commands[i]};
        assert_true(tpm_proxy_saw(proxy, code, sizeof code));
    }
    auth_of(record.of.tpm.seed, auth);
    assert_false(tpm_proxy_saw(proxy, auth, sizeof auth));
    auth_of(counter_record.seed, auth);
    assert_false(tpm_proxy_saw(proxy, auth, sizeof auth));
    assert_false(tpm_proxy_saw(proxy, record.of.tpm.seed, RECORD_SEED_BYTES));
    assert_false(tpm_proxy_saw(proxy, secret_borrow(plain), 32));
    secret_release(plain);
    // The points that the TPM multiplies, its own public point among them.
    assert_false(tpm_proxy_saw(proxy, blob.at + RECORD_BLOB_HEADER_BYTES + 1, 32));
    bench_close(b);
    tpm_proxy_stop(proxy);
    buf_done(&blob);
    secret_free(plain);
}

// --- a TCTI that tpm2-tss loads ---------------------------------------------

static void tpm_accepts_a_loaded_tcti(void **state) {
    struct bench *b = *state;
    char own[256];
    memcpy(own, b->device.settings.tcti, sizeof own);
    snprintf(b->device.settings.tcti, 256, "libtss2-tcti-swtpm.so.0:path=%s/tpm.sock",
             b->device.folder);
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    opens(b, buf_bytes(&blob), plain);
    bench_close(b);
    memcpy(b->device.settings.tcti, own, sizeof own); // the same TPM, whichever way
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_tpm, bench_stop)

int main(void) {
    bench_heap_open();
    const struct CMUnitTest tests[] = {
        CASE(tpm_survives_a_lockout_of_others),
        CASE(tpm_survives_our_own_wrong_pins),
        CASE(tpm_rejects_itself_once_cleared),
        CASE(tpm_rejects_a_substitute_before_it_learns_anything),
        CASE(tpm_rejects_an_owner_password),
        CASE(tpm_rejects_a_hierarchy_that_is_off),
        CASE(tpm_survives_late_answers),
        CASE(tpm_hides_a_whole_life_on_the_bus),
        CASE(tpm_accepts_a_loaded_tcti),
    };
    return cmocka_run_group_tests_name("states of a TPM", tests, NULL, NULL);
}
