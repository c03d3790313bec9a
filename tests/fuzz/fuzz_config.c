// SPDX-License-Identifier: Apache-2.0
// vaultd.conf: YAML from an administrator's editor.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vaultd/supervisor/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    char path[64];
    struct fault fault = {0};
    struct config *config = NULL;
    int fd = memfd_create("vaultd.conf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, input, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    vlt_result result = config_load(path, &fault, &config);
    if (vlt_is_ok(result) ? !config : config || !fault_or_reason(&fault, result)[0])
        abort(); // a refusal says why and leaves nothing behind
    if (config)
        config_free(config);
    close(fd);
    return 0;
}
