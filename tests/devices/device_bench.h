// SPDX-License-Identifier: Apache-2.0
// What every device test begins with: a fresh device, an hsm on it, and checks
// that look at the class of a failure and at what the message tells a person.
#ifndef VLT_TESTS_DEVICES_DEVICE_BENCH_H
#define VLT_TESTS_DEVICES_DEVICE_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/devices/device_fixture.h"

#define CONTEXT BYTES_LITERAL("tenant=acme;key=1")

struct bench {
    struct device_fixture device;
    struct hsm *hsm;
    struct hsm_key key;
    struct fault fault;
};

static inline void bench_start(struct bench *b, enum hsm_kind kind) {
    memset(b, 0, sizeof *b);
    device_fixture_start(&b->device, kind);
}

static inline int bench_tpm(void **state) {
    struct bench *b = malloc(sizeof *b);
    bench_start(b, HSM_TPM);
    *state = b;
    return 0;
}

static inline int bench_p11(void **state) {
    struct bench *b = malloc(sizeof *b);
    bench_start(b, HSM_PKCS11);
    *state = b;
    return 0;
}

static inline int bench_p11_key_wrap(void **state) {
    (void)bench_p11(state);
    ((struct bench *)*state)->device.settings.mechanism = HSM_MECHANISM_KEY_WRAP;
    return 0;
}

static inline int bench_p11_signature(void **state) {
    (void)bench_p11(state);
    ((struct bench *)*state)->device.settings.mechanism = HSM_MECHANISM_SIGNATURE;
    return 0;
}

static inline int bench_start_tpm2_pkcs11(void **state, bool is_managed) {
    struct bench *b = malloc(sizeof *b);
    memset(b, 0, sizeof *b);
    device_fixture_start_tpm2_pkcs11(&b->device, is_managed);
    *state = b;
    return 0;
}

static inline int bench_tpm2_pkcs11(void **state) {
    return bench_start_tpm2_pkcs11(state, true);
}

static inline int bench_tpm2_pkcs11_bare(void **state) {
    return bench_start_tpm2_pkcs11(state, false);
}

static inline int bench_stop(void **state) {
    struct bench *b = *state;
    hsm_close(b->hsm);
    device_fixture_stop(&b->device);
    free(b);
    return 0;
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        b->fault.text[0] = 0;                                                                      \
        vlt_result ok_result = (call);                                                             \
        if (!vlt_is_ok(ok_result))                                                                 \
            fail_msg("%s: %s: %s", #call, vlt_class_name(ok_result.class),                         \
                     fault_or_reason(&b->fault, ok_result));                                       \
    } while (0)
// The class, and a word that the message for people must hold.
#define FAILS(call, wanted, word)                                                                  \
    do {                                                                                           \
        b->fault.text[0] = 0;                                                                      \
        vlt_result fails_result = (call);                                                          \
        if (fails_result.class != (wanted) ||                                                      \
            !strstr(fault_or_reason(&b->fault, fails_result), word))                               \
            fail_msg("%s: got %s (%s), want %s", #call, vlt_class_name(fails_result.class),        \
                     fault_or_reason(&b->fault, fails_result), vlt_class_name(wanted));            \
    } while (0)

static inline void bench_open(struct bench *b) {
    OK(hsm_open(&b->device.settings, &b->fault, &b->hsm));
}

static inline void bench_close(struct bench *b) {
    hsm_close(b->hsm);
    b->hsm = NULL;
}

static inline void bench_create(struct bench *b) {
    bench_open(b);
    OK(hsm_key_create(b->hsm, 1, &b->fault, &b->key));
}

static inline void bench_wrap(struct bench *b, const struct secret *plain, struct buf *blob) {
    buf_init(blob, HSM_BLOB_MAX_BYTES);
    OK(hsm_wrap(b->hsm, CONTEXT, plain, &b->fault, blob));
}

static inline struct secret *fresh_key(void) {
    struct secret *key = secret_new(HSM_DATA_KEY_BYTES);
    assert_non_null(key);
    assert_true(vlt_is_ok(secret_set_random(key, HSM_DATA_KEY_BYTES)));
    return key;
}

static inline bool same_key(const struct secret *a, const struct secret *b) {
    return secret_equal(bytes_of(secret_borrow(a), secret_size(a)),
                        bytes_of(secret_borrow(b), secret_size(b)));
}

static inline void opens(struct bench *b, struct bytes blob, const struct secret *plain) {
    struct secret *got = secret_new(HSM_DATA_KEY_BYTES);
    OK(hsm_unwrap(b->hsm, CONTEXT, blob, &b->fault, got));
    assert_true(same_key(got, plain));
    secret_free(got);
}

// Once for each test program, before its first case.
static inline void bench_heap_open(void) {
    struct fault fault = {.line = 0};
    if (vlt_is_ok(secret_heap_open(1 << 20, &fault)))
        return;
    fprintf(stderr, "%s\n", fault.text);
    exit(1);
}

#endif
