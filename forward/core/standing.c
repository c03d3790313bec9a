// SPDX-License-Identifier: Apache-2.0
#include "forward/core/standing.h"

#include <stdio.h>

#include "forward/core/json_cursor.h"
#include "forward/core/json_put.h"

#define HEAD_ROOM 256 // for the head, which needs the size of the body
#define TAIL_ROOM 8   // for what ends the body

void standing_question_begin(struct standing_question *question, uint8_t *room) {
    *question = (struct standing_question){.room = room};
    wire_writer_init(&question->body, room + HEAD_ROOM,
                     STANDING_QUESTION_MAX - HEAD_ROOM - TAIL_ROOM);
    json_put_raw(&question->body, "{\"grants\":[");
}

bool standing_question_add(struct standing_question *question, struct bytes grant,
                           struct bytes request_id) {
    struct wire_writer w = question->body;
    if (question->count == STANDING_GRANTS_MAX)
        return false;
    json_put_raw(&w, question->count ? ",{\"grant\":" : "{\"grant\":");
    json_put_text(&w, grant);
    json_put_raw(&w, ",\"request_id\":");
    json_put_text(&w, request_id);
    wire_put_u8(&w, '}');
    if (w.failed)
        return false;
    question->body = w;
    question->count++;
    return true;
}

struct bytes standing_question_end(struct standing_question *question) {
    static const char format[] =
        "POST /v1/standing HTTP/1.1\r\nhost: vault\r\ncontent-type: application/json\r\n"
        "content-length: %zu\r\n\r\n";
    char head[HEAD_ROOM];
    question->body.capacity += TAIL_ROOM;
    json_put_raw(&question->body, "]}");
    int size = snprintf(head, sizeof head, format, question->body.size);
    uint8_t *at = question->room + HEAD_ROOM - size;
    memcpy(at, head, (size_t)size);
    return bytes_of(at, (size_t)size + question->body.size);
}

// It goes to a log.
static bool is_reason(struct bytes text) {
    for (size_t i = 0; i < text.size; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    return text.size > 0 && text.size <= STANDING_REASON_MAX;
}

static void ended_item(struct json_cursor *c, size_t count, struct standing_answer *answer) {
    struct bytes member, reason = {0};
    uint64_t index = UINT64_MAX;
    json_object_begin(c);
    while (json_member_next(c, &member)) {
        if (bytes_equal_text(member, "index"))
            index = json_number(c);
        else if (bytes_equal_text(member, "reason"))
            reason = json_text(c);
        else
            json_skip(c);
    }
    bool is_next = answer->ended_count == 0 || index > answer->ended[answer->ended_count - 1].index;
    if (index >= count || !is_next || answer->ended_count == STANDING_GRANTS_MAX ||
        !is_reason(reason)) {
        c->failed = true;
        return;
    }
    answer->ended[answer->ended_count].index = index;
    answer->ended[answer->ended_count++].reason = reason;
}

vlt_result standing_answer_parse(uint8_t *at, size_t size, size_t count,
                                 struct standing_answer *ret_answer) {
    struct json_cursor c;
    struct standing_answer answer = {0};
    struct bytes member;
    bool has_list = false;
    json_cursor_init(&c, at, size);
    json_object_begin(&c);
    while (json_member_next(&c, &member)) {
        if (!bytes_equal_text(member, "ended") || has_list) {
            json_skip(&c);
            continue;
        }
        has_list = true;
        json_array_begin(&c);
        while (json_item_next(&c))
            ended_item(&c, count, &answer);
    }
    if (!json_cursor_is_done(&c) || !has_list)
        return vlt_fail(VLT_MALFORMED, "the redeemer's answer is not what was agreed");
    *ret_answer = answer;
    return vlt_ok();
}
