// SPDX-License-Identifier: Apache-2.0
// Letters beyond ASCII that are one of ASCII in other case (Unicode, CaseFolding.txt; the
// two of Turkish, SpecialCasing.txt). Who compares names without case may take them for
// it: Go reads "param\u017f" as "params".
//
// Caller: model_scan, after each byte of a name that is not ASCII.
#ifndef VLT_FORWARD_KEY_FOLD_H
#define VLT_FORWARD_KEY_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Puts the letter of ASCII in the place of such a one at the end of `key`, and shortens
// *size. False, and nothing changed, when there is none.
bool key_fold(uint8_t *key, size_t *size);

#endif
