// SPDX-License-Identifier: Apache-2.0
// Aims at position_parse and syslog_frame_put. A position that was taken has a
// name of one line; a frame is as long as it says, whatever the entry holds.
#include <stdlib.h>

#include "vaultd/shipper/position.h"
#include "vaultd/shipper/syslog_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct position position;
    struct buf out;
    if (vlt_is_ok(position_parse(bytes_of(at, size), &position)) &&
        (!position.origin[0] || strchr(position.origin, '\n')))
        abort();
    buf_init(&out, size + 1024);
    syslog_frame_put(&out, bytes_of(at, size), size, "log.example");
    size_t digits = bytes_find(buf_bytes(&out), ' '), said = 0;
    for (size_t i = 0; i < digits; i++)
        said = said * 10 + (size_t)(out.at[i] - '0');
    if (buf_failed(&out) || said != out.size - digits - 1)
        abort();
    buf_done(&out);
    return 0;
}
