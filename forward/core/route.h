// SPDX-License-Identifier: Apache-2.0
// Paths: the vault must decide on exactly the path that the provider sees.
#ifndef VLT_FORWARD_ROUTE_H
#define VLT_FORWARD_ROUTE_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

// Has the path (without query) exactly one reading? It begins with '/', has no
// "//", no dot segment (nor "..;"), no backslash, no raw byte that a URI may not
// hold, and percent-encodes (RFC 3986 section 6.2.2, upper-case digits) only
// what needs it: never a letter, '/', '\', '%', '.' or a control character.
bool route_path_is_plain(struct bytes path);

// The model in a path. In a pattern, "{model}" takes the text up to the next
// '/' or the pattern's next character, '*' takes one segment, and '*' at the
// end takes everything. The rest stands for itself. False: does not fit.
bool route_model(const char *pattern, struct bytes path, struct bytes *ret_model);

#endif
