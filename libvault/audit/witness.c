// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/witness.h"

#include <stdio.h>

#include "libvault/audit/tile.h"
#include "libvault/base/hex.h"
#include "libvault/base/wire.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jws.h"

#define STATE_NAME_SIZE (2 * DIGEST_SHA256_SIZE + 1)
#define STATE_MAX 1024

struct asked { // a request, taken apart
    uint64_t old_size;
    struct merkle_proof proof;
    struct bytes note;
};

static unsigned say(struct buf *out, unsigned status, const char *why) {
    buf_clear(out);
    buf_put_text(out, why);
    buf_put_byte(out, '\n');
    return status;
}

// ---- Request ----

static vlt_result parse(struct bytes body, struct asked *ret_asked) {
    const vlt_result malformed = vlt_fail(VLT_MALFORMED, "not a request to add a checkpoint");
    struct asked asked = {.old_size = 0};
    const struct bytes prefix = BYTES_LITERAL("old ");
    for (bool is_first = true;; is_first = false) {
        size_t end = bytes_find(body, '\n');
        struct bytes line = bytes_of(body.at, end);
        if (end == body.size)
            return malformed;
        body = bytes_from(body, end + 1);
        if (is_first) {
            if (!bytes_begin_with(line, prefix))
                return malformed;
            VLT_TRY(checkpoint_number_parse(bytes_from(line, prefix.size), &asked.old_size));
        } else if (line.size == 0) {
            break;
        } else if (asked.proof.count == WITNESS_PROOF_MAX) {
            return malformed;
        } else {
            VLT_TRY(checkpoint_hash_parse(line, &asked.proof.hashes[asked.proof.count]));
            asked.proof.count++;
        }
    }
    asked.note = body;
    *ret_asked = asked;
    return vlt_ok();
}

// Is there a log whose origin the note's first line is?
static bool knows_log(const struct witness *witness, struct bytes note) {
    struct bytes origin = bytes_of(note.at, bytes_find(note, '\n'));
    for (size_t i = 0; i < witness->log_count; i++)
        if (bytes_equal_text(origin, witness->logs[i].name))
            return true;
    return false;
}

// ---- State: the text of the checkpoint that was cosigned last ----

static vlt_result state_name(const char *origin, char name[STATE_NAME_SIZE]) {
    uint8_t digest[DIGEST_SHA256_SIZE]; // an origin may hold what a file name may not
    VLT_TRY(digest_sha256(bytes_of_text(origin), digest));
    hex_encode(bytes_of(digest, sizeof digest), name);
    return vlt_ok();
}

static vlt_result state_read(const struct witness *witness, const char *origin,
                             struct checkpoint *ret_last) {
    char name[STATE_NAME_SIZE];
    struct buf text;
    struct checkpoint last = {.size = 0};
    VLT_TRY(state_name(origin, name));
    buf_init(&text, STATE_MAX);
    vlt_result result = tile_file_read(witness->folder, name, STATE_MAX, NULL, &text);
    if (vlt_is_ok(result))
        result = checkpoint_parse(buf_bytes(&text), &last);
    else if (result.class == VLT_NOT_FOUND)
        result = vlt_ok(); // never cosigned
    buf_done(&text);
    if (vlt_is_ok(result))
        *ret_last = last;
    return result;
}

static vlt_result state_write(const struct witness *witness, const struct checkpoint *next,
                              struct buf *text) {
    char name[STATE_NAME_SIZE];
    VLT_TRY(state_name(next->origin, name));
    checkpoint_put(next, text);
    if (buf_failed(text))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return tile_file_write(witness->folder, name, buf_bytes(text), true, NULL);
}

static vlt_result cosign(const struct witness *witness, struct bytes text, uint64_t now_s,
                         struct buf *out) {
    uint8_t signature[JWS_SIGNATURE_MAX], stamped[8 + NOTE_ED25519_SIZE];
    size_t size;
    struct buf whole;
    struct wire_writer w;
    buf_init(&whole, STATE_MAX + 64);
    note_cosigned_text(now_s, text, &whole);
    vlt_result result = buf_failed(&whole)
                            ? vlt_fail(VLT_UNAVAILABLE, "out of memory")
                            : jws_sign_raw(witness->signer, buf_bytes(&whole), signature, &size);
    buf_done(&whole);
    VLT_TRY(result);
    wire_writer_init(&w, stamped, sizeof stamped);
    wire_put_u64(&w, now_s);
    wire_put_raw(&w, bytes_of(signature, size));
    note_signature_put(out, witness->key.name, witness->key.id, bytes_of(stamped, w.size));
    return buf_failed(out) ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok();
}

// ---- Decision ----

static unsigned conflict(struct buf *out, uint64_t size) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)size);
    return say(out, 409, text);
}

static unsigned store_and_cosign(const struct witness *witness, const struct checkpoint *next,
                                 uint64_t now_s, struct buf *out) {
    struct buf text;
    buf_init(&text, STATE_MAX);
    buf_clear(out);
    vlt_result result = state_write(witness, next, &text);
    if (vlt_is_ok(result))
        result = cosign(witness, buf_bytes(&text), now_s, out);
    buf_done(&text);
    return vlt_is_ok(result) ? 200 : say(out, 503, result.reason);
}

// What keeps the new checkpoint from being a later one of the same log; NULL: nothing.
static const char *misfit(const struct checkpoint *last, const struct checkpoint *next,
                          const struct merkle_proof *proof) {
    struct merkle_hash empty;
    if (next->size == 0 && (!vlt_is_ok(merkle_root(NULL, 0, &empty)) ||
                            !merkle_hash_equal(&next->root, &empty)))
        return "an empty log has another root";
    if (last->size == next->size && last->size && !merkle_hash_equal(&last->root, &next->root))
        return "another log of this name and size was cosigned last";
    bool grew = last->size == 0 ? proof->count == 0
                                : vlt_is_ok(merkle_consistency_verify(
                                      last->size, &last->root, next->size, &next->root, proof));
    return grew ? NULL : "the log did not only grow since the checkpoint that was cosigned last";
}

unsigned witness_add_checkpoint(struct witness *witness, struct bytes body, uint64_t now_s,
                                struct buf *out) {
    struct asked asked;
    struct checkpoint next, last;
    if (!vlt_is_ok(parse(body, &asked)))
        return say(out, 400, "not a request to add a checkpoint");
    if (!knows_log(witness, asked.note))
        return say(out, 404, "this log is not known here");
    vlt_result result = checkpoint_open_any(asked.note, witness->logs, witness->log_count, &next);
    if (result.class == VLT_CRYPTO || result.class == VLT_NOT_FOUND)
        return say(out, 403, "the log did not sign this checkpoint");
    if (!vlt_is_ok(result))
        return say(out, 400, result.reason);
    if (asked.old_size > next.size)
        return say(out, 400, "the old size is above the new one");
    result = state_read(witness, next.origin, &last);
    if (!vlt_is_ok(result))
        return say(out, 503, // never begin again because a file is damaged
                   "what the witness remembers of this log is damaged or can not be read");
    if (asked.old_size != last.size)
        return conflict(out, last.size);
    const char *why = misfit(&last, &next, &asked.proof);
    return why ? say(out, 422, why) : store_and_cosign(witness, &next, now_s, out);
}
