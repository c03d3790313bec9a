// SPDX-License-Identifier: Apache-2.0
// Aims at jws_split (with and without an embedded key), jws_typ_is and
// jws_verify. Nothing that a fuzzer finds may verify with our key.
#include <stdlib.h>

#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static struct jwk *key;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    EVP_PKEY *pkey = NULL;
    if (!vlt_is_ok(secret_heap_open(4u << 20, NULL)) ||
        !vlt_is_ok(pkey_generate(PKEY_P256, &pkey)) || !vlt_is_ok(jwk_of_pkey(pkey, "k", &key)))
        abort();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct jws_parts parts;
    if (vlt_is_ok(jws_split(bytes_of(at, size), 0, &parts))) {
        (void)jws_typ_is(&parts, "at+jwt");
        if (vlt_is_ok(jws_verify(&parts, JWS_ASYMMETRIC, key)))
            abort();
        jws_parts_done(&parts);
    }
    if (vlt_is_ok(jws_split(bytes_of(at, size), JWS_EMBEDDED_KEY, &parts))) {
        if (parts.embedded->is_private || parts.embedded->kty == JWK_OCT)
            abort();
        vlt_result verified = jws_verify(&parts, JWS_ASYMMETRIC, parts.embedded);
        (void)verified;
        jws_parts_done(&parts);
    }
    return 0;
}
