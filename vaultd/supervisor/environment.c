// SPDX-License-Identifier: Apache-2.0
#include "vaultd/supervisor/environment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vaultd/ipc/messages.h"

static const char *const passed_on[] = {"JOURNAL_STREAM", "CREDENTIALS_DIRECTORY", "TZ",
                                        "ASAN_OPTIONS",   "UBSAN_OPTIONS",         "TSAN_OPTIONS",
                                        "LSAN_OPTIONS"};
static const char *const fixed[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8",
                                    "TSS2_LOG=all+none"}; // tpm2-tss logs derived keys otherwise

static char *identity(void) {
    char *text = NULL;
    return asprintf(&text, "%s=%s", IPC_IDENTITY_VARIABLE, ipc_identity()) < 0 ? NULL : text;
}

static char *secret_heap(uint32_t kib) {
    char *text = NULL;
    return asprintf(&text, "%s=%" PRIu32, IPC_HEAP_VARIABLE, kib) < 0 ? NULL : text;
}

static char *name_and_value(const char *name) {
    const char *value = getenv(name);
    char *text = NULL;
    if (value && asprintf(&text, "%s=%s", name, value) < 0)
        return NULL;
    return text;
}

char **environment_new(uint32_t secret_heap_kib, char *const *extra, size_t extra_count) {
    size_t count = 0, max = 2 + sizeof fixed / sizeof *fixed +
                            sizeof passed_on / sizeof *passed_on + extra_count;
    char **environment = calloc(max + 1, sizeof *environment);
    if (!environment)
        return NULL;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if ((environment[count] = strdup(fixed[i])))
            count++;
    for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
        if ((environment[count] = name_and_value(passed_on[i])))
            count++;
    if ((environment[count] = identity()))
        count++;
    if (secret_heap_kib && (environment[count] = secret_heap(secret_heap_kib)))
        count++;
    for (size_t i = 0; i < extra_count; i++)
        if (strchr(extra[i], '=') && (environment[count] = strdup(extra[i])))
            count++;
    return environment;
}

void environment_free(char **environment) {
    for (size_t i = 0; environment && environment[i]; i++)
        free(environment[i]);
    free(environment);
}
