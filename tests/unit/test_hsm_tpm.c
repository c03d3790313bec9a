// SPDX-License-Identifier: Apache-2.0
// What only a TPM can do: sessions, slots, response codes, hanging.
#include "tests/devices/device_bench.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <tss2/tss2_esys.h>
#include <unistd.h>

#include "hsm/record.h"
#include "hsm/tpm/link.h"
#include "libvault/base/clock.h"
#include "tests/devices/tpm_proxy.h"

static const char *own_path; // this program, for the role of a process that crashes

static struct tpm_proxy *proxy_put(struct bench *b) {
    struct tpm_proxy *proxy = tpm_proxy_start(b->device.folder);
    snprintf(b->device.settings.tcti, sizeof b->device.settings.tcti, "swtpm:path=%s", proxy->path);
    return proxy;
}

static void proxy_take(struct bench *b, struct tpm_proxy *proxy) {
    bench_close(b);
    tpm_proxy_stop(proxy);
}

#define OPEN_FAILS(wanted, word)                                                                   \
    FAILS(hsm_open(&b->device.settings, &b->fault, &b->hsm), wanted, word)

// --- reaching it ------------------------------------------------------------

static void tpm_rejects_unusable_settings(void **state) {
    struct bench *b = *state;
    char *tcti = b->device.settings.tcti;
    snprintf(tcti, 256, "swtpm:path=/nonexistent/tpm.sock");
    OPEN_FAILS(VLT_NOT_FOUND, "swtpm started");
    snprintf(tcti, 256, "swtpm:path=%s/pin", b->device.folder); // there, but nobody listens
    OPEN_FAILS(VLT_UNAVAILABLE, "running");
    snprintf(tcti, 256, "swtpm:host=127.0.0.1,port=1");
    OPEN_FAILS(VLT_UNAVAILABLE, "running");
    snprintf(tcti, 256, "swtpm:host=example.com,port=1"); // no name is ever looked up
    OPEN_FAILS(VLT_UNAVAILABLE, "cannot be reached");
    snprintf(tcti, 256, "swtpm:colour=red");
    OPEN_FAILS(VLT_MALFORMED, "swtpm:path=SOCKET");
    snprintf(tcti, 256, "device:/nonexistent/tpmrm0");
    OPEN_FAILS(VLT_NOT_FOUND, "firmware");
    b->device.settings.timeout_ms = 100;
    snprintf(tcti, 256, "device:/dev/null");
    OPEN_FAILS(VLT_UNAVAILABLE, "within 100 ms");
    snprintf(tcti, 256, "nonsense:yes");
    OPEN_FAILS(VLT_UNAVAILABLE, "TCTI library");
    tcti[0] = 0;
    OPEN_FAILS(VLT_MALFORMED, "TCTI");
}

// How long that took.
static int64_t unwrap_in_vain(struct bench *b, const struct buf *blob) {
    struct secret *got = secret_new(HSM_DATA_KEY_BYTES);
    int64_t from = clock_elapsed_ms();
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(blob), &b->fault, got), VLT_UNAVAILABLE,
          "within 300 ms");
    secret_free(got);
    return clock_elapsed_ms() - from;
}

static void tpm_survives_a_device_that_hangs(void **state) {
    struct bench *b = *state;
    b->device.settings.timeout_ms = 300;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    device_fixture_freeze(&b->device);
    int64_t took = unwrap_in_vain(b, &blob);
    for (unsigned tries = 0; tries < 9 && took > 2000; tries++) { // the machine held us up
        device_fixture_thaw(&b->device);
        opens(b, buf_bytes(&blob), plain);
        device_fixture_freeze(&b->device);
        took = unwrap_in_vain(b, &blob);
    }
    assert_in_range(took, 250, 2000); // one wait, not one for each slot
    FAILS(hsm_check(b->hsm, &b->fault), VLT_UNAVAILABLE, "within 300 ms");
    bench_close(b);
    OPEN_FAILS(VLT_UNAVAILABLE, "within 300 ms");
    device_fixture_thaw(&b->device);
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    opens(b, buf_bytes(&blob), plain);
    device_fixture_freeze(&b->device);
    FAILS(hsm_check(b->hsm, &b->fault), VLT_UNAVAILABLE, "another program holds it");
    device_fixture_thaw(&b->device);
    opens(b, buf_bytes(&blob), plain); // the same hsm recovers by itself
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
}

// A swtpm serves one client; the second one waits in its queue.
static void tpm_survives_another_client(void **state) {
    struct bench *b = *state;
    b->device.settings.timeout_ms = 200;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/tpm.sock", b->device.folder);
    int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(other, (struct sockaddr *)&address, sizeof address), 0);
    OPEN_FAILS(VLT_UNAVAILABLE, "another program holds it");
    close(other);
    bench_open(b);
}

// Each crash leaves a primary, a key and a session behind; a TPM has three of each.
static void tpm_survives_crashed_predecessors(void **state) {
    struct bench *b = *state;
    const char *const argv[] = {own_path, "crash", b->device.settings.tcti, NULL};
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(device_fixture_run(argv), 0);
    bench_create(b);
}

static int crash(const char *tcti) {
    struct hsm_settings settings = {.kind = HSM_TPM};
    struct fault fault = {.line = 0};
    struct hsm *hsm = NULL;
    struct hsm_key key;
    snprintf(settings.tcti, sizeof settings.tcti, "%s", tcti);
    if (!vlt_is_ok(hsm_open(&settings, &fault, &hsm)) ||
        !vlt_is_ok(hsm_key_create(hsm, 1, &fault, &key)))
        _exit(1);
    _exit(0);
}

// A character device, as /dev/tpm0 is one: a terminal in raw mode, with the
// swtpm at its other end.
struct pipe_ends {
    int device, server;
};

static void *pass_on(void *arg) {
    const struct pipe_ends *ends = arg;
    struct pollfd fds[] = {{.fd = ends->device, .events = POLLIN},
                           {.fd = ends->server, .events = POLLIN}};
    uint8_t bytes[4096];
    for (;;) {
        poll(fds, 2, -1);
        for (unsigned i = 0; i < 2; i++) {
            ssize_t n = fds[i].revents & POLLIN ? read(fds[i].fd, bytes, sizeof bytes) : 0;
            if ((fds[i].revents && n <= 0) ||
                (n > 0 && write(fds[1 - i].fd, bytes, (size_t)n) != n))
                return NULL;
        }
    }
}

static void tpm_accepts_character_device(void **state) {
    struct bench *b = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/tpm.sock", b->device.folder);
    struct pipe_ends ends = {posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC),
                             socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(grantpt(ends.device) | unlockpt(ends.device), 0);
    int keep_open = open(ptsname(ends.device), O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    tcgetattr(keep_open, &raw);
    cfmakeraw(&raw);
    tcsetattr(keep_open, TCSANOW, &raw);
    assert_int_equal(connect(ends.server, (struct sockaddr *)&address, sizeof address), 0);
    snprintf(b->device.settings.tcti, 256, "device:%s", ptsname(ends.device));
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, pass_on, &ends), 0);
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    opens(b, buf_bytes(&blob), plain);
    bench_close(b);
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    opens(b, buf_bytes(&blob), plain);
    shutdown(ends.server, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(ends.device); // pulled out: the file of the device is there no more
    FAILS(hsm_check(b->hsm, &b->fault), VLT_NOT_FOUND, "switched on");
    bench_close(b);
    close(keep_open);
    close(ends.server);
    buf_done(&blob);
    secret_free(plain);
}

// --- authorization ----------------------------------------------------------

static void tpm_rejects_wrong_pin(void **state) {
    struct bench *b = *state;
    char wrong[96];
    snprintf(b->device.settings.pin_source, 256, "%s", b->device.pin_path);
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    bench_close(b);
    device_fixture_write(&b->device, "wrong", "not-the-pin\n", 0600, wrong);
    snprintf(b->device.settings.pin_source, 256, "%s", wrong);
    bench_open(b);
    for (unsigned i = 0; i < 40; i++) // never counts towards dictionary-attack lockout
        FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_DENIED, "PIN file");
    bench_close(b);
    b->device.settings.pin_source[0] = 0;
    bench_open(b);
    FAILS(hsm_key_find(b->hsm, &b->key, &b->fault), VLT_DENIED, "PIN file");
    bench_close(b);
    snprintf(b->device.settings.pin_source, 256, "%s", b->device.pin_path);
    bench_open(b);
    OK(hsm_key_find(b->hsm, &b->key, &b->fault));
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
}

// --- the bus ----------------------------------------------------------------

// What we ask and what we get is encrypted between us and the TPM.
static void tpm_hides_parameters_on_the_bus(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = proxy_put(b);
    bench_create(b);
    struct secret *plain = fresh_key();
    struct buf blob;
    bench_wrap(b, plain, &blob);
    struct hsm_record record;
    OK(hsm_record_decode(bytes_of(b->key.at, b->key.size), &record));
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 0, TPM_PROXY_ANSWER, 0);
    opens(b, buf_bytes(&blob), plain);
    assert_int_equal(tpm_proxy_count(proxy), 1);
    assert_true(tpm_proxy_saw(proxy, "\x00\x00\x01\x54", 4)); // TPM2_CC_ECDH_ZGen went over it
    // x and y of the ephemeral point that the blob begins with
    assert_false(tpm_proxy_saw(proxy, blob.at + RECORD_BLOB_HEADER_BYTES + 1, 32));
    assert_false(tpm_proxy_saw(proxy, blob.at + RECORD_BLOB_HEADER_BYTES + 33, 32));
    assert_false(tpm_proxy_saw(proxy, secret_borrow(plain), 32));
    secret_release(plain);
    buf_done(&blob);
    secret_free(plain);
    proxy_take(b, proxy);
}

static void tpm_rejects_answers_that_somebody_altered(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = proxy_put(b);
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 2, TPM_PROXY_FLIP, 0); // the session's HMAC
    FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_UNAVAILABLE, "broken");
    tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 0, TPM_PROXY_FLIP, 0);
    opens(b, buf_bytes(&blob), plain);
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
    proxy_take(b, proxy);
}

static void tpm_survives_every_fault_of_the_bus(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = proxy_put(b);
    b->device.settings.timeout_ms = 300;
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    static const enum tpm_proxy_fault faults[] = {TPM_PROXY_GARBAGE, TPM_PROXY_CUT,
                                                  TPM_PROXY_SILENCE};
    static const uint32_t commands[] = {TPM2_CC_ECDH_ZGen, TPM2_CC_CreatePrimary,
                                        TPM2_CC_StartAuthSession, TPM2_CC_Load,
                                        TPM2_CC_GetCapability};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (size_t j = 0; j < sizeof commands / sizeof *commands; j++) {
            // While in use, then while it is reached.
            tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, 2, faults[i], 0);
            FAILS(hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got), VLT_UNAVAILABLE,
                  "cannot use the wrapping key");
            bench_close(b);
            tpm_proxy_fail(proxy, commands[j], 1000, faults[i], 0);
            vlt_result r = hsm_open(&b->device.settings, &b->fault, &b->hsm);
            if (vlt_is_ok(r))
                r = hsm_key_find(b->hsm, &b->key, &b->fault);
            if (r.class != VLT_UNAVAILABLE)
                fail_msg("fault %zu, command %zu: %s %s", i, j, vlt_class_name(r.class), r.reason);
            tpm_proxy_fail(proxy, 1, 0, faults[i], 0);
            bench_close(b);
            bench_open(b);
            OK(hsm_key_find(b->hsm, &b->key, &b->fault));
            opens(b, buf_bytes(&blob), plain);
        }
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
    proxy_take(b, proxy);
}

// --- response codes ---------------------------------------------------------

static void tpm_survives_a_busy_device(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = proxy_put(b);
    static const uint32_t busy[] = {TPM2_RC_RETRY, TPM2_RC_YIELDED, TPM2_RC_TESTING};
    static const uint32_t commands[] = {TPM2_CC_CreatePrimary, TPM2_CC_StartAuthSession,
                                        TPM2_CC_Create, TPM2_CC_Load, TPM2_CC_ECDH_ZGen};
    for (size_t i = 0; i < sizeof busy / sizeof *busy; i++)
        for (size_t j = 0; j < sizeof commands / sizeof *commands; j++) {
            tpm_proxy_fail(proxy, commands[j], 12, TPM_PROXY_ANSWER, busy[i]);
            bench_create(b);
            assert_in_range(tpm_proxy_count(proxy), 13, 14);
            bench_close(b);
        }
    proxy_take(b, proxy);
}

static void tpm_survives_every_response_code(void **state) {
    struct bench *b = *state;
    struct tpm_proxy *proxy = proxy_put(b);
    static const struct {
        uint32_t code;
        unsigned times;
        enum vlt_class class;
        const char *word;
    } cases[] = {
        {TPM2_RC_REFERENCE_H0, 1, VLT_CLASS_OK, ""}, // flushed by somebody: loaded again
        {TPM2_RC_REFERENCE_S0, 1, VLT_CLASS_OK, ""},
        {TPM2_RC_HANDLE | 0x100, 1, VLT_CLASS_OK, ""},
        {TPM2_RC_INITIALIZE, 1, VLT_CLASS_OK, ""},
        {TPM2_RC_OBJECT_MEMORY, 1, VLT_CLASS_OK, ""},
        {TPM2_RC_OBJECT_MEMORY, 9, VLT_UNAVAILABLE, "tpmrm0"},
        {TPM2_RC_SESSION_MEMORY, 9, VLT_UNAVAILABLE, "tpmrm0"},
        {TPM2_RC_FAILURE, 9, VLT_UNAVAILABLE, "failure mode"},
        {TPM2_RC_LOCKOUT, 9, VLT_UNAVAILABLE, "lockout"},
        {TPM2_RC_BAD_AUTH | 0x800 | 0x100, 9, VLT_DENIED, "authorization"},
        {TPM2_RC_AUTH_FAIL | 0x800 | 0x100, 9, VLT_DENIED, "authorization"},
        {TPM2_RC_NV_UNAVAILABLE, 9, VLT_UNAVAILABLE, "TPM_RC_NV_UNAVAILABLE"},
        {0x0000017f, 9, VLT_UNAVAILABLE, "0x17f"}, // no code that we know
        {TPM2_RC_ECC_POINT | 0x1c0, 1, VLT_CRYPTO, "healthy"}, // then the known answer passes
    };
    bench_create(b);
    struct secret *plain = fresh_key(), *got = secret_new(HSM_DATA_KEY_BYTES);
    struct buf blob;
    bench_wrap(b, plain, &blob);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tpm_proxy_fail(proxy, TPM2_CC_ECDH_ZGen, cases[i].times, TPM_PROXY_ANSWER, cases[i].code);
        vlt_result r = hsm_unwrap(b->hsm, CONTEXT, buf_bytes(&blob), &b->fault, got);
        if (r.class != cases[i].class ||
            (!vlt_is_ok(r) && !strstr(b->fault.text, cases[i].word)))
            fail_msg("case %zu: %s: %s", i, vlt_class_name(r.class), b->fault.text);
        tpm_proxy_fail(proxy, 1, 0, TPM_PROXY_ANSWER, 0);
        opens(b, buf_bytes(&blob), plain);
    }
    buf_done(&blob);
    secret_free(plain);
    secret_free(got);
    proxy_take(b, proxy);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_tpm, bench_stop)

int main(int argc, char **argv) {
    bench_heap_open();
    own_path = argv[0];
    if (argc == 3 && !strcmp(argv[1], "crash"))
        return crash(argv[2]);
    const struct CMUnitTest tests[] = {
        CASE(tpm_rejects_unusable_settings),
        CASE(tpm_survives_a_device_that_hangs),
        CASE(tpm_survives_another_client),
        CASE(tpm_survives_crashed_predecessors),
        CASE(tpm_accepts_character_device),
        CASE(tpm_rejects_wrong_pin),
        CASE(tpm_hides_parameters_on_the_bus),
        CASE(tpm_rejects_answers_that_somebody_altered),
        CASE(tpm_survives_every_fault_of_the_bus),
        CASE(tpm_survives_a_busy_device),
        CASE(tpm_survives_every_response_code),
    };
    return cmocka_run_group_tests_name("TPM 2.0", tests, NULL, NULL);
}
