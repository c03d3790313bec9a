// SPDX-License-Identifier: Apache-2.0
// Is a body JSON, whatever its Content-Type says? Many servers parse JSON without
// looking at the type, so that a client could hide a model or a tool behind
// "text/plain". Judged by the first bytes that say anything, piece by piece.
//
// Caller: the nginx module. Not thread-safe, no allocation.
#ifndef VLT_FORWARD_BODY_LOOK_H
#define VLT_FORWARD_BODY_LOOK_H

#include "libvault/base/bytes.h"

enum body_kind { BODY_UNDECIDED, BODY_IS_JSON, BODY_IS_ODD_JSON, BODY_IS_OTHER };

struct body_look {
    enum body_kind kind;
    bool is_odd; // began with a byte order mark or a NUL: UTF-16, or a BOM
};

void body_look_init(struct body_look *look);
// Takes bytes until the kind is known and returns how many it passed over. White
// space before JSON (RFC 8259 section 2) may be left out of what is scanned.
// BODY_IS_ODD_JSON: some parsers read it as JSON, ours does not.
size_t body_look_take(struct body_look *look, struct bytes piece);

#endif
