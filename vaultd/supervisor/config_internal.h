// SPDX-License-Identifier: Apache-2.0
// The schema, and the steps of config_load that follow it; for config….c only.
#ifndef VLT_SUPERVISOR_CONFIG_INTERNAL_H
#define VLT_SUPERVISOR_CONFIG_INTERNAL_H

#include "vaultd/supervisor/config.h"
#include "vaultd/supervisor/config_file.h"

// Every key of the file.
extern const cyaml_schema_field_t config_fields[];

// Gives every key that the file leaves out its default (vaultd.conf(5)): texts are never
// NULL afterwards. False: out of memory.
bool config_set_defaults(struct config *config);

// What the schema can not express: ranges, and keys that need or exclude each other.
// Wants every default set. VLT_MALFORMED; the fault names key and line of the file.
vlt_result config_check(const struct config_file *file, const struct config *config,
                        struct fault *fault);

#endif
