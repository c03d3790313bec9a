// SPDX-License-Identifier: Apache-2.0
// Aims at dpop_verify and dpop_uri_equal. A proof that verifies must be for this
// method and URI, whatever key it brought.
#include <stdlib.h>

#include "libvault/identity/dpop.h"
#include "libvault/identity/dpop_uri.h"
#include "libvault/secret/secret.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    if (!vlt_is_ok(secret_heap_open(1u << 20, NULL)))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct bytes input = bytes_of(at, size);
    const struct dpop_expectation expected = {.method = BYTES_LITERAL("POST"),
                                              .uri =
                                                  BYTES_LITERAL("https://server.example.com/token"),
                                              .now_s = 1562262616};
    struct dpop_proof proof;
    const char *reason = NULL;
    if (dpop_verify(input, &expected, &proof, &reason) != DPOP_VALID && !reason)
        abort();
    // Equality is symmetric, and a URI that counts as one is equal to itself.
    size_t half = size / 2;
    struct bytes left = bytes_of(at, half), right = bytes_of(at + half, size - half);
    if (dpop_uri_equal(left, right) &&
        (!dpop_uri_equal(right, left) || !dpop_uri_equal(left, left)))
        abort();
    return 0;
}
