// SPDX-License-Identifier: Apache-2.0
#include "forward/core/json_number.h"

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

uint8_t json_number_begin(uint8_t c) { return c == '-' ? MINUS : c == '0' ? ZERO : INTEGER; }

static bool digit_follows(uint8_t *state, uint8_t c) {
    switch (*state) {
    case ZERO:
        return false; // no leading zeros
    case MINUS:
        *state = json_number_begin(c);
        return true;
    case POINT:
        *state = FRACTION;
        return true;
    case E:
    case E_SIGN:
        *state = EXPONENT;
        return true;
    default:
        return true;
    }
}

bool json_number_takes(uint8_t *state, uint8_t c) {
    if (is_digit(c))
        return digit_follows(state, c);
    bool is_integer = *state == ZERO || *state == INTEGER;
    if (c == '.' && is_integer)
        *state = POINT;
    else if ((c | 0x20) == 'e' && (is_integer || *state == FRACTION))
        *state = E;
    else if ((c == '+' || c == '-') && *state == E)
        *state = E_SIGN;
    else
        return false;
    return true;
}

bool json_number_is_whole(uint8_t state) {
    return state == ZERO || state == INTEGER || state == FRACTION || state == EXPONENT;
}
