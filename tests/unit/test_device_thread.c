// SPDX-License-Identifier: Apache-2.0
// The thread of a device that hangs: a SoftHSM with the fault-injecting module in
// front of it, which does not return from a call before it is told to.
#include <dlfcn.h>
#include <poll.h>

#include "libvault/base/clock.h"
#include "tests/devices/device_bench.h"
#include "tests/devices/p11_shim.h"
#include "vaultd/keeper/device_thread.h"

static struct p11_shim *shim;

struct hanging {
    struct device_fixture device;
    struct event_base *base;
    struct device_thread *thread;
    unsigned stuck, returned, failed;
    struct hsm_key key;
};

static void on_failed(void *context) { ((struct hanging *)context)->failed++; }
static void on_stuck(void *context) { ((struct hanging *)context)->stuck++; }
static void on_returned(void *context) { ((struct hanging *)context)->returned++; }
static const struct device_thread_events events = {on_failed, on_stuck, on_returned};

static int begin(void **state) {
    struct hanging *h = calloc(1, sizeof *h);
    memset(shim, 0, sizeof *shim);
    device_fixture_start(&h->device, HSM_PKCS11);
    struct hsm_settings *s = &h->device.settings;
    snprintf(s->p11_uri, sizeof s->p11_uri, "pkcs11:token=%s", DEVICE_FIXTURE_LABEL);
    snprintf(s->p11_module, sizeof s->p11_module, "%s", P11_SHIM_PATH);
    h->base = event_base_new();
    assert_true(vlt_is_ok(device_thread_new(h->base, "hanging", &h->thread)));
    device_thread_on(h->thread, &events, h);
    *state = h;
    return 0;
}

static int end(void **state) {
    struct hanging *h = *state;
    shim->hangs = false;
    assert_true(device_thread_end(h->thread, 10000));
    device_thread_free(h->thread);
    event_base_free(h->base);
    device_fixture_stop(&h->device);
    free(h);
    return 0;
}

// ---- Calls ----

struct answer {
    bool is_there;
    vlt_result result;
    char text[sizeof((struct fault *)0)->text];
    struct hsm_key key;
};

static void answered(struct device_call *call) {
    struct answer *answer = call->context;
    assert_false(answer->is_there); // once
    answer->is_there = true;
    answer->result = call->result;
    answer->key = call->keys[0];
    memcpy(answer->text, call->fault.text, sizeof answer->text);
}

static void submit(struct hanging *h, enum device_call_kind kind, struct answer *answer) {
    struct device_call *call = device_call_new(kind, answered, answer);
    assert_non_null(call);
    *answer = (struct answer){.is_there = false};
    call->settings = h->device.settings;
    call->key_count = kind == DEVICE_OPEN;
    call->keys[0] = h->key;
    call->generation = 2;
    if (kind == DEVICE_WRAP)
        assert_true(vlt_is_ok(secret_set_random(call->secret, HSM_DATA_KEY_BYTES)));
    device_call_set_purpose(call, 1, 1);
    device_submit(h->thread, call);
    assert_false(answer->is_there); // never from within
}

static void turn(struct hanging *h, unsigned for_ms) {
    int64_t until_ms = clock_elapsed_ms() + for_ms;
    do {
        event_base_loop(h->base, EVLOOP_NONBLOCK);
        device_thread_look(h->thread, shim->hangs ? 1 : 60); // the machine may hold it up, too
        poll(NULL, 0, 2);
    } while (clock_elapsed_ms() < until_ms);
}

static void wait_for(struct hanging *h, const struct answer *answer) {
    for (unsigned i = 0; i < 5000 && !answer->is_there; i++)
        turn(h, 1);
    assert_true(answer->is_there);
}

static void hsm_works(struct hanging *h, enum device_call_kind kind) {
    struct answer answer;
    submit(h, kind, &answer);
    wait_for(h, &answer);
    if (!vlt_is_ok(answer.result))
        fail_msg("%s", answer.text[0] ? answer.text : answer.result.reason);
    if (kind == DEVICE_CREATE)
        h->key = answer.key;
}

static void hang(struct hanging *h) {
    shim->hung_count = 0;
    shim->hangs = true;
}

static void wait_until_it_hangs(struct hanging *h) {
    for (unsigned i = 0; i < 5000 && shim->hung_count == 0; i++)
        turn(h, 1);
    assert_int_equal(shim->hung_count, 1);
}

static void is_refused(const struct answer *answer) {
    assert_true(answer->is_there);
    assert_int_equal(answer->result.class, VLT_UNAVAILABLE);
    assert_non_null(strstr(answer->text, "it hangs"));
}

static void let_go(struct hanging *h) {
    shim->hangs = false;
    for (unsigned i = 0; i < 5000 && h->returned == 0; i++)
        turn(h, 1);
    assert_int_equal(h->returned, 1);
    assert_int_equal(device_thread_stuck_ms(h->thread), -1);
}

// ---- Cases ----

static void device_thread_survives_a_call_that_hangs(void **state) {
    struct hanging *h = *state;
    struct answer first, second, third, later;
    hsm_works(h, DEVICE_CREATE);
    hsm_works(h, DEVICE_WRAP);
    hang(h);
    submit(h, DEVICE_WRAP, &first);
    submit(h, DEVICE_CHECK, &second);
    submit(h, DEVICE_WRAP, &third);
    wait_until_it_hangs(h);
    turn(h, 700); // not too early
    assert_false(first.is_there || second.is_there || third.is_there);
    wait_for(h, &first);
    turn(h, 1);
    is_refused(&first);
    is_refused(&second);
    is_refused(&third);
    assert_int_equal(h->stuck, 1);
    assert_int_equal(h->failed, 0);
    assert_true(device_thread_stuck_ms(h->thread) >= 1000);
    submit(h, DEVICE_WRAP, &later); // not queued behind it
    turn(h, 1);
    is_refused(&later);
    let_go(h);
    // It was closed, and opens again with the same key.
    submit(h, DEVICE_CHECK, &later);
    wait_for(h, &later);
    assert_string_equal(later.result.reason, "no device is open");
    hsm_works(h, DEVICE_OPEN);
    hsm_works(h, DEVICE_WRAP);
    assert_int_equal(h->stuck, 1);
}

// What nobody knows of must not stay in the device.
static void device_thread_survives_a_key_that_comes_too_late(void **state) {
    struct hanging *h = *state;
    struct answer made, again;
    hsm_works(h, DEVICE_CREATE);
    hang(h);
    submit(h, DEVICE_GENERATE, &made);
    wait_until_it_hangs(h);
    turn(h, 2500); // making keys may take DEVICE_SLOW_FACTOR times as long
    assert_false(made.is_there);
    for (unsigned i = 0; i < 1200 && !made.is_there; i++)
        turn(h, 10);
    is_refused(&made);
    let_go(h);
    hsm_works(h, DEVICE_OPEN);
    submit(h, DEVICE_GENERATE, &again);
    wait_for(h, &again);
    assert_true(vlt_is_ok(again.result));
    enum hsm_kind kind;
    uint32_t generation;
    uint8_t id[HSM_KEY_ID_BYTES];
    assert_true(vlt_is_ok(hsm_key_facts(&again.key, &kind, &generation, id)));
    assert_int_equal(generation, 2); // the number is free again
}

static void device_thread_survives_its_end_while_it_hangs(void **state) {
    struct hanging *h = *state;
    struct answer first, second, third;
    hsm_works(h, DEVICE_CREATE);
    hang(h);
    submit(h, DEVICE_WRAP, &first);
    submit(h, DEVICE_WRAP, &second);
    wait_until_it_hangs(h);
    int64_t from_ms = clock_elapsed_ms();
    assert_false(device_thread_end(h->thread, 300));
    int64_t took_ms = clock_elapsed_ms() - from_ms;
    assert_true(took_ms >= 290);
    is_refused(&first);
    is_refused(&second);
    submit(h, DEVICE_WRAP, &third);
    assert_false(device_thread_end(h->thread, 0));
    is_refused(&third);
    assert_int_equal(h->stuck, 0); // who owns it is being torn down
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void) {
    bench_heap_open();
    void *module = dlopen(P11_SHIM_PATH, RTLD_NOW | RTLD_LOCAL);
    shim = module ? dlsym(module, "p11_shim") : NULL;
    if (!shim)
        return fprintf(stderr, "%s\n", dlerror()), 1;
    const struct CMUnitTest cases[] = {CASE(device_thread_survives_a_call_that_hangs),
                                       CASE(device_thread_survives_a_key_that_comes_too_late),
                                       CASE(device_thread_survives_its_end_while_it_hangs)};
    return cmocka_run_group_tests(cases, NULL, NULL);
}
