// SPDX-License-Identifier: Apache-2.0
// Vectors kind `http1`: the Markdown files of llhttp's test suite, as published.
//
// A case is a `meta` comment, an `http` block (the input, with escapes) and a
// `log` block (what llhttp's callbacks saw). The types `request` and `response`, and
// these with `-finish`, describe llhttp's strict mode.
//
// A case passes when
//   * llhttp reports a framing error and we refuse, having accepted no message
//     that llhttp did not accept;
//   * llhttp reports none, and we see as many messages with bodies as long as
//     it does; or we refuse for one of the reasons in `deliberate`, which are
//     rules of this server and not of framing, and have accepted nothing beyond.
// In a lenient mode (`request-lenient-…`) llhttp accepts more than in its strict
// one: there we may refuse or wait for more, but what it refuses even so we must
// refuse, and what we accept we must see as it does.
// A request without Host is judged with one put in, so that what follows in it
// is judged too. Each input is read whole and again byte by byte.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/http/http.h"
#include "tests/vectors/vectors.h"

enum { MESSAGES_MAX = 64, INPUT_MAX = 8 << 20 };

struct wanted {
    bool is_known, is_response, is_lenient, skips_body;
    bool has_error;  // of framing
    bool has_pause;  // llhttp stops looking: upgrade, CONNECT, a callback
    unsigned begun, complete;
    size_t body_bytes;
};

struct seen {
    unsigned complete;
    size_t body_bytes;
    enum http_refusal refusal;
    bool left_after_close; // bytes behind a message that ended the connection
    bool waits;
    size_t refused_at;     // begin of the message that was refused
};

static bool is_deliberate(enum http_refusal refusal) {
    static const enum http_refusal deliberate[] = {
        HTTP_METHOD_UNKNOWN,     HTTP_TARGET_INVALID, HTTP_VERSION_UNSUPPORTED,
        HTTP_HOST_INVALID,       HTTP_HOST_REPEATED,  HTTP_CODING_UNSUPPORTED,
        HTTP_EXPECTATION_UNKNOWN, HTTP_TRAILER_FORBIDDEN, HTTP_REQUEST_LINE_SPACED};
    for (size_t i = 0; i < sizeof deliberate / sizeof *deliberate; i++)
        if (deliberate[i] == refusal)
            return true;
    return false;
}

// ---- the published text ----------------------------------------------------

static void put_code_point(struct buf *out, unsigned long c) {
    if (c < 0x80) {
        buf_put_byte(out, (uint8_t)c);
        return;
    }
    buf_put_byte(out, (uint8_t)(0xc0 | (c >> 6 & 0x1f)));
    buf_put_byte(out, (uint8_t)(0x80 | (c & 0x3f)));
}

// The escapes of the format, in the order in which its own runner treats them:
// backslash before a line end joins lines, line ends become CRLF, then \r \n
// \t \f \xHH stand for one character.
static void unescape(struct bytes text, struct buf *out) {
    static const char names[] = "rntf", values[] = "\r\n\t\f";
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.at[i], next = i + 1 < text.size ? text.at[i + 1] : 0;
        const char *name = next ? strchr(names, next) : NULL;
        if (c == '\n') {
            buf_put_text(out, "\r\n");
        } else if (c == '\\' && next == '\n') {
            i++;
        } else if (c == '\\' && name) {
            buf_put_byte(out, (uint8_t)values[name - names]);
            i++;
        } else if (c == '\\' && next == 'x') {
            char *end;
            unsigned long code = strtoul((const char *)text.at + i + 2, &end, 16);
            put_code_point(out, code);
            i = (size_t)(end - (const char *)text.at) - 1;
        } else {
            buf_put_byte(out, c);
        }
    }
}

static void read_type(const char *type, struct wanted *wanted) {
    static const char *const kinds[] = {"request", "response"};
    for (int i = 0; i < 2; i++) {
        size_t size = strlen(kinds[i]);
        if (strncmp(type, kinds[i], size) != 0)
            continue;
        wanted->is_response = i;
        wanted->is_lenient = strncmp(type + size, "-lenient-", strlen("-lenient-")) == 0;
        wanted->is_known =
            wanted->is_lenient || !type[size] || strcmp(type + size, "-finish") == 0;
    }
}

static void read_meta(struct bytes line, struct wanted *wanted) {
    size_t open = bytes_find(line, '{');
    size_t close = line.size;
    while (close > open && line.at[close - 1] != '}')
        close--;
    if (close <= open)
        return;
    json_t *meta = json_loadb((const char *)line.at + open, close - open, 0, NULL);
    const char *type = json_string_value(json_object_get(meta, "type"));
    *wanted = (struct wanted){0};
    read_type(type ? type : "", wanted);
    wanted->skips_body = json_is_true(json_object_get(meta, "skipBody"));
    json_decref(meta);
}

// Error numbers of llhttp that are not about the bytes: callbacks and pauses.
static bool is_framing_error(unsigned long code) {
    return code <= 15 || code == 25 || code == 30;
}

static void read_log_line(const char *line, struct wanted *wanted) {
    const char *error = strstr(line, "error code=");
    if (error && is_framing_error(strtoul(error + 11, NULL, 10)))
        wanted->has_error = true;
    else if (error)
        wanted->has_pause = true;
    const char *size = strstr(line, "len=");
    if (strstr(line, "span[body]") && size)
        wanted->body_bytes += strtoul(size + 4, NULL, 10);
    wanted->begun += strstr(line, " message begin") != NULL;
    wanted->complete += strstr(line, " message complete") != NULL;
}

// ---- our reader ------------------------------------------------------------

static enum http_step read_message(struct http_reader *reader, uint8_t *at, size_t size,
                                   bool drip) {
    enum http_step step = HTTP_STEP_MORE;
    for (size_t given = drip ? 1 : size; given <= size; given++) {
        step = http_reader_read(reader, at, given);
        if (step == HTTP_STEP_HEAD)
            step = http_reader_read(reader, at, given);
        if (step != HTTP_STEP_MORE)
            return step;
    }
    return step;
}

static bool is_only_line_ends(const uint8_t *at, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (at[i] != '\r' && at[i] != '\n')
            return false;
    return true;
}

static void run(const struct buf *input, const struct wanted *wanted, bool drip,
                struct seen *seen) {
    uint8_t *copy = malloc(input->size + 1);
    memcpy(copy, input->at, input->size);
    enum http_kind kind = wanted->is_response ? HTTP_KIND_RESPONSE : HTTP_KIND_REQUEST;
    struct http_reader *reader = calloc(1, sizeof *reader);
    http_reader_init(reader, kind, &http_limits_default);
    *seen = (struct seen){0};
    for (size_t at = 0; at < input->size && seen->complete < MESSAGES_MAX;) {
        http_reader_reset(reader, &http_limits_default);
        if (wanted->skips_body)
            http_reader_expect_no_body(reader);
        enum http_step step = read_message(reader, copy + at, input->size - at, drip);
        if (step == HTTP_STEP_MORE && wanted->is_response) {
            step = http_reader_finish(reader, copy + at, input->size - at);
            seen->waits = step != HTTP_STEP_COMPLETE;
            seen->body_bytes += seen->waits ? 0 : reader->response.body.size;
            break;
        }
        seen->waits = step == HTTP_STEP_MORE;
        if (step != HTTP_STEP_COMPLETE) {
            seen->refusal = http_reader_refusal(reader);
            seen->refused_at = at;
            break;
        }
        seen->complete++;
        seen->body_bytes +=
            wanted->is_response ? reader->response.body.size : reader->request.body.size;
        at += http_reader_consumed(reader);
        bool keeps = wanted->is_response ? reader->response.keep_alive : reader->request.keep_alive;
        if (!keeps) {
            seen->left_after_close = !is_only_line_ends(copy + at, input->size - at);
            break;
        }
    }
    free(reader);
    free(copy);
}

// Puts a Host behind the first line of the message at `at`; false without one.
static bool put_host(struct buf *input, size_t at) {
    while (at + 1 < input->size && (input->at[at] == '\r' || input->at[at] == '\n'))
        at++;
    const uint8_t *lf = memchr(input->at + at, '\n', input->size - at);
    if (!lf)
        return false;
    size_t end = (size_t)(lf - input->at) + 1;
    struct buf out;
    buf_init(&out, INPUT_MAX);
    buf_put(&out, bytes_of(input->at, end));
    buf_put_text(&out, "Host: vector.example\r\n");
    buf_put(&out, bytes_of(input->at + end, input->size - end));
    buf_done(input);
    *input = out;
    return true;
}

static bool was_refused(const struct seen *seen) { return seen->refusal || seen->left_after_close; }

static void run_with_hosts(struct buf *input, const struct wanted *wanted, bool drip,
                           struct seen *seen) {
    run(input, wanted, drip, seen);
    for (unsigned tries = 0; seen->refusal == HTTP_HOST_MISSING && tries < MESSAGES_MAX; tries++) {
        if (!put_host(input, seen->refused_at))
            return;
        run(input, wanted, drip, seen);
    }
}

// An input that stops where llhttp already objects need not yet be refused by
// a reader of lines, but no end of the line may save it.
static void run_to_the_end(struct buf *input, const struct wanted *wanted, bool drip,
                           struct seen *seen) {
    run_with_hosts(input, wanted, drip, seen);
    if (!wanted->has_error || was_refused(seen))
        return;
    buf_put_text(input, "\r\n\r\n\r\n");
    run_with_hosts(input, wanted, drip, seen);
}

static const char *judge(const struct wanted *wanted, const struct seen *seen) {
    if (wanted->has_error) {
        if (!was_refused(seen))
            return "llhttp refuses, we accept";
        return seen->complete > wanted->complete ? "we accept a message that llhttp does not"
                                                 : NULL;
    }
    if (seen->complete >= wanted->complete && wanted->has_pause)
        return NULL;
    if (is_deliberate(seen->refusal) || (wanted->is_lenient && (was_refused(seen) || seen->waits)))
        return seen->complete > wanted->complete ? "we accept a message that llhttp does not"
                                                 : NULL;
    if (was_refused(seen))
        return "llhttp accepts, we refuse";
    if (seen->complete != wanted->complete)
        return "we see another number of messages";
    bool is_whole = wanted->begun == wanted->complete || (wanted->is_response && !seen->waits);
    return is_whole && seen->body_bytes != wanted->body_bytes ? "we see another body" : NULL;
}

static void run_case(const char *path, const char *title, struct bytes text,
                     const struct wanted *wanted) {
    if (!wanted->is_known || (!wanted->begun && !wanted->has_error)) {
        vectors_fail(path, "%s: %s", title,
                     wanted->is_known ? "nothing in its log" : "unknown type of case");
        return;
    }
    const char *wrong = NULL;
    struct seen seen = {0};
    for (unsigned drip = 0; drip < 2 && !wrong; drip++) {
        struct buf input;
        buf_init(&input, INPUT_MAX);
        unescape(text, &input);
        run_to_the_end(&input, wanted, drip, &seen);
        wrong = judge(wanted, &seen);
        buf_done(&input);
    }
    if (wrong)
        vectors_fail(path, "%s: %s (%s; messages %u, wanted %u)", title, wrong,
                     http_refusal_text(seen.refusal), seen.complete, wanted->complete);
    else
        vectors_pass();
}

// ---- files -----------------------------------------------------------------

struct page {
    const char *path;
    char title[160];
    struct wanted wanted;
    struct buf input; // of the case, as written
    enum { OUTSIDE, IN_HTTP, IN_LOG, IN_OTHER } place;
    bool has_input;
    unsigned cases;
};

static void page_line(struct page *page, struct bytes line) {
    bool is_fence = bytes_begin_with(line, BYTES_LITERAL("```"));
    if (page->place == OUTSIDE) {
        if (bytes_begin_with(line, BYTES_LITERAL("#")))
            snprintf(page->title, sizeof page->title, "%.*s", (int)line.size,
                     (const char *)line.at);
        else if (bytes_begin_with(line, BYTES_LITERAL("<!-- meta=")))
            read_meta(line, &page->wanted);
        else if (bytes_begin_with(line, BYTES_LITERAL("```http"))) {
            page->place = IN_HTTP;
            buf_clear(&page->input);
        } else if (is_fence)
            page->place = bytes_begin_with(line, BYTES_LITERAL("```log")) ? IN_LOG : IN_OTHER;
        return;
    }
    if (page->place == IN_LOG && !is_fence) {
        char text[4096];
        snprintf(text, sizeof text, "%.*s", (int)line.size, (const char *)line.at);
        read_log_line(text, &page->wanted);
    } else if (page->place == IN_HTTP && !is_fence) {
        buf_put(&page->input, line);
        buf_put_byte(&page->input, '\n');
    } else if (is_fence) {
        if (page->place == IN_HTTP && page->has_input)
            vectors_fail(page->path, "%s: no log behind the input", page->title);
        if (page->place == IN_HTTP)
            page->has_input = true;
        if (page->place == IN_LOG && page->has_input) {
            // The line end before the closing fence belongs to the fence.
            struct bytes text = buf_bytes(&page->input);
            text.size -= text.size > 0;
            buf_text(&page->input);
            page->cases++;
            run_case(page->path, page->title, text, &page->wanted);
            page->has_input = false;
            page->wanted = (struct wanted){0};
        }
        page->place = OUTSIDE;
    }
}

static void visit_page(const char *path, struct bytes content) {
    struct page page = {.path = path};
    buf_init(&page.input, INPUT_MAX);
    while (content.size) {
        size_t end = bytes_find(content, '\n');
        struct bytes line = bytes_of(content.at, end);
        while (line.size && line.at[line.size - 1] == '\r')
            line.size--;
        page_line(&page, line);
        content = bytes_from(content, end + 1);
    }
    if (page.has_input || page.place != OUTSIDE)
        vectors_fail(path, "%s: it ends within a case", page.title);
    else if (!page.cases)
        vectors_foreign(path, true, "no case with an http and a log block");
    buf_done(&page.input);
}

void vectors_http1(int count, char **paths) {
    static const char *const suffixes[] = {".md", NULL};
    vectors_walk(count, paths, suffixes, visit_page);
}
