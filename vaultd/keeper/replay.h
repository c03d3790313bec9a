// SPDX-License-Identifier: Apache-2.0
// Proofs of possession are good once (RFC 9449 section 11.1). One memory for all
// brokers and redeemers, because only the keeper sees them all.
//
// Bounded: when it is full of proofs that are not stale yet, new ones are
// refused (fail closed) until some go stale.
#ifndef VLT_KEEPER_REPLAY_H
#define VLT_KEEPER_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "libvault/base/result.h"

#define REPLAY_ID_SIZE 32
#define REPLAY_CAPACITY (1u << 20) // proofs remembered at once: 20 MiB when all are
#define REPLAY_HORIZON_MAX_S 900   // a proof that says it is good for longer is refused

struct replay;
struct replay *replay_new(size_t capacity); // NULL: out of memory
void replay_free(struct replay *replay);
// Notes the proof. VLT_DENIED: seen before, stale, or of too long a life;
// VLT_LIMIT: no room. `until` is the second after which the verifier refuses the
// proof as too old anyway.
vlt_result replay_check(struct replay *replay, const uint8_t id[REPLAY_ID_SIZE], uint64_t until,
                        int64_t now_s) VLT_MUST_USE;
// No proof at all: 32 zero bytes.
bool replay_id_is_none(const uint8_t id[REPLAY_ID_SIZE]);

#endif
