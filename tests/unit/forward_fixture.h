// SPDX-License-Identifier: Apache-2.0
// The provider profiles as they are shipped: set-up and tear-down of a test program.
#ifndef VLT_TESTS_UNIT_FORWARD_FIXTURE_H
#define VLT_TESTS_UNIT_FORWARD_FIXTURE_H

#include "forward/core/profile.h"

static struct profile_set *shipped;

static int load(void **state) {
    return vlt_is_ok(profile_set_load(VAULT_SOURCE_DIR "/forward/profiles", NULL, &shipped)) ? 0
                                                                                            : -1;
}
static int unload(void **state) {
    profile_set_free(shipped);
    return 0;
}

#endif
