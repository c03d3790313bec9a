// SPDX-License-Identifier: Apache-2.0
// Prints our vocabulary as a Cedar schema: how schemas/vault.cedarschema is made.
#include <stdio.h>

#include "libvault/policy/policy_vocabulary.h"

int main(void) {
    struct buf out;
    buf_init(&out, 65536);
    policy_vocabulary_schema(&out);
    bool well = !buf_failed(&out) && fwrite(out.at, 1, out.size, stdout) == out.size;
    buf_done(&out);
    return well ? 0 : 1;
}
