// SPDX-License-Identifier: Apache-2.0
// The real admin role's HTTP layer on a unix socket, in a child process, against
// a keeper and an auditor made for tests: they answer the real messages over
// real channels and commit into a real store.
//
// The keeper here has one intake key and no data keys; what a credential opened
// to shows in GET /v1/status as "opened_sha256".
#ifndef VLT_TESTS_UNIT_ADMIN_HARNESS_H
#define VLT_TESTS_UNIT_ADMIN_HARNESS_H

#include <stdbool.h>
#include <sys/types.h>

struct harness {
    pid_t child;
    char folder[64];
    char server[128]; // "unix:…/admin.sock"
    char tls_server[64], ca_file[96]; // "https://127.0.0.1:…"; with oidc_tenant
};

struct harness_settings {
    bool admits_nobody; // allowed_uids holds an account that nobody has
    bool has_no_keeper; // its channel is closed at once
    const char *init_fails; // why the keeper refuses it, as unavailable; NULL: it does not
    const char *oidc_tenant; // also listens with TLS; NULL: not
};

// Returns when the server listens. Aborts the test on failure.
void harness_start(struct harness *harness, const struct harness_settings *settings);
// Ends the child in order and checks that it had no fault of its own.
void harness_stop(struct harness *harness);

#endif
