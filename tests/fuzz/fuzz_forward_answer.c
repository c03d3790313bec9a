// SPDX-License-Identifier: Apache-2.0
// What the redeemer sends: nothing that is accepted may end a line of a request.
#include <stdlib.h>

#include "forward/core/answer.h"
#include "forward/core/reply.h"
#include "forward/core/standing.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static void check(struct bytes value) {
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] < 0x20 || value.at[i] > 0x7e)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct answer answer;
    struct denial denial;
    struct reply_head head;
    struct watch_reader watch;
    bool is_whole;
    unsigned count;
    uint8_t *room = malloc(size + 1);
    if (size)
        memcpy(room, at, size);
    if (vlt_is_ok(answer_parse(room, size, &answer)))
        for (size_t i = 0; i < answer.inject_count; i++) {
            check(answer.inject[i].name);
            check(answer.inject[i].value);
        }
    if (size)
        memcpy(room, at, size);
    if (vlt_is_ok(denial_parse(room, size, 403, &denial)))
        for (size_t i = 0; i < denial.header_count; i++)
            check(denial.headers[i].value);
    struct standing_answer standing;
    if (size)
        memcpy(room, at, size);
    if (vlt_is_ok(standing_answer_parse(room, size, 4, &standing)))
        for (size_t i = 0; i < standing.ended_count; i++)
            check(standing.ended[i].reason);
    (void)!vlt_is_ok(answer_unpack(bytes_of(at, size), &answer));
    (void)!vlt_is_ok(reply_head_parse(bytes_of(at, size), &head, &is_whole));
    watch_reader_init(&watch);
    (void)!vlt_is_ok(watch_reader_feed(&watch, bytes_of(at, size), &count));
    free(room);
    return 0;
}
