// SPDX-License-Identifier: Apache-2.0
// Aims at jwe_split, jwe_decrypt, jwe_intake_split and jwe_intake_open. Nothing
// that a fuzzer finds may decrypt with our keys.
#include <stdlib.h>

#include "libvault/crypto/jwe.h"
#include "libvault/crypto/pkey.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static struct jwk *keys[2];
static struct secret *plaintext;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    EVP_PKEY *pkey = NULL;
    json_t *oct =
        json_pack("{s:s, s:s}", "kty", "oct", "k", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    if (!vlt_is_ok(secret_heap_open(4u << 20, NULL)) || !(plaintext = secret_new(JWE_MAX_BYTES)) ||
        !vlt_is_ok(pkey_generate(PKEY_P256, &pkey)) ||
        !vlt_is_ok(jwk_of_pkey(pkey, "k", &keys[0])) ||
        !vlt_is_ok(jwk_parse_json(oct, JWK_ALLOW_OCT, NULL, &keys[1])))
        abort();
    json_decref(oct);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    static struct jwe_intake_fields fields;
    struct jwe_parts parts;
    size_t used = secret_heap_used_bytes();
    if (vlt_is_ok(jwe_split(bytes_of(at, size), &parts))) {
        for (int i = 0; i < 2; i++)
            if (vlt_is_ok(jwe_decrypt(&parts, JWE_EVERY_ALG, JWE_EVERY_ENC, keys[i], plaintext)) ||
                secret_size(plaintext))
                abort();
        jwe_parts_done(&parts);
    }
    if (vlt_is_ok(jwe_intake_split(bytes_of(at, size), &fields)) &&
        vlt_is_ok(jwe_intake_open(keys[0]->pkey, &fields, plaintext)))
        abort();
    if (secret_heap_used_bytes() != used)
        abort(); // a secret was left behind
    return 0;
}
