// SPDX-License-Identifier: Apache-2.0
// Files with secrets: whose permissions are told, and what is said of them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/secret/secret_file.h"
#include "tests/unit/check.h"

static char path[] = "/tmp/test_secret_file.XXXXXX";

static int make_file(void **state) {
    int fd = mkstemp(path);
    return fd < 0 || close(fd) != 0;
}

static int remove_file(void **state) { return unlink(path); }

static vlt_result check(unsigned mode, struct fault *fault) {
    *fault = (struct fault){0};
    assert_int_equal(chmod(path, mode), 0);
    return secret_file_check("broker.tls_key", path, fault);
}

static void secret_file_accepts_owner_and_group(void **state) {
    static const unsigned modes[] = {0400, 0440, 0600, 0640, 0660, 0700, 0771};
    struct fault fault;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_true(vlt_is_ok(check(modes[i], &fault)));
        assert_string_equal(fault.text, "");
    }
    assert_true(vlt_is_ok(secret_file_check("x", "/nonexistent/key", &fault)));
    assert_true(vlt_is_ok(secret_file_check("x", "", &fault)));
}

static void secret_file_rejects_everybody(void **state) {
    static const struct {
        unsigned mode;
        const char *shown, *may;
    } modes[] = {{0604, "mode 0604", " read it"},
                 {0644, "mode 0644", " read it"},
                 {0446, "mode 0446", " read it"},
                 {0602, "mode 0602", " change it"},
                 {04644, "mode 4644", " read it"}};
    struct fault fault;
    char remedy[64];
    snprintf(remedy, sizeof remedy, "chmod o-rwx %s ", path);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        assert_int_equal(check(modes[i].mode, &fault).class, VLT_DENIED);
        assert_non_null(strstr(fault.text, "broker.tls_key: /tmp/"));
        assert_non_null(strstr(fault.text, modes[i].shown));
        assert_non_null(strstr(fault.text, modes[i].may));
        assert_non_null(strstr(fault.text, remedy));
    }
}

// The permissions that count are those of what the link leads to.
static void secret_file_rejects_through_a_link(void **state) {
    char link[sizeof path + 8];
    struct fault fault;
    snprintf(link, sizeof link, "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(vlt_is_ok(secret_file_check("x", link, &fault)));
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(secret_file_check("x", link, &fault).class, VLT_DENIED);
    assert_int_equal(unlink(link), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_file_accepts_owner_and_group),
        cmocka_unit_test(secret_file_rejects_everybody),
        cmocka_unit_test(secret_file_rejects_through_a_link),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
