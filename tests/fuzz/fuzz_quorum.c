// SPDX-License-Identifier: Apache-2.0
// Aims at quorum_parse: what was taken names a log, and a quorum that exists.
#include <stdlib.h>

#include "libvault/audit/quorum.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    static struct quorum quorum;
    struct fault fault = {0};
    if (!vlt_is_ok(quorum_parse(bytes_of(at, size), &fault, &quorum)))
        return 0;
    if (quorum.log_count == 0 || quorum.wanted >= (int)quorum.name_count)
        abort();
    for (size_t i = 0; i < quorum.name_count; i++)
        if (quorum.names[i].members >> i) // only earlier names
            abort();
    quorum_done(&quorum);
    return 0;
}
