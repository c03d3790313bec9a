// SPDX-License-Identifier: Apache-2.0
// A case of the Admin API: a vault of its own, and calls as an administrator makes
// them. Included by test_admin*.c only.
#ifndef VLT_TESTS_UNIT_ADMIN_CASE_H
#define VLT_TESTS_UNIT_ADMIN_CASE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libvault/client/client_http.h"
#include "tests/unit/admin_harness.h"
#include "tests/unit/check.h"

#define INIT                                                                                       \
    "{\"reply_key\":{\"kty\":\"EC\",\"crv\":\"P-256\","                                            \
    "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","                                       \
    "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}}"

#define MARKER "sk-marker-7f1c-not-to-be-seen"

static struct harness harness;
static struct vault *vault;

static inline int start(const struct harness_settings *settings) {
    harness_start(&harness, settings);
    const struct vault_settings client = {.server = harness.server};
    assert_true(vlt_is_ok(vault_open(&client, NULL, &vault)));
    return 0;
}

static inline int stop(void **state) {
    vault_close(vault);
    harness_stop(&harness);
    return 0;
}

// One call; the body is JSON text or NULL. Returns the answer (to be decref'd),
// or an error's problem.
static inline json_t *call_if(const char *method, const char *path, const char *body,
                              uint64_t revision, unsigned expected_status) {
    json_t *root = body ? json_loads(body, 0, NULL) : NULL, *answer = NULL;
    assert_true(!body || root);
    const struct vault_call c = {
        .method = method, .path = path, .body = root, .expected_revision = revision};
    struct fault fault = {0};
    vlt_result result = vault_call(vault, &c, &fault, &answer, NULL);
    json_decref(root);
    if (vault_status(vault) != expected_status)
        print_error("%s %s: %u, %s\n", method, path, vault_status(vault),
                    fault_or_reason(&fault, result));
    assert_int_equal(vault_status(vault), expected_status);
    return vlt_is_ok(result) ? answer : json_incref((json_t *)(uintptr_t)vault_problem(vault));
}

static inline json_t *call(const char *method, const char *path, const char *body,
                           unsigned status) {
    return call_if(method, path, body, 0, status);
}

static inline void done(json_t *answer) { json_decref(answer); }

static inline const char *text_of(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

// The call is refused with this status and names this field.
static inline void refused(const char *method, const char *path, const char *body, unsigned status,
                    const char *field) {
    json_t *problem = call(method, path, body, status);
    assert_string_equal(text_of(problem, "field"), field);
    assert_true(strlen(text_of(problem, "detail")) > 0);
    assert_true(strlen(text_of(problem, "title")) > 0);
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
    done(problem);
}

static inline int start_new(void **state) { return start(&(struct harness_settings){0}); }

static inline int start_ready(void **state) {
    start_new(state);
    done(call("POST", "/v1/init", INIT, 201));
    done(call("POST", "/v1/tenants", "{\"name\":\"acme\"}", 201));
    return 0;
}

#define READY(test) cmocka_unit_test_setup_teardown(test, start_ready, stop)

#endif
