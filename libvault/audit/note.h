// SPDX-License-Identifier: Apache-2.0
// Signed notes (C2SP signed-note): a UTF-8 text and lines with signatures, as
// checkpoints of transparency logs are. Key types: 0x01 Ed25519, 0x04 Ed25519
// cosignature with a time (C2SP tlog-cosignature).
//
// Rules: no control characters but line ends; the text runs to the last empty
// line; a signature of an unknown key is ignored, a bad one of a known key
// refuses the note. At most NOTE_MAX_BYTES and NOTE_SIGNATURES_MAX signatures.
#ifndef VLT_AUDIT_NOTE_H
#define VLT_AUDIT_NOTE_H

#include "libvault/base/buf.h"
#include "libvault/crypto/jwk.h"

#define NOTE_MAX_BYTES (256u << 10)
#define NOTE_SIGNATURES_MAX 100
#define NOTE_NAME_MAX 255
#define NOTE_ED25519_SIZE 64
#define NOTE_VKEY_MAX 400 // text of a verifier key, with its NUL

enum note_key_type { NOTE_ED25519 = 0x01, NOTE_COSIGNATURE = 0x04 };

// Not empty, UTF-8, no white space (Unicode's), no '+'. Of any length: an unknown signer
// may have a longer name than a key of ours, which has NOTE_NAME_MAX bytes at most.
bool note_name_is_valid(struct bytes name);

// ---- Keys ----

struct note_key {
    char name[NOTE_NAME_MAX + 1];
    uint8_t id[4];
    enum note_key_type type;
    uint8_t public_key[32];
    struct jwk *jwk; // owned
};
// The id of a key: first 4 bytes of SHA-256(name ‖ LF ‖ type ‖ public key).
vlt_result note_key_id(struct bytes name, enum note_key_type type, const uint8_t public_key[32],
                       uint8_t ret_id[4]) VLT_MUST_USE;
// VLT_MALFORMED for a bad name, VLT_CRYPTO for a weak key. note_key_done frees.
vlt_result note_key_init(struct bytes name, enum note_key_type type, const uint8_t public_key[32],
                         struct note_key *ret_key) VLT_MUST_USE;
// "NAME+hex8(id)+base64(type ‖ public key)". VLT_MALFORMED; VLT_NOT_FOUND: a type
// that we do not know.
vlt_result note_key_parse(struct bytes vkey, struct note_key *ret_key) VLT_MUST_USE;
void note_key_text(const struct note_key *key, struct buf *out);
void note_key_done(struct note_key *key);

// ---- Notes ----

struct note_signature {
    struct bytes name;      // borrowed from the note's bytes
    uint8_t id[4];
    struct bytes signature; // owned by the note
};
struct note {
    struct bytes text; // with its last line end; borrowed
    size_t count;
    struct note_signature signatures[NOTE_SIGNATURES_MAX];
    uint8_t *memory;
};
// `bytes` must outlive the note. VLT_MALFORMED, VLT_LIMIT. note_done frees.
vlt_result note_parse(struct bytes bytes, struct note *ret_note) VLT_MUST_USE;
void note_done(struct note *note);
// VLT_CRYPTO when a key of `keys` signed badly, VLT_NOT_FOUND when none of them
// signed. A key counts once. ret_good (may be NULL): bit i set when keys[i] signed.
// At most 64 keys.
vlt_result note_verify(const struct note *note, const struct note_key *keys, size_t count,
                       uint64_t *ret_good) VLT_MUST_USE;
// Time of a good cosignature of that key, POSIX seconds; 0 when it has none.
uint64_t note_cosigned_at(const struct note *note, const struct note_key *key);

// ---- Making ----

// "— NAME BASE64\n". For a cosignature, `signature` is u64 time ‖ Ed25519.
void note_signature_put(struct buf *out, const char *name, const uint8_t id[4],
                        struct bytes signature);
// What a cosignature signs: "cosignature/v1\ntime T\n" and the text.
void note_cosigned_text(uint64_t at_s, struct bytes text, struct buf *out);

#endif
