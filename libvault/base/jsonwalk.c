// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/jsonwalk.h"

#include "libvault/base/jsontext.h"

static unsigned hex4(const uint8_t *at) {
    unsigned unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit * 16 + (unsigned)(at[i] <= '9' ? at[i] - '0' : (at[i] | 0x20) - 'a' + 10);
    return unit;
}

static size_t put_utf8(unsigned code, uint8_t *out) {
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = size; i-- > 1; code >>= 6)
        out[i] = (uint8_t)(0x80 | (code & 0x3F));
    out[0] = (uint8_t)((size == 2 ? 0xC0 : size == 3 ? 0xE0 : 0xF0) | code);
    return size;
}

// After a backslash; returns how many bytes of the text it takes.
static size_t unescape(const uint8_t *at, struct jsonwalk *w) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (at[0] != 'u') {
        const char *known = strchr(from, at[0]);
        w->room[w->used++] = known ? (uint8_t)to[known - from] : at[0];
        return 1;
    }
    unsigned code = hex4(at + 1);
    bool is_pair = code >= 0xD800 && code <= 0xDBFF;
    if (is_pair)
        code = 0x10000 + ((code - 0xD800) << 10) + (hex4(at + 7) - 0xDC00);
    w->used += put_utf8(code, w->room + w->used);
    return is_pair ? 11 : 5;
}

struct bytes jsonwalk_text(struct jsonwalk *w) {
    const uint8_t *start = w->json.at + ++w->at;
    size_t run = jsontext_plain_run(w->json, w->at);
    w->at += run;
    if (w->json.at[w->at] == '"') { // nearly always
        w->at++;
        return bytes_of(start, run);
    }
    uint8_t *copy = w->room + w->used; // the text differs from its spelling
    memcpy(copy, start, run);
    w->used += run;
    while (w->json.at[w->at] != '"') {
        w->at += 1 + unescape(w->json.at + w->at + 1, w);
        run = jsontext_plain_run(w->json, w->at);
        memcpy(w->room + w->used, w->json.at + w->at, run);
        w->used += run;
        w->at += run;
    }
    w->at++;
    return bytes_of(copy, (size_t)(w->room + w->used - copy));
}
