// SPDX-License-Identifier: Apache-2.0
#include "forward/core/key_fold.h"

#include <string.h>

bool key_fold(uint8_t *key, size_t *size) {
    static const struct {
        char utf8[4], letter;
    } variants[] = {
        {"\xe2\x84\xaa", 'k'}, {"\xc5\xbf", 's'}, {"\xc4\xb0", 'i'}, {"\xc4\xb1", 'i'}};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        size_t bytes = strlen(variants[i].utf8);
        if (*size < bytes || memcmp(key + *size - bytes, variants[i].utf8, bytes) != 0)
            continue;
        *size -= bytes;
        key[(*size)++] = (uint8_t)variants[i].letter;
        return true;
    }
    return false;
}
