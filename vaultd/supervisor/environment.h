// SPDX-License-Identifier: Apache-2.0
// The environment of a role: a short allow-list of ours, and for the keeper what
// `keeper.secret_heap_kib` and `device.environment` say.
#ifndef VLT_SUPERVISOR_ENVIRONMENT_H
#define VLT_SUPERVISOR_ENVIRONMENT_H

#include <stddef.h>
#include <stdint.h>

// NULL-terminated; freed with environment_free. NULL: out of memory. secret_heap_kib 0: the
// role knows itself how much it needs. Of two entries with one name the first counts, so
// `extra` overrides none of ours.
char **environment_new(uint32_t secret_heap_kib, char *const *extra, size_t extra_count);
void environment_free(char **environment);

#endif
