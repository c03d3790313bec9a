// SPDX-License-Identifier: Apache-2.0
// Aims at jsontext_parse: what it takes, jansson's own parser takes too and reads in
// the same way. The first byte chooses the limits.
#include <stdlib.h>
#include <string.h>

#include "libvault/base/jsontext.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static void must(bool holds) {
    if (!holds)
        abort();
}

static void compare(const json_t *ours, const json_t *theirs) {
    char *mine = json_dumps(ours, JSON_COMPACT | JSON_ENCODE_ANY);
    char *other = json_dumps(theirs, JSON_COMPACT | JSON_ENCODE_ANY);
    must(mine && other && strcmp(mine, other) == 0);
    free(mine);
    free(other);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    json_t *ours = NULL;
    if (!size)
        return 0;
    const struct jsontext_limits limits = {.max_bytes = 1 << 16,
                                           .max_depth = 32,
                                           .allow_duplicates = at[0] & 1,
                                           .allow_scalar_root = at[0] & 2,
                                           .allow_nul = at[0] & 4};
    size_t flags = JSON_DECODE_ANY | (limits.allow_duplicates ? 0 : JSON_REJECT_DUPLICATES) |
                   (limits.allow_nul ? JSON_ALLOW_NUL : 0);
    if (!vlt_is_ok(jsontext_parse(bytes_of(at + 1, size - 1), &limits, NULL, &ours)))
        return 0;
    json_t *theirs = json_loadb((const char *)at + 1, size - 1, flags, NULL);
    compare(ours, theirs);
    json_decref(ours);
    json_decref(theirs);
    return 0;
}
