// SPDX-License-Identifier: Apache-2.0
// A folder for each case, open, and removed with all that is in it. For unit tests of what
// keeps files.
#ifndef VLT_TESTS_UNIT_FOLDER_FIXTURE_H
#define VLT_TESTS_UNIT_FOLDER_FIXTURE_H

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder_path[64];
static int folder;

static inline int folder_make(void **state) {
    snprintf(folder_path, sizeof folder_path, "/tmp/vault-test.XXXXXX");
    folder = mkdtemp(folder_path) ? open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return folder < 0;
}

static inline int folder_remove_one(const char *path, const struct stat *status, int kind,
                                    struct FTW *walk) {
    return remove(path);
}

static inline int folder_drop(void **state) {
    close(folder);
    return nftw(folder_path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#define FOLDER_CASE(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_drop)

#endif
