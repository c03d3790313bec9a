// SPDX-License-Identifier: Apache-2.0
// The scanner of usage against the strict parser: what the parser reads as JSON has the counts
// that the tree has, as a document and as the data of an event, and the cut into pieces changes
// nothing.
#include <stdlib.h>

#include "forward/core/usage_scan.h"
#include "libvault/base/jsontext.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static const struct profile_usage usage = {
    .object_count = 3,
    .objects = {{1, {BYTES_LITERAL("usage")}},
                {2, {BYTES_LITERAL("message"), BYTES_LITERAL("usage")}},
                {1, {BYTES_LITERAL("usageMetadata")}}},
    .member_count = 5,
    .members = {{BYTES_LITERAL("input_tokens"), 0},
                {BYTES_LITERAL("promptTokenCount"), 0},
                {BYTES_LITERAL("output_tokens"), 1},
                {BYTES_LITERAL("cache_read_input_tokens"), 2},
                {BYTES_LITERAL("thoughtsTokenCount"), 3}},
    .outputs = 1u << 1 | 1u << 3};

struct counts {
    unsigned seen;
    uint64_t counts[PROFILE_USAGE_COUNTS_MAX];
};

static void feed(struct usage_scan *s, struct bytes text, size_t step) {
    for (size_t i = 0; i < text.size; i += step)
        usage_scan_feed(s, bytes_of(text.at + i, text.size - i < step ? text.size - i : step));
}

static void need_same(const struct usage_scan *s, const struct usage_scan *other) {
    if (s->seen != other->seen || memcmp(s->counts, other->counts, sizeof s->counts) != 0)
        abort();
}

static struct usage_scan scan(struct bytes text, bool is_events) {
    struct usage_scan whole, pieces;
    usage_scan_init(&whole, &usage, is_events);
    feed(&whole, text, text.size + 1);
    for (size_t step = 1; step < 20; step += 6) {
        usage_scan_init(&pieces, &usage, is_events);
        feed(&pieces, text, step);
        need_same(&whole, &pieces);
    }
    return whole;
}

// Members in the order in which they stand: jansson keeps it.
static void members_take(const json_t *object, struct counts *counts) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        for (size_t i = 0; i < usage.member_count; i++) {
            const struct profile_usage_member *member = &usage.members[i];
            if (!bytes_equal_text(member->name, key) || !json_is_integer(value) ||
                json_integer_value(value) < 0 ||
                (uint64_t)json_integer_value(value) > USAGE_SCAN_MAX)
                continue;
            counts->seen |= 1u << member->count;
            counts->counts[member->count] = (uint64_t)json_integer_value(value);
        }
    }
}

static void object_take(const json_t *object, struct counts *counts) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, key, value) {
        if (!strcmp(key, "usage") || !strcmp(key, "usageMetadata")) {
            members_take(value, counts);
        } else if (!strcmp(key, "message")) {
            const json_t *inner = json_object_get(value, "usage");
            members_take(inner, counts);
        }
    }
}

// The tree does not keep how numbers were spelled.
static bool is_spelled_otherwise(struct bytes text) {
    return memmem(text.at, text.size, "-0", 2);
}

static bool has_mark(struct bytes text) {
    return bytes_begin_with(text, BYTES_LITERAL("\xef\xbb\xbf"));
}

// A list that holds something else than objects ends what is read.
static bool is_of_objects(const json_t *root) {
    size_t index;
    const json_t *item;
    json_array_foreach(root, index, item) {
        if (!json_is_object(item))
            return false;
    }
    return true;
}

static void compare(const struct usage_scan *s, struct bytes text) {
    json_t *root = NULL;
    struct counts tree = {0};
    size_t index;
    const json_t *item;
    struct bytes document = bytes_from(text, has_mark(text) ? 3 : 0);
    if (is_spelled_otherwise(text) ||
        !vlt_is_ok(jsontext_parse(document, &jsontext_document_limits, NULL, &root)))
        return;
    object_take(root, &tree);
    json_array_foreach(root, index, item) object_take(item, &tree);
    if (is_of_objects(root) &&
        (tree.seen != s->seen || memcmp(tree.counts, s->counts, sizeof tree.counts) != 0))
        abort();
    json_decref(root);
}

// The same as the data of one event. Both with a line break: it ends a number in which the
// text was cut.
static void compare_event(struct bytes text) {
    struct usage_scan document, event;
    // A mark is one at the beginning of the answer, and not of an event's data.
    if (memchr(text.at, '\n', text.size) || memchr(text.at, '\r', text.size) || has_mark(text))
        return;
    usage_scan_init(&document, &usage, false);
    feed(&document, text, text.size);
    usage_scan_feed(&document, BYTES_LITERAL("\n\n"));
    usage_scan_init(&event, &usage, true);
    usage_scan_feed(&event, BYTES_LITERAL("event: x\ndata: "));
    feed(&event, text, 7);
    usage_scan_feed(&event, BYTES_LITERAL("\n\n"));
    need_same(&event, &document);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct bytes text = bytes_of(at, size);
    if (!size)
        return 0;
    struct usage_scan document = scan(text, false);
    scan(text, true);
    compare(&document, text);
    compare_event(text);
    return 0;
}
