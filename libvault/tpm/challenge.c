// SPDX-License-Identifier: Apache-2.0
#include "libvault/tpm/challenge.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <stdio.h>

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/pkey.h"

#define SEED_BYTES 32
#define LABEL_IDENTITY "IDENTITY" // with its NUL, as the other labels
#define NONCE_PREFIX "challenge."
#define BINDING_BYTES 16

// --- key derivation (part 1, 11.4.10) ---------------------------------------

static vlt_result kdf_a(const uint8_t key[SEED_BYTES], struct bytes label_with_nul,
                        struct bytes context, uint16_t bits, uint8_t ret_key[32]) {
    uint8_t message[128];
    struct wire_writer w;
    wire_writer_init(&w, message, sizeof message);
    wire_put_u32(&w, 1);
    wire_put_raw(&w, label_with_nul);
    wire_put_raw(&w, context);
    wire_put_u32(&w, bits);
    if (w.failed)
        return vlt_fail(VLT_BUG, "the context of a key is too long");
    return hmac_sha256_once(key, SEED_BYTES, bytes_of(message, w.size), ret_key);
}

static vlt_result kdf_e(const uint8_t z[32], const uint8_t sender_x[32],
                        const uint8_t receiver_x[32], uint8_t ret_seed[SEED_BYTES]) {
    static const uint8_t counter[4] = {0, 0, 0, 1};
    const struct bytes parts[] = {bytes_of(counter, sizeof counter), bytes_of(z, 32),
                                  bytes_of(LABEL_IDENTITY, sizeof LABEL_IDENTITY),
                                  bytes_of(sender_x, 32), bytes_of(receiver_x, 32)};
    return digest_sha256_parts(parts, sizeof parts / sizeof *parts, ret_seed);
}

// --- the seed, for the endorsement key alone --------------------------------

static EVP_PKEY *rsa_public(const uint8_t modulus[AREA_RSA_BYTES]) {
    EVP_PKEY *key = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *n = BN_bin2bn(modulus, AREA_RSA_BYTES, NULL);
    OSSL_PARAM *parameters = NULL;
    if (builder && n && OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) &&
        OSSL_PARAM_BLD_push_uint(builder, OSSL_PKEY_PARAM_RSA_E, 65537))
        parameters = OSSL_PARAM_BLD_to_param(builder);
    if (!context || !parameters || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
        key = NULL;
    OSSL_PARAM_free(parameters);
    OSSL_PARAM_BLD_free(builder);
    EVP_PKEY_CTX_free(context);
    BN_free(n);
    return key;
}

static vlt_result seed_for_rsa(const uint8_t modulus[AREA_RSA_BYTES],
                               const uint8_t seed[SEED_BYTES], struct challenge *challenge) {
    EVP_PKEY *key = rsa_public(modulus);
    EVP_PKEY_CTX *context = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
    void *label = OPENSSL_memdup(LABEL_IDENTITY, sizeof LABEL_IDENTITY);
    size_t size = sizeof challenge->seed;
    bool done = context && label && EVP_PKEY_encrypt_init(context) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_OAEP_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_oaep_md(context, EVP_sha256()) == 1 &&
                EVP_PKEY_CTX_set0_rsa_oaep_label(context, label, sizeof LABEL_IDENTITY) == 1;
    if (done)
        label = NULL; // the context's now
    done = done && EVP_PKEY_encrypt(context, challenge->seed, &size, seed, SEED_BYTES) == 1;
    OPENSSL_free(label);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    challenge->seed_bytes = size;
    return done ? vlt_ok()
                : vlt_fail(VLT_CRYPTO, "nothing can be encrypted to the endorsement key");
}

// seed is made here: it comes out of the exchange.
static vlt_result seed_for_ecc(const uint8_t point[BOOT_POINT_BYTES], uint8_t seed[SEED_BYTES],
                               struct challenge *challenge) {
    EVP_PKEY *peer = NULL, *own = NULL;
    uint8_t z[32], sender[BOOT_POINT_BYTES];
    size_t z_bytes = sizeof z, sender_bytes = 0;
    VLT_TRY(pkey_p256_public(point + 1, point + 33, &peer));
    vlt_result result = pkey_generate(PKEY_P256, &own);
    EVP_PKEY_CTX *context = vlt_is_ok(result) ? EVP_PKEY_CTX_new(own, NULL) : NULL;
    bool done = context && EVP_PKEY_derive_init(context) == 1 &&
                EVP_PKEY_derive_set_peer(context, peer) == 1 &&
                EVP_PKEY_derive(context, z, &z_bytes) == 1 && z_bytes == sizeof z &&
                EVP_PKEY_get_octet_string_param(own, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, sender,
                                                sizeof sender, &sender_bytes) == 1 &&
                sender_bytes == sizeof sender;
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(own);
    EVP_PKEY_free(peer);
    if (!done)
        return vlt_fail(VLT_CRYPTO, "nothing can be encrypted to the endorsement key");
    struct wire_writer w; // TPMS_ECC_POINT
    wire_writer_init(&w, challenge->seed, sizeof challenge->seed);
    wire_put_u16(&w, 32);
    wire_put_raw(&w, bytes_of(sender + 1, 32));
    wire_put_u16(&w, 32);
    wire_put_raw(&w, bytes_of(sender + 33, 32));
    challenge->seed_bytes = w.size;
    result = kdf_e(z, sender + 1, point + 1, seed);
    secret_cleanse(z, sizeof z);
    return result;
}

// --- the credential, for the attestation key of that TPM alone --------------

static vlt_result credential_encrypt(const uint8_t key[16], const uint8_t plain[34],
                                     uint8_t encrypted[34]) {
    static const uint8_t iv[16];
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int size = 0;
    bool done = context && EVP_EncryptInit_ex2(context, EVP_aes_128_cfb128(), key, iv, NULL) == 1 &&
                EVP_EncryptUpdate(context, encrypted, &size, plain, 34) == 1 && size == 34;
    EVP_CIPHER_CTX_free(context);
    return done ? vlt_ok() : vlt_fail(VLT_BUG, "the credential can not be encrypted");
}

static vlt_result credential_make(const uint8_t seed[SEED_BYTES],
                                  const uint8_t secret[CHALLENGE_SECRET_BYTES],
                                  const uint8_t name[AREA_NAME_BYTES],
                                  struct challenge *challenge) {
    uint8_t storage[32], integrity[32], plain[34] = {0, CHALLENGE_SECRET_BYTES};
    uint8_t protected[34 + AREA_NAME_BYTES], mac[32];
    memcpy(plain + 2, secret, CHALLENGE_SECRET_BYTES);
    memcpy(protected + 34, name, AREA_NAME_BYTES);
    vlt_result result = kdf_a(seed, bytes_of("STORAGE", sizeof "STORAGE"),
                              bytes_of(name, AREA_NAME_BYTES), 128, storage);
    if (vlt_is_ok(result))
        result = kdf_a(seed, bytes_of("INTEGRITY", sizeof "INTEGRITY"), bytes_of(NULL, 0), 256,
                       integrity);
    if (vlt_is_ok(result))
        result = credential_encrypt(storage, plain, protected);
    if (vlt_is_ok(result))
        result = hmac_sha256_once(integrity, sizeof integrity,
                                  bytes_of(protected, sizeof protected), mac);
    secret_cleanse(storage, sizeof storage);
    secret_cleanse(integrity, sizeof integrity);
    secret_cleanse(plain, sizeof plain);
    VLT_TRY(result);
    struct wire_writer w; // TPMS_ID_OBJECT
    wire_writer_init(&w, challenge->credential, sizeof challenge->credential);
    wire_put_u16(&w, sizeof mac);
    wire_put_raw(&w, bytes_of(mac, sizeof mac));
    wire_put_raw(&w, bytes_of(protected, 34));
    challenge->credential_bytes = w.size;
    return vlt_ok();
}

vlt_result challenge_make(const struct area *endorsement, const struct area *attestation,
                          struct challenge *ret_challenge, char ret_nonce[CHALLENGE_NONCE_SIZE]) {
    uint8_t unique[AREA_RSA_BYTES], point[BOOT_POINT_BYTES], name[AREA_NAME_BYTES];
    uint8_t seed[SEED_BYTES], secret[CHALLENGE_SECRET_BYTES];
    struct challenge challenge = {.seed_bytes = 0};
    enum area_endorsement kind;
    VLT_TRY(area_read_endorsement(endorsement, &kind, unique));
    VLT_TRY(area_read_attestation(attestation, point));
    VLT_TRY(area_name(attestation, name));
    if (RAND_bytes(seed, sizeof seed) != 1 || RAND_bytes(secret, sizeof secret) != 1)
        return vlt_fail(VLT_UNAVAILABLE, "no random bytes");
    vlt_result result = kind == AREA_EK_RSA ? seed_for_rsa(unique, seed, &challenge)
                                            : seed_for_ecc(unique, seed, &challenge);
    if (vlt_is_ok(result))
        result = credential_make(seed, secret, name, &challenge);
    if (vlt_is_ok(result))
        result = challenge_nonce(secret, endorsement, attestation, ret_nonce);
    if (vlt_is_ok(result))
        *ret_challenge = challenge;
    secret_cleanse(seed, sizeof seed);
    secret_cleanse(secret, sizeof secret);
    return result;
}

// --- the nonce --------------------------------------------------------------

static vlt_result nonce_binding(const struct area *endorsement, const struct area *attestation,
                                char ret_text[B64U_SIZE(BINDING_BYTES) + 1]) {
    uint8_t names[2][AREA_NAME_BYTES], digest[DIGEST_SHA256_SIZE];
    VLT_TRY(area_name(endorsement, names[0]));
    VLT_TRY(area_name(attestation, names[1]));
    VLT_TRY(digest_sha256(bytes_of(names, sizeof names), digest));
    b64u_encode_text(bytes_of(digest, BINDING_BYTES), ret_text);
    return vlt_ok();
}

vlt_result challenge_nonce(const uint8_t secret[CHALLENGE_SECRET_BYTES],
                           const struct area *endorsement, const struct area *attestation,
                           char ret_nonce[CHALLENGE_NONCE_SIZE]) {
    char text[B64U_SIZE(CHALLENGE_SECRET_BYTES) + 1], binding[B64U_SIZE(BINDING_BYTES) + 1];
    VLT_TRY(nonce_binding(endorsement, attestation, binding));
    b64u_encode_text(bytes_of(secret, CHALLENGE_SECRET_BYTES), text);
    (void)snprintf(ret_nonce, CHALLENGE_NONCE_SIZE, NONCE_PREFIX "%s.%s", text, binding);
    return vlt_ok();
}

vlt_result challenge_nonce_check(const char *nonce, const struct area *endorsement,
                                 const struct area *attestation) {
    const size_t secret_at = sizeof NONCE_PREFIX - 1,
                 secret_size = B64U_SIZE(CHALLENGE_SECRET_BYTES);
    char binding[B64U_SIZE(BINDING_BYTES) + 1];
    if (!bytes_begin_with(bytes_of_text(nonce), BYTES_LITERAL(NONCE_PREFIX)) ||
        strlen(nonce) != secret_at + secret_size + 1 + B64U_SIZE(BINDING_BYTES) ||
        nonce[secret_at + secret_size] != '.')
        return vlt_fail(VLT_DENIED, "the nonce is not that of a challenge");
    VLT_TRY(nonce_binding(endorsement, attestation, binding));
    return strcmp(nonce + secret_at + secret_size + 1, binding) == 0
               ? vlt_ok()
               : vlt_fail(VLT_CRYPTO, "the challenge was made for other keys than those of the "
                                      "evidence");
}

// --- the file ---------------------------------------------------------------

#define CHALLENGE_TYPE "vaultd TPM challenge 1"

json_t *challenge_json(const struct challenge *challenge) {
    char credential[B64U_SIZE(CHALLENGE_CREDENTIAL_MAX_BYTES) + 1];
    char seed[B64U_SIZE(CHALLENGE_SEED_MAX_BYTES) + 1];
    b64u_encode_text(bytes_of(challenge->credential, challenge->credential_bytes), credential);
    b64u_encode_text(bytes_of(challenge->seed, challenge->seed_bytes), seed);
    return json_pack("{s:s,s:s,s:s}", "type", CHALLENGE_TYPE, "credential", credential, "seed",
                     seed);
}

static bool challenge_member(const json_t *root, const char *name, uint8_t *at, size_t capacity,
                             size_t *ret_size) {
    const json_t *text = json_object_get(root, name);
    return json_is_string(text) &&
           vlt_is_ok(b64u_decode(bytes_of(json_string_value(text), json_string_length(text)), at,
                                 capacity, ret_size)) &&
           *ret_size > 0;
}

vlt_result challenge_parse(struct bytes text, struct fault *fault,
                           struct challenge *ret_challenge) {
    static const struct jsontext_limits limits = {.max_bytes = CHALLENGE_MAX_BYTES, .max_depth = 2};
    static const char *const members[] = {"type", "credential", "seed", NULL};
    struct challenge challenge = {.seed_bytes = 0};
    json_t *root = NULL;
    VLT_TRY(jsontext_parse(text, &limits, fault, &root));
    vlt_result result = jsontext_only_members(root, members, fault);
    const json_t *type = json_object_get(root, "type");
    if (vlt_is_ok(result) &&
        (!json_is_string(type) || strcmp(json_string_value(type), CHALLENGE_TYPE) != 0 ||
         !challenge_member(root, "credential", challenge.credential, sizeof challenge.credential,
                           &challenge.credential_bytes) ||
         !challenge_member(root, "seed", challenge.seed, sizeof challenge.seed,
                           &challenge.seed_bytes)))
        result = fault_set(fault, VLT_MALFORMED, "not a challenge",
                           "it is not a challenge that `vaultctl device verify-attestation "
                           "--challenge` wrote");
    json_decref(root);
    if (vlt_is_ok(result))
        *ret_challenge = challenge;
    return result;
}
