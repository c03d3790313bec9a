// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/event.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"

const char *audit_kind_name(enum audit_kind kind) {
    static const char *const names[AUDIT_KIND_COUNT] = {"",         "issue", "redeem", "revoke", "introspect",
                                                        "evaluate", "admin", "vault",  "device"};
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

struct member {
    const char *name;
    struct bytes text; // a JSON string, unless number
    bool is_number;
    uint64_t number;
};

static int member_order(const void *a, const void *b) {
    return strcmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

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

static void put_member(struct buf *out, const struct member *member, bool is_first) {
    if (!is_first)
        buf_put_byte(out, ',');
    buf_put_format(out, "\"%s\":", member->name);
    if (member->is_number)
        buf_put_format(out, "%llu", (unsigned long long)member->number);
    else
        put_text(out, member->text);
}

void audit_event_json(const struct audit_event *event, uint64_t sequence, struct buf *out) {
    char at[CLOCK_TEXT_SIZE];
    clock_text((int64_t)event->at_us, at);
    struct member members[] = {
        {.name = "sequence", .is_number = true, .number = sequence},
        {.name = "time", .text = bytes_of_text(at)},
        {.name = "kind", .text = bytes_of_text(audit_kind_name((enum audit_kind)event->kind))},
        {.name = "outcome", .text = bytes_of_text(audit_outcome_name((enum audit_outcome)event->outcome))},
        {.name = "credential_version", .is_number = true, .number = event->version},
#define TEXT_MEMBER(name_, max) {.name = #name_, .text = event->name_},
        AUDIT_TEXTS(TEXT_MEMBER)
    };
    size_t count = sizeof members / sizeof *members;
    qsort(members, count, sizeof *members, member_order);
    bool is_first = true;
    buf_put_byte(out, '{');
    for (size_t i = 0; i < count; i++) {
        bool is_absent = members[i].is_number ? members[i].number == 0 && strcmp(members[i].name, "sequence") != 0
                                              : members[i].text.size == 0;
        if (is_absent)
            continue;
        put_member(out, &members[i], is_first);
        is_first = false;
    }
    buf_put_byte(out, '}');
}
