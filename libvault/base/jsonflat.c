// SPDX-License-Identifier: Apache-2.0
// Nearly every request is written without escapes and is as it should be: one walk
// accepts those. Whatever it does not accept is walked again, after jsontext_check has
// proved the grammar, by one that reads escapes and says what is wrong.
#include "libvault/base/jsonflat.h"

#define MEMBERS_MAX 32 // one bit each in `seen`

struct walk {
    struct bytes json;
    size_t at;
    uint8_t *room;
    size_t used;
};

static void skip_space(struct walk *w) {
    while (w->at < w->json.size && w->json.at[w->at] <= ' ')
        w->at++;
}

// ---- Texts ----

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
static size_t unescape(const uint8_t *at, struct walk *w) {
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

// At an opening quote; goes behind the closing one. An escape is never shorter
// than what it stands for, so `room` is large enough.
static struct bytes take_text(struct walk *w) {
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

// ---- Numbers ----

// Digits and nothing else, so that nobody reads another number: 1.0, 1e3 and -1 are
// refused. False too for 0 and beyond what every JSON reader holds exactly.
static bool take_number(struct walk *w, uint64_t *ret_number) {
    uint64_t number = 0;
    size_t first = w->at;
    for (; w->json.at[w->at] >= '0' && w->json.at[w->at] <= '9'; w->at++)
        if (w->at - first < 17)
            number = number * 10 + (uint64_t)(w->json.at[w->at] - '0');
    uint8_t after = w->json.at[w->at];
    if (w->at - first > 16 || number == 0 || number > JSONFLAT_NUMBER_MAX ||
        (after != ',' && after != '}' && after > ' '))
        return false;
    *ret_number = number;
    return true;
}

// ---- Members ----

static vlt_result refuse(struct fault *fault, enum vlt_class class, const char *reason,
                         struct bytes name, const char *why) {
    return fault_set(fault, class, reason, "the member \"%.*s\" %s",
                     (int)(name.size < 60 ? name.size : 60), name.size ? (const char *)name.at : "",
                     why);
}

static vlt_result take_member(struct walk *w, const struct jsonflat_member *members, size_t count,
                              uint32_t *seen, struct fault *fault) {
    struct bytes name = take_text(w);
    size_t i = 0;
    while (i < count && !bytes_equal_text(name, members[i].name))
        i++;
    if (i == count)
        return refuse(fault, VLT_MALFORMED, "an unknown member", name, "is unknown");
    if (*seen & 1u << i)
        return refuse(fault, VLT_MALFORMED, "a repeated member", name, "is repeated");
    *seen |= 1u << i;
    skip_space(w);
    w->at++; // the colon
    skip_space(w);
    if (members[i].number)
        return take_number(w, members[i].number)
                   ? vlt_ok()
                   : refuse(fault, VLT_MALFORMED, "a member has the wrong type", name,
                            "must be a whole number above 0");
    if (w->json.at[w->at] != '"')
        return refuse(fault, VLT_MALFORMED, "a member has the wrong type", name, "must be a text");
    struct bytes text = take_text(w);
    if (text.size > members[i].max_bytes || (members[i].is_required && text.size == 0))
        return fault_set(fault, VLT_LIMIT, "a member is empty or too long",
                         "the member \"%s\" must have 1 to %zu bytes", members[i].name,
                         members[i].max_bytes);
    *members[i].to = text;
    return vlt_ok();
}

static vlt_result take_members(struct walk *w, const struct jsonflat_member *members, size_t count,
                               struct fault *fault) {
    uint32_t seen = 0;
    for (w->at++, skip_space(w); w->json.at[w->at] != '}'; skip_space(w)) {
        VLT_TRY(take_member(w, members, count, &seen, fault));
        skip_space(w);
        if (w->json.at[w->at] == ',')
            w->at++;
    }
    for (size_t i = 0; i < count; i++)
        if (members[i].is_required && !(seen & 1u << i))
            return refuse(fault, VLT_MALFORMED, "a member is missing",
                          bytes_of_text(members[i].name), "is missing");
    return vlt_ok();
}

// ---- The plain form ----

static void skip_json_space(struct walk *w) {
    while (w->at < w->json.size && (w->json.at[w->at] == ' ' || w->json.at[w->at] == '\n' ||
                                    w->json.at[w->at] == '\r' || w->json.at[w->at] == '\t'))
        w->at++;
}

// Goes over that byte and the space around it; false when it is not there.
static bool take_byte(struct walk *w, uint8_t byte) {
    skip_json_space(w);
    if (w->at == w->json.size || w->json.at[w->at] != byte)
        return false;
    w->at++;
    skip_json_space(w);
    return true;
}

static bool take_plain_text(struct walk *w, struct bytes *ret_text) {
    if (w->at == w->json.size || w->json.at[w->at] != '"')
        return false;
    size_t start = w->at + 1, run = jsontext_plain_run(w->json, start);
    w->at = start + run + 1;
    *ret_text = bytes_of(w->json.at + start, run);
    return start + run < w->json.size && w->json.at[start + run] == '"';
}

// As many digits as surely are within JSONFLAT_NUMBER_MAX.
static bool take_plain_number(struct walk *w, struct bytes *ret_digits) {
    size_t start = w->at;
    while (w->at < w->json.size && w->json.at[w->at] >= '0' && w->json.at[w->at] <= '9')
        w->at++;
    *ret_digits = bytes_of(w->json.at + start, w->at - start);
    return ret_digits->size > 0 && ret_digits->size < 16 && ret_digits->at[0] != '0';
}

static bool take_plain_value(struct walk *w, const struct jsonflat_member *member,
                             struct bytes *ret_value) {
    if (member->number)
        return take_plain_number(w, ret_value);
    return take_plain_text(w, ret_value) && ret_value->size <= member->max_bytes;
}

static void give(const struct jsonflat_member *member, struct bytes value) {
    if (!member->number) {
        *member->to = value;
        return;
    }
    *member->number = 0;
    for (size_t i = 0; i < value.size; i++)
        *member->number = *member->number * 10 + (uint64_t)(value.at[i] - '0');
}

// Members come in the same order each time: looked for from the last one on.
static bool find_member(const struct jsonflat_member *members, size_t count, struct bytes name,
                        size_t *i) {
    for (size_t tried = 0; tried < count; tried++, *i = (*i + 1) % count) {
        const char *known = members[*i].name;
        if (strncmp(known, (const char *)name.at, name.size) == 0 && known[name.size] == 0)
            return true;
    }
    return false;
}

static bool take_plain_members(struct walk *w, const struct jsonflat_member *members, size_t count,
                               struct bytes values[MEMBERS_MAX]) {
    size_t i = 0;
    do {
        struct bytes name, value;
        if (!take_plain_text(w, &name) || name.size == 0 ||
            !find_member(members, count, name, &i) || values[i].at || !take_byte(w, ':') ||
            !take_plain_value(w, &members[i], &value))
            return false;
        values[i] = value;
        i = (i + 1) % count;
    } while (take_byte(w, ','));
    for (i = 0; i < count; i++)
        if (members[i].is_required && values[i].size == 0)
            return false;
    return true;
}

static bool parse_plain(struct bytes json, const struct jsonflat_member *members, size_t count) {
    struct walk walk = {.json = json};
    struct bytes values[MEMBERS_MAX] = {{NULL, 0}};
    if (count == 0 || !bytes_is_utf8(json, NULL) || !take_byte(&walk, '{') ||
        !take_plain_members(&walk, members, count, values) || !take_byte(&walk, '}') ||
        walk.at != json.size)
        return false;
    for (size_t i = 0; i < count; i++)
        if (values[i].at)
            give(&members[i], values[i]);
    return true;
}

// ---- Either ----

vlt_result jsonflat_parse(struct bytes json, size_t max_bytes,
                          const struct jsonflat_member *members, size_t count, uint8_t *room,
                          struct fault *fault) {
    const struct jsontext_limits limits = {.max_bytes = max_bytes, .max_depth = 16};
    struct walk walk = {.json = json, .room = room};
    if (count > MEMBERS_MAX)
        return vlt_fail(VLT_BUG, "too many members");
    if (json.size <= max_bytes && parse_plain(json, members, count))
        return vlt_ok();
    VLT_TRY(jsontext_check(json, &limits, fault));
    skip_space(&walk);
    if (json.at[walk.at] != '{')
        return fault_set(fault, VLT_MALFORMED, "a JSON object was expected",
                         "a JSON object was expected");
    return take_members(&walk, members, count, fault);
}
