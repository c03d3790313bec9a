// SPDX-License-Identifier: Apache-2.0
// JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037): strict parse into an
// OpenSSL key that is kept, thumbprint (RFC 7638), export of public keys.
//
// Refused although OpenSSL would take them: RSA below 2048 or above 4096 bits,
// even modulus, exponent even or below 3 or above 32 bits, a modulus with the
// ROCA fingerprint, leading zero octets in n or e, coordinates of another width
// than the curve's, points off the curve, Ed25519 keys of small order.
#ifndef VLT_CRYPTO_JWK_H
#define VLT_CRYPTO_JWK_H

#include <jansson.h>
#include <openssl/evp.h>

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"
#include "libvault/crypto/jose_alg.h"
#include "libvault/secret/secret.h"

enum jwk_kty { JWK_RSA, JWK_EC, JWK_OKP, JWK_OCT };
enum jwk_curve { JWK_NO_CURVE, JWK_P256, JWK_P384, JWK_P521, JWK_ED25519, JWK_X25519 };
enum jwk_use { JWK_USE_ANY, JWK_USE_SIG, JWK_USE_ENC };

#define JWK_KID_SIZE 256       // with its NUL: longer ones are refused
#define JWKS_MAX_BYTES (256u << 10)
#define JWKS_MAX_KEYS 100
#define JWK_THUMBPRINT_SIZE 32

struct jwk_contexts; // OpenSSL contexts made on first use, kept with the key

struct jwk {
    enum jwk_kty kty;
    enum jwk_curve curve;
    enum jwk_use use;
    bool has_kid, has_alg;    // has_alg: "alg" was given; then one of the next two is set
    bool is_private;          // holds private key material
    enum jws_alg jws_alg;     // JWS_ALG_UNKNOWN: any that fits the key, or not for signatures
    enum jwe_alg jwe_alg;     // likewise
    enum jwe_enc jwe_enc;     // "alg":"A256GCM" on an oct key
    char kid[JWK_KID_SIZE];   // an opaque string: never a path
    EVP_PKEY *pkey;           // NULL for oct
    struct secret *oct;       // NULL but for oct
    struct jwk_contexts *contexts;
};

// What a caller is ready to take beyond public keys. Sets from outside: 0.
enum {
    JWK_ALLOW_PRIVATE = 1, // d, p, q, … of RSA, EC, OKP
    JWK_ALLOW_OCT = 2,     // symmetric keys (test vectors)
};

// One key. VLT_MALFORMED, VLT_LIMIT; VLT_DENIED when it is well formed but
// refused (weak, private, symmetric, of a kind that we do not use). The fault
// names the member. The caller frees with jwk_free.
vlt_result jwk_parse(struct bytes text, unsigned allow, struct fault *fault,
                     struct jwk **ret_key) VLT_MUST_USE;
vlt_result jwk_parse_json(const json_t *object, unsigned allow, struct fault *fault,
                          struct jwk **ret_key) VLT_MUST_USE;
void jwk_free(struct jwk *key); // NULL is fine
// Wraps a key of ours (P-256, P-384, P-521, Ed25519, X25519, RSA); takes one
// reference of pkey on success. kid may be NULL.
vlt_result jwk_of_pkey(EVP_PKEY *pkey, const char *kid, struct jwk **ret_key) VLT_MUST_USE;

struct jwk_set {
    size_t count;
    struct jwk *keys[JWKS_MAX_KEYS];
};
// A set {"keys":[…]}. Entries of an unknown kty, crv or use are skipped (RFC
// 7517 section 5). The whole set is refused when an entry is malformed, weak,
// private or symmetric beyond `allow`, when symmetric and asymmetric keys are
// mixed, or when two entries have one kid.
vlt_result jwk_set_parse(struct bytes text, unsigned allow, struct fault *fault,
                         struct jwk_set **ret_set) VLT_MUST_USE;
vlt_result jwk_set_parse_json(const json_t *root, unsigned allow, struct fault *fault,
                              struct jwk_set **ret_set) VLT_MUST_USE;
void jwk_set_free(struct jwk_set *set); // NULL is fine
// The key with this kid, or NULL. A kid that is empty (size 0) finds the only
// key of a set of one. Not const: its contexts are used.
struct jwk *jwk_set_find(const struct jwk_set *set, struct bytes kid);

// SHA-256 over the canonical required members (RFC 7638 section 3).
vlt_result jwk_thumbprint(const struct jwk *key,
                          uint8_t ret_thumbprint[JWK_THUMBPRINT_SIZE]) VLT_MUST_USE;
// base64url text of it (43 characters and a NUL): cnf.jkt, kid of our own keys.
#define JWK_THUMBPRINT_TEXT_SIZE 44
vlt_result jwk_thumbprint_text(const struct jwk *key,
                               char ret_text[JWK_THUMBPRINT_TEXT_SIZE]) VLT_MUST_USE;

// The public part as a new JSON object with kid (when it has one), alg and use
// (when not NULL); the caller owns it. Never private members.
vlt_result jwk_export(const struct jwk *key, const char *alg, const char *use,
                      json_t **ret_object) VLT_MUST_USE;

#endif
