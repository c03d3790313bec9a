// SPDX-License-Identifier: Apache-2.0
#include "forward/core/answer.h"

#include "libvault/base/wire.h"

vlt_result answer_pack(const struct answer *answer, uint8_t *at, size_t capacity,
                       size_t *ret_size) {
    struct wire_writer w;
    wire_writer_init(&w, at, capacity);
    wire_put_u8(&w, (uint8_t)answer->inject_count);
    for (size_t i = 0; i < answer->inject_count; i++) {
        wire_put_u8(&w, answer->inject[i].in_query);
        wire_put_bytes(&w, answer->inject[i].name);
        wire_put_bytes(&w, answer->inject[i].value);
    }
    wire_put_u8(&w, (uint8_t)answer->remove_count);
    for (size_t i = 0; i < answer->remove_count; i++)
        wire_put_bytes(&w, answer->remove[i]);
    wire_put_bytes(&w, answer->upstream);
    wire_put_bytes(&w, answer->credential);
    wire_put_bytes(&w, answer->txn);
    wire_put_u64(&w, answer->cache_s);
    wire_put_u64(&w, answer->epoch);
    wire_put_u64(&w, answer->standing);
    wire_put_bytes(&w, answer->grant);
    wire_put_u8(&w, answer->model_required);
    wire_put_u64(&w, answer->max_tokens_from);
    wire_put_u64(&w, answer->max_tokens_to);
    if (w.failed)
        return vlt_fail(VLT_LIMIT, "the answer is too long to keep");
    *ret_size = w.size;
    return vlt_ok();
}

vlt_result answer_unpack(struct bytes packed, struct answer *ret_answer) {
    struct wire_reader r;
    struct answer answer = {0};
    wire_reader_init(&r, packed);
    answer.inject_count = wire_get_u8(&r);
    if (answer.inject_count > ANSWER_INJECT_MAX)
        return vlt_fail(VLT_MALFORMED, "a kept answer");
    for (size_t i = 0; i < answer.inject_count; i++) {
        answer.inject[i].in_query = wire_get_u8(&r);
        answer.inject[i].name = wire_get_bytes(&r, packed.size);
        answer.inject[i].value = wire_get_bytes(&r, packed.size);
    }
    answer.remove_count = wire_get_u8(&r);
    if (answer.remove_count > ANSWER_REMOVE_MAX)
        return vlt_fail(VLT_MALFORMED, "a kept answer");
    for (size_t i = 0; i < answer.remove_count; i++)
        answer.remove[i] = wire_get_bytes(&r, packed.size);
    answer.upstream = wire_get_bytes(&r, packed.size);
    answer.credential = wire_get_bytes(&r, packed.size);
    answer.txn = wire_get_bytes(&r, packed.size);
    answer.cache_s = wire_get_u64(&r);
    answer.epoch = wire_get_u64(&r);
    answer.standing = wire_get_u64(&r);
    answer.grant = wire_get_bytes(&r, packed.size);
    answer.model_required = wire_get_u8(&r);
    answer.max_tokens_from = wire_get_u64(&r);
    answer.max_tokens_to = wire_get_u64(&r);
    VLT_TRY(wire_reader_end(&r));
    *ret_answer = answer;
    return vlt_ok();
}
