// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/jwe_steps.h"
#include "libvault/crypto/pkey.h"

#define INTAKE_KEY_BYTES 32

vlt_result jwe_intake_seal(const struct jwk *key, const struct secret *plaintext,
                           struct buf *out) {
    if (key->curve != JWK_P256 || !key->has_kid)
        return vlt_fail(VLT_BUG, "not an intake key");
    if (secret_size(plaintext) > JWE_INTAKE_PLAINTEXT_MAX)
        return vlt_fail(VLT_LIMIT, "value is too long");
    return jwe_encrypt(JWE_ECDH_ES, JWE_A256GCM, key, plaintext, out);
}

// ---- Split ----

static vlt_result read_coordinate(const json_t *epk, const char *name, uint8_t out[32]) {
    const json_t *member = json_object_get(epk, name);
    size_t size = 0;
    if (!json_is_string(member))
        return vlt_fail(VLT_MALFORMED, "epk lacks a coordinate");
    VLT_TRY(b64u_decode(bytes_of(json_string_value(member), json_string_length(member)), out, 32,
                        &size));
    return size == 32 ? vlt_ok() : vlt_fail(VLT_MALFORMED, "epk has a short coordinate");
}

static bool member_is(const json_t *object, const char *name, const char *expected) {
    const char *text = json_string_value(json_object_get(object, name));
    return text && strcmp(text, expected) == 0;
}

static vlt_result read_epk(const json_t *epk, struct jwe_intake_fields *fields) {
    static const char *const members[] = {"kty", "crv", "x", "y", NULL};
    if (!json_is_object(epk) || !member_is(epk, "kty", "EC") || !member_is(epk, "crv", "P-256"))
        return vlt_fail(VLT_DENIED, "epk is not a P-256 key");
    VLT_TRY(jsontext_only_members(epk, members, NULL));
    VLT_TRY(read_coordinate(epk, "x", fields->epk_x));
    return read_coordinate(epk, "y", fields->epk_y);
}

static vlt_result read_header(const json_t *header, struct jwe_intake_fields *fields) {
    static const char *const members[] = {"alg", "enc", "epk", "kid", "typ", NULL};
    VLT_TRY(jsontext_only_members(header, members, NULL));
    const json_t *kid = json_object_get(header, "kid");
    if (!json_is_string(kid) || json_string_length(kid) == 0 ||
        !bytes_to_text(bytes_of(json_string_value(kid), json_string_length(kid)), fields->kid,
                       sizeof fields->kid))
        return vlt_fail(VLT_MALFORMED, "the header lacks a usable kid");
    return read_epk(json_object_get(header, "epk"), fields);
}

static vlt_result read_parts(const struct jwe_parts *parts, struct jwe_intake_fields *fields) {
    if (parts->alg != JWE_ECDH_ES || parts->enc != JWE_A256GCM)
        return vlt_fail(VLT_DENIED, "only ECDH-ES with A256GCM is taken in");
    if (parts->encrypted_key.size || parts->iv.size != sizeof fields->iv ||
        parts->tag.size != sizeof fields->tag)
        return vlt_fail(VLT_MALFORMED, "a part has the wrong length");
    if (parts->aad.size > sizeof fields->aad || parts->ciphertext.size > sizeof fields->ciphertext)
        return vlt_fail(VLT_LIMIT, "JWE is too long");
    VLT_TRY(read_header(parts->header, fields));
    memcpy(fields->iv, parts->iv.at, sizeof fields->iv);
    memcpy(fields->tag, parts->tag.at, sizeof fields->tag);
    fields->aad_bytes = parts->aad.size;
    memcpy(fields->aad, parts->aad.at, parts->aad.size);
    fields->ciphertext_bytes = parts->ciphertext.size;
    if (parts->ciphertext.size)
        memcpy(fields->ciphertext, parts->ciphertext.at, parts->ciphertext.size);
    return vlt_ok();
}

vlt_result jwe_intake_split(struct bytes jwe, struct jwe_intake_fields *ret_fields) {
    struct jwe_parts parts;
    if (jwe.size > JWE_INTAKE_MAX_BYTES)
        return vlt_fail(VLT_LIMIT, "JWE is too long");
    VLT_TRY(jwe_split(jwe, &parts));
    struct jwe_intake_fields fields = {0};
    vlt_result result = read_parts(&parts, &fields);
    if (vlt_is_ok(result))
        *ret_fields = fields;
    jwe_parts_done(&parts);
    return result;
}

// ---- Open ----

vlt_result jwe_intake_open(EVP_PKEY *key, const struct jwe_intake_fields *fields,
                           struct secret *plaintext) {
    EVP_PKEY *epk = NULL;
    secret_wipe(plaintext);
    if (fields->aad_bytes > sizeof fields->aad ||
        fields->ciphertext_bytes > sizeof fields->ciphertext)
        return vlt_fail(VLT_LIMIT, "JWE is too long"); // the fields came from another process
    VLT_TRY(pkey_p256_public(fields->epk_x, fields->epk_y, &epk));
    struct secret *cek = secret_new(INTAKE_KEY_BYTES);
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    if (cek)
        result = jwe_agree(key, epk, BYTES_LITERAL("A256GCM"), bytes_of(NULL, 0),
                           bytes_of(NULL, 0), INTAKE_KEY_BYTES, cek);
    if (vlt_is_ok(result))
        result = jwe_content_open(JWE_A256GCM, cek, bytes_of(fields->iv, sizeof fields->iv),
                                  bytes_of(fields->aad, fields->aad_bytes),
                                  bytes_of(fields->ciphertext, fields->ciphertext_bytes),
                                  bytes_of(fields->tag, sizeof fields->tag), plaintext);
    secret_free(cek);
    EVP_PKEY_free(epk);
    return result;
}
