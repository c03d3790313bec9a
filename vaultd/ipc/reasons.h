// SPDX-License-Identifier: Apache-2.0
// A reason of a vlt_result is a static string; one that came over a channel is
// kept here for the life of the process. Bounded: peers have finitely many
// reasons, and one that invents more gets a general one.
#ifndef VLT_IPC_REASONS_H
#define VLT_IPC_REASONS_H

#include "libvault/base/bytes.h"

#define REASON_MAX_BYTES 200
const char *reason_intern(struct bytes text);

#endif
