// SPDX-License-Identifier: Apache-2.0
// Signatures: ECDSA in DER and in JOSE's r‖s, EdDSA, RSA PKCS #1 v1.5 and PSS.
// Keys come in through the JWK parser, as an issuer's do; then the function
// under jws_verify judges. Keys that we do not take must be refused by that parser,
// signatures with other digests or PSS parameters than JOSE's by that function: where
// the file calls them valid they are skipped, but only when they were refused.
#include <openssl/ecdsa.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/jws_scheme.h"
#include "libvault/crypto/jwk_members.h"
#include "tests/vectors/jose.h"

struct setting {
    struct jws_scheme scheme;
    struct jwk *key;
    bool is_der;
    bool is_refused; // parameters that are not ours: no signature may be accepted
};

// ---- Keys: from the numbers of the file to a JWK ----

// Hexadecimal digits, perhaps with leading zeros, as `width` octets (0: shortest);
// null, which no key parser takes, when they are none.
static json_t *member_of_hex(const char *hex, size_t width) {
    uint8_t octets[2048];
    char text[B64U_SIZE(sizeof octets) + 1], even[2 * sizeof octets + 2];
    while (hex[0] == '0' && hex[1])
        hex++;
    snprintf(even, sizeof even, "%s%s", strlen(hex) % 2 ? "0" : "", hex);
    size_t size = strlen(even) / 2, pad = width > size ? width - size : 0;
    if (size + pad > sizeof octets)
        return json_null();
    memset(octets, 0, pad);
    if (!vlt_is_ok(hex_decode(bytes_of_text(even), octets + pad, size)))
        return json_null();
    b64u_encode_text(bytes_of(octets, size + pad), text);
    return json_string(text);
}

static json_t *ec_jwk(const json_t *public_key, const char *curve, size_t width) {
    return json_pack("{s:s, s:s, s:o, s:o}", "kty", "EC", "crv", curve, "x",
                     member_of_hex(wycheproof_text(public_key, "wx"), width), "y",
                     member_of_hex(wycheproof_text(public_key, "wy"), width));
}

static json_t *okp_jwk(const json_t *public_key, const char *curve, size_t width) {
    return json_pack("{s:s, s:s, s:o}", "kty", "OKP", "crv", curve, "x",
                     member_of_hex(wycheproof_text(public_key, "pk"), width));
}

static json_t *rsa_jwk(const json_t *public_key) {
    return json_pack("{s:s, s:o, s:o}", "kty", "RSA", "n",
                     member_of_hex(wycheproof_text(public_key, "modulus"), 0), "e",
                     member_of_hex(wycheproof_text(public_key, "publicExponent"), 0));
}

// ---- Groups ----

static bool digest_of(const json_t *group, enum digest_kind *ret_kind) {
    static const char *const names[DIGEST_KIND_COUNT] = {"SHA-256", "SHA-384", "SHA-512"};
    for (int kind = 0; kind < DIGEST_KIND_COUNT; kind++)
        if (strcmp(wycheproof_text(group, "sha"), names[kind]) == 0) {
            *ret_kind = (enum digest_kind)kind;
            return true;
        }
    return false;
}

static enum jwk_curve curve_of(const json_t *public_key) {
    static const char *const names[] = {"secp256r1", "secp384r1", "secp521r1"};
    for (int i = 0; i < 3; i++)
        if (strcmp(wycheproof_text(public_key, "curve"), names[i]) == 0)
            return (enum jwk_curve)(JWK_P256 + i);
    return JWK_NO_CURVE;
}

static json_t *public_key_of(const json_t *group) {
    static const char *const names[] = {"publicKey", "key", "privateKey"}; // key: the older name
    json_t *key = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !key; i++)
        key = json_object_get(group, names[i]);
    return key;
}

static json_t *set_ecdsa(const json_t *group, struct setting *s) {
    const json_t *key = public_key_of(group);
    enum jwk_curve curve = curve_of(key);
    size_t width = ((size_t)wycheproof_number(key, "keySize") + 7) / 8;
    if (curve == JWK_NO_CURVE)
        return ec_jwk(key, wycheproof_text(key, "curve"), width);
    s->scheme.family = JWS_ECDSA;
    s->scheme.curve = curve;
    s->is_refused = !digest_of(group, &s->scheme.digest);
    return ec_jwk(key, jwk_curve_name(curve), jwk_coordinate_bytes(curve));
}

static json_t *set_edwards(const json_t *group, struct setting *s) {
    const json_t *key = public_key_of(group);
    s->scheme = *jws_scheme_of(JWS_EDDSA);
    return strcmp(wycheproof_text(key, "curve"), "edwards448") == 0 ? okp_jwk(key, "Ed448", 57)
                                                                    : okp_jwk(key, "Ed25519", 32);
}

static json_t *set_rsa(const json_t *group, struct setting *s) {
    s->scheme.family = JWS_PKCS1;
    s->is_refused = !digest_of(group, &s->scheme.digest);
    return rsa_jwk(public_key_of(group));
}

// JOSE fixes MGF1 with the same digest and a salt as long as the digest.
static json_t *set_pss(const json_t *group, struct setting *s) {
    s->scheme.family = JWS_PSS;
    s->is_refused = !digest_of(group, &s->scheme.digest) ||
                    strcmp(wycheproof_text(group, "mgf"), "MGF1") != 0 ||
                    strcmp(wycheproof_text(group, "mgfSha"), wycheproof_text(group, "sha")) != 0 ||
                    wycheproof_number(group, "sLen") != (int)digest_size(s->scheme.digest);
    return rsa_jwk(public_key_of(group));
}

static const struct {
    const char *type;
    json_t *(*set)(const json_t *group, struct setting *s); // returns the key
    bool is_der;
} types[] = {
    {"EcdsaVerify", set_ecdsa, true},        {"EcdsaP1363Verify", set_ecdsa, false},
    {"EddsaVerify", set_edwards, false},     {"RsassaPkcs1Verify", set_rsa, false},
    {"RsassaPssVerify", set_pss, false},     {"RsassaPssWithParametersVerify", set_pss, false},
    {"RsassaPkcs1Generate", set_rsa, false}, {"EcdsaBitcoinVerify", set_ecdsa, true},
};

// ---- Tests ----

// Strict DER (one spelling for each signature), then r‖s.
static bool raw_of_der(enum jwk_curve curve, struct bytes der, struct buf *raw) {
    const unsigned char *at = der.at;
    ECDSA_SIG *signature = der.size ? d2i_ECDSA_SIG(NULL, &at, (long)der.size) : NULL;
    unsigned char *again = NULL;
    int size = signature ? i2d_ECDSA_SIG(signature, &again) : -1;
    bool is_strict = size >= 0 && bytes_equal(bytes_of(again, (size_t)size), der) &&
                     !BN_is_negative(ECDSA_SIG_get0_r(signature)) &&
                     !BN_is_negative(ECDSA_SIG_get0_s(signature));
    OPENSSL_free(again);
    ECDSA_SIG_free(signature);
    size_t raw_size = 0;
    uint8_t *room = is_strict ? buf_extend(raw, 2 * jwk_coordinate_bytes(curve)) : NULL;
    return room && jws_ecdsa_of_der(curve, der, room, &raw_size);
}

static void run(const struct wycheproof_case *c, void *setting) {
    struct setting *s = setting;
    struct buf message, signature, raw;
    buf_init(&message, 1 << 20);
    buf_init(&signature, 1 << 20);
    buf_init(&raw, 256);
    wycheproof_hex(c->test, "msg", &message);
    wycheproof_hex(c->test, "sig", &signature);
    bool readable = !s->is_der || raw_of_der(s->scheme.curve, buf_bytes(&signature), &raw);
    bool accepted = readable && jws_scheme_fits(&s->scheme, s->key, buf_bytes(&message),
                                                buf_bytes(s->is_der ? &raw : &signature));
    bool is_valid = strcmp(c->result, "valid") == 0;
    if (s->is_refused && accepted == is_valid)
        vectors_judge(c->path, c->what, "invalid", is_valid);
    else if (s->is_refused) // what is wrong for them may be right for JOSE's
        vectors_skip(c->path, 1, "%s: not what JOSE signs with", c->what);
    else
        vectors_judge(c->path, c->what, c->result, accepted);
    buf_done(&message);
    buf_done(&signature);
    buf_done(&raw);
}

static void run_refused(const struct wycheproof_case *c, void *fault) {
    if (strcmp(c->result, "invalid") == 0)
        vectors_pass();
    else
        vectors_skip(c->path, 1, "%s: key refused by design: %s", c->what,
                     ((const struct fault *)fault)->text);
}

static void run_key(const char *path, const json_t *file, const json_t *group, json_t *jwk,
                    struct setting *s) {
    static const char *const hex_members[] = {"msg", "sig", NULL};
    char *text = json_dumps(jwk, JSON_COMPACT);
    struct fault fault = {0};
    vlt_result parsed = jwk_parse(bytes_of_text(text), 0, &fault, &s->key);
    if (vlt_is_ok(parsed))
        wycheproof_each_test(path, file, group, hex_members, run, s);
    else if (parsed.class == VLT_DENIED)
        wycheproof_each_test(path, file, group, hex_members, run_refused, &fault);
    else
        vectors_fail(path, "key does not load: %s", fault_or_reason(&fault, parsed));
    jwk_free(s->key);
    free(text);
}

void jose_signature_group(const char *path, const json_t *file, json_t *group) {
    const char *type = wycheproof_text(group, "type");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(type, types[i].type) != 0)
            continue;
        struct setting s = {.is_der = types[i].is_der};
        json_t *jwk = types[i].set(group, &s);
        run_key(path, file, group, jwk, &s);
        json_decref(jwk);
        return;
    }
    wycheproof_skip(path, file, group);
}

static void visit(const char *path, struct bytes content) {
    wycheproof_visit(path, content, jose_signature_group);
}

void vectors_ecdsa(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
