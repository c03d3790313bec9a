// SPDX-License-Identifier: Apache-2.0
#include "vaultd/ipc/reasons.h"

#include <stdlib.h>

#define REASONS_MAX 512

static char *kept[REASONS_MAX];
static size_t kept_count;

static bool is_plain(struct bytes text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    return text.size > 0 && text.size <= REASON_MAX_BYTES;
}

const char *reason_intern(struct bytes text) {
    if (!is_plain(text))
        return "the peer refused";
    for (size_t i = 0; i < kept_count; i++)
        if (bytes_equal_text(text, kept[i]))
            return kept[i];
    char *copy = kept_count < REASONS_MAX ? malloc(text.size + 1) : NULL;
    if (!copy || !bytes_to_text(text, copy, text.size + 1)) {
        free(copy);
        return "the peer refused";
    }
    kept[kept_count++] = copy;
    return copy;
}
