// SPDX-License-Identifier: Apache-2.0
// The environment of a role: a short allow-list of ours, and for the keeper what
// `device.environment` says.
#ifndef VLT_SUPERVISOR_ENVIRONMENT_H
#define VLT_SUPERVISOR_ENVIRONMENT_H

#include <stddef.h>

// NULL-terminated; freed with environment_free. NULL: out of memory.
char **environment_new(char *const *extra, size_t extra_count);
void environment_free(char **environment);

#endif
