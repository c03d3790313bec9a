// SPDX-License-Identifier: Apache-2.0
// A driver that is a program of this machine: the supervisor runs it, as the
// rotator's user, with one end of a socket as its standard input and output. One
// JSON object goes there, one comes back, and the end of the stream ends it.
// docs/rotation.md has both.
#ifndef VLT_ROTATOR_PROGRAM_H
#define VLT_ROTATOR_PROGRAM_H

#include "vaultd/rotator/call.h"

struct role;
struct program;

struct program *program_new(struct event_base *base, struct role *role); // NULL: out of memory
void program_free(struct program *program); // drops what is under way; NULL is fine
void program_configure(struct program *program, unsigned timeout_ms);

// `name` as the configuration has it. As call_begin; `status` is 200, 403 when the
// program says {"refused":true}, 500 with its {"error":"…"} in `why`, 0 when it
// gave no answer in time.
vlt_result program_begin(struct program *program, const char *name, enum recipe_step step,
                         const struct recipe_values *values, const struct secret *value,
                         call_done_fn *done, void *context) VLT_MUST_USE;

#endif
