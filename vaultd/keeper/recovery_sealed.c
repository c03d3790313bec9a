// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/recovery_sealed.h"

#include "libvault/crypto/jwe.h"
#include "libvault/crypto/pkey.h"

#define SEALED_NAME "recovery-sealed"

static vlt_result key_of(const struct ask_init *ask, struct jwk **ret_key) {
    EVP_PKEY *pkey = NULL;
    VLT_TRY(ask->rsa_modulus.size ? pkey_rsa_public(ask->rsa_modulus, ask->rsa_exponent, &pkey)
                                  : pkey_p256_public(ask->reply_x, ask->reply_y, &pkey));
    // A kept key is named by its thumbprint, so that its owner finds it again.
    vlt_result result = jwk_of_pkey(pkey, ask->keeps_sealed ? NULL : "reply", ret_key);
    if (!vlt_is_ok(result)) {
        EVP_PKEY_free(pkey);
        return result;
    }
    if (!ask->keeps_sealed)
        return vlt_ok();
    struct jwk *key = *ret_key;
    char kid[JWK_THUMBPRINT_TEXT_SIZE];
    result = jwk_thumbprint_text(key, kid);
    if (!vlt_is_ok(result)) {
        jwk_free(key);
        *ret_key = NULL;
        return result;
    }
    memcpy(key->kid, kid, sizeof kid);
    key->has_kid = true;
    return vlt_ok();
}

vlt_result recovery_seal_shares(const struct ask_init *ask, const struct secret *texts,
                                struct buf *ret_jwe) {
    struct jwk *key = NULL;
    if (ask->keeps_sealed > 1 || (ask->keeps_sealed && ask->shares != 1))
        return vlt_fail(VLT_MALFORMED, "a recovery key that is kept has one share");
    VLT_TRY(key_of(ask, &key));
    enum jwe_alg alg = ask->rsa_modulus.size ? JWE_RSA_OAEP_256 : JWE_ECDH_ES;
    vlt_result result = jwe_encrypt(alg, JWE_A256GCM, key, texts, ret_jwe);
    jwk_free(key);
    if (vlt_is_ok(result) && buf_failed(ret_jwe))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return result;
}

void recovery_add_sealed(struct change *change, struct bytes jwe) {
    change_add(change, STORE_SYSTEM_TENANT, STORE_META, BYTES_LITERAL(SEALED_NAME), jwe, 0);
}

struct bytes recovery_look_sealed(struct store *store) {
    struct bytes value;
    vlt_result result = store_get(store, STORE_SYSTEM_TENANT, STORE_META,
                                  BYTES_LITERAL(SEALED_NAME), &value, NULL);
    return vlt_is_ok(result) && value.size <= RECOVERY_SEALED_MAX ? value : bytes_of(NULL, 0);
}
