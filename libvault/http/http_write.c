// SPDX-License-Identifier: Apache-2.0
#include "libvault/http/http_write.h"

#include <stdio.h>
#include <time.h>

const char *http_status_text(unsigned status) {
    static const struct {
        unsigned status;
        const char *text;
    } known[] = {
        {100, "Continue"},          {200, "OK"},
        {201, "Created"},           {202, "Accepted"},
        {204, "No Content"},        {304, "Not Modified"},
        {400, "Bad Request"},       {401, "Unauthorized"},
        {403, "Forbidden"},         {404, "Not Found"},
        {405, "Method Not Allowed"}, {406, "Not Acceptable"},
        {408, "Request Timeout"},   {409, "Conflict"},
        {410, "Gone"},              {411, "Length Required"},
        {412, "Precondition Failed"}, {413, "Content Too Large"},
        {414, "URI Too Long"},      {415, "Unsupported Media Type"},
        {417, "Expectation Failed"}, {421, "Misdirected Request"},
        {422, "Unprocessable Content"}, {428, "Precondition Required"},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"}, {501, "Not Implemented"},
        {502, "Bad Gateway"},       {503, "Service Unavailable"},
        {504, "Gateway Timeout"},   {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == status)
            return known[i].text;
    return "Unknown";
}

static bool name_is_ours(struct bytes name) {
    return bytes_equal_nocase(name, BYTES_LITERAL("content-length")) ||
           bytes_equal_nocase(name, BYTES_LITERAL("transfer-encoding")) ||
           bytes_equal_nocase(name, BYTES_LITERAL("connection")) ||
           bytes_equal_nocase(name, BYTES_LITERAL("date"));
}

static bool header_is_one_field(const struct http_header *header) {
    struct bytes value = header->value;
    bool is_trimmed = !value.size || (value.at[0] != ' ' && value.at[value.size - 1] != ' ');
    return http_is_token(header->name) && http_is_field_value(value) && is_trimmed &&
           !name_is_ours(header->name);
}

// Decimal by hand: printf costs more than the rest of a head.
static void put_number(struct buf *out, uint64_t number) {
    uint8_t digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number);
    buf_put(out, bytes_of(digits + at, sizeof digits - at));
}

static void put_field(struct buf *out, struct bytes name, struct bytes value) {
    buf_put(out, name);
    buf_put(out, BYTES_LITERAL(": "));
    buf_put(out, value);
    buf_put(out, BYTES_LITERAL("\r\n"));
}

static vlt_result check_headers(const struct http_head *head) {
    for (size_t i = 0; i < head->header_count; i++)
        if (!header_is_one_field(&head->headers[i]))
            return vlt_fail(VLT_BUG, "a header to be written is not one valid field");
    return vlt_ok();
}

static void put_fields(const struct http_head *head, struct buf *out) {
    for (size_t i = 0; i < head->header_count; i++)
        put_field(out, head->headers[i].name, head->headers[i].value);
    if (head->framing == HTTP_BODY_LENGTH) {
        buf_put(out, BYTES_LITERAL("Content-Length: "));
        put_number(out, head->body_bytes);
        buf_put(out, BYTES_LITERAL("\r\n"));
    } else if (head->framing == HTTP_BODY_CHUNKED) {
        buf_put(out, BYTES_LITERAL("Transfer-Encoding: chunked\r\n"));
    }
    if (head->close)
        buf_put(out, BYTES_LITERAL("Connection: close\r\n"));
    buf_put(out, BYTES_LITERAL("\r\n"));
}

static vlt_result written(const struct buf *out) {
    return buf_failed(out) ? vlt_fail(VLT_LIMIT, "a message head does not fit") : vlt_ok();
}

vlt_result http_write_response_head(const struct http_head *head, struct buf *out) {
    VLT_TRY(check_headers(head));
    if (head->status < 100 || head->status > 999)
        return vlt_fail(VLT_BUG, "a status has three digits");
    buf_put(out, BYTES_LITERAL("HTTP/1.1 "));
    put_number(out, head->status);
    buf_put_byte(out, ' ');
    buf_put_text(out, http_status_text(head->status));
    buf_put(out, BYTES_LITERAL("\r\n"));
    if (head->date)
        put_field(out, BYTES_LITERAL("Date"), bytes_of_text(head->date));
    put_fields(head, out);
    return written(out);
}

vlt_result http_write_request_head(enum http_method method, struct bytes target,
                                   struct bytes host, const struct http_head *head,
                                   struct buf *out) {
    VLT_TRY(check_headers(head));
    bool target_is_one_word = target.size && bytes_find(target, ' ') == target.size &&
                              bytes_find(target, '\t') == target.size &&
                              http_is_field_value(target);
    if (method == HTTP_METHOD_NONE || !target_is_one_word || !host.size ||
        !http_is_field_value(host))
        return vlt_fail(VLT_BUG, "a request line to be written is not valid");
    buf_put_text(out, http_method_text(method));
    buf_put_byte(out, ' ');
    buf_put(out, target);
    buf_put(out, BYTES_LITERAL(" HTTP/1.1\r\n"));
    put_field(out, BYTES_LITERAL("Host"), host);
    put_fields(head, out);
    return written(out);
}

size_t http_write_chunk_size(size_t size, char text[20]) {
    int written_chars = snprintf(text, 20, "%zx\r\n", size);
    return (size_t)written_chars;
}

void http_write_date(int64_t at_s, char text[HTTP_DATE_SIZE]) {
    // Names by hand: strftime would ask the locale.
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t at = (time_t)at_s;
    struct tm tm;
    if (!gmtime_r(&at, &tm) || tm.tm_year > 8099 || tm.tm_year < -1900)
        memset(&tm, 0, sizeof tm);
    snprintf(text, HTTP_DATE_SIZE, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday,
             tm.tm_mday & 31, months + 3 * tm.tm_mon, (tm.tm_year + 1900) % 10000, tm.tm_hour & 31,
             tm.tm_min & 63, tm.tm_sec & 63);
}
