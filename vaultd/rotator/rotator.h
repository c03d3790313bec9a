// SPDX-License-Identifier: Apache-2.0
// The role that calls providers: one step of one rotation at a time. It asks the
// keeper what is next, gets the one value that the step needs, makes the call,
// and says what became of it. It decides nothing and keeps nothing: whatever it
// knows, the keeper has recorded before.
#ifndef VLT_ROTATOR_ROTATOR_H
#define VLT_ROTATOR_ROTATOR_H

#include "vaultd/ipc/channel.h"
#include "vaultd/role/role.h"
#include "vaultd/rotator/call.h"
#include "vaultd/rotator/program.h"

struct work;

struct rotator {
    struct role *role;
    struct channel *keeper;
    struct recipe_set *recipes, *next_recipes; // next: once nothing is under way; or NULL
    struct call *call;
    struct program *program;
    struct event *tick;
    struct work *work;    // NULL: none
    bool is_asking;       // what is next
    bool is_draining;
};

// Asks the keeper what is next unless something is under way.
void rotator_look(struct rotator *rotator);

#endif
