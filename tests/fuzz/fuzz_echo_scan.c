// SPDX-License-Identifier: Apache-2.0
// Cut into pieces, an answer comes out as it does whole, as long as it was, without the secret,
// and with nothing else changed.
#include <stdlib.h>

#include "forward/core/echo_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

#define SECRET_MAX 24
#define TEXT_MAX 512

struct out {
    uint8_t text[TEXT_MAX];
    size_t size;
};

static void put(struct out *out, struct bytes part) {
    if (part.size > TEXT_MAX - out->size)
        abort();
    if (part.size)
        memcpy(out->text + out->size, part.at, part.size);
    out->size += part.size;
}

static void scan(struct bytes secret, struct bytes text, size_t step, struct out *out) {
    uint8_t forms[10 * SECRET_MAX], room[9 * SECRET_MAX];
    struct echo_scan s = {0};
    echo_scan_add(&s, secret, forms);
    echo_scan_begin(&s, room);
    out->size = 0;
    for (size_t i = 0; i < text.size; i += step) {
        size_t passed, piece_size = text.size - i < step ? text.size - i : step;
        uint8_t *piece = malloc(piece_size);
        struct bytes before;
        memcpy(piece, text.at + i, piece_size);
        echo_feed(&s, piece, piece_size, i + step >= text.size, &before, &passed);
        put(out, before);
        put(out, bytes_of(piece, passed));
        free(piece);
    }
}

static bool is_covered(const struct out *out, size_t i) {
    return out->text[i] == '*';
}

// The first byte says how long the secret is, which follows; then the answer.
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    static struct out whole, pieces;
    if (size < 1 + ECHO_SECRET_MIN)
        return 0;
    size_t secret_size = ECHO_SECRET_MIN + at[0] % (SECRET_MAX - ECHO_SECRET_MIN);
    if (size < 1 + secret_size || size - 1 - secret_size > TEXT_MAX)
        return 0;
    struct bytes secret = bytes_of(at + 1, secret_size),
                 text = bytes_of(at + 1 + secret_size, size - 1 - secret_size);
    for (size_t i = 0; i < secret.size; i++)
        if (secret.at[i] < ' ' || secret.at[i] > '~' || secret.at[i] == '*')
            return 0; // with a star in it, a covered one could be part of another
    if (secret.at[0] == ' ' || secret.at[secret.size - 1] == ' ')
        return 0; // what is looked for is shorter
    scan(secret, text, text.size + 1, &whole);
    if (whole.size != text.size || memmem(whole.text, whole.size, secret.at, secret.size))
        abort();
    for (size_t i = 0; i < text.size; i++)
        if (whole.text[i] != text.at[i] && !is_covered(&whole, i))
            abort();
    for (size_t step = 1; step < 3 * SECRET_MAX; step += 5) {
        scan(secret, text, step, &pieces);
        if (pieces.size != whole.size || memcmp(pieces.text, whole.text, whole.size) != 0)
            abort();
    }
    return 0;
}
