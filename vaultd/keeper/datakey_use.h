// SPDX-License-Identifier: Apache-2.0
// Who is about to commit a record that is encrypted under a data key. A data key
// may be destroyed when no record names it; a record that is on its way to the
// disk counts as one.
#ifndef VLT_KEEPER_DATAKEY_USE_H
#define VLT_KEEPER_DATAKEY_USE_H

#include "vaultd/keeper/keeper.h"

struct datakey_use;
// NULL: out of memory. Ended once, when the commit is done or will not happen.
struct datakey_use *datakey_use_begin(struct keeper *keeper, uint32_t tenant, uint32_t number);
void datakey_use_end(struct keeper *keeper, struct datakey_use *use); // NULL is fine
// Is any key of that tenant other than `number` in use like this?
bool datakey_use_of_other(const struct keeper *keeper, uint32_t tenant, uint32_t number);

#endif
