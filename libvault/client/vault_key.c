// SPDX-License-Identifier: Apache-2.0
#include <openssl/pem.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/clock.h"
#include "libvault/client/vault_members.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "libvault/crypto/random.h"

#define PROOF_ID_ENTROPY 16

struct vault_key {
    struct jwk *jwk;
    char *header; // of every proof
    char thumbprint[JWK_THUMBPRINT_TEXT_SIZE];
};

static vlt_result header_make(struct vault_key *key) {
    enum jws_alg alg = jws_signing_alg(key->jwk);
    if (alg == JWS_ALG_UNKNOWN)
        return vlt_fail(VLT_DENIED, "a key that can not sign");
    json_t *public_key = NULL;
    VLT_TRY(jwk_export(key->jwk, NULL, NULL, &public_key));
    json_object_del(public_key, "kid"); // the proof is about the key, not about its name
    // What a broker would refuse is refused here, where a person can choose another.
    struct jwk *strict = NULL;
    vlt_result result = jwk_parse_json(public_key, 0, NULL, &strict);
    jwk_free(strict);
    if (!vlt_is_ok(result)) {
        json_decref(public_key);
        return result;
    }
    json_t *header = json_pack("{s:s,s:s,s:o}", "typ", "dpop+jwt", "alg", jws_alg_name(alg), "jwk",
                               public_key);
    key->header = header ? json_dumps(header, JSON_COMPACT) : NULL;
    json_decref(header);
    return key->header ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static vlt_result key_of_pkey(EVP_PKEY *pkey, struct vault_key **ret_key) {
    struct vault_key *key = calloc(1, sizeof *key);
    if (!key) {
        EVP_PKEY_free(pkey);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    vlt_result result = jwk_of_pkey(pkey, NULL, &key->jwk);
    if (!vlt_is_ok(result))
        EVP_PKEY_free(pkey);
    if (vlt_is_ok(result))
        result = header_make(key);
    if (vlt_is_ok(result))
        result = jwk_thumbprint_text(key->jwk, key->thumbprint);
    if (!vlt_is_ok(result)) {
        vault_key_free(key);
        return result;
    }
    *ret_key = key;
    return result;
}

vlt_result vault_key_generate(struct vault_key **ret_key) {
    EVP_PKEY *pkey = NULL;
    VLT_TRY(pkey_generate(PKEY_P256, &pkey));
    return key_of_pkey(pkey, ret_key);
}

// An encrypted file must fail, not stop at a prompt of OpenSSL's.
static int passphrase_refuse(char *text, int size, int is_writing, void *context) { return -1; }

vlt_result vault_key_read(struct bytes pem, struct fault *fault, struct vault_key **ret_key) {
    BIO *bio = pem.size <= 65536 ? BIO_new_mem_buf(pem.at, (int)pem.size) : NULL;
    EVP_PKEY *pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, passphrase_refuse, NULL) : NULL;
    BIO_free(bio);
    if (!pkey)
        return fault_set(fault, VLT_MALFORMED, "not a private key",
                         "this is not an unencrypted PEM private key; make one with: openssl "
                         "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    vlt_result result = key_of_pkey(pkey, ret_key);
    if (!vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason,
                         "this key is of a kind that proofs do not use (%s): take EC P-256",
                         result.reason);
    return result;
}

void vault_key_free(struct vault_key *key) {
    if (!key)
        return;
    jwk_free(key->jwk);
    free(key->header);
    free(key);
}

const char *vault_key_thumbprint(const struct vault_key *key) { return key->thumbprint; }

static vlt_result token_hash_text(const char *token, char text[B64U_SIZE(32) + 1]) {
    uint8_t digest[DIGEST_SHA256_SIZE];
    VLT_TRY(digest_sha256(bytes_of_text(token), digest));
    b64u_encode_text(bytes_of(digest, sizeof digest), text);
    return vlt_ok();
}

vlt_result vault_key_prove(const struct vault_key *key, const struct vault_proof *proof,
                           struct buf *out) {
    char id[B64U_SIZE(PROOF_ID_ENTROPY) + 1], token_hash[B64U_SIZE(32) + 1];
    VLT_TRY(random_text(PROOF_ID_ENTROPY, id));
    json_t *claims = json_pack("{s:s,s:s,s:s,s:I}", "jti", id, "htm", proof->method, "htu",
                               proof->url, "iat", (json_int_t)clock_now_s());
    vlt_result result = claims ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result) && proof->nonce)
        json_object_set_new(claims, "nonce", json_string(proof->nonce));
    if (vlt_is_ok(result) && proof->token) {
        result = token_hash_text(proof->token, token_hash);
        if (vlt_is_ok(result))
            json_object_set_new(claims, "ath", json_string(token_hash));
    }
    char *text = vlt_is_ok(result) ? json_dumps(claims, JSON_COMPACT) : NULL;
    if (vlt_is_ok(result) && !text)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = jws_sign(key->jwk, bytes_of_text(key->header), bytes_of_text(text), out);
    free(text);
    json_decref(claims);
    return result;
}
