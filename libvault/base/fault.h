// SPDX-License-Identifier: Apache-2.0
// What a person needs to know about a failure and a result cannot say: the
// file, the line, the name, what to do next. Never a secret.
#ifndef VLT_BASE_FAULT_H
#define VLT_BASE_FAULT_H

#include "libvault/base/result.h"

struct fault {
    unsigned line;   // 1-based; 0 when the failure has no place in a text
    unsigned column; // 1-based, in characters
    char text[480];  // one sentence without a final full stop
};

// Writes text (cut to fit) and returns a result of that class with a static
// reason, so that a failing function can `return fault_set(…)`. `fault` may be
// NULL.
vlt_result fault_set(struct fault *fault, enum vlt_class class, const char *reason,
                     const char *format, ...) VLT_PRINTF(4, 5) VLT_MUST_USE;

// The text of the fault, or the reason of the result when the fault is empty.
const char *fault_or_reason(const struct fault *fault, vlt_result result);

#endif
