// SPDX-License-Identifier: Apache-2.0
// A keeper with one credential, opened as the redeemer does. Included by test_keeper.c
// and test_keeper_faults.c only.
#ifndef VLT_TESTS_UNIT_KEEPER_CASE_H
#define VLT_TESTS_UNIT_KEEPER_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "libvault/secret/secret.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_revocation.h"
#include "tests/unit/check.h"
#include "tests/unit/keeper_fixture.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/sweep.h"
#include "vaultd/keeper/system_keys.h"

static struct keeper_fixture fixture;

static inline int begin_p11(void **state) {
    keeper_fixture_begin(&fixture, HSM_PKCS11);
    keeper_fixture_start(&fixture);
    *state = &fixture;
    return 0;
}
static inline int begin_tpm(void **state) {
    keeper_fixture_begin(&fixture, HSM_TPM);
    keeper_fixture_start(&fixture);
    *state = &fixture;
    return 0;
}
static inline int end(void **state) {
    keeper_fixture_end(*state);
    return 0;
}

static const struct put_request openai = {
    .tenant = 1, .name = "openai", .value = "sk-secret-1", .host = "api.example"};

static inline void restart(struct keeper_fixture *f) {
    keeper_fixture_stop(f);
    keeper_fixture_start(f);
}

// The whole main job: init, put, sign, open.
static inline void opens_as(struct keeper_fixture *f, const char *name, const char *value,
                     uint32_t version) {
    struct token_claims claims;
    struct signed_answer token;
    struct ask_open ask;
    struct opened_answer opened;
    fixture_claims(&claims, name, 0x11);
    assert_ok(fixture_sign(f, &claims, 1, 300, &token));
    fixture_open_request(&ask, token.token, name, 0x11);
    assert_ok(fixture_open(f, &ask, &opened));
    assert_string_equal(opened.value, value);
    assert_int_equal(opened.version, version);
    assert_string_equal(opened.profile, "generic-bearer");
    assert_string_equal(opened.parameters, "{\"a\":\"1\",\"b\":\"2\"}");
    assert_int_equal(opened.reuse_until, token.expires_at);
}

static inline vlt_result try_open(struct keeper_fixture *f, const char *token,
                           struct opened_answer *opened) {
    struct ask_open ask;
    fixture_open_request(&ask, token, "openai", 0x11);
    return fixture_open(f, &ask, opened);
}

static inline void sign_openai(struct keeper_fixture *f, struct signed_answer *token) {
    struct token_claims claims;
    fixture_claims(&claims, "openai", 0x11);
    assert_ok(fixture_sign(f, &claims, 1, 300, token));
}

#define P11(test) cmocka_unit_test_setup_teardown(test, begin_p11, end)
#define TPM(test)                                                                                  \
    { #test " (tpm)", test, begin_tpm, end, NULL }

#endif
