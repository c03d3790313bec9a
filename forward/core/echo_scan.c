// SPDX-License-Identifier: Apache-2.0
#include "forward/core/echo_scan.h"

#include "libvault/base/uri.h"

static bool is_printable(uint8_t c) { // what every form of a secret is made of
    return c >= 0x20 && c <= 0x7e;
}

static bool is_escaped(uint8_t c) {
    return c == '"' || c == '\\' || c == '/';
}

// ---- The forms of a secret ----

static size_t percent_encode(struct bytes secret, const char *hex, uint8_t *to) {
    size_t size = 0;
    for (size_t i = 0; i < secret.size; i++) {
        uint8_t c = secret.at[i];
        if (uri_is_unreserved(c)) {
            to[size++] = c;
            continue;
        }
        to[size++] = '%';
        to[size++] = (uint8_t)hex[c >> 4];
        to[size++] = (uint8_t)hex[c & 15];
    }
    return size;
}

// RFC 8259 section 7: these two must be escaped, a slash may be.
static size_t json_escape(struct bytes secret, bool with_slash, uint8_t *to) {
    size_t size = 0;
    for (size_t i = 0; i < secret.size; i++) {
        uint8_t c = secret.at[i];
        if (is_escaped(c) && (c != '/' || with_slash))
            to[size++] = '\\';
        to[size++] = c;
    }
    return size;
}

size_t echo_forms_room(struct bytes secret) {
    return (3 + 3 + 2 + 2) * secret.size; // two that are percent-encoded, two of JSON
}

// One that is as another is not looked for twice.
static void add(struct echo_scan *scan, struct bytes form) {
    for (size_t i = 0; i < scan->count; i++)
        if (bytes_equal(scan->needles[i], form))
            return;
    scan->needles[scan->count++] = form;
    if (form.size > scan->longest)
        scan->longest = form.size;
}

// Who reads a header does not see spaces at its ends.
static struct bytes without_spaces(struct bytes secret) {
    while (secret.size && secret.at[0] == ' ')
        secret = bytes_from(secret, 1);
    while (secret.size && secret.at[secret.size - 1] == ' ')
        secret.size--;
    return secret;
}

void echo_scan_add(struct echo_scan *scan, struct bytes secret, uint8_t *room) {
    secret = without_spaces(secret);
    if (secret.size < ECHO_SECRET_MIN)
        return;
    add(scan, secret);
    static const char *const hex[] = {"0123456789ABCDEF", "0123456789abcdef"};
    for (size_t i = 0; i < 2; i++) {
        size_t size = percent_encode(secret, hex[i], room);
        add(scan, bytes_of(room, size));
        room += size;
    }
    for (size_t i = 0; i < 2; i++) {
        size_t size = json_escape(secret, i == 1, room);
        add(scan, bytes_of(room, size));
        room += size;
    }
}

// ---- The search ----

static size_t cover_one(struct bytes needle, uint8_t *at, size_t size) {
    size_t count = 0;
    for (uint8_t *end = at + size; (at = memmem(at, (size_t)(end - at), needle.at, needle.size));
         at += needle.size, count++)
        memset(at, '*', needle.size);
    return count;
}

void echo_cover(struct echo_scan *scan, uint8_t *at, size_t size) {
    for (size_t i = 0; i < scan->count; i++)
        scan->covered += cover_one(scan->needles[i], at, size);
}

// How many of the last bytes are kept back: those that could begin a secret, whatever the
// secret is. Did it depend on that, whoever has the provider say what he likes could see how
// much of a guess was right.
static size_t tail(const struct echo_scan *scan, const uint8_t *at, size_t size) {
    size_t count = 0;
    while (count < size && count + 1 < scan->longest && is_printable(at[size - 1 - count]))
        count++;
    return count;
}

// ---- Pieces ----

size_t echo_stream_room(const struct echo_scan *scan) {
    return 3 * scan->longest;
}

void echo_scan_begin(struct echo_scan *scan, uint8_t *room) {
    scan->held = room;                     // what is held back, and as much of the next piece
    scan->told = room + 2 * scan->longest; // what was held back, on its way out
}

static struct bytes tell(struct echo_scan *scan, size_t size) {
    memcpy(scan->told, scan->held, size);
    return bytes_of(scan->told, size);
}

static void hold(struct echo_scan *scan, const uint8_t *at, size_t size) {
    memmove(scan->held, at, size);
    scan->held_size = size;
}

// The piece is short: it stands whole behind what is held, `all` bytes in sum.
static void feed_short(struct echo_scan *scan, size_t all, bool is_last,
                       struct bytes *ret_before, size_t *ret_size) {
    size_t kept = is_last ? 0 : tail(scan, scan->held, all), gone = all - kept;
    size_t before = gone < scan->held_size ? gone : scan->held_size;
    *ret_before = tell(scan, before);
    *ret_size = gone - before;
    hold(scan, scan->held + gone, kept);
}

// One that begins in what is held ends before a secret's length in the piece is over.
void echo_feed(struct echo_scan *scan, uint8_t *at, size_t size, bool is_last,
               struct bytes *ret_before, size_t *ret_size) {
    size_t taken = size < scan->longest ? size : scan->longest, all = scan->held_size + taken;
    *ret_before = bytes_of(NULL, 0);
    if (scan->held_size) {
        if (taken)
            memcpy(scan->held + scan->held_size, at, taken);
        echo_cover(scan, scan->held, all);
        if (taken)
            memcpy(at, scan->held + scan->held_size, taken);
        if (taken == size) {
            feed_short(scan, all, is_last, ret_before, ret_size);
            return;
        }
        *ret_before = tell(scan, scan->held_size);
    }
    *ret_size = 0;
    if (!size) // `at` may be NULL
        return;
    echo_cover(scan, at, size);
    size_t kept = is_last ? 0 : tail(scan, at, size);
    *ret_size = size - kept;
    hold(scan, at + *ret_size, kept);
}
