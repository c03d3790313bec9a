// SPDX-License-Identifier: Apache-2.0
// A request that is read at once. Included by test_http*.c only.
#ifndef VLT_TESTS_UNIT_HTTP_CASE_H
#define VLT_TESTS_UNIT_HTTP_CASE_H

#include <stdlib.h>
#include <string.h>

#include "libvault/http/http.h"
#include "tests/unit/check.h"

static struct http_reader reader; // too large for a stack frame under sanitizers

// What was read points into *ret_copy, which the caller frees; NULL: nobody looks.
static inline enum http_step read_all(const char *text, size_t size,
                                      const struct http_limits *limits, uint8_t **ret_copy) {
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, text, size);
    http_reader_init(&reader, HTTP_KIND_REQUEST, limits);
    enum http_step step = http_reader_read(&reader, copy, size);
    if (step == HTTP_STEP_HEAD)
        step = http_reader_read(&reader, copy, size);
    if (ret_copy)
        *ret_copy = copy;
    else
        free(copy);
    return step;
}

#endif
