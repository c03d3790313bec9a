// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/jwk.h"

#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/jwk_members.h"

static const struct jsontext_limits jwk_limits = {.max_bytes = JWKS_MAX_BYTES, .max_depth = 8};

// ---- One key ----

static struct jwk *key_new(void) {
    struct jwk *key = calloc(1, sizeof *key);
    struct jwk_contexts *contexts = calloc(1, sizeof *contexts);
    if (!key || !contexts) {
        free(key);
        free(contexts);
        return NULL;
    }
    pthread_mutex_init(&contexts->lock, NULL);
    key->contexts = contexts;
    return key;
}

void jwk_free(struct jwk *key) {
    if (!key)
        return;
    for (int i = 0; i < JWS_ALG_COUNT; i++)
        EVP_PKEY_CTX_free(key->contexts->verify[i]);
    EVP_PKEY_CTX_free(key->contexts->sign);
    pthread_mutex_destroy(&key->contexts->lock);
    free(key->contexts);
    EVP_PKEY_free(key->pkey);
    secret_free(key->oct);
    free(key);
}

// An optional string member; *ret_text is empty when it is absent.
static vlt_result optional_text(const json_t *object, const char *name, struct fault *fault,
                                struct bytes *ret_text) {
    const json_t *member = json_object_get(object, name);
    if (member && !json_is_string(member))
        return fault_set(fault, VLT_MALFORMED, "key member is no string",
                         "member \"%s\" is not a string", name);
    *ret_text = bytes_of(json_string_value(member), member ? json_string_length(member) : 0);
    return vlt_ok();
}

static vlt_result read_kid(const json_t *object, struct fault *fault, struct jwk *key) {
    struct bytes kid;
    VLT_TRY(optional_text(object, "kid", fault, &kid));
    key->has_kid = kid.size > 0;
    if (!bytes_to_text(kid, key->kid, sizeof key->kid))
        return fault_set(fault, VLT_LIMIT, "kid is too long",
                         "member \"kid\" is longer than %d bytes", JWK_KID_SIZE - 1);
    return vlt_ok();
}

// The operations of key_ops fall on the side of "use" (RFC 7517 section 4.3).
static enum jwk_use use_of_operation(const char *operation) {
    if (strcmp(operation, "sign") == 0 || strcmp(operation, "verify") == 0)
        return JWK_USE_SIG;
    static const char *const enc[] = {"encrypt",   "decrypt",   "wrapKey",
                                      "unwrapKey", "deriveKey", "deriveBits"};
    for (size_t i = 0; i < sizeof enc / sizeof *enc; i++)
        if (strcmp(operation, enc[i]) == 0)
            return JWK_USE_ENC;
    return JWK_USE_ANY;
}

static vlt_result read_operations(const json_t *object, struct fault *fault, struct jwk *key) {
    json_t *operations = json_object_get(object, "key_ops");
    size_t i;
    json_t *entry;
    if (operations && !json_is_array(operations))
        return fault_set(fault, VLT_MALFORMED, "key_ops is no array", "key_ops is not an array");
    json_array_foreach(operations, i, entry) {
        if (!json_is_string(entry))
            return fault_set(fault, VLT_MALFORMED, "key_ops entry is no string",
                             "key_ops holds something else than strings");
        enum jwk_use use = use_of_operation(json_string_value(entry));
        if (use == JWK_USE_ANY)
            continue;
        if (key->use != JWK_USE_ANY && key->use != use)
            return fault_set(fault, VLT_DENIED, "key for signatures and encryption",
                             "use and key_ops contradict each other");
        key->use = use;
    }
    return vlt_ok();
}

static vlt_result read_use(const json_t *object, struct fault *fault, struct jwk *key) {
    struct bytes use;
    VLT_TRY(optional_text(object, "use", fault, &use));
    if (bytes_equal_text(use, "sig"))
        key->use = JWK_USE_SIG;
    else if (bytes_equal_text(use, "enc"))
        key->use = JWK_USE_ENC;
    else if (json_object_get(object, "use"))
        return fault_set(fault, VLT_NOT_FOUND, "unknown use", "the key has an unknown \"use\"");
    return read_operations(object, fault, key);
}

static vlt_result read_alg(const json_t *object, struct fault *fault, struct jwk *key) {
    struct bytes alg;
    VLT_TRY(optional_text(object, "alg", fault, &alg));
    key->has_alg = json_object_get(object, "alg") != NULL;
    key->jws_alg = jws_alg_of_name(alg);
    key->jwe_alg = jwe_alg_of_name(alg);
    key->jwe_enc = jwe_enc_of_name(alg);
    if (key->has_alg && !key->jws_alg && !key->jwe_alg && !key->jwe_enc)
        return fault_set(fault, VLT_NOT_FOUND, "unknown alg", "the key has an unknown \"alg\"");
    return vlt_ok();
}

static bool has_private_member(const json_t *object) {
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (json_object_get(object, names[i]))
            return true;
    return false;
}

static vlt_result read_kty(const json_t *object, unsigned allow, struct fault *fault,
                           struct jwk *key) {
    static const char *const names[] = {"RSA", "EC", "OKP", "oct"};
    struct bytes kty;
    VLT_TRY(optional_text(object, "kty", fault, &kty));
    if (kty.size == 0)
        return fault_set(fault, VLT_MALFORMED, "kty is missing", "member \"kty\" is missing");
    unsigned i = 0;
    while (i < 4 && !bytes_equal_text(kty, names[i]))
        i++;
    if (i == 4)
        return fault_set(fault, VLT_NOT_FOUND, "unknown kty", "the key has an unknown \"kty\"");
    key->kty = (enum jwk_kty)i;
    key->is_private = has_private_member(object);
    if (key->kty == JWK_OCT && !(allow & JWK_ALLOW_OCT))
        return fault_set(fault, VLT_DENIED, "symmetric key", "a symmetric key is not allowed here");
    if (key->kty != JWK_OCT && key->is_private && !(allow & JWK_ALLOW_PRIVATE))
        return fault_set(fault, VLT_DENIED, "private key",
                         "a private key is not allowed here: publish only its public members");
    return vlt_ok();
}

// An "alg" that the key can not do is a contradiction, not a preference.
static vlt_result check_alg(const struct jwk *key, struct fault *fault) {
    bool fits = true;
    if (key->jws_alg >= JWS_HS256)
        fits = key->kty == JWK_OCT;
    else if (key->jws_alg == JWS_EDDSA)
        fits = key->curve == JWK_ED25519;
    else if (key->jws_alg >= JWS_ES256)
        fits = (int)key->curve - JWK_P256 == (int)key->jws_alg - JWS_ES256;
    else if (key->jws_alg)
        fits = key->kty == JWK_RSA;
    else if (key->jwe_alg >= JWE_RSA_OAEP)
        fits = key->kty == JWK_RSA;
    else if (key->jwe_alg >= JWE_ECDH_ES)
        fits = key->kty == JWK_EC || key->curve == JWK_X25519;
    else if (key->has_alg)
        fits = key->kty == JWK_OCT;
    return fits ? vlt_ok()
                : fault_set(fault, VLT_DENIED, "alg does not fit the key",
                            "\"alg\" does not fit kty and crv of the key");
}

static vlt_result read_key(const json_t *object, unsigned allow, struct fault *fault,
                           struct jwk *key) {
    static vlt_result (*const build[])(const json_t *, struct fault *, struct jwk *) = {
        jwk_build_rsa, jwk_build_ec, jwk_build_okp, jwk_build_oct};
    VLT_TRY(read_kty(object, allow, fault, key));
    VLT_TRY(read_kid(object, fault, key));
    VLT_TRY(read_use(object, fault, key));
    VLT_TRY(read_alg(object, fault, key));
    VLT_TRY(build[key->kty](object, fault, key));
    return check_alg(key, fault);
}

// Passes VLT_NOT_FOUND through: something that we do not know, not a mistake.
static vlt_result parse_entry(const json_t *object, unsigned allow, struct fault *fault,
                              struct jwk **ret_key) {
    if (!json_is_object(object))
        return fault_set(fault, VLT_MALFORMED, "key is no object", "a key is not a JSON object");
    struct jwk *key = key_new();
    if (!key)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = read_key(object, allow, fault, key);
    if (!vlt_is_ok(result)) {
        jwk_free(key);
        return algorithms_failed(result.class, result.reason);
    }
    *ret_key = key;
    return vlt_ok();
}

vlt_result jwk_parse_json(const json_t *object, unsigned allow, struct fault *fault,
                          struct jwk **ret_key) {
    vlt_result result = parse_entry(object, allow, fault, ret_key);
    if (result.class == VLT_NOT_FOUND)
        result.class = VLT_DENIED;
    return result;
}

vlt_result jwk_parse(struct bytes text, unsigned allow, struct fault *fault,
                     struct jwk **ret_key) {
    json_t *root = NULL;
    VLT_TRY(jsontext_parse(text, &jwk_limits, fault, &root));
    vlt_result result = jwk_parse_json(root, allow, fault, ret_key);
    json_decref(root);
    return result;
}

// ---- Sets ----

static bool kid_is_taken(const struct jwk_set *set, const struct jwk *key) {
    for (size_t i = 0; key->has_kid && i < set->count; i++)
        if (set->keys[i]->has_kid && strcmp(set->keys[i]->kid, key->kid) == 0)
            return true;
    return false;
}

static vlt_result set_add(struct jwk_set *set, struct jwk *key, struct fault *fault) {
    if (kid_is_taken(set, key))
        return fault_set(fault, VLT_DENIED, "two keys with one kid",
                         "two keys of the set have the kid \"%.60s\"", key->kid);
    // Which of the two a token was meant for could be chosen by the attacker.
    if (set->count && (set->keys[0]->kty == JWK_OCT) != (key->kty == JWK_OCT))
        return fault_set(fault, VLT_DENIED, "symmetric and asymmetric keys",
                         "the set mixes symmetric and asymmetric keys");
    set->keys[set->count++] = key;
    return vlt_ok();
}

static vlt_result set_fill(json_t *keys, unsigned allow, struct fault *fault, struct jwk_set *set) {
    size_t i;
    json_t *entry;
    json_array_foreach(keys, i, entry) {
        struct jwk *key = NULL;
        vlt_result result = parse_entry(entry, allow, fault, &key);
        if (result.class == VLT_NOT_FOUND)
            continue;
        if (vlt_is_ok(result))
            result = set_add(set, key, fault);
        if (!vlt_is_ok(result)) {
            jwk_free(key);
            return result;
        }
    }
    return vlt_ok();
}

vlt_result jwk_set_parse_json(const json_t *root, unsigned allow, struct fault *fault,
                              struct jwk_set **ret_set) {
    json_t *keys = json_object_get(root, "keys");
    if (!json_is_array(keys))
        return fault_set(fault, VLT_MALFORMED, "not a key set",
                         "a key set has a member \"keys\" that is an array");
    if (json_array_size(keys) > JWKS_MAX_KEYS)
        return fault_set(fault, VLT_LIMIT, "key set is too large",
                         "the key set has %zu keys, more than %d", json_array_size(keys),
                         JWKS_MAX_KEYS);
    struct jwk_set *set = calloc(1, sizeof *set);
    if (!set)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = set_fill(keys, allow, fault, set);
    if (!vlt_is_ok(result)) {
        jwk_set_free(set);
        return result;
    }
    if (fault)
        *fault = (struct fault){0}; // an entry that was skipped may have written it
    *ret_set = set;
    return vlt_ok();
}

vlt_result jwk_set_parse(struct bytes text, unsigned allow, struct fault *fault,
                         struct jwk_set **ret_set) {
    json_t *root = NULL;
    VLT_TRY(jsontext_parse(text, &jwk_limits, fault, &root));
    vlt_result result = jwk_set_parse_json(root, allow, fault, ret_set);
    json_decref(root);
    return result;
}

void jwk_set_free(struct jwk_set *set) {
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        jwk_free(set->keys[i]);
    free(set);
}

struct jwk *jwk_set_find(const struct jwk_set *set, struct bytes kid) {
    if (kid.size == 0)
        return set->count == 1 ? set->keys[0] : NULL;
    for (size_t i = 0; i < set->count; i++)
        if (set->keys[i]->has_kid && bytes_equal_text(kid, set->keys[i]->kid))
            return set->keys[i];
    return NULL;
}

// ---- Keys of ours ----

static bool kind_of(const EVP_PKEY *pkey, struct jwk *key) {
    char group[32] = "";
    key->kty = JWK_OKP;
    if (EVP_PKEY_is_a(pkey, "ED25519"))
        key->curve = JWK_ED25519;
    else if (EVP_PKEY_is_a(pkey, "X25519"))
        key->curve = JWK_X25519;
    else if (EVP_PKEY_is_a(pkey, "RSA"))
        key->kty = JWK_RSA;
    else if (EVP_PKEY_is_a(pkey, "EC") &&
             EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL)) {
        key->kty = JWK_EC;
        key->curve = strcmp(group, "prime256v1") == 0  ? JWK_P256
                     : strcmp(group, "secp384r1") == 0 ? JWK_P384
                     : strcmp(group, "secp521r1") == 0 ? JWK_P521
                                                       : JWK_NO_CURVE;
    }
    return key->kty == JWK_RSA || key->curve != JWK_NO_CURVE;
}

vlt_result jwk_of_pkey(EVP_PKEY *pkey, const char *kid, struct jwk **ret_key) {
    struct jwk *key = key_new();
    if (!key)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    key->has_kid = kid && *kid;
    if (!kind_of(pkey, key) || !bytes_to_text(bytes_of_text(kid), key->kid, sizeof key->kid)) {
        jwk_free(key);
        return algorithms_failed(VLT_BUG, "no key for JOSE, or kid too long");
    }
    key->is_private = jwk_pkey_is_private(pkey);
    key->pkey = pkey;
    *ret_key = key;
    return vlt_ok();
}
