// SPDX-License-Identifier: Apache-2.0
// Says in the log when the keys of an issuer can not be fetched, and when they can
// again. Broker and admin role, once after each cache was made.
#ifndef VLT_VIEW_ISSUER_HEALTH_H
#define VLT_VIEW_ISSUER_HEALTH_H

#include "libvault/identity/jwks_cache.h"

void issuer_health_log(struct jwks_cache *cache);

#endif
