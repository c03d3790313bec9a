// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/cache_control.h"

static struct bytes trim(struct bytes text) {
    while (text.size && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = bytes_from(text, 1);
    while (text.size && text.at[text.size - 1] <= ' ')
        text.size--;
    return text;
}

static bool read_seconds(struct bytes digits, int64_t *seconds) {
    int64_t value = 0;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
        if (value < INT32_MAX) // beyond that it only needs to stay large
            value = value * 10 + (digits.at[i] - '0');
    }
    *seconds = value;
    return digits.size > 0;
}

void cache_control_read(struct bytes line, int64_t *max_age_s) {
    static const struct bytes max_age = BYTES_LITERAL("max-age=");
    size_t colon = bytes_find(line, ':');
    if (!bytes_equal_nocase(bytes_of(line.at, colon), BYTES_LITERAL("cache-control")))
        return;
    struct bytes rest = bytes_from(line, colon + 1);
    while (rest.size) {
        size_t comma = bytes_find(rest, ',');
        struct bytes directive = trim(bytes_of(rest.at, comma));
        rest = bytes_from(rest, comma + 1);
        if (bytes_equal_nocase(directive, BYTES_LITERAL("no-store")) ||
            bytes_equal_nocase(directive, BYTES_LITERAL("no-cache"))) {
            *max_age_s = 0;
            return;
        }
        if (directive.size > max_age.size &&
            bytes_equal_nocase(bytes_of(directive.at, max_age.size), max_age))
            read_seconds(bytes_from(directive, max_age.size), max_age_s);
    }
}
