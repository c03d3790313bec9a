// SPDX-License-Identifier: Apache-2.0
#include "forward/core/reply.h"

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool decimal(struct bytes text, uint64_t max, uint64_t *ret_value) {
    uint64_t value = 0;
    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_digit(text.at[i]) || value > (max - (text.at[i] - '0')) / 10)
            return false;
        value = value * 10 + (text.at[i] - '0');
    }
    *ret_value = value;
    return true;
}

static bool status_line(struct bytes line, unsigned *ret_status) {
    if (line.size < 12 || !bytes_begin_with(line, BYTES_LITERAL("HTTP/1.1 ")) ||
        !is_digit(line.at[9]) || !is_digit(line.at[10]) || !is_digit(line.at[11]) ||
        (line.size > 12 && line.at[12] != ' '))
        return false;
    *ret_status = (line.at[9] - '0') * 100u + (line.at[10] - '0') * 10u + (line.at[11] - '0');
    return *ret_status >= 100;
}

struct framing {
    bool has_length;
    uint64_t length;
};

static vlt_result header_line(struct bytes line, struct reply_head *head, struct framing *framing) {
    static const vlt_result wrong = {VLT_MALFORMED, "a header of the redeemer's answer"};
    size_t colon = bytes_find(line, ':');
    if (colon == 0 || colon == line.size)
        return wrong;
    struct bytes name = bytes_of(line.at, colon), value = bytes_from(line, colon + 1);
    while (value.size && value.at[0] == ' ')
        value = bytes_from(value, 1);
    if (bytes_equal_nocase(name, BYTES_LITERAL("content-length"))) {
        if (framing->has_length || !decimal(value, UINT32_MAX, &framing->length))
            return wrong;
        framing->has_length = true;
    } else if (bytes_equal_nocase(name, BYTES_LITERAL("transfer-encoding"))) {
        if (!bytes_equal_nocase(value, BYTES_LITERAL("chunked")))
            return wrong;
        head->is_chunked = true;
    } else if (bytes_equal_nocase(name, BYTES_LITERAL("connection"))) {
        head->stays_open = !bytes_equal_nocase(value, BYTES_LITERAL("close"));
    }
    return vlt_ok();
}

static size_t find_end(struct bytes text) {
    for (size_t i = 0; i + 4 <= text.size; i++)
        if (bytes_equal(bytes_of(text.at + i, 4), BYTES_LITERAL("\r\n\r\n")))
            return i + 4;
    return 0;
}

vlt_result reply_head_parse(struct bytes text, struct reply_head *ret_head, bool *ret_is_whole) {
    size_t end = find_end(text);
    if (end > REPLY_HEAD_MAX || (end == 0 && text.size >= REPLY_HEAD_MAX))
        return vlt_fail(VLT_LIMIT, "the head of the redeemer's answer is too long");
    if (end == 0) {
        *ret_is_whole = false;
        return vlt_ok();
    }
    struct reply_head head = {.head_bytes = end, .stays_open = true};
    struct framing framing = {0};
    bool is_first = true;
    for (struct bytes rest = bytes_of(text.at, end - 2); rest.size; is_first = false) {
        size_t cr = bytes_find(rest, '\r');
        if (cr + 1 >= rest.size || bytes_find(rest, '\n') != cr + 1)
            return vlt_fail(VLT_MALFORMED, "a line of the redeemer's answer");
        struct bytes line = bytes_of(rest.at, cr);
        rest = bytes_from(rest, cr + 2);
        if (!is_first)
            VLT_TRY(header_line(line, &head, &framing));
        else if (!status_line(line, &head.status))
            return vlt_fail(VLT_MALFORMED, "the status line of the redeemer's answer");
    }
    if (head.is_chunked == framing.has_length)
        return vlt_fail(VLT_MALFORMED, "the redeemer's answer has no single length");
    if (framing.length > REPLY_BODY_MAX)
        return vlt_fail(VLT_LIMIT, "the redeemer's answer is too long");
    head.body_bytes = framing.length;
    *ret_head = head;
    *ret_is_whole = true;
    return vlt_ok();
}

enum { HEAD, CHUNK_SIZE, CHUNK_LF, CHUNK, CHUNK_CR_AFTER, CHUNK_LF_AFTER };

void watch_reader_init(struct watch_reader *reader) {
    *reader = (struct watch_reader){.state = HEAD, .result = vlt_ok()};
}

static void watch_fail(struct watch_reader *r, const char *reason) {
    if (vlt_is_ok(r->result))
        r->result = vlt_fail(VLT_MALFORMED, reason);
}

static void line_end(struct watch_reader *r, unsigned *line_count) {
    struct bytes line = bytes_of(r->line, r->line_size);
    size_t word_bytes = bytes_find(line, ' ');
    struct bytes word = bytes_of(line.at, word_bytes);
    uint64_t number;
    r->line_size = 0;
    if (!decimal(bytes_from(line, word_bytes + 1), UINT64_MAX, &number)) {
        watch_fail(r, "a line of the watch has no number");
    } else if (bytes_equal_text(word, "epoch")) {
        r->has_epoch = true;
        r->epoch = number;
        ++*line_count;
    } else if (bytes_equal_text(word, "standing")) {
        r->has_standing = true;
        r->standing = number;
        ++*line_count;
    } else {
        watch_fail(r, "a line of the watch is of no known kind");
    }
}

static void line_take(struct watch_reader *r, uint8_t c, unsigned *line_count) {
    if (c == '\n')
        line_end(r, line_count);
    else if (r->line_size == sizeof r->line)
        watch_fail(r, "a line of the watch is too long");
    else
        r->line[r->line_size++] = c;
}

static void head_take(struct watch_reader *r, uint8_t c) {
    bool is_whole = false;
    struct reply_head head;
    r->head[r->head_size++] = c;
    if (c != '\n' && r->head_size < sizeof r->head)
        return;
    vlt_result result = reply_head_parse(bytes_of(r->head, r->head_size), &head, &is_whole);
    if (!vlt_is_ok(result)) {
        r->result = result;
    } else if (is_whole) {
        if (head.status != 200 || !head.is_chunked)
            watch_fail(r, "the redeemer refuses the watch");
        r->state = CHUNK_SIZE;
    }
}

static void size_take(struct watch_reader *r, uint8_t c) {
    uint8_t lower = c | 0x20;
    if (c == '\r')
        r->state = CHUNK_LF;
    else if (r->chunk_left > 0xffff || !(is_digit(c) || (lower >= 'a' && lower <= 'f')))
        watch_fail(r, "a chunk of the watch");
    else
        r->chunk_left = r->chunk_left * 16 + (is_digit(c) ? c - 48u : lower - 87u);
}

static void watch_take(struct watch_reader *r, uint8_t c, unsigned *line_count) {
    switch (r->state) {
    case HEAD:
        head_take(r, c);
        break;
    case CHUNK_SIZE:
        size_take(r, c);
        break;
    case CHUNK_LF:
        if (c != '\n' || r->chunk_left == 0)
            watch_fail(r, "the watch ended");
        r->state = CHUNK;
        break;
    case CHUNK:
        line_take(r, c, line_count);
        if (--r->chunk_left == 0)
            r->state = CHUNK_CR_AFTER;
        break;
    default:
        if (c != (r->state == CHUNK_CR_AFTER ? '\r' : '\n'))
            watch_fail(r, "a chunk of the watch");
        r->state = r->state == CHUNK_CR_AFTER ? CHUNK_LF_AFTER : CHUNK_SIZE;
    }
}

vlt_result watch_reader_feed(struct watch_reader *reader, struct bytes bytes,
                             unsigned *ret_line_count) {
    unsigned line_count = 0;
    for (size_t i = 0; i < bytes.size && vlt_is_ok(reader->result); i++)
        watch_take(reader, bytes.at[i], &line_count);
    *ret_line_count = line_count;
    return reader->result;
}
