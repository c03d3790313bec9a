// SPDX-License-Identifier: Apache-2.0
// SPIFFE IDs (SPIFFE-ID section 2), strictly.
#ifndef VLT_IDENTITY_SPIFFE_ID_H
#define VLT_IDENTITY_SPIFFE_ID_H

#include "libvault/base/bytes.h"

#define SPIFFE_ID_MAX_BYTES 2048

// spiffe://trust-domain/path of a workload (the path is required). *ret_domain
// is "spiffe://trust-domain" in the same bytes; untouched when false.
bool spiffe_id_split(struct bytes id, struct bytes *ret_domain);

#endif
