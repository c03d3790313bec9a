// SPDX-License-Identifier: Apache-2.0
// A consistent copy of the store while it serves: one snapshot, handed out in
// chunks, with a signature of the checkpoint key over all of it at the end. One
// backup at a time; one that nobody asks on for BACKUP_IDLE_S ends, because an
// open snapshot keeps the file from reusing pages.
#ifndef VLT_KEEPER_BACKUP_H
#define VLT_KEEPER_BACKUP_H

#include "vaultd/keeper/keeper.h"

#define BACKUP_IDLE_S 60
#define BACKUP_TYP "vaultd-backup+jws"

void backup_look(struct keeper *keeper); // on a timer
void backup_end(struct keeper *keeper);

#endif
