// SPDX-License-Identifier: Apache-2.0
// An approver of boot states for tests: a fresh P-256 key and its signature.
#ifndef VLT_TESTS_DEVICES_BOOT_SIGNER_H
#define VLT_TESTS_DEVICES_BOOT_SIGNER_H

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/tpm/boot.h"

struct boot_signer {
    EVP_PKEY *key;
    uint8_t point[BOOT_POINT_BYTES];
};

static inline void boot_signer_init(struct boot_signer *signer) {
    size_t size = 0;
    signer->key = EVP_EC_gen("P-256");
    if (!EVP_PKEY_get_octet_string_param(signer->key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY,
                                         signer->point, sizeof signer->point, &size))
        abort();
}

static inline void boot_signer_done(struct boot_signer *signer) { EVP_PKEY_free(signer->key); }

static inline struct boot_approval boot_signer_approve(const struct boot_signer *signer,
                                                       const char *name,
                                                       const struct boot_state *state) {
    struct boot_approval approval = {.state = *state};
    uint8_t message[BOOT_TO_SIGN_BYTES], der[80];
    const uint8_t *at = der;
    size_t size = sizeof der;
    snprintf(approval.name, sizeof approval.name, "%s", name);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!vlt_is_ok(boot_to_sign(state, message)) ||
        EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, signer->key) != 1 ||
        EVP_DigestSign(context, der, &size, message, sizeof message) != 1)
        abort();
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)size);
    BN_bn2binpad(ECDSA_SIG_get0_r(signature), approval.signature, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(signature), approval.signature + 32, 32);
    ECDSA_SIG_free(signature);
    EVP_MD_CTX_free(context);
    return approval;
}

// What extending PCR `pcr` by 32 bytes of `fill` makes of a state.
static inline void boot_signer_measure(struct boot_state *state, unsigned pcr, uint8_t fill) {
    uint8_t both[64];
    memcpy(both, state->values[pcr], 32);
    memset(both + 32, fill, 32);
    if (EVP_Digest(both, sizeof both, state->values[pcr], NULL, EVP_sha256(), NULL) != 1)
        abort();
}

#endif
