// SPDX-License-Identifier: Apache-2.0
// vectors KIND PATH…: see vectors.h. Exit status 0 when something ran and nothing
// failed, 1 when a vector failed or nothing ran, 2 for wrong use.
#include <stdio.h>

#include "libvault/crypto/crypto.h"
#include "tests/vectors/vectors.h"

#define HEAP_BYTES (16u << 20)

static const struct kind {
    const char *name, *takes;
    void (*run)(int count, char **paths);
} kinds[] = {
    {"aead", "Wycheproof AEAD files (AES-GCM, XAES-256-GCM, AES-CBC-HMAC), AES-WRAP", vectors_aead},
    {"hkdf", "Wycheproof HKDF and HMAC files", vectors_hkdf},
    {"ecdsa", "Wycheproof ECDSA (DER, P1363), EdDSA and RSA signature files", vectors_ecdsa},
    {"jwk", "Wycheproof JSON Web Key and ECDH with JWKs, JOSE cookbook jwk/, .jwk, .jwkset",
     vectors_jwk},
    {"jws", "Wycheproof JSON Web Signature, JOSE cookbook jws/, .jwsc, .jwsf, .jwsg files",
     vectors_jws},
    {"jwe", "Wycheproof JSON Web Encryption, JOSE cookbook jwe/", vectors_jwe},
    {"json", "JSONTestSuite: y_ accepted, n_ and i_ refused", vectors_json},
    {"merkle", "proofs of transparency-dev/merkle (JSON)", vectors_merkle},
    {"note", "signed notes: JSON with note and vkey, or .note beside .vkey", vectors_note},
#ifdef VECTORS_HAVE_HTTP1
    {"http1", "llhttp Markdown", vectors_http1},
#endif
#ifdef VECTORS_HAVE_CEDAR
    {"cedar", "Cedar integration tests", vectors_cedar},
#endif
};

static int usage(void) {
    fputs("usage: vectors KIND PATH…\n", stderr);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        fprintf(stderr, "  %-6s %s\n", kinds[i].name, kinds[i].takes);
    return 2;
}

static const struct kind *find(const char *name) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

int main(int argc, char **argv) {
    const struct kind *kind = argc >= 3 ? find(argv[1]) : NULL;
    if (!kind)
        return usage();
    struct fault fault = {0};
    vlt_result opened = secret_heap_open(HEAP_BYTES, &fault);
    if (vlt_is_ok(opened))
        opened = crypto_open();
    if (!vlt_is_ok(opened)) {
        fprintf(stderr, "vectors: %s\n", fault_or_reason(&fault, opened));
        return 1;
    }
    kind->run(argc - 2, argv + 2);
    printf("%u passed, %u failed", vectors_tally.passed, vectors_tally.failed);
    if (vectors_tally.skipped)
        printf(", %u skipped", vectors_tally.skipped);
    putchar('\n');
    bool nothing_ran = vectors_tally.passed + vectors_tally.failed == 0;
    if (nothing_ran)
        fprintf(stderr, "vectors: nothing ran: %s\n",
                vectors_tally.skipped ? "every vector was skipped" : "no vector of this kind");
    return vectors_tally.failed || nothing_ran ? 1 : 0;
}
