// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/verdict_memo.h"

#include <stdlib.h>

#include "libvault/base/wire.h"

#define SLOTS 512 // one verdict each: a newcomer takes the place of the one there
#define KEY_MAX_BYTES 768

struct key {
    size_t size; // 0: too long to be kept
    uint8_t at[KEY_MAX_BYTES];
};
struct slot {
    uint64_t revision; // 0: empty
    struct key key;
    struct verdict verdict;
};
struct verdict_memo {
    struct slot slots[SLOTS];
};

struct verdict_memo *verdict_memo_new(void) { return calloc(1, sizeof(struct verdict_memo)); }
void verdict_memo_free(struct verdict_memo *memo) { free(memo); }

static void key_of(const struct verdict_question *question, struct key *ret_key) {
    struct wire_writer w;
    wire_writer_init(&w, ret_key->at, sizeof ret_key->at);
    wire_put_raw(&w, bytes_of(question->token_sha256, 32));
    wire_put_bytes(&w, question->forwarder);
    wire_put_bytes(&w, question->source);
    wire_put_bytes(&w, question->method);
    wire_put_bytes(&w, question->host);
    wire_put_bytes(&w, question->path);
    wire_put_bytes(&w, question->model);
    wire_put_bytes(&w, question->tool);
    ret_key->size = w.failed ? 0 : w.size;
}

// Only chooses the slot, where keys are compared whole: who finds collisions
// evicts verdicts and wins nothing.
static size_t slot_of(const struct key *key) {
    uint64_t hash = 0, word = 0;
    for (size_t at = 0; at < key->size; at += sizeof word) {
        size_t left = key->size - at;
        word = 0;
        memcpy(&word, key->at + at, left < sizeof word ? left : sizeof word);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 32;
    }
    return hash % SLOTS;
}

bool verdict_memo_find(const struct verdict_memo *memo, const struct verdict_question *question,
                       uint64_t revision, struct verdict *ret_verdict) {
    struct key key;
    key_of(question, &key);
    const struct slot *slot = &memo->slots[slot_of(&key)];
    if (revision == 0 || key.size == 0 || slot->revision != revision ||
        !bytes_equal(bytes_of(key.at, key.size), bytes_of(slot->key.at, slot->key.size)))
        return false;
    if (question->max_tokens < slot->verdict.numbers.from ||
        question->max_tokens > slot->verdict.numbers.to)
        return false;
    *ret_verdict = slot->verdict;
    return true;
}

void verdict_memo_keep(struct verdict_memo *memo, const struct verdict_question *question,
                       uint64_t revision, const struct verdict *verdict) {
    struct key key;
    key_of(question, &key);
    if (key.size == 0)
        return;
    struct slot *slot = &memo->slots[slot_of(&key)];
    slot->revision = revision;
    slot->key = key;
    slot->verdict = *verdict;
}
