// SPDX-License-Identifier: Apache-2.0
// Steps that a rotation of keys is made of, for rotate_key.c (asked for) and
// rotate_key_tick.c (by themselves). Nobody else's.
#ifndef VLT_KEEPER_ROTATE_KEY_STEPS_H
#define VLT_KEEPER_ROTATE_KEY_STEPS_H

#include "vaultd/keeper/rotate_key.h"

// The record in another state; a retired one says until when it is needed.
void rotate_key_add_record(struct change *change, const struct rotate_key_row *row,
                           enum record_key_state state, int64_t now_s);
void rotate_key_add_destruction(struct change *change, const struct rotate_key_row *row);
// Makes the new key where the settings say, then goes on with the change. Nobody
// else changes these keys until it has ended.
void rotate_key_make_and_run(struct change *change, enum record_key_use use);
// `answer` of a change that nobody waits for; also the first thing of the others.
void rotate_key_step_done(struct change *change, vlt_result result, uint64_t revision);
// Loads the keys again, after a commit that changed them.
void rotate_key_reload(struct keeper *keeper);

#endif
