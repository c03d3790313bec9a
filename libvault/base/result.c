// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/result.h"

const char *vlt_class_name(enum vlt_class class) {
    static const char *const names[VLT_CLASS_COUNT] = {
        "ok",          "malformed", "denied", "not_found", "conflict",
        "unavailable", "limit",     "crypto", "bug",
    };
    return (unsigned)class < VLT_CLASS_COUNT ? names[class] : "bug";
}
