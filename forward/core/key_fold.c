// SPDX-License-Identifier: Apache-2.0
#include "forward/core/key_fold.h"

#include "libvault/base/bytes.h"

bool key_fold(uint8_t *key, size_t *size) {
    static const struct {
        struct bytes utf8;
        char letter;
    } variants[] = {{BYTES_LITERAL("\xe2\x84\xaa"), 'k'},
                    {BYTES_LITERAL("\xc5\xbf"), 's'},
                    {BYTES_LITERAL("\xc4\xb0"), 'i'},
                    {BYTES_LITERAL("\xc4\xb1"), 'i'}};
    for (size_t i = 0; i < sizeof variants / sizeof *variants; i++) {
        const struct bytes utf8 = variants[i].utf8;
        if (*size < utf8.size || !bytes_equal(bytes_of(key + *size - utf8.size, utf8.size), utf8))
            continue;
        *size -= utf8.size;
        key[(*size)++] = (uint8_t)variants[i].letter;
        return true;
    }
    return false;
}
