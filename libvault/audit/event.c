// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/event.h"

#include <pthread.h>
#include <stdlib.h>

#include "libvault/audit/tile.h"
#include "libvault/base/b64u.h"
#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"

#define TEXT_MAX 1024      // of the longest member
#define CUT_SIGN "\xE2\x80\xA6" // …
#define CUT_HASHED_FROM 128
#define TOKEN_BEGIN "eyJ" // of a JOSE header in base64url
#define TOKEN_MIN 64      // the smallest with a signature or a tag has more
#define TOKEN_SIGN "(token)"
#define CUT_MARK_MAX (sizeof CUT_SIGN "sha256:" + B64U_SIZE(DIGEST_SHA256_SIZE))

// Every byte of every text escaped as \u0000, and the names: still an entry of a log.
#define TEXT_WORST(name, max) (6 * (max) + sizeof #name + 5) +
_Static_assert(AUDIT_TEXTS(TEXT_WORST) 512 <= TILE_ENTRY_MAX, "an event can be too long for a log");
#define TEXT_FITS(name, max)                                                                       \
    _Static_assert((max) <= TEXT_MAX, "a member that put_cut can not hold");
AUDIT_TEXTS(TEXT_FITS)

const char *audit_kind_name(enum audit_kind kind) {
    static const char *const names[AUDIT_KIND_COUNT] = {
        "", "issue", "redeem", "revoke", "introspect", "evaluate", "admin", "vault", "device"};
    return (unsigned)kind < AUDIT_KIND_COUNT ? names[kind] : "";
}

const char *audit_outcome_name(enum audit_outcome outcome) {
    static const char *const names[AUDIT_OUTCOME_COUNT] = {"", "allow", "deny", "error"};
    return (unsigned)outcome < AUDIT_OUTCOME_COUNT ? names[outcome] : "";
}

// ---- Wire ----

// So many bytes at most, not ending inside a UTF-8 sequence.
static struct bytes beginning(struct bytes text, size_t max) {
    size_t size = max;
    while (size && (text.at[size] & 0xC0) == 0x80)
        size--;
    return bytes_of(text.at, size);
}

// A text that has no room: its beginning, a mark, and where there is room for it the
// hash of the whole, so that whoever has the text can tell that it was this one.
static void put_cut(struct wire_writer *w, struct bytes text, size_t max) {
    uint8_t digest[DIGEST_SHA256_SIZE], room[TEXT_MAX];
    char mark[CUT_MARK_MAX] = CUT_SIGN;
    if (max >= CUT_HASHED_FROM && vlt_is_ok(digest_sha256(text, digest))) {
        memcpy(mark, CUT_SIGN "sha256:", sizeof CUT_SIGN "sha256:");
        b64u_encode_text(bytes_of(digest, sizeof digest), mark + strlen(mark));
    }
    struct bytes end = bytes_of_text(mark), kept = beginning(text, max - end.size);
    memcpy(room, kept.at, kept.size);
    memcpy(room + kept.size, end.at, end.size);
    wire_put_bytes(w, bytes_of(room, kept.size + end.size));
}

static void put_fitting(struct wire_writer *w, struct bytes text, size_t max) {
    if (text.size <= max)
        wire_put_bytes(w, text);
    else
        put_cut(w, text, max);
}

// A compact JWS or JWE: where a caller puts its token into a path or a model's name, it
// does not go into the log.
static bool token_find(struct bytes text, size_t *ret_begin, size_t *ret_end) {
    static const char word[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (text.size < TOKEN_MIN)
        return false; // too short for one, or nothing at all
    const uint8_t *at = text.at, *end = text.at + text.size;
    while ((at = memmem(at, (size_t)(end - at), TOKEN_BEGIN, sizeof TOKEN_BEGIN - 1))) {
        const uint8_t *next = at;
        unsigned dots = 0;
        for (; next < end && (*next == '.' || (*next && strchr(word, *next))); next++)
            dots += *next == '.';
        if (dots >= 2 && (size_t)(next - at) >= TOKEN_MIN) {
            *ret_begin = (size_t)(at - text.at);
            *ret_end = (size_t)(next - text.at);
            return true;
        }
        at = next;
    }
    return false;
}

static void put_without_tokens(struct wire_writer *w, struct bytes text, size_t max) {
    struct buf clean;
    size_t begin, end;
    buf_init(&clean, text.size);
    while (token_find(text, &begin, &end)) {
        buf_put(&clean, bytes_of(text.at, begin));
        buf_put_text(&clean, TOKEN_SIGN);
        text = bytes_from(text, end);
    }
    buf_put(&clean, text);
    put_fitting(w, buf_failed(&clean) ? BYTES_LITERAL(TOKEN_SIGN) : buf_bytes(&clean), max);
    buf_done(&clean);
}

static void put_member(struct wire_writer *w, struct bytes text, size_t max) {
    size_t begin, end;
    if (token_find(text, &begin, &end))
        put_without_tokens(w, text, max);
    else
        put_fitting(w, text, max);
}

void audit_event_put(struct wire_writer *w, const struct audit_event *event) {
    wire_put_u8(w, event->kind);
    wire_put_u8(w, event->outcome);
    wire_put_u32(w, event->version);
    wire_put_u32(w, event->repeats);
    wire_put_u64(w, event->max_tokens);
    wire_put_u64(w, event->at_us);
#define PUT_TEXT(name, max) put_member(w, event->name, (max));
    AUDIT_TEXTS(PUT_TEXT)
}

vlt_result audit_event_get(struct bytes bytes, struct audit_event *ret_event) {
    struct audit_event event = {0};
    struct wire_reader r;
    wire_reader_init(&r, bytes);
    event.kind = wire_get_u8(&r);
    event.outcome = wire_get_u8(&r);
    event.version = wire_get_u32(&r);
    event.repeats = wire_get_u32(&r);
    event.max_tokens = wire_get_u64(&r);
    event.at_us = wire_get_u64(&r);
#define GET_TEXT(name, max) event.name = wire_get_bytes(&r, (max));
    AUDIT_TEXTS(GET_TEXT)
    VLT_TRY(wire_reader_end(&r));
    if (!event.kind || event.kind >= AUDIT_KIND_COUNT || !event.outcome ||
        event.outcome >= AUDIT_OUTCOME_COUNT)
        return vlt_fail(VLT_MALFORMED, "an audit event of unknown kind or outcome");
    *ret_event = event;
    return vlt_ok();
}

// ---- Canonical JSON: members in order of their names ----

enum member_place {
#define TEXT_PLACE(name, max) PLACE_##name,
    AUDIT_TEXTS(TEXT_PLACE) PLACE_time,
    PLACE_kind,
    PLACE_outcome,
    PLACE_sequence,
    PLACE_credential_version,
    PLACE_max_tokens,
    PLACE_repeats,
    PLACE_COUNT
};

struct place {
    const char *opening; // "name":
    uint8_t opening_bytes, place;
};
#define PLACE(name) {"\"" #name "\":", sizeof #name + 2, PLACE_##name}
#define TEXT_ROW(name, max) PLACE(name),

// In the order of RFC 8785; sorted once, because each event needs it.
static struct place order[PLACE_COUNT] = {
    AUDIT_TEXTS(TEXT_ROW) PLACE(time), PLACE(kind),   PLACE(outcome), PLACE(sequence),
    PLACE(credential_version),         PLACE(max_tokens), PLACE(repeats)};
static pthread_once_t order_once = PTHREAD_ONCE_INIT;

static int place_order(const void *a, const void *b) {
    // The closing quote sorts before every character of a name.
    return strcmp(((const struct place *)a)->opening, ((const struct place *)b)->opening);
}

static void sort_places(void) { qsort(order, PLACE_COUNT, sizeof *order, place_order); }

// A member whose text is not UTF-8 is kept in a form that is: each bad byte as
// U+FFFD. The event must be written, whoever made it up.
static void put_text(struct buf *out, struct bytes text) {
    size_t bad_at = 0;
    if (bytes_is_utf8(text, &bad_at)) {
        jsontext_put_string(out, text);
        return;
    }
    struct buf mended;
    buf_init(&mended, text.size * 3 + 16);
    while (text.size && !bytes_is_utf8(text, &bad_at)) {
        buf_put(&mended, bytes_of(text.at, bad_at));
        buf_put_text(&mended, "\xEF\xBF\xBD");
        text = bytes_from(text, bad_at + 1);
    }
    buf_put(&mended, text);
    jsontext_put_string(out, buf_bytes(&mended));
    buf_done(&mended);
}

static void put_number(struct buf *out, uint64_t number) {
    uint8_t digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (uint8_t)('0' + number % 10);
    while (number /= 10);
    buf_put(out, bytes_of(digits + at, sizeof digits - at));
}

void audit_event_json(const struct audit_event *event, uint64_t sequence, struct buf *out) {
    char at[CLOCK_TEXT_SIZE];
    clock_text((int64_t)event->at_us, at);
    pthread_once(&order_once, sort_places);
    const struct bytes texts[PLACE_COUNT] = {
#define TEXT_VALUE(name, max) [PLACE_##name] = event->name,
        AUDIT_TEXTS(TEXT_VALUE)
        [PLACE_time] = bytes_of_text(at),
        [PLACE_kind] = bytes_of_text(audit_kind_name((enum audit_kind)event->kind)),
        [PLACE_outcome] = bytes_of_text(audit_outcome_name((enum audit_outcome)event->outcome))};
    bool is_first = true;
    buf_put_byte(out, '{');
    for (size_t i = 0; i < PLACE_COUNT; i++) {
        const struct place *place = &order[i];
        uint64_t number = place->place == PLACE_sequence             ? sequence
                          : place->place == PLACE_credential_version ? event->version
                          : place->place == PLACE_max_tokens         ? event->max_tokens
                          : place->place == PLACE_repeats            ? event->repeats
                                                                     : 0;
        if (number == 0 && texts[place->place].size == 0)
            continue; // empty members are left out
        if (!is_first)
            buf_put_byte(out, ',');
        is_first = false;
        buf_put(out, bytes_of(place->opening, place->opening_bytes));
        if (number)
            put_number(out, number);
        else
            put_text(out, texts[place->place]);
    }
    buf_put_byte(out, '}');
}
