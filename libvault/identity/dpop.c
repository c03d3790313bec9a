// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/dpop.h"

#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jws.h"
#include "libvault/base/b64u.h"
#include "libvault/identity/dpop_uri.h"
#include "libvault/identity/subject_claims.h"

#define JTI_MAX_BYTES 256
#define ALLOWED_ALGORITHMS                                                                         \
    (JWS_BIT(JWS_ES256) | JWS_BIT(JWS_ES384) | JWS_BIT(JWS_RS256) | JWS_BIT(JWS_PS256) |           \
     JWS_BIT(JWS_EDDSA))

struct proof_claims {
    struct bytes jti, htm, htu, ath, nonce;
    int64_t issued_at;
    json_t *root;
};

static bool take_text(const json_t *root, const char *name, struct bytes *ret) {
    const json_t *value = json_object_get(root, name);
    if (!value)
        return true;
    if (!json_is_string(value))
        return false;
    *ret = bytes_of(json_string_value(value), json_string_length(value));
    return true;
}

static const char *read_claims(const json_t *root, struct proof_claims *c) {
    const json_t *issued_at = json_object_get(root, "iat");
    if (!json_is_object(root) || !take_text(root, "jti", &c->jti) ||
        !take_text(root, "htm", &c->htm) || !take_text(root, "htu", &c->htu) ||
        !take_text(root, "ath", &c->ath) || !take_text(root, "nonce", &c->nonce))
        return "proof: a claim has the wrong type";
    if (c->jti.size == 0 || c->jti.size > JTI_MAX_BYTES || c->htm.size == 0 || c->htu.size == 0 ||
        !claim_time(issued_at, &c->issued_at))
        return "proof: jti, htm, htu or iat is missing or too long";
    return NULL;
}

// RFC 9449 section 4.2: base64url of SHA-256 over the token's ASCII.
static bool names_token(struct bytes ath, struct bytes token) {
    uint8_t hash[32];
    char text[B64U_SIZE(32) + 1];
    if (!vlt_is_ok(digest_sha256(token, hash)))
        return false;
    b64u_encode_text(bytes_of(hash, sizeof hash), text);
    return bytes_equal_text(ath, text);
}

static bool is_fresh(const struct proof_claims *c, int64_t now_s) {
    return c->issued_at >= now_s - DPOP_WINDOW_S && c->issued_at <= now_s + DPOP_WINDOW_S;
}

// What the claims say about this request; NULL when all of it fits.
static const char *check_claims(const struct proof_claims *c,
                                const struct dpop_expectation *expected) {
    if (!bytes_equal(c->htm, expected->method))
        return "proof: htm is another method";
    if (!dpop_uri_equal(c->htu, expected->uri))
        return "proof: htu is another URI";
    if (!is_fresh(c, expected->now_s))
        return "proof: iat is too old or in the future";
    if (expected->access_token.size && !names_token(c->ath, expected->access_token))
        return "proof: ath is another token";
    return NULL;
}

static const char *identify(const struct jws_parts *parts, const struct proof_claims *c,
                            int64_t now_s, struct dpop_proof *ret_proof) {
    struct dpop_proof proof;
    if (!vlt_is_ok(jwk_thumbprint(parts->embedded, proof.thumbprint)))
        return "proof: its key has no thumbprint";
    const struct bytes id[] = {bytes_of(proof.thumbprint, sizeof proof.thumbprint), c->jti};
    if (!vlt_is_ok(digest_sha256_parts(id, 2, proof.id)))
        return "proof: out of memory";
    proof.until = (uint64_t)(now_s + 2 * DPOP_WINDOW_S);
    *ret_proof = proof;
    return NULL;
}

static enum dpop_outcome verify_parts(const struct jws_parts *parts,
                                      const struct dpop_expectation *expected,
                                      struct proof_claims *c, struct dpop_proof *ret_proof,
                                      const char **ret_reason) {
    enum dpop_outcome outcome = DPOP_INVALID;
    if (!jws_typ_is(parts, "dpop+jwt"))
        *ret_reason = "proof: typ is not dpop+jwt";
    else if (!vlt_is_ok(jws_verify(parts, ALLOWED_ALGORITHMS, parts->embedded)))
        *ret_reason = "proof: its signature does not fit";
    else if (!vlt_is_ok(jsontext_parse(parts->payload, &jsontext_token_limits, NULL, &c->root)))
        *ret_reason = "proof: its payload is not acceptable JSON";
    else if ((*ret_reason = read_claims(c->root, c)) || (*ret_reason = check_claims(c, expected)))
        outcome = DPOP_INVALID;
    else if (expected->nonces && !dpop_nonce_is_good(expected->nonces, c->nonce, expected->now_s)) {
        *ret_reason = "proof: nonce is missing or old";
        outcome = DPOP_USE_NONCE;
    } else if (!(*ret_reason = identify(parts, c, expected->now_s, ret_proof)))
        outcome = DPOP_VALID;
    return outcome;
}

enum dpop_outcome dpop_verify(struct bytes proof, const struct dpop_expectation *expected,
                              struct dpop_proof *ret_proof, const char **ret_reason) {
    struct jws_parts parts;
    struct proof_claims claims = {0};
    if (!vlt_is_ok(jws_split_known(expected->headers, proof, JWS_EMBEDDED_KEY, &parts))) {
        *ret_reason = "proof: not a signed token with its key";
        return DPOP_INVALID;
    }
    enum dpop_outcome outcome = verify_parts(&parts, expected, &claims, ret_proof, ret_reason);
    json_decref(claims.root);
    jws_parts_done(&parts);
    return outcome;
}
