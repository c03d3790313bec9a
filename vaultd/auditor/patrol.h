// SPDX-License-Identifier: Apache-2.0
// Looks after what was published long ago: a little of the log in each round, from the
// first entry to the last and again, whether its files are there and are what was
// signed. Nobody reads them otherwise until somebody has to prove something.
//
// Used by the publication's thread.
#ifndef VLT_AUDITOR_PATROL_H
#define VLT_AUDITOR_PATROL_H

#include "libvault/audit/checkpoint.h"
#include "libvault/base/fault.h"

#define PATROL_BUNDLES 4 // of 256 entries, each round
// In a row, until something is said about it.
#define PATROL_BAD_LOOKS 2
#define PATROL_UNREAD_LOOKS 10 // that it can not be read may have to do with something else

struct patrol {
    uint64_t next; // bundle
    unsigned bad_looks;
    uint64_t pruned; // by the vault itself; the file pruned says that and nothing else
};
// VLT_CONFLICT: a file of the log of that checkpoint is missing, is not what was signed,
// or can not be read, and that not only at this look; `fault` names it. The same place is
// looked at again until it is good.
vlt_result patrol_look(struct patrol *patrol, int folder, const struct checkpoint *at,
                       struct fault *fault) VLT_MUST_USE;

#endif
