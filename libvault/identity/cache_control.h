// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/identity: how long an answer may be kept (RFC 9111 section
// 5.2.2), of one header line as it came.
#ifndef VLT_IDENTITY_CACHE_CONTROL_H
#define VLT_IDENTITY_CACHE_CONTROL_H

#include "libvault/base/bytes.h"

// Leaves *max_age_s alone unless the line is a Cache-Control that says it:
// max-age, or no-store and no-cache as 0. A value that is no number is ignored.
void cache_control_read(struct bytes line, int64_t *max_age_s);

#endif
