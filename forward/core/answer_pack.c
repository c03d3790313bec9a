// SPDX-License-Identifier: Apache-2.0
#include "forward/core/answer.h"

#include "libvault/base/wire.h"

static void put_part(struct wire_writer *w, struct bytes whole, struct bytes part) {
    wire_put_u32(w, part.size ? (uint32_t)(part.at - whole.at) : 0);
    wire_put_u32(w, (uint32_t)part.size);
}

vlt_result answer_pack(const struct answer *answer, uint8_t *at, size_t capacity,
                       size_t *ret_size) {
    struct wire_writer w;
    wire_writer_init(&w, at, capacity);
    wire_put_u8(&w, (uint8_t)answer->inject_count);
    for (size_t i = 0; i < answer->inject_count; i++) {
        wire_put_u8(&w, answer->inject[i].in_query);
        wire_put_bytes(&w, answer->inject[i].name);
        wire_put_bytes(&w, answer->inject[i].value);
        put_part(&w, answer->inject[i].value, answer->inject[i].secret);
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
    if (w.failed) {
        explicit_bzero(at, w.size); // the credential comes first
        return vlt_fail(VLT_LIMIT, "the answer is too long to keep");
    }
    *ret_size = w.size;
    return vlt_ok();
}

static struct bytes get_part(struct wire_reader *r, struct bytes whole) {
    size_t from = wire_get_u32(r), size = wire_get_u32(r);
    if (from > whole.size || size > whole.size - from) {
        r->failed = true;
        return bytes_of(NULL, 0);
    }
    return size ? bytes_of(whole.at + from, size) : bytes_of(NULL, 0);
}

static void get_inject(struct wire_reader *r, struct answer *answer) {
    answer->inject_count = wire_get_u8(r);
    if (answer->inject_count > ANSWER_INJECT_MAX) {
        r->failed = true;
        return;
    }
    for (size_t i = 0; i < answer->inject_count; i++) {
        answer->inject[i].in_query = wire_get_u8(r);
        answer->inject[i].name = wire_get_bytes(r, r->size);
        answer->inject[i].value = wire_get_bytes(r, r->size);
        answer->inject[i].secret = get_part(r, answer->inject[i].value);
    }
}

static void get_remove(struct wire_reader *r, struct answer *answer) {
    answer->remove_count = wire_get_u8(r);
    if (answer->remove_count > ANSWER_REMOVE_MAX) {
        r->failed = true;
        return;
    }
    for (size_t i = 0; i < answer->remove_count; i++)
        answer->remove[i] = wire_get_bytes(r, r->size);
}

// Written where the caller wants it: an answer is large, and this is in the way of each
// request.
vlt_result answer_unpack(struct bytes packed, struct answer *ret_answer) {
    struct wire_reader r;
    wire_reader_init(&r, packed);
    get_inject(&r, ret_answer);
    get_remove(&r, ret_answer);
    ret_answer->upstream = wire_get_bytes(&r, packed.size);
    ret_answer->credential = wire_get_bytes(&r, packed.size);
    ret_answer->txn = wire_get_bytes(&r, packed.size);
    ret_answer->cache_s = wire_get_u64(&r);
    ret_answer->epoch = wire_get_u64(&r);
    ret_answer->standing = wire_get_u64(&r);
    ret_answer->grant = wire_get_bytes(&r, packed.size);
    ret_answer->model_required = wire_get_u8(&r);
    ret_answer->max_tokens_from = wire_get_u64(&r);
    ret_answer->max_tokens_to = wire_get_u64(&r);
    vlt_result result = wire_reader_end(&r);
    if (!vlt_is_ok(result))
        *ret_answer = (struct answer){0};
    return result;
}
