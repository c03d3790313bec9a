// SPDX-License-Identifier: Apache-2.0
// The one way in which a function of this project fails.
//
// A result carries a class, on which callers act (HTTP status, retry, audit
// severity), and a reason: a static English string that names what was wrong.
// A reason is never formatted and therefore never holds a secret or foreign
// bytes. Where a person needs more (a path, a line), the function also takes a
// `struct fault`. Outputs (`ret_…`, last in the list) are untouched on failure.
#ifndef VLT_BASE_RESULT_H
#define VLT_BASE_RESULT_H

#include <stdbool.h>

enum vlt_class {
    VLT_CLASS_OK = 0,
    VLT_MALFORMED,   // the peer's bytes are not what the format says
    VLT_DENIED,      // well formed, not permitted
    VLT_NOT_FOUND,   // outside, this looks like VLT_DENIED
    VLT_CONFLICT,    // somebody else changed it first, or it exists already
    VLT_UNAVAILABLE, // a device, peer, disk or network does not answer: try again
    VLT_LIMIT,       // too large, too many, too deep
    VLT_CRYPTO,      // a signature, tag or key does not fit
    VLT_BUG,         // a broken contract of ours
    VLT_CLASS_COUNT
};

typedef struct vlt_result {
    enum vlt_class class;
    const char *reason; // static; "" when class is VLT_CLASS_OK
} vlt_result;

#define VLT_MUST_USE __attribute__((warn_unused_result))
#define VLT_COLD __attribute__((cold)) // its callers' way to it stands apart from what is usual
#define VLT_PRINTF(text, first) __attribute__((format(printf, text, first)))

static inline vlt_result vlt_ok(void) { return (vlt_result){VLT_CLASS_OK, ""}; }
static inline vlt_result vlt_fail(enum vlt_class class, const char *reason) {
    return (vlt_result){class, reason};
}
static inline bool vlt_is_ok(vlt_result r) { return r.class == VLT_CLASS_OK; }

// Returns to the caller when the call fails and this function owns nothing.
#define VLT_TRY(call)                                                                              \
    do {                                                                                           \
        vlt_result vlt_try_result = (call);                                                        \
        if (!vlt_is_ok(vlt_try_result))                                                            \
            return vlt_try_result;                                                                 \
    } while (0)

// "malformed", "denied", … for logs and audit; stable names.
const char *vlt_class_name(enum vlt_class class);

#endif
