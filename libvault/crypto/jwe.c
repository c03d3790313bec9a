// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/jwe.h"

#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/jwe_steps.h"
#include "libvault/crypto/random.h"

// ---- Header ----

static bool is_text(const json_t *member, struct bytes *ret_text) {
    *ret_text = bytes_of(json_string_value(member), json_string_length(member));
    return json_is_string(member);
}

static vlt_result read_header(const json_t *header, struct jwe_parts *parts) {
    struct bytes alg, enc;
    if (!is_text(json_object_get(header, "alg"), &alg) ||
        !is_text(json_object_get(header, "enc"), &enc))
        return vlt_fail(VLT_MALFORMED, "the header lacks alg or enc");
    if (json_object_get(header, "zip"))
        return vlt_fail(VLT_DENIED, "zip is refused by design");
    if (json_object_get(header, "crit"))
        return vlt_fail(VLT_DENIED, "crit is refused by design");
    if (bytes_equal_text(alg, "RSA1_5"))
        return vlt_fail(VLT_DENIED, "RSA1_5 is refused by design");
    if (bytes_begin_with(alg, BYTES_LITERAL("PBES2-")))
        return vlt_fail(VLT_DENIED, "PBES2 is refused by design");
    parts->alg = jwe_alg_of_name(alg);
    parts->enc = jwe_enc_of_name(enc);
    if (parts->alg == JWE_ALG_UNKNOWN || parts->enc == JWE_ENC_UNKNOWN)
        return vlt_fail(VLT_DENIED, "unknown alg or enc");
    return vlt_ok();
}

// The joint header; no name may appear in two of the three (RFC 7516 section 7.2.1).
static vlt_result join_headers(json_t *joint, const json_t *more) {
    json_t *members = (json_t *)(uintptr_t)more; // jansson's iterator takes no const
    const char *name;
    json_t *value;
    if (more && !json_is_object(more))
        return vlt_fail(VLT_MALFORMED, "a header is not a JSON object");
    json_object_foreach(members, name, value) {
        if (json_object_get(joint, name))
            return vlt_fail(VLT_MALFORMED, "a header member appears twice");
        if (json_object_set(joint, name, value) != 0)
            return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    return vlt_ok();
}

// ---- Parts ----

static void copy(struct bytes text, uint8_t **next) {
    if (text.size)
        memcpy(*next, text.at, text.size);
    *next += text.size;
}

static vlt_result parse_protected(struct bytes protected_b64, uint8_t *room, json_t **ret_header) {
    struct bytes text = {0};
    if (protected_b64.size == 0) {
        *ret_header = json_object();
        return *ret_header ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    VLT_TRY(b64u_decode_next(protected_b64, &room, &text));
    VLT_TRY(jsontext_parse(text, &jsontext_token_limits, NULL, ret_header));
    return json_is_object(*ret_header) ? vlt_ok()
                                       : vlt_fail(VLT_MALFORMED, "the header is not a JSON object");
}

static vlt_result join(const struct jwe_members *m, struct jwe_parts *parts) {
    uint8_t *next = parts->memory;
    // The header is decoded into room that the other parts then take.
    VLT_TRY(parse_protected(m->protected_b64, next, &parts->header));
    VLT_TRY(join_headers(parts->header, m->unprotected));
    VLT_TRY(join_headers(parts->header, m->header));
    VLT_TRY(read_header(parts->header, parts));
    copy(m->protected_b64, &next);
    if (m->aad.size) {
        copy(BYTES_LITERAL("."), &next);
        copy(m->aad, &next);
    }
    parts->aad = bytes_of(parts->memory, (size_t)(next - parts->memory));
    VLT_TRY(b64u_decode_next(m->encrypted_key, &next, &parts->encrypted_key));
    VLT_TRY(b64u_decode_next(m->iv, &next, &parts->iv));
    VLT_TRY(b64u_decode_next(m->ciphertext, &next, &parts->ciphertext));
    return b64u_decode_next(m->tag, &next, &parts->tag);
}

vlt_result jwe_join(const struct jwe_members *members, struct jwe_parts *ret_parts) {
    const struct bytes all[] = {members->protected_b64, members->aad, members->encrypted_key,
                                members->iv,            members->tag, members->ciphertext};
    size_t size = 1; // the dot between header and aad
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].size > JWE_MAX_BYTES)
            return vlt_fail(VLT_LIMIT, "JWE is too long");
        size += all[i].size;
    }
    struct jwe_parts parts = {.memory = malloc(size)};
    if (!parts.memory)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = join(members, &parts);
    if (vlt_is_ok(result))
        *ret_parts = parts;
    else
        jwe_parts_done(&parts);
    return result;
}

vlt_result jwe_split(struct bytes compact, struct jwe_parts *ret_parts) {
    struct jwe_members m = {0};
    struct bytes *const members[] = {&m.protected_b64, &m.encrypted_key, &m.iv, &m.ciphertext,
                                     &m.tag};
    if (compact.size > JWE_MAX_BYTES)
        return vlt_fail(VLT_LIMIT, "JWE is too long");
    for (int i = 0; i < 5; i++) {
        size_t dot = bytes_find(compact, '.');
        if ((dot == compact.size) != (i == 4))
            return vlt_fail(VLT_MALFORMED, "not five parts");
        *members[i] = bytes_of(compact.at, dot);
        compact = bytes_from(compact, dot + 1);
    }
    if (m.protected_b64.size == 0)
        return vlt_fail(VLT_MALFORMED, "the header is empty");
    return jwe_join(&m, ret_parts);
}

void jwe_parts_done(struct jwe_parts *parts) {
    json_decref(parts->header);
    free(parts->memory);
    *parts = (struct jwe_parts){0};
}

// ---- Decrypt, encrypt ----

vlt_result jwe_decrypt(const struct jwe_parts *parts, unsigned allowed_algs,
                       unsigned allowed_encs, const struct jwk *key, struct secret *plaintext) {
    secret_wipe(plaintext);
    bool needs_private = key->kty != JWK_OCT;
    if (!(allowed_algs & JWE_BIT(parts->alg)) || !(allowed_encs & JWE_BIT(parts->enc)))
        return vlt_fail(VLT_CRYPTO, "the algorithm is not allowed here");
    if (!jwe_key_fits(parts->alg, parts->enc, key) || (needs_private && !key->is_private))
        return vlt_fail(VLT_CRYPTO, "the key does not fit the algorithm");
    struct secret *cek = secret_new(JWE_CEK_MAX);
    if (!cek)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = jwe_key_unwrap(parts, key, cek);
    if (vlt_is_ok(result))
        result = jwe_content_open(parts->enc, cek, parts->iv, parts->aad, parts->ciphertext,
                                  parts->tag, plaintext);
    secret_free(cek);
    return result;
}

vlt_result jwe_put_header(const json_t *header, struct buf *out) {
    struct buf text;
    buf_init(&text, JWE_MAX_BYTES);
    vlt_result result = jsontext_canonical(header, &text);
    if (vlt_is_ok(result))
        b64u_encode(buf_bytes(&text), out);
    buf_done(&text);
    return result;
}

static vlt_result new_header(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key,
                             json_t **ret_header) {
    json_t *header = json_pack("{s:s, s:s}", "alg", jwe_alg_name(alg), "enc", jwe_enc_name(enc));
    if (header && key->has_kid && json_object_set_new(header, "kid", json_string(key->kid)) != 0) {
        json_decref(header);
        header = NULL;
    }
    *ret_header = header;
    return header ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

// Header is complete: the rest of section 5.1, steps 9 to 19.
static vlt_result put_parts(enum jwe_enc enc, const json_t *header, struct bytes wrapped,
                            const struct secret *cek, const struct secret *plaintext,
                            struct buf *out) {
    uint8_t iv[16], tag[JWE_TAG_MAX];
    size_t start = out->size;
    struct buf ciphertext;
    VLT_TRY(random_bytes(iv, jwe_enc_iv_bytes(enc)));
    VLT_TRY(jwe_put_header(header, out));
    buf_init(&ciphertext, JWE_MAX_BYTES);
    vlt_result result =
        jwe_content_seal(enc, cek, bytes_of(iv, jwe_enc_iv_bytes(enc)),
                         bytes_from(buf_bytes(out), start), plaintext, &ciphertext, tag);
    if (vlt_is_ok(result)) {
        const struct bytes parts[] = {wrapped, bytes_of(iv, jwe_enc_iv_bytes(enc)),
                                      buf_bytes(&ciphertext),
                                      bytes_of(tag, jwe_enc_tag_bytes(enc))};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
            buf_put_byte(out, '.');
            b64u_encode(parts[i], out);
        }
        if (buf_failed(out))
            result = vlt_fail(VLT_LIMIT, "JWE is too long");
    }
    buf_done(&ciphertext);
    return result;
}

vlt_result jwe_encrypt(enum jwe_alg alg, enum jwe_enc enc, const struct jwk *key,
                       const struct secret *plaintext, struct buf *out) {
    uint8_t wrapped[JWE_WRAPPED_MAX];
    size_t size = 0;
    json_t *header = NULL;
    if (alg == JWE_ALG_UNKNOWN || enc == JWE_ENC_UNKNOWN || !jwe_key_fits(alg, enc, key))
        return vlt_fail(VLT_CRYPTO, "the key does not fit the algorithm");
    struct secret *cek = secret_new(JWE_CEK_MAX);
    if (!cek)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = new_header(alg, enc, key, &header);
    if (vlt_is_ok(result))
        result = jwe_key_wrap(alg, enc, key, header, cek, wrapped, &size);
    if (vlt_is_ok(result))
        result = put_parts(enc, header, bytes_of(wrapped, size), cek, plaintext, out);
    json_decref(header);
    secret_free(cek);
    return result;
}
