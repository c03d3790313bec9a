// SPDX-License-Identifier: Apache-2.0
// Hexadecimal digits (RFC 4648 section 8).
#ifndef VLT_BASE_HEX_H
#define VLT_BASE_HEX_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

// Lower case; text needs 2 * bytes.size + 1 characters.
void hex_encode(struct bytes bytes, char *text);
// 0 to 15, either case; -1: not a digit.
int hex_value(uint8_t digit);
// Either case, an even number of digits, exactly `size` bytes.
vlt_result hex_decode(struct bytes text, uint8_t *out, size_t size) VLT_MUST_USE;

#endif
