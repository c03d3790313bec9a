// SPDX-License-Identifier: Apache-2.0
// Credentials of which more than one version exists, for the list of keys.
#ifndef VLT_ADMIN_CREDENTIAL_VERSIONS_H
#define VLT_ADMIN_CREDENTIAL_VERSIONS_H

#include <jansson.h>

#include "libvault/store/store.h"

#define CREDENTIAL_VERSIONS_LOOKS_MAX 20000 // records: a tenth of a second

// Within a snapshot. Appends one item for each version: staged or verified,
// active, retired.
void credential_versions_add(struct store *store, uint32_t tenant, const char *tenant_name,
                             json_t *items);

#endif
