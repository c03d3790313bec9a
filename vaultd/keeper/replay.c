// SPDX-License-Identifier: Apache-2.0
#include "vaultd/ipc/reasons.h"
#include "vaultd/keeper/replay.h"

#include <stdlib.h>
#include <string.h>

#include "libvault/base/bytes.h"

// Sets of 32 places: an id lives in the set that its first bytes choose. Ids are
// SHA-256 outputs, but a forger chooses his inputs: a set that he fills refuses
// only proofs of that set, for at most the horizon.
#define SET_PLACES 32
// Enough of the hash to tell proofs apart: finding two that share it costs 2^64.
#define STORED_ID_SIZE 16

struct place {
    uint8_t id[STORED_ID_SIZE];
    uint32_t until; // seconds since `epoch_s`; free when in the past
};

struct replay {
    size_t set_count; // a power of two
    uint64_t epoch_s; // first second ever seen
    struct place places[];
};

struct replay *replay_new(size_t capacity) {
    size_t set_count = 1;
    while (set_count * SET_PLACES < capacity)
        set_count *= 2;
    struct replay *replay =
        calloc(1, sizeof *replay + set_count * SET_PLACES * sizeof *replay->places);
    if (replay)
        replay->set_count = set_count;
    return replay;
}

void replay_free(struct replay *replay) {
    free(replay);
}

bool replay_id_is_none(const uint8_t id[REPLAY_ID_SIZE]) {
    uint8_t any = 0;
    for (size_t i = 0; i < REPLAY_ID_SIZE; i++)
        any |= id[i];
    return any == 0;
}

static struct place *set_of(struct replay *replay, const uint8_t *id) {
    size_t number = (size_t)id[0] | (size_t)id[1] << 8 | (size_t)id[2] << 16 | (size_t)id[3] << 24;
    return &replay->places[(number & (replay->set_count - 1)) * SET_PLACES];
}

vlt_result replay_check(struct replay *replay, const uint8_t id[REPLAY_ID_SIZE], uint64_t until,
                        int64_t now_s) {
    uint64_t now = now_s > 0 ? (uint64_t)now_s : 0;
    if (until < now)
        return vlt_fail(VLT_DENIED, REASON_PROOF_OLD);
    if (until > now + REPLAY_HORIZON_MAX_S)
        return vlt_fail(VLT_DENIED, "the proof of possession is from the future");
    if (!replay->epoch_s)
        replay->epoch_s = now ? now - 1 : 0; // so that 0 is in the past
    // A clock that was set back behind the start: what is good can not be told.
    if (now <= replay->epoch_s)
        return vlt_fail(VLT_UNAVAILABLE, "the clock went backwards");
    uint32_t now_place = (uint32_t)(now - replay->epoch_s);
    struct place *set = set_of(replay, id), *free_place = NULL;
    for (size_t i = 0; i < SET_PLACES; i++) {
        if (set[i].until < now_place)
            free_place = &set[i];
        else if (bytes_equal(bytes_of(set[i].id, STORED_ID_SIZE), bytes_of(id, STORED_ID_SIZE)))
            return vlt_fail(VLT_DENIED, REASON_PROOF_REPLAYED);
    }
    if (!free_place)
        return vlt_fail(VLT_LIMIT, "too many proofs of possession at once");
    memcpy(free_place->id, id, STORED_ID_SIZE);
    free_place->until = (uint32_t)(until - replay->epoch_s);
    return vlt_ok();
}
