// SPDX-License-Identifier: Apache-2.0
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/algorithms.h"
#include "libvault/crypto/jwk_members.h"

#define MEMBER_MAX 2048 // RSA-16384 in octets: what is too large is named with its size

// ---- Members ----

static vlt_result member_missing(const char *name, struct fault *fault) {
    return fault_set(fault, VLT_MALFORMED, "key member is missing or no string",
                     "member \"%s\" is missing or not a string", name);
}

// Decodes a base64url member of at most `capacity` octets.
static vlt_result member_octets(const json_t *object, const char *name, struct fault *fault,
                                uint8_t *out, size_t capacity, size_t *ret_size) {
    const json_t *member = json_object_get(object, name);
    if (!json_is_string(member))
        return member_missing(name, fault);
    struct bytes text = bytes_of(json_string_value(member), json_string_length(member));
    size_t size = 0;
    vlt_result decoded = b64u_decode(text, out, capacity, &size);
    if (!vlt_is_ok(decoded))
        return fault_set(fault, decoded.class, "key member is not base64url of the right length",
                         "member \"%s\" is not base64url of at most %zu bytes", name, capacity);
    *ret_size = size;
    return vlt_ok();
}

// Exactly `size` octets: a shorter spelling of the same number would give the
// same key a second thumbprint.
static vlt_result member_exact(const json_t *object, const char *name, struct fault *fault,
                               uint8_t *out, size_t size) {
    size_t got = 0;
    VLT_TRY(member_octets(object, name, fault, out, size, &got));
    if (got == size)
        return vlt_ok();
    return fault_set(fault, VLT_MALFORMED, "key member has the wrong length",
                     "member \"%s\" must have %zu bytes, not %zu", name, size, got);
}

// A positive number without leading zero octets (RFC 7518 section 2,
// Base64urlUInt).
static vlt_result member_number(const json_t *object, const char *name, struct fault *fault,
                                BIGNUM **ret_number) {
    uint8_t octets[MEMBER_MAX];
    size_t size = 0;
    VLT_TRY(member_octets(object, name, fault, octets, sizeof octets, &size));
    if (size == 0 || octets[0] == 0)
        return fault_set(fault, VLT_MALFORMED, "key number is not in its shortest form",
                         "member \"%s\" has leading zero octets or is empty", name);
    BIGNUM *number = BN_bin2bn(octets, (int)size, NULL);
    secret_cleanse(octets, sizeof octets);
    if (!number)
        return algorithms_failed(VLT_UNAVAILABLE, "out of memory");
    *ret_number = number;
    return vlt_ok();
}

static EVP_PKEY *pkey_of_params(const char *type, OSSL_PARAM *params, bool is_private) {
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    int selection = is_private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    if (!context || !params || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, selection, params) != 1) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(context);
    return pkey;
}

// The private half belongs to the public one?
static bool pair_fits(EVP_PKEY *pkey) {
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool fits = context && EVP_PKEY_pairwise_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    return fits;
}

static vlt_result no_valid_key(struct fault *fault) {
    return fault_set(fault, VLT_CRYPTO, "key does not load",
                     "the numbers are not a valid key (point off the curve, or halves that do not "
                     "belong together)");
}

// ---- RSA ----

static vlt_result check_rsa(const BIGNUM *n, const BIGNUM *e, struct fault *fault) {
    int bits = BN_num_bits(n);
    if (bits < 2048 || bits > 4096)
        return fault_set(fault, VLT_DENIED, "RSA key size",
                         "an RSA key must have 2048 to 4096 bits, not %d", bits);
    if (!BN_is_odd(n))
        return fault_set(fault, VLT_DENIED, "RSA modulus is even", "the RSA modulus is even");
    if (!BN_is_odd(e) || BN_is_one(e) || BN_num_bits(e) > 32)
        return fault_set(fault, VLT_DENIED, "RSA exponent",
                         "an RSA exponent must be odd, at least 3 and below 2^32");
    if (jwk_rsa_has_roca_fingerprint(n))
        return fault_set(fault, VLT_DENIED, "RSA key is weak",
                         "the RSA key comes from a flawed generator (ROCA, CVE-2017-15361)");
    return vlt_ok();
}

enum { RSA_N, RSA_E, RSA_D, RSA_P, RSA_Q, RSA_DP, RSA_DQ, RSA_QI, RSA_NUMBERS };
static const char *const rsa_members[RSA_NUMBERS] = {"n", "e", "d", "p", "q", "dp", "dq", "qi"};
static const char *const rsa_params[RSA_NUMBERS] = {
    OSSL_PKEY_PARAM_RSA_N,         OSSL_PKEY_PARAM_RSA_E,
    OSSL_PKEY_PARAM_RSA_D,         OSSL_PKEY_PARAM_RSA_FACTOR1,
    OSSL_PKEY_PARAM_RSA_FACTOR2,   OSSL_PKEY_PARAM_RSA_EXPONENT1,
    OSSL_PKEY_PARAM_RSA_EXPONENT2, OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

static EVP_PKEY *rsa_pkey(BIGNUM *const *numbers, bool is_private) {
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    bool pushed = builder != NULL;
    for (int i = 0; i < RSA_NUMBERS && pushed; i++)
        pushed = !numbers[i] || OSSL_PARAM_BLD_push_BN(builder, rsa_params[i], numbers[i]) == 1;
    OSSL_PARAM *params = pushed ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY *pkey = pkey_of_params("RSA", params, is_private);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

vlt_result jwk_build_rsa(const json_t *object, struct fault *fault, struct jwk *key) {
    BIGNUM *numbers[RSA_NUMBERS] = {0};
    // d may come alone; p means all of its companions (RFC 7518 section 6.3.2).
    int count = !key->is_private ? RSA_D : json_object_get(object, "p") ? RSA_NUMBERS : RSA_P;
    vlt_result result = vlt_ok();
    if (json_object_get(object, "oth"))
        result = fault_set(fault, VLT_DENIED, "RSA key with more than two primes",
                           "an RSA key with more than two primes is not supported");
    for (int i = 0; i < count && vlt_is_ok(result); i++)
        result = member_number(object, rsa_members[i], fault, &numbers[i]);
    if (vlt_is_ok(result))
        result = check_rsa(numbers[RSA_N], numbers[RSA_E], fault);
    if (vlt_is_ok(result) && !(key->pkey = rsa_pkey(numbers, key->is_private)))
        result = no_valid_key(fault);
    for (int i = 0; i < RSA_NUMBERS; i++)
        BN_clear_free(numbers[i]);
    return result;
}

// ---- EC ----

static const struct {
    const char *name;
    size_t coordinate_bytes;
} curves[] = {
    [JWK_NO_CURVE] = {"", 0},       [JWK_P256] = {"P-256", 32},      [JWK_P384] = {"P-384", 48},
    [JWK_P521] = {"P-521", 66},     [JWK_ED25519] = {"Ed25519", 32}, [JWK_X25519] = {"X25519", 32},
};
const char *jwk_curve_name(enum jwk_curve curve) { return curves[curve].name; }
size_t jwk_coordinate_bytes(enum jwk_curve curve) { return curves[curve].coordinate_bytes; }

static vlt_result member_curve(const json_t *object, enum jwk_curve first, enum jwk_curve last,
                               struct fault *fault, enum jwk_curve *ret_curve) {
    const char *name = json_string_value(json_object_get(object, "crv"));
    if (!name)
        return member_missing("crv", fault);
    for (int curve = (int)first; curve <= (int)last; curve++)
        if (strcmp(name, curves[curve].name) == 0) {
            *ret_curve = (enum jwk_curve)curve;
            return vlt_ok();
        }
    return fault_set(fault, VLT_NOT_FOUND, "unknown curve", "curve \"%.40s\" is not supported",
                     name);
}

EVP_PKEY *jwk_ec_pkey(enum jwk_curve curve, const uint8_t *x, const uint8_t *y, const BIGNUM *d) {
    size_t size = curves[curve].coordinate_bytes;
    uint8_t point[1 + 2 * 66] = {POINT_CONVERSION_UNCOMPRESSED};
    memcpy(point + 1, x, size);
    memcpy(point + 1 + size, y, size);
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    bool pushed =
        builder &&
        OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curves[curve].name,
                                        0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size) ==
            1 &&
        (!d || OSSL_PARAM_BLD_push_BN_pad(builder, OSSL_PKEY_PARAM_PRIV_KEY, d, size) == 1);
    OSSL_PARAM *params = pushed ? OSSL_PARAM_BLD_to_param(builder) : NULL;
    EVP_PKEY *pkey = pkey_of_params("EC", params, d != NULL);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

vlt_result jwk_build_ec(const json_t *object, struct fault *fault, struct jwk *key) {
    uint8_t x[66], y[66], d[66];
    VLT_TRY(member_curve(object, JWK_P256, JWK_P521, fault, &key->curve));
    size_t size = curves[key->curve].coordinate_bytes;
    VLT_TRY(member_exact(object, "x", fault, x, size));
    VLT_TRY(member_exact(object, "y", fault, y, size));
    BIGNUM *scalar = NULL;
    if (key->is_private) {
        VLT_TRY(member_exact(object, "d", fault, d, size));
        scalar = BN_bin2bn(d, (int)size, NULL);
        secret_cleanse(d, sizeof d);
        if (!scalar)
            return algorithms_failed(VLT_UNAVAILABLE, "out of memory");
    }
    key->pkey = jwk_ec_pkey(key->curve, x, y, scalar);
    BN_clear_free(scalar);
    if (!key->pkey || (key->is_private && !pair_fits(key->pkey)))
        return no_valid_key(fault);
    return vlt_ok();
}

// ---- OKP and oct ----

static EVP_PKEY *okp_private(enum jwk_curve curve, const uint8_t d[32], const uint8_t x[32]) {
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key_ex(NULL, curves[curve].name, NULL, d, 32);
    uint8_t public_key[32];
    size_t size = sizeof public_key;
    if (pkey && EVP_PKEY_get_raw_public_key(pkey, public_key, &size) == 1 &&
        bytes_equal(bytes_of(public_key, size), bytes_of(x, 32)))
        return pkey;
    EVP_PKEY_free(pkey);
    return NULL;
}

vlt_result jwk_build_okp(const json_t *object, struct fault *fault, struct jwk *key) {
    uint8_t x[32], d[32];
    VLT_TRY(member_curve(object, JWK_ED25519, JWK_X25519, fault, &key->curve));
    VLT_TRY(member_exact(object, "x", fault, x, sizeof x));
    if (key->curve == JWK_ED25519 && jwk_ed25519_is_weak(x))
        return fault_set(fault, VLT_DENIED, "Ed25519 key is weak",
                         "the Ed25519 key is a point of small order");
    if (key->is_private) {
        VLT_TRY(member_exact(object, "d", fault, d, sizeof d));
        key->pkey = okp_private(key->curve, d, x);
        secret_cleanse(d, sizeof d);
    } else {
        key->pkey = EVP_PKEY_new_raw_public_key_ex(NULL, curves[key->curve].name, NULL, x, 32);
    }
    return key->pkey ? vlt_ok() : no_valid_key(fault);
}

vlt_result jwk_build_oct(const json_t *object, struct fault *fault, struct jwk *key) {
    uint8_t k[MEMBER_MAX];
    size_t size = 0;
    VLT_TRY(member_octets(object, "k", fault, k, sizeof k, &size));
    key->oct = size ? secret_new(size) : NULL;
    vlt_result result = vlt_fail(VLT_MALFORMED, "symmetric key is empty");
    if (size)
        result = key->oct ? secret_set(key->oct, k, size)
                          : vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    secret_cleanse(k, sizeof k);
    return result;
}
