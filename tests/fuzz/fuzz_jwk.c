// SPDX-License-Identifier: Apache-2.0
// Aims at jwk_parse and jwk_set_parse. What was taken as a public key exports to
// a key that is taken again and has the same thumbprint.
#include <stdlib.h>

#include "libvault/crypto/jwk.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    if (!vlt_is_ok(secret_heap_open(4u << 20, NULL)))
        abort();
    return 0;
}

static void check_export(const struct jwk *key) {
    json_t *exported = NULL;
    struct jwk *again = NULL;
    char first[JWK_THUMBPRINT_TEXT_SIZE], second[JWK_THUMBPRINT_TEXT_SIZE];
    if (!vlt_is_ok(jwk_export(key, NULL, NULL, &exported)) ||
        !vlt_is_ok(jwk_parse_json(exported, 0, NULL, &again)) ||
        !vlt_is_ok(jwk_thumbprint_text(key, first)) ||
        !vlt_is_ok(jwk_thumbprint_text(again, second)) || strcmp(first, second) != 0)
        abort();
    jwk_free(again);
    json_decref(exported);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct fault fault = {0};
    struct jwk *key = NULL;
    struct jwk_set *set = NULL;
    if (vlt_is_ok(jwk_parse(bytes_of(at, size), 0, &fault, &key)))
        check_export(key);
    jwk_free(key);
    key = NULL;
    if (vlt_is_ok(jwk_parse(bytes_of(at, size), JWK_ALLOW_PRIVATE | JWK_ALLOW_OCT, &fault, &key)))
        jwk_free(key);
    if (vlt_is_ok(jwk_set_parse(bytes_of(at, size), 0, &fault, &set)))
        jwk_set_free(set);
    if (secret_heap_used_bytes() != 0)
        abort(); // a secret was left behind
    return 0;
}
