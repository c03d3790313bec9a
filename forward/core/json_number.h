// SPDX-License-Identifier: Apache-2.0
// The grammar of a JSON number (RFC 8259 section 6), one byte at a time.
#ifndef VLT_FORWARD_JSON_NUMBER_H
#define VLT_FORWARD_JSON_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

enum json_number { MINUS, ZERO, INTEGER, POINT, FRACTION, E, E_SIGN, EXPONENT };

// The state after the first byte: '-' or a digit.
uint8_t json_number_begin(uint8_t c);
// False when the byte does not belong to the number any more.
bool json_number_takes(uint8_t *state, uint8_t c);
// May the number end here?
bool json_number_is_whole(uint8_t state);

#endif
