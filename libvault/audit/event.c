// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/event.h"

#include <pthread.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"

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

// At most max bytes, not ending inside a UTF-8 sequence.
static struct bytes cut(struct bytes text, size_t max) {
    if (text.size <= max)
        return text;
    size_t size = max;
    while (size && (text.at[size] & 0xC0) == 0x80)
        size--;
    return bytes_of(text.at, size);
}

void audit_event_put(struct wire_writer *w, const struct audit_event *event) {
    wire_put_u8(w, event->kind);
    wire_put_u8(w, event->outcome);
    wire_put_u32(w, event->version);
    wire_put_u32(w, event->repeats);
    wire_put_u64(w, event->max_tokens);
    wire_put_u64(w, event->at_us);
#define PUT_TEXT(name, max) wire_put_bytes(w, cut(event->name, (max)));
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
