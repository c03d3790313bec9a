// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/fault.h"

#include <stdarg.h>
#include <stdio.h>

vlt_result fault_set(struct fault *fault, enum vlt_class class, const char *reason,
                     const char *format, ...) {
    if (fault) {
        va_list args;
        va_start(args, format);
        vsnprintf(fault->text, sizeof fault->text, format, args);
        va_end(args);
    }
    return vlt_fail(class, reason);
}

const char *fault_or_reason(const struct fault *fault, vlt_result result) {
    return fault && fault->text[0] ? fault->text : result.reason;
}
