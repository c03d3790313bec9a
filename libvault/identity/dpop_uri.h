// SPDX-License-Identifier: Apache-2.0
// Comparison of htu (RFC 9449 section 4.3, RFC 3986 section 6): scheme and host
// without case, the default port removed, percent-encoding normalised, query and
// fragment left out.
#ifndef VLT_IDENTITY_DPOP_URI_H
#define VLT_IDENTITY_DPOP_URI_H

#include "libvault/base/bytes.h"

// False as well when either is not an http or https URI.
bool dpop_uri_equal(struct bytes a, struct bytes b);

#endif
