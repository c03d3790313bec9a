// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/jws_headers.h"

#include <stdlib.h>
#include <string.h>

struct kept {
    size_t size; // of text; 0: empty
    unsigned flags;
    enum jws_alg alg;
    bool has_kid, has_typ;
    char kid[JWK_KID_SIZE];
    char typ[JWS_TYP_SIZE];
    struct jwk *embedded;
    uint8_t text[JWS_HEADER_KEPT_MAX];
};

struct jws_headers {
    struct kept *places[JWS_HEADERS_PLACES]; // NULL: never used
};

struct jws_headers *jws_headers_new(void) { return calloc(1, sizeof(struct jws_headers)); }

void jws_headers_free(struct jws_headers *headers) {
    for (size_t i = 0; headers && i < JWS_HEADERS_PLACES; i++) {
        if (headers->places[i])
            jwk_free(headers->places[i]->embedded);
        free(headers->places[i]);
    }
    free(headers);
}

// Whoever makes two texts meet in one place gains nothing: both are read each time.
static size_t place_of(struct bytes text) {
    uint64_t mixed = text.size, word;
    for (; text.size >= sizeof word; text = bytes_from(text, sizeof word)) {
        memcpy(&word, text.at, sizeof word);
        mixed = (mixed ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        mixed ^= mixed >> 29;
    }
    for (size_t i = 0; i < text.size; i++)
        mixed = (mixed ^ text.at[i]) * UINT64_C(0x9E3779B97F4A7C15);
    return (size_t)(mixed >> 32) % JWS_HEADERS_PLACES;
}

bool jws_headers_find(const struct jws_headers *headers, struct bytes text, unsigned flags,
                      struct jws_parts *parts) {
    const struct kept *kept = headers ? headers->places[place_of(text)] : NULL;
    if (!kept || kept->flags != flags || !bytes_equal(bytes_of(kept->text, kept->size), text))
        return false;
    parts->alg = kept->alg;
    parts->has_kid = kept->has_kid;
    parts->has_typ = kept->has_typ;
    memcpy(parts->kid, kept->kid, sizeof parts->kid);
    memcpy(parts->typ, kept->typ, sizeof parts->typ);
    parts->embedded = kept->embedded;
    parts->embedded_is_lent = true;
    return true;
}

void jws_headers_keep(struct jws_headers *headers, struct bytes text, unsigned flags,
                      struct jws_parts *parts) {
    if (!headers || !text.size || text.size > JWS_HEADER_KEPT_MAX)
        return;
    struct kept **place = &headers->places[place_of(text)];
    if (!*place && !(*place = calloc(1, sizeof **place)))
        return;
    struct kept *kept = *place;
    jwk_free(kept->embedded);
    kept->size = text.size;
    kept->flags = flags;
    kept->alg = parts->alg;
    kept->has_kid = parts->has_kid;
    kept->has_typ = parts->has_typ;
    memcpy(kept->kid, parts->kid, sizeof kept->kid);
    memcpy(kept->typ, parts->typ, sizeof kept->typ);
    memcpy(kept->text, text.at, text.size);
    kept->embedded = parts->embedded;
    parts->embedded_is_lent = true;
}
