// SPDX-License-Identifier: Apache-2.0
// Nearly every request is written without escapes and is as it should be: one walk
// accepts those. Whatever it does not accept is walked again, after jsontext_check has
// proved the grammar, by one that reads escapes and says what is wrong.
#include "libvault/base/jsonflat.h"

#include "libvault/base/jsonwalk.h"

#define MEMBERS_MAX 32 // one bit each in `seen`

// ---- Numbers ----

// Digits and nothing else, so that nobody reads another number: 1.0, 1e3 and -1 are
// refused. False too for 0 and beyond what every JSON reader holds exactly.
static bool take_number(struct jsonwalk *w, uint64_t *ret_number) {
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

static vlt_result take_member(struct jsonwalk *w, const struct jsonflat_member *members,
                              size_t count, uint32_t *seen, struct fault *fault) {
    struct bytes name = jsonwalk_text(w);
    size_t i = 0;
    while (i < count && !bytes_equal_text(name, members[i].name))
        i++;
    if (i == count)
        return refuse(fault, VLT_MALFORMED, "an unknown member", name, "is unknown");
    if (*seen & 1u << i)
        return refuse(fault, VLT_MALFORMED, "a repeated member", name, "is repeated");
    *seen |= 1u << i;
    jsonwalk_skip_space(w);
    w->at++; // the colon
    jsonwalk_skip_space(w);
    if (members[i].number)
        return take_number(w, members[i].number)
                   ? vlt_ok()
                   : refuse(fault, VLT_MALFORMED, "a member has the wrong type", name,
                            "must be a whole number above 0");
    if (w->json.at[w->at] != '"')
        return refuse(fault, VLT_MALFORMED, "a member has the wrong type", name, "must be a text");
    struct bytes text = jsonwalk_text(w);
    if (text.size > members[i].max_bytes || (members[i].is_required && text.size == 0))
        return fault_set(fault, VLT_LIMIT, "a member is empty or too long",
                         "the member \"%s\" must have 1 to %zu bytes", members[i].name,
                         members[i].max_bytes);
    *members[i].to = text;
    return vlt_ok();
}

static vlt_result take_members(struct jsonwalk *w, const struct jsonflat_member *members,
                               size_t count, struct fault *fault) {
    uint32_t seen = 0;
    for (w->at++, jsonwalk_skip_space(w); w->json.at[w->at] != '}'; jsonwalk_skip_space(w)) {
        VLT_TRY(take_member(w, members, count, &seen, fault));
        jsonwalk_skip_space(w);
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

static void skip_json_space(struct jsonwalk *w) {
    while (w->at < w->json.size && (w->json.at[w->at] == ' ' || w->json.at[w->at] == '\n' ||
                                    w->json.at[w->at] == '\r' || w->json.at[w->at] == '\t'))
        w->at++;
}

// Goes over that byte and the space around it; false when it is not there.
static bool take_byte(struct jsonwalk *w, uint8_t byte) {
    skip_json_space(w);
    if (w->at == w->json.size || w->json.at[w->at] != byte)
        return false;
    w->at++;
    skip_json_space(w);
    return true;
}

static bool take_plain_text(struct jsonwalk *w, struct bytes *ret_text) {
    if (w->at == w->json.size || w->json.at[w->at] != '"')
        return false;
    size_t start = w->at + 1, run = jsontext_plain_run(w->json, start);
    w->at = start + run + 1;
    *ret_text = bytes_of(w->json.at + start, run);
    return start + run < w->json.size && w->json.at[start + run] == '"';
}

// As many digits as surely are within JSONFLAT_NUMBER_MAX.
static bool take_plain_number(struct jsonwalk *w, struct bytes *ret_digits) {
    size_t start = w->at;
    while (w->at < w->json.size && w->json.at[w->at] >= '0' && w->json.at[w->at] <= '9')
        w->at++;
    *ret_digits = bytes_of(w->json.at + start, w->at - start);
    return ret_digits->size > 0 && ret_digits->size < 16 && ret_digits->at[0] != '0';
}

static bool take_plain_value(struct jsonwalk *w, const struct jsonflat_member *member,
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

static bool take_plain_members(struct jsonwalk *w, const struct jsonflat_member *members,
                               size_t count, struct bytes values[MEMBERS_MAX]) {
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
    struct jsonwalk walk = {.json = json};
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
    struct jsonwalk walk = {.json = json, .room = room};
    if (count > MEMBERS_MAX)
        return vlt_fail(VLT_BUG, "too many members");
    if (json.size <= max_bytes && parse_plain(json, members, count))
        return vlt_ok();
    VLT_TRY(jsontext_check(json, &limits, fault));
    jsonwalk_skip_space(&walk);
    if (json.at[walk.at] != '{')
        return fault_set(fault, VLT_MALFORMED, "a JSON object was expected",
                         "a JSON object was expected");
    return take_members(&walk, members, count, fault);
}
