// SPDX-License-Identifier: Apache-2.0
// JSON text into memory of fixed capacity, for texts that may be secret.
#ifndef VLT_FORWARD_JSON_PUT_H
#define VLT_FORWARD_JSON_PUT_H

#include "libvault/base/wire.h"

static inline void json_put_raw(struct wire_writer *w, const char *text) {
    wire_put_raw(w, bytes_of_text(text));
}
// With its quotes, escaped as RFC 8259 section 7 asks.
void json_put_text(struct wire_writer *w, struct bytes text);

#endif
