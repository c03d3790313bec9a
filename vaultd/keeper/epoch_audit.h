// SPDX-License-Identifier: Apache-2.0
// The rollback counter and the audit log. The store remembers the last checkpoint of
// the log; with an old copy of the store an old copy of the log would pass for the
// whole one. A checkpoint alone does not move the counter at once (there may be one
// each second, and NV memory wears): it is covered by the next move, of whatever
// change, or by one of its own settings.audit_epoch_s after the last. All moves share
// one budget (epoch.h).
#ifndef VLT_KEEPER_EPOCH_AUDIT_H
#define VLT_KEEPER_EPOCH_AUDIT_H

#include "vaultd/keeper/keeper.h"

vlt_result epoch_audit_new(struct keeper *keeper) VLT_MUST_USE; // keeper->epoch is there
void epoch_audit_done(struct keeper *keeper);
// A checkpoint was committed.
void epoch_audit_touch(struct keeper *keeper);
// A move was begun: it covers what was committed before.
struct epoch;
void epoch_audit_moved(struct epoch *epoch);

#endif
