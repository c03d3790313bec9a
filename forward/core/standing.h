// SPDX-License-Identifier: Apache-2.0
// POST /v1/standing: of the requests that are under way, which have lost what they
// were granted on? The question, written whole into the caller's memory, and the
// answer.
#ifndef VLT_FORWARD_STANDING_H
#define VLT_FORWARD_STANDING_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"
#include "libvault/base/wire.h"

#define STANDING_GRANTS_MAX 128      // in one question
#define STANDING_QUESTION_MAX 65536  // room that always suffices for one grant
#define STANDING_REASON_MAX 128

struct standing_question {
    uint8_t *room;
    struct wire_writer body;
    size_t count;
};
// `room`: STANDING_QUESTION_MAX bytes, borrowed.
void standing_question_begin(struct standing_question *question, uint8_t *room);
// False (and nothing added) when the question is full.
bool standing_question_add(struct standing_question *question, struct bytes grant,
                           struct bytes request_id);
struct bytes standing_question_end(struct standing_question *question);

struct standing_answer {
    size_t ended_count;
    struct {
        size_t index; // of the question's grants, in rising order
        struct bytes reason;
    } ended[STANDING_GRANTS_MAX];
};
// Parsed in place: the reasons lie in the caller's memory, and may be logged.
// `count`: how many grants were asked about. VLT_MALFORMED.
vlt_result standing_answer_parse(uint8_t *at, size_t size, size_t count,
                                 struct standing_answer *ret_answer) VLT_MUST_USE;

#endif
