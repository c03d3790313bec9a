// SPDX-License-Identifier: Apache-2.0
// What every unit test needs: cmocka with what it wants to be included before it, and
// assertions about results that say why a call failed.
#ifndef VLT_TESTS_UNIT_CHECK_H
#define VLT_TESTS_UNIT_CHECK_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        vlt_result assert_result = (call);                                                         \
        if (!vlt_is_ok(assert_result))                                                             \
            fail_msg("%s: %s", #call, assert_result.reason);                                       \
    } while (0)
#define assert_class(call, expected)                                                               \
    do {                                                                                           \
        vlt_result assert_result = (call);                                                         \
        if (assert_result.class != (expected))                                                     \
            fail_msg("%s: class %d, %s", #call, assert_result.class, assert_result.reason);        \
    } while (0)
#define assert_bytes(found, wanted_text)                                                           \
    do {                                                                                           \
        struct bytes assert_found = (found), assert_wanted = bytes_of_text(wanted_text);           \
        assert_int_equal(assert_found.size, assert_wanted.size);                                   \
        assert_memory_equal(assert_found.at, assert_wanted.at, assert_wanted.size);                \
    } while (0)

#endif
