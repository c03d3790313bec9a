// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/note.h"

#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/digest.h"

#define KEY_MAX 2048 // of any type with its byte: an unknown one is named, not called malformed

// ---- Names ----

// Unicode's White_Space, which is what other implementations refuse.
static bool is_white_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0D) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

// The character at `at` of text that is known to be UTF-8, and its size.
static uint32_t character_at(struct bytes text, size_t at, size_t *ret_size) {
    uint8_t lead = text.at[at];
    size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t c = size == 1 ? lead : lead & (0x7Fu >> size);
    for (size_t i = 1; i < size; i++)
        c = c << 6 | (text.at[at + i] & 0x3F);
    *ret_size = size;
    return c;
}

bool note_name_is_valid(struct bytes name) {
    if (name.size == 0 || !bytes_is_utf8(name, NULL))
        return false;
    for (size_t i = 0, size; i < name.size; i += size) {
        uint32_t c = character_at(name, i, &size);
        if (is_white_space(c) || c == '+' || c == 0)
            return false;
    }
    return true;
}

// ---- Keys ----

vlt_result note_key_id(struct bytes name, enum note_key_type type, const uint8_t public_key[32],
                       uint8_t ret_id[4]) {
    uint8_t kind = (uint8_t)type, digest[DIGEST_SHA256_SIZE];
    const struct bytes parts[] = {name, BYTES_LITERAL("\n"), bytes_of(&kind, 1),
                                  bytes_of(public_key, 32)};
    VLT_TRY(digest_sha256_parts(parts, 4, digest));
    memcpy(ret_id, digest, 4);
    return vlt_ok();
}

// Through a JWK: there, weak keys are refused and contexts are kept.
static vlt_result jwk_of_public(const uint8_t public_key[32], struct jwk **ret_jwk) {
    char text[128], x[B64U_SIZE(32) + 1];
    b64u_encode_text(bytes_of(public_key, 32), x);
    struct buf json;
    buf_init(&json, sizeof text);
    buf_put_format(&json, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", x);
    vlt_result result = buf_failed(&json) ? vlt_fail(VLT_UNAVAILABLE, "out of memory")
                                          : jwk_parse(buf_bytes(&json), 0, NULL, ret_jwk);
    buf_done(&json);
    return result;
}

vlt_result note_key_init(struct bytes name, enum note_key_type type, const uint8_t public_key[32],
                         struct note_key *ret_key) {
    struct note_key key = {.type = type};
    if (!note_name_is_valid(name) || !bytes_to_text(name, key.name, sizeof key.name))
        return vlt_fail(VLT_MALFORMED, "not a name of a note's signer");
    if (type != NOTE_ED25519 && type != NOTE_COSIGNATURE)
        return vlt_fail(VLT_NOT_FOUND, "a verifier key of unknown type");
    memcpy(key.public_key, public_key, sizeof key.public_key);
    VLT_TRY(note_key_id(name, type, public_key, key.id));
    vlt_result result = jwk_of_public(public_key, &key.jwk);
    if (!vlt_is_ok(result))
        return result.class == VLT_UNAVAILABLE
                   ? result
                   : vlt_fail(VLT_CRYPTO, "a weak or broken verifier key");
    *ret_key = key;
    return vlt_ok();
}

vlt_result note_key_parse(struct bytes vkey, struct note_key *ret_key) {
    uint8_t id[4], key_bytes[KEY_MAX];
    size_t plus = bytes_find(vkey, '+'), size = 0;
    struct bytes name = bytes_of(vkey.at, plus), rest = bytes_from(vkey, plus + 1);
    size_t second = bytes_find(rest, '+');
    if (plus == vkey.size || second != 8 || second == rest.size ||
        !vlt_is_ok(hex_decode(bytes_of(rest.at, 8), id, sizeof id)) ||
        !vlt_is_ok(b64_decode(bytes_from(rest, 9), key_bytes, sizeof key_bytes, &size)) || size < 1)
        return vlt_fail(VLT_MALFORMED, "not a verifier key");
    if (key_bytes[0] != NOTE_ED25519 && key_bytes[0] != NOTE_COSIGNATURE)
        return vlt_fail(VLT_NOT_FOUND, "a verifier key of unknown type");
    if (size != 1 + sizeof ret_key->public_key)
        return vlt_fail(VLT_MALFORMED, "not a verifier key");
    struct note_key key;
    VLT_TRY(note_key_init(name, (enum note_key_type)key_bytes[0], key_bytes + 1, &key));
    if (!bytes_equal(bytes_of(id, 4), bytes_of(key.id, 4))) {
        note_key_done(&key);
        return vlt_fail(VLT_MALFORMED, "a verifier key whose id does not fit it");
    }
    *ret_key = key;
    return vlt_ok();
}

void note_key_text(const struct note_key *key, struct buf *out) {
    uint8_t typed[33] = {(uint8_t)key->type};
    char id[9];
    memcpy(typed + 1, key->public_key, sizeof key->public_key);
    hex_encode(bytes_of(key->id, sizeof key->id), id);
    buf_put_format(out, "%s+%s+", key->name, id);
    b64_encode(bytes_of(typed, sizeof typed), out);
}

void note_key_done(struct note_key *key) {
    jwk_free(key->jwk);
    key->jwk = NULL;
}
