// SPDX-License-Identifier: Apache-2.0
// Aims at dpop_verify and dpop_uri_equal. A proof that verifies must be for this
// method and URI, whatever key it brought; and a header that was read before means
// what it means when it is read.
#include <stdlib.h>

#include "libvault/crypto/jws_headers.h"
#include "libvault/identity/dpop.h"
#include "libvault/identity/dpop_uri.h"
#include "libvault/secret/secret.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static struct jws_headers *headers;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    if (!vlt_is_ok(secret_heap_open(1u << 20, NULL)) || !(headers = jws_headers_new()))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct bytes input = bytes_of(at, size);
    struct dpop_expectation expected = {.method = BYTES_LITERAL("POST"),
                                              .uri =
                                                  BYTES_LITERAL("https://server.example.com/token"),
                                              .now_s = 1562262616};
    struct dpop_proof proof;
    const char *reason = NULL;
    enum dpop_outcome outcome = dpop_verify(input, &expected, &proof, &reason);
    if (outcome != DPOP_VALID && !reason)
        abort();
    expected.headers = headers;
    for (int again = 0; again < 2; again++)
        if (dpop_verify(input, &expected, &proof, &reason) != outcome)
            abort();
    // Equality is symmetric, and a URI that counts as one is equal to itself.
    size_t half = size / 2;
    struct bytes left = bytes_of(at, half), right = bytes_of(at + half, size - half);
    if (dpop_uri_equal(left, right) &&
        (!dpop_uri_equal(right, left) || !dpop_uri_equal(left, left)))
        abort();
    return 0;
}
