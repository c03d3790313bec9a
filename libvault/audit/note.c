// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/note.h"

#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/base/wire.h"
#include "libvault/crypto/jws.h"

#define COSIGNATURE_SIZE (8 + NOTE_ED25519_SIZE)
#define LINE_PREFIX "\xE2\x80\x94 " // U+2014, space

static vlt_result malformed(void) { return vlt_fail(VLT_MALFORMED, "not a signed note"); }

// ---- Parse ----

// UTF-8 without control characters below U+0020 but line ends.
static bool is_note_text(struct bytes bytes) {
    for (size_t i = 0; i < bytes.size; i++)
        if (bytes.at[i] < 0x20 && bytes.at[i] != '\n')
            return false;
    return bytes_is_utf8(bytes, NULL);
}

// Just behind the last empty line; 0 when there is none.
static size_t signatures_begin(struct bytes bytes) {
    for (size_t i = bytes.size; i >= 2; i--)
        if (bytes.at[i - 1] == '\n' && bytes.at[i - 2] == '\n')
            return i;
    return 0;
}

// One line without its end. Its signature goes to `room`.
static vlt_result parse_line(struct bytes line, uint8_t *room, size_t capacity,
                             struct note_signature *ret_signature, size_t *ret_used) {
    const struct bytes prefix = BYTES_LITERAL(LINE_PREFIX);
    if (!bytes_begin_with(line, prefix))
        return malformed();
    line = bytes_from(line, prefix.size);
    size_t space = bytes_find(line, ' '), size;
    struct bytes name = bytes_of(line.at, space);
    if (space == line.size || !note_name_is_valid(name))
        return malformed();
    VLT_TRY(b64_decode(bytes_from(line, space + 1), room, capacity, &size));
    if (size < sizeof ret_signature->id + 1)
        return malformed();
    ret_signature->name = name;
    memcpy(ret_signature->id, room, sizeof ret_signature->id);
    ret_signature->signature =
        bytes_of(room + sizeof ret_signature->id, size - sizeof ret_signature->id);
    *ret_used = size;
    return vlt_ok();
}

static vlt_result parse_lines(struct bytes lines, struct note *note) {
    size_t used = 0, capacity = lines.size;
    while (lines.size) {
        size_t end = bytes_find(lines, '\n'), size;
        if (end == lines.size)
            return malformed();
        if (note->count == NOTE_SIGNATURES_MAX)
            return vlt_fail(VLT_LIMIT, "a signed note has too many signatures");
        VLT_TRY(parse_line(bytes_of(lines.at, end), note->memory + used, capacity - used,
                           &note->signatures[note->count], &size));
        note->count++;
        used += size;
        lines = bytes_from(lines, end + 1);
    }
    return note->count ? vlt_ok() : malformed();
}

vlt_result note_parse(struct bytes bytes, struct note *ret_note) {
    if (bytes.size > NOTE_MAX_BYTES)
        return vlt_fail(VLT_LIMIT, "a signed note is too large");
    size_t begin = is_note_text(bytes) ? signatures_begin(bytes) : 0;
    if (begin == 0 || begin == bytes.size)
        return malformed();
    struct note note = {.text = bytes_of(bytes.at, begin - 1), .memory = malloc(bytes.size)};
    if (!note.memory)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = parse_lines(bytes_from(bytes, begin), &note);
    if (!vlt_is_ok(result)) {
        note_done(&note);
        return result;
    }
    *ret_note = note;
    return vlt_ok();
}

void note_done(struct note *note) {
    free(note->memory);
    note->memory = NULL;
    note->count = 0;
}

// ---- Verify ----

void note_cosigned_text(uint64_t at_s, struct bytes text, struct buf *out) {
    buf_put_format(out, "cosignature/v1\ntime %llu\n", (unsigned long long)at_s);
    buf_put(out, text);
}

static bool verify_cosignature(struct bytes text, struct bytes signature,
                               const struct note_key *key) {
    struct wire_reader r;
    struct buf signed_text;
    if (signature.size != COSIGNATURE_SIZE)
        return false;
    wire_reader_init(&r, signature);
    uint64_t at_s = wire_get_u64(&r);
    buf_init(&signed_text, text.size + 64);
    note_cosigned_text(at_s, text, &signed_text);
    bool is_good = !buf_failed(&signed_text) && at_s <= INT64_MAX &&
                   vlt_is_ok(jws_verify_signature(JWS_EDDSA, key->jwk, buf_bytes(&signed_text),
                                                  bytes_from(signature, 8)));
    buf_done(&signed_text);
    return is_good;
}

static bool is_by(const struct note_signature *signature, const struct note_key *key) {
    return bytes_equal_text(signature->name, key->name) &&
           bytes_equal(bytes_of(signature->id, sizeof signature->id),
                       bytes_of(key->id, sizeof key->id));
}

static bool is_good(struct bytes text, const struct note_signature *signature,
                    const struct note_key *key) {
    if (key->type == NOTE_COSIGNATURE)
        return verify_cosignature(text, signature->signature, key);
    return signature->signature.size == NOTE_ED25519_SIZE &&
           vlt_is_ok(jws_verify_signature(JWS_EDDSA, key->jwk, text, signature->signature));
}

vlt_result note_verify(const struct note *note, const struct note_key *keys, size_t count,
                       uint64_t *ret_good) {
    uint64_t good = 0;
    if (count > 64)
        return vlt_fail(VLT_LIMIT, "too many keys for one note");
    for (size_t i = 0; i < note->count; i++)
        for (size_t k = 0; k < count; k++) {
            uint64_t bit = (uint64_t)1 << k;
            if ((good & bit) || !is_by(&note->signatures[i], &keys[k]))
                continue;
            if (!is_good(note->text, &note->signatures[i], &keys[k]))
                return vlt_fail(VLT_CRYPTO, "the signature of a note is wrong");
            good |= bit;
        }
    if (!good)
        return vlt_fail(VLT_NOT_FOUND, "no known key signed the note");
    if (ret_good)
        *ret_good = good;
    return vlt_ok();
}

uint64_t note_cosigned_at(const struct note *note, const struct note_key *key) {
    for (size_t i = 0; key->type == NOTE_COSIGNATURE && i < note->count; i++) {
        const struct note_signature *signature = &note->signatures[i];
        if (!is_by(signature, key) || !is_good(note->text, signature, key))
            continue;
        struct wire_reader r;
        wire_reader_init(&r, signature->signature);
        return wire_get_u64(&r);
    }
    return 0;
}

// ---- Make ----

void note_signature_put(struct buf *out, const char *name, const uint8_t id[4],
                        struct bytes signature) {
    uint8_t whole[4 + COSIGNATURE_SIZE];
    struct wire_writer w;
    wire_writer_init(&w, whole, sizeof whole);
    wire_put_raw(&w, bytes_of(id, 4));
    wire_put_raw(&w, signature);
    if (w.failed) {
        out->failed = true;
        return;
    }
    buf_put_text(out, LINE_PREFIX);
    buf_put_text(out, name);
    buf_put_byte(out, ' ');
    b64_encode(bytes_of(whole, w.size), out);
    buf_put_byte(out, '\n');
}
