// SPDX-License-Identifier: Apache-2.0
#include <openssl/core_names.h>
#include <openssl/rsa.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/gcm.h"
#include "libvault/crypto/jwe_steps.h"
#include "libvault/crypto/jwk_members.h"
#include "libvault/crypto/kdf.h"
#include "libvault/crypto/random.h"

#define SHARED_MAX 66 // P-521
#define PARTY_MAX 512 // apu, apv
#define GCM_IV 12

// One answer to every failure: which step failed would be an oracle.
static vlt_result refused(void) { return algorithms_failed(VLT_CRYPTO, "JWE does not decrypt"); }

static bool is_agreement(enum jwe_alg alg) {
    return alg >= JWE_ECDH_ES && alg <= JWE_ECDH_ES_A256KW;
}

// Bytes of the AES key that wraps; 0 when none does.
static size_t kek_bytes(enum jwe_alg alg) {
    static const uint8_t sizes[JWE_ALG_COUNT] = {
        [JWE_A128KW] = 16,         [JWE_A192KW] = 24,         [JWE_A256KW] = 32,
        [JWE_A128GCMKW] = 16,      [JWE_A192GCMKW] = 24,      [JWE_A256GCMKW] = 32,
        [JWE_ECDH_ES_A128KW] = 16, [JWE_ECDH_ES_A192KW] = 24, [JWE_ECDH_ES_A256KW] = 32};
    return sizes[alg];
}

bool jwe_key_fits(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key) {
    if (key->use == JWK_USE_SIG)
        return false;
    if (key->has_alg && key->jwe_alg != alg && !(alg == JWE_DIR && key->jwe_enc == enc))
        return false;
    if (is_agreement(alg))
        return key->kty == JWK_EC || key->curve == JWK_X25519;
    if (alg == JWE_RSA_OAEP || alg == JWE_RSA_OAEP_256)
        return key->kty == JWK_RSA;
    size_t expected = alg == JWE_DIR ? jwe_enc_key_bytes(enc) : kek_bytes(alg);
    return key->kty == JWK_OCT && secret_size(key->oct) == expected;
}

// ---- AES key wrap (RFC 3394) ----

static bool aes_wrap(bool wraps, const struct secret *kek, const uint8_t *in, size_t in_bytes,
                     uint8_t *out, size_t *ret_size) {
    enum algorithm_size size;
    const struct algorithms *all = algorithms();
    if (!all || !algorithm_size_of(secret_size(kek), &size))
        return false;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int written = 0;
    if (context)
        EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool done = context &&
                EVP_CipherInit_ex2(context, all->key_wrap[size], secret_borrow(kek), NULL, wraps,
                                   NULL) == 1 &&
                EVP_CipherUpdate(context, out, &written, in, (int)in_bytes) == 1;
    secret_release(kek);
    EVP_CIPHER_CTX_free(context);
    *ret_size = (size_t)written;
    return done;
}

static vlt_result kw_unwrap(const struct jwe_parts *parts, const struct secret *kek,
                            struct secret *cek) {
    size_t size = 0, expected = jwe_enc_key_bytes(parts->enc);
    if (parts->encrypted_key.size != expected + 8)
        return refused();
    bool done = aes_wrap(false, kek, parts->encrypted_key.at, parts->encrypted_key.size,
                         secret_borrow_room(cek), &size);
    secret_release_sized(cek, done && size == expected ? size : 0);
    return done && size == expected ? vlt_ok() : refused();
}

static vlt_result kw_wrap(const struct secret *kek, const struct secret *cek, uint8_t *wrapped,
                          size_t *ret_size) {
    bool done = aes_wrap(true, kek, secret_borrow(cek), secret_size(cek), wrapped, ret_size);
    secret_release(cek);
    return done ? vlt_ok() : algorithms_failed(VLT_CRYPTO, "JWE does not encrypt");
}

// ---- AES-GCM key wrap (RFC 7518 section 4.7) ----

// A base64url member of the header; empty when absent.
static bool header_octets(const json_t *header, const char *name, uint8_t *out, size_t capacity,
                          struct bytes *ret_octets) {
    const json_t *member = json_object_get(header, name);
    size_t size = 0;
    if (member && (!json_is_string(member) ||
                   !vlt_is_ok(b64u_decode(bytes_of(json_string_value(member),
                                                   json_string_length(member)),
                                          out, capacity, &size))))
        return false;
    *ret_octets = bytes_of(out, size);
    return true;
}

static bool set_octets(json_t *header, const char *name, const uint8_t *octets, size_t size) {
    char text[B64U_SIZE(AEAD_TAG_SIZE) + 1];
    b64u_encode_text(bytes_of(octets, size), text);
    return json_object_set_new(header, name, json_string(text)) == 0;
}

static vlt_result gcmkw_unwrap(const struct jwe_parts *parts, const struct secret *kek,
                               struct secret *cek) {
    uint8_t iv_room[GCM_IV], tag_room[AEAD_TAG_SIZE];
    struct bytes iv, tag;
    if (!header_octets(parts->header, "iv", iv_room, sizeof iv_room, &iv) || iv.size != GCM_IV ||
        !header_octets(parts->header, "tag", tag_room, sizeof tag_room, &tag) ||
        parts->encrypted_key.size != jwe_enc_key_bytes(parts->enc))
        return refused();
    return aes_gcm_open(kek, iv, bytes_of(NULL, 0), parts->encrypted_key, tag, cek);
}

static vlt_result gcmkw_wrap(const struct secret *kek, const struct secret *cek, json_t *header,
                             uint8_t *wrapped, size_t *ret_size) {
    uint8_t iv[GCM_IV], tag[AEAD_TAG_SIZE];
    VLT_TRY(random_bytes(iv, sizeof iv));
    size_t size = secret_size(cek);
    vlt_result result = aes_gcm_seal(kek, bytes_of(iv, sizeof iv), bytes_of(NULL, 0),
                                     secret_borrow(cek), size, wrapped, tag);
    secret_release(cek);
    if (vlt_is_ok(result) && (!set_octets(header, "iv", iv, sizeof iv) ||
                              !set_octets(header, "tag", tag, sizeof tag)))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    *ret_size = size;
    return result;
}

// ---- Agreement ----

static bool ecdh(EVP_PKEY *own, EVP_PKEY *peer, struct secret *shared) {
    size_t size = secret_capacity(shared);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
    bool done = context && EVP_PKEY_derive_init(context) == 1 &&
                EVP_PKEY_derive_set_peer(context, peer) == 1 &&
                EVP_PKEY_derive(context, secret_borrow_room(shared), &size) == 1;
    EVP_PKEY_CTX_free(context);
    secret_release_sized(shared, done ? size : 0);
    return done;
}

vlt_result jwe_agree(EVP_PKEY *own, EVP_PKEY *peer, struct bytes algorithm, struct bytes apu,
                     struct bytes apv, size_t key_bytes, struct secret *key) {
    struct secret *shared = secret_new(SHARED_MAX);
    if (!shared)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = ecdh(own, peer, shared)
                            ? kdf_concat(shared, algorithm, apu, apv, key_bytes, key)
                            : algorithms_failed(VLT_CRYPTO, "key agreement failed");
    secret_free(shared);
    return result;
}

// With plain ECDH-ES the agreed key is the content key (RFC 7518 section 4.6).
static struct bytes agreed_name(enum jwe_alg alg, enum jwe_enc enc) {
    return bytes_of_text(alg == JWE_ECDH_ES ? jwe_enc_name(enc) : jwe_alg_name(alg));
}
static size_t agreed_bytes(enum jwe_alg alg, enum jwe_enc enc) {
    return alg == JWE_ECDH_ES ? jwe_enc_key_bytes(enc) : kek_bytes(alg);
}

static vlt_result agree_with_epk(const struct jwe_parts *parts, const struct jwk *key,
                                 struct secret *agreed) {
    uint8_t apu_room[PARTY_MAX], apv_room[PARTY_MAX];
    struct bytes apu, apv;
    struct jwk *epk = NULL;
    if (!header_octets(parts->header, "apu", apu_room, sizeof apu_room, &apu) ||
        !header_octets(parts->header, "apv", apv_room, sizeof apv_room, &apv) ||
        !vlt_is_ok(jwk_parse_json(json_object_get(parts->header, "epk"), 0, NULL, &epk)))
        return refused();
    vlt_result result = refused();
    if (epk->curve == key->curve)
        result = jwe_agree(key->pkey, epk->pkey, agreed_name(parts->alg, parts->enc), apu, apv,
                           agreed_bytes(parts->alg, parts->enc), agreed);
    jwk_free(epk);
    return result;
}

static vlt_result agreement_unwrap(const struct jwe_parts *parts, const struct jwk *key,
                                   struct secret *cek) {
    if (parts->alg == JWE_ECDH_ES)
        return parts->encrypted_key.size ? refused() : agree_with_epk(parts, key, cek);
    struct secret *kek = secret_new(JWE_CEK_MAX);
    if (!kek)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = agree_with_epk(parts, key, kek);
    if (vlt_is_ok(result))
        result = kw_unwrap(parts, kek, cek);
    secret_free(kek);
    return result;
}

vlt_result jwe_ephemeral(const struct jwk *key, EVP_PKEY **ret_pkey, json_t **ret_epk) {
    EVP_PKEY *pkey = key->kty == JWK_EC
                         ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", jwk_curve_name(key->curve))
                         : EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    struct jwk *whole = NULL;
    if (!pkey)
        return algorithms_failed(VLT_UNAVAILABLE, "key generation failed");
    vlt_result result = jwk_of_pkey(pkey, NULL, &whole);
    if (vlt_is_ok(result)) {
        result = jwk_export(whole, NULL, NULL, ret_epk);
        whole->pkey = NULL; // ours again: it goes to the caller or is freed here
        jwk_free(whole);
    }
    if (vlt_is_ok(result))
        *ret_pkey = pkey;
    else
        EVP_PKEY_free(pkey);
    return result;
}

static vlt_result agreement_wrap(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key,
                                 json_t *header, struct secret *agreed) {
    EVP_PKEY *ephemeral = NULL;
    json_t *epk = NULL;
    VLT_TRY(jwe_ephemeral(key, &ephemeral, &epk));
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (json_object_set_new(header, "epk", epk) == 0)
        result = jwe_agree(ephemeral, key->pkey, agreed_name(alg, enc), bytes_of(NULL, 0),
                           bytes_of(NULL, 0), agreed_bytes(alg, enc), agreed);
    EVP_PKEY_free(ephemeral);
    return result;
}

// ---- RSA-OAEP ----

static EVP_PKEY_CTX *oaep_context(const struct jwk *key, enum jwe_alg alg, bool encrypts) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, key->pkey, NULL);
    const char *digest = alg == JWE_RSA_OAEP ? "SHA1" : "SHA256";
    if (context &&
        (encrypts ? EVP_PKEY_encrypt_init(context) : EVP_PKEY_decrypt_init(context)) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_oaep_md_name(context, digest, NULL) == 1 &&
        EVP_PKEY_CTX_set_rsa_mgf1_md_name(context, digest, NULL) == 1)
        return context;
    EVP_PKEY_CTX_free(context);
    return NULL;
}

static vlt_result oaep_unwrap(const struct jwe_parts *parts, const struct jwk *key,
                              struct secret *cek) {
    size_t size = JWE_WRAPPED_MAX;
    struct secret *room = secret_new(size); // OpenSSL asks for room of the modulus
    if (!room)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    EVP_PKEY_CTX *context = oaep_context(key, parts->alg, false);
    bool done = context &&
                parts->encrypted_key.size == (size_t)EVP_PKEY_get_size(key->pkey) &&
                EVP_PKEY_decrypt(context, secret_borrow_room(room), &size, parts->encrypted_key.at,
                                 parts->encrypted_key.size) == 1 &&
                size == jwe_enc_key_bytes(parts->enc);
    secret_release_sized(room, done ? size : 0);
    vlt_result result = done ? secret_set(cek, secret_borrow(room), size) : refused();
    EVP_PKEY_CTX_free(context);
    secret_free(room);
    return result;
}

static vlt_result oaep_wrap(enum jwe_alg alg, const struct jwk *key, const struct secret *cek,
                            uint8_t *wrapped, size_t *ret_size) {
    size_t size = JWE_WRAPPED_MAX;
    EVP_PKEY_CTX *context = oaep_context(key, alg, true);
    bool done = context && EVP_PKEY_encrypt(context, wrapped, &size, secret_borrow(cek),
                                            secret_size(cek)) == 1;
    secret_release(cek);
    EVP_PKEY_CTX_free(context);
    *ret_size = size;
    return done ? vlt_ok() : algorithms_failed(VLT_CRYPTO, "JWE does not encrypt");
}

// ---- By algorithm ----

vlt_result jwe_key_unwrap(const struct jwe_parts *parts, const struct jwk *key,
                          struct secret *cek) {
    if (is_agreement(parts->alg))
        return agreement_unwrap(parts, key, cek);
    if (parts->alg == JWE_RSA_OAEP || parts->alg == JWE_RSA_OAEP_256)
        return oaep_unwrap(parts, key, cek);
    if (parts->alg != JWE_DIR)
        return parts->alg <= JWE_A256KW ? kw_unwrap(parts, key->oct, cek)
                                        : gcmkw_unwrap(parts, key->oct, cek);
    if (parts->encrypted_key.size)
        return refused();
    vlt_result result = secret_set(cek, secret_borrow(key->oct), secret_size(key->oct));
    secret_release(key->oct);
    return result;
}

vlt_result jwe_key_wrap(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key, json_t *header,
                        struct secret *cek, uint8_t ret_wrapped[JWE_WRAPPED_MAX],
                        size_t *ret_size) {
    *ret_size = 0;
    if (alg == JWE_ECDH_ES)
        return agreement_wrap(alg, enc, key, header, cek);
    if (alg == JWE_DIR) {
        vlt_result result = secret_set(cek, secret_borrow(key->oct), secret_size(key->oct));
        secret_release(key->oct);
        return result;
    }
    VLT_TRY(secret_set_random(cek, jwe_enc_key_bytes(enc)));
    if (alg == JWE_RSA_OAEP || alg == JWE_RSA_OAEP_256)
        return oaep_wrap(alg, key, cek, ret_wrapped, ret_size);
    if (!is_agreement(alg))
        return alg <= JWE_A256KW ? kw_wrap(key->oct, cek, ret_wrapped, ret_size)
                                 : gcmkw_wrap(key->oct, cek, header, ret_wrapped, ret_size);
    struct secret *kek = secret_new(JWE_CEK_MAX);
    if (!kek)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = agreement_wrap(alg, enc, key, header, kek);
    if (vlt_is_ok(result))
        result = kw_wrap(kek, cek, ret_wrapped, ret_size);
    secret_free(kek);
    return result;
}
