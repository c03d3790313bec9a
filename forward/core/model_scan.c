// SPDX-License-Identifier: Apache-2.0
#include "forward/core/model_scan.h"

#include "forward/core/byte_run.h"
#include "forward/core/json_number.h"
#include "forward/core/key_fold.h"

// What may come next, structure before STRING. That, ESCAPE and HEX are inside a text; NUMBER
// and WORD end by the first byte that does not belong to them.
enum state {
    VALUE,       // any value
    FIRST_VALUE, // any value, or ']'
    FIRST_KEY,   // a name, or '}'
    KEY,         // a name
    COLON,
    AFTER, // ',' or the end of the container
    STRING,
    ESCAPE, // after a backslash
    HEX,    // after "\u"
    NUMBER,
    WORD, // true, false, null
    END   // white space only
};

VLT_COLD static void fail(struct model_scan *s, enum vlt_class class, const char *reason) {
    if (vlt_is_ok(s->result))
        s->result = vlt_fail(class, reason);
}

// Of a limit_scan_…: why not, or NULL.
static void refuse(struct model_scan *s, const char *reason) {
    if (reason)
        fail(s, VLT_MALFORMED, reason);
}

VLT_COLD static void malformed(struct model_scan *s) {
    fail(s, VLT_MALFORMED, "the body is not valid JSON");
}

static bool top_is_object(const struct model_scan *s) {
    return s->is_object[s->depth / 8] >> (s->depth % 8) & 1;
}

static void capture_add(struct model_scan *s, struct bytes parent, struct bytes member) {
    struct model_scan_capture *capture = &s->captures[s->capture_count++];
    memset(capture, 0, offsetof(struct model_scan_capture, text));
    capture->parent = parent;
    capture->member = member;
}

void model_scan_init(struct model_scan *scan, const char *member, bool wants_tool) {
    static const struct bytes top = {0};
    memset(scan, 0, offsetof(struct model_scan, captures)); // also: a VALUE comes first
    scan->wants_tool = wants_tool;
    scan->result = vlt_ok();
    limit_scan_init(&scan->limit, NULL);
    capture_add(scan, top, bytes_of_text(member));
    if (wants_tool) {
        capture_add(scan, top, BYTES_LITERAL("method"));
        capture_add(scan, BYTES_LITERAL("params"), BYTES_LITERAL("name"));
    }
}

void model_scan_count(struct model_scan *scan, const struct profile_limit *limit) {
    limit_scan_init(&scan->limit, limit);
}

// ---- Names ----

// Is this the level on which names are compared?
static bool level_is_watched(const struct model_scan *s) {
    return s->depth == 1 || (s->depth == 2 && (s->parent_is_open || s->limit.parent_is_open));
}

// Does the key name a watched member? A spelling in other case does too: it is
// refused, because some providers match names without case.
static bool key_fits(struct model_scan *s, struct bytes name) {
    struct bytes key = bytes_of(s->key, s->key_size);
    bool is_same = name.size && bytes_equal(key, name);
    if (!is_same && (!name.size || !bytes_equal_nocase(key, name)))
        return false;
    if (s->key_is_variant || !is_same)
        fail(s, VLT_MALFORMED, "the body has a member that differs from a known one in case only");
    return true;
}

static void key_end(struct model_scan *s) {
    static const char twice[] = "the body has the same member twice";
    if (!s->is_kept)
        return;
    if (s->key_is_escaped) {
        fail(s, VLT_MALFORMED, "the body has a member whose name is spelled with escapes");
        return;
    }
    for (unsigned i = 0; i < s->capture_count; i++) {
        struct model_scan_capture *capture = &s->captures[i];
        bool has_parent = capture->parent.size > 0;
        if (s->depth == 1 && has_parent && key_fits(s, capture->parent)) {
            if (capture->parent_is_seen)
                fail(s, VLT_MALFORMED, twice);
            capture->parent_is_seen = true;
            s->key_is_parent = true;
            s->parent_is_open = true;
        } else if ((s->depth == 1 ? !has_parent : has_parent && s->parent_is_open) &&
                   key_fits(s, capture->member)) {
            if (capture->is_seen)
                fail(s, VLT_MALFORMED, twice);
            capture->is_seen = true;
            s->pending = capture;
        }
    }
    refuse(s, limit_scan_key(&s->limit, s->depth, bytes_of(s->key, s->key_size),
                             s->key_is_variant));
}

// ---- Containers ----

static void container_open(struct model_scan *s, bool is_object) {
    if (s->depth == 0 && !is_object)
        fail(s, VLT_MALFORMED, "the body is not a JSON object");
    if (s->pending || (s->key_is_parent && !is_object))
        fail(s, VLT_MALFORMED, "a member of the body has the wrong type");
    if (s->depth == MODEL_SCAN_DEPTH) {
        fail(s, VLT_LIMIT, "the body is nested too deeply");
        return;
    }
    s->depth++;
    uint8_t bit = (uint8_t)(1u << (s->depth % 8)), *at = &s->is_object[s->depth / 8];
    *at = is_object ? *at | bit : *at & (uint8_t)~bit;
    s->key_is_parent = false;
    s->state = is_object ? FIRST_KEY : FIRST_VALUE;
}

static void value_end(struct model_scan *s) {
    if (s->limit.pending) // only a number is waited for to its end
        limit_scan_number_end(&s->limit);
    s->pending = NULL;
    s->state = s->depth == 0 ? END : AFTER;
}

static void container_close(struct model_scan *s, bool is_object) {
    if (s->depth == 0 || top_is_object(s) != is_object) {
        malformed(s);
        return;
    }
    if (s->depth == 2) {
        s->parent_is_open = false;
        s->limit.parent_is_open = false;
    }
    s->depth--;
    value_end(s);
}

// ---- Values ----

static void scalar_begins(struct model_scan *s) {
    if (s->depth == 0)
        fail(s, VLT_MALFORMED, "the body is not a JSON object");
    if (s->pending || s->key_is_parent)
        fail(s, VLT_MALFORMED, "a member of the body has the wrong type");
}

static void string_begin(struct model_scan *s, bool is_key) {
    s->state = STRING;
    s->is_key = is_key;
    s->is_kept = is_key ? level_is_watched(s) : s->pending != NULL;
    if (is_key) {
        s->key_size = 0;
        s->key_is_escaped = s->key_is_variant = false;
    } else if (s->depth == 0 || s->key_is_parent) {
        scalar_begins(s);
    }
}

static void word_begin(struct model_scan *s, const char *rest) {
    scalar_begins(s);
    s->word = rest;
    s->state = WORD;
}

static void number_begin(struct model_scan *s, uint8_t c) {
    scalar_begins(s);
    s->number = json_number_begin(c);
    s->state = NUMBER;
    if (s->limit.pending)
        refuse(s, limit_scan_digit(&s->limit, c));
}

static void value_begin(struct model_scan *s, uint8_t c) {
    if (limit_scan_waits(&s->limit))
        refuse(s, limit_scan_value(&s->limit, c));
    switch (c) {
    case '{':
    case '[':
        container_open(s, c == '{');
        break;
    case '"':
        string_begin(s, false);
        break;
    case 't':
        word_begin(s, "rue");
        break;
    case 'f':
        word_begin(s, "alse");
        break;
    case 'n':
        word_begin(s, "ull");
        break;
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            number_begin(s, c);
        else
            malformed(s);
    }
}

// ---- Texts ----

static void string_keep(struct model_scan *s, struct bytes run) {
    if (s->is_key) {
        size_t room = sizeof s->key - s->key_size;
        size_t size = run.size < room ? run.size : room;
        memcpy(s->key + s->key_size, run.at, size);
        s->key_size += size;
    } else {
        if (run.size > sizeof s->pending->text - s->pending->size) {
            fail(s, VLT_LIMIT, "the model or tool in the body is too long");
            return;
        }
        memcpy(s->pending->text + s->pending->size, run.at, run.size);
        s->pending->size += run.size;
    }
}

static void string_end(struct model_scan *s) {
    if (s->is_key) {
        s->state = COLON;
        key_end(s);
        return;
    }
    if (s->pending) {
        s->pending->is_found = true;
        if (s->pending->size == 0)
            fail(s, VLT_MALFORMED, "the model or tool in the body is empty");
    }
    value_end(s);
}

static void string_take(struct model_scan *s, uint8_t c) {
    if (s->utf8.left || c >= 0x80) {
        if (!utf8_step(&s->utf8, c))
            fail(s, VLT_MALFORMED, "the body is not UTF-8");
        if (s->is_kept)
            string_keep(s, bytes_of(&c, 1));
        if (s->is_key && key_fold(s->key, &s->key_size))
            s->key_is_variant = true;
    } else if (c == '"') {
        string_end(s);
    } else if (c == '\\') {
        s->state = ESCAPE;
    } else { // the run would have gone on otherwise
        malformed(s);
    }
}

static void escape_take(struct model_scan *s, uint8_t c) {
    if (!strchr("\"\\/bfnrtu", c) || c == '\0') {
        malformed(s);
        return;
    }
    if (s->is_key)
        s->key_is_escaped = true;
    else if (s->pending && c == '/')
        string_keep(s, BYTES_LITERAL("/")); // PHP writes every slash so
    else if (s->pending)
        fail(s, VLT_MALFORMED, "the model or tool in the body is spelled with escapes");
    s->hex_left = 4;
    s->state = c == 'u' ? HEX : STRING;
}

static void hex_take(struct model_scan *s, uint8_t c) {
    uint8_t lower = c | 0x20;
    if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'f'))
        malformed(s);
    if (--s->hex_left == 0)
        s->state = STRING;
}

// Takes a run and what ends it; returns where to go on.
static size_t text_take(struct model_scan *s, struct bytes piece, size_t at) {
    size_t end = s->utf8.left ? at : byte_run_json(piece, at);
    if (end > at && s->is_kept)
        string_keep(s, bytes_of(piece.at + at, end - at));
    if (end == piece.size || !vlt_is_ok(s->result))
        return end;
    string_take(s, piece.at[end]);
    return end + 1;
}

// ---- Structure ----

static void after_take(struct model_scan *s, uint8_t c) {
    if (c == ',')
        s->state = top_is_object(s) ? KEY : VALUE;
    else if (c == '}' || c == ']')
        container_close(s, c == '}');
    else
        malformed(s);
}

static void structure_take(struct model_scan *s, uint8_t c) {
    if (c <= ' ' && (c == ' ' || c == '\t' || c == '\n' || c == '\r'))
        return;
    switch (s->state) {
    case VALUE:
        value_begin(s, c);
        break;
    case FIRST_VALUE:
        if (c == ']')
            container_close(s, false);
        else
            value_begin(s, c);
        break;
    case FIRST_KEY:
    case KEY:
        if (c == '"')
            string_begin(s, true);
        else if (c == '}' && s->state == FIRST_KEY)
            container_close(s, true);
        else
            malformed(s);
        break;
    case COLON:
        s->state = VALUE;
        if (c != ':')
            malformed(s);
        break;
    case AFTER:
        after_take(s, c);
        break;
    default:
        fail(s, VLT_MALFORMED, "the body goes on after its JSON object");
    }
}

static void byte_take(struct model_scan *s, uint8_t c) {
    switch (s->state) {
    case ESCAPE:
        escape_take(s, c);
        return;
    case HEX:
        hex_take(s, c);
        return;
    case WORD:
        if (c != (uint8_t)*s->word)
            malformed(s);
        else if (*++s->word == '\0')
            value_end(s);
        return;
    case NUMBER:
        if (json_number_takes(&s->number, c)) {
            if (s->limit.pending)
                refuse(s, limit_scan_digit(&s->limit, c));
            return;
        }
        if (!json_number_is_whole(s->number))
            malformed(s);
        value_end(s);
    }
    structure_take(s, c);
}

vlt_result model_scan_feed(struct model_scan *scan, struct bytes piece) {
    for (size_t at = 0; at < piece.size && vlt_is_ok(scan->result);) {
        if (scan->state == STRING)
            at = text_take(scan, piece, at);
        else if (scan->state < STRING)
            structure_take(scan, piece.at[at++]);
        else
            byte_take(scan, piece.at[at++]);
    }
    return scan->result;
}

vlt_result model_scan_end(struct model_scan *scan) {
    if (scan->state != END)
        fail(scan, VLT_MALFORMED, "the body is not valid JSON");
    if (scan->wants_tool &&
        bytes_equal(bytes_of(scan->captures[1].text, scan->captures[1].size),
                    BYTES_LITERAL("tools/call")) &&
        !scan->captures[2].is_found)
        fail(scan, VLT_MALFORMED, "the body calls a tool without its name");
    return scan->result;
}

struct bytes model_scan_model(const struct model_scan *scan) {
    const struct model_scan_capture *model = &scan->captures[0];
    return model->is_found ? bytes_of(model->text, model->size) : bytes_of(NULL, 0);
}

struct bytes model_scan_tool(const struct model_scan *scan) {
    if (!scan->wants_tool)
        return bytes_of(NULL, 0);
    const struct model_scan_capture *method = &scan->captures[1], *tool = &scan->captures[2];
    bool is_call = bytes_equal(bytes_of(method->text, method->size), BYTES_LITERAL("tools/call"));
    return is_call && tool->is_found ? bytes_of(tool->text, tool->size) : bytes_of(NULL, 0);
}

uint64_t model_scan_max_tokens(const struct model_scan *scan) {
    return limit_scan_tokens(&scan->limit);
}
