// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/handover.h"

#include "libvault/audit/log_verify.h"
#include "libvault/base/hex.h"

#define TITLE "vaultd audit log key handover v1"
#define STEPS_MAX 64 // rotations of one log; a ring of handovers ends here

// ---- One handover ----

void handover_put(const struct note_key *successor, struct buf *out) {
    buf_put_text(out, TITLE "\n");
    buf_put_text(out, successor->name);
    buf_put_byte(out, '\n');
    note_key_text(successor, out);
    buf_put_byte(out, '\n');
}

void handover_path(const struct note_key *old_key, char ret_path[HANDOVER_PATH_SIZE]) {
    static const char folder[] = "handover/";
    memcpy(ret_path, folder, sizeof folder);
    hex_encode(bytes_of(old_key->id, sizeof old_key->id), ret_path + sizeof folder - 1);
}

static struct bytes take_line(struct bytes *rest) {
    size_t size = bytes_find(*rest, '\n');
    struct bytes line = bytes_of(rest->at, size);
    *rest = bytes_from(*rest, size < rest->size ? size + 1 : size);
    return line;
}

static vlt_result read_text(struct bytes text, const struct note_key *old_key,
                            struct note_key *ret_successor) {
    struct note_key successor;
    struct bytes title = take_line(&text), origin = take_line(&text), vkey = take_line(&text);
    if (!bytes_equal_text(title, TITLE) || !bytes_equal_text(origin, old_key->name) || text.size)
        return vlt_fail(VLT_MALFORMED, "not a handover of this log");
    VLT_TRY(note_key_parse(vkey, &successor));
    if (strcmp(successor.name, old_key->name) != 0 || successor.type != NOTE_ED25519) {
        note_key_done(&successor);
        return vlt_fail(VLT_MALFORMED, "a handover to the key of another log");
    }
    *ret_successor = successor;
    return vlt_ok();
}

vlt_result handover_open(struct bytes bytes, const struct note_key *old_key,
                         struct note_key *ret_successor) {
    struct note note;
    VLT_TRY(note_parse(bytes, &note));
    vlt_result result = note_verify(&note, old_key, 1, NULL);
    if (vlt_is_ok(result))
        result = read_text(note.text, old_key, ret_successor);
    note_done(&note);
    return result;
}

// ---- A chain of them ----

static vlt_result has_signed(int folder, const struct note_key *key, struct fault *fault) {
    struct checkpoint checkpoint;
    return log_checkpoint(folder, key, fault, NULL, &checkpoint);
}

// Replaces the key by its successor.
static vlt_result step(int folder, struct note_key *key) {
    char path[HANDOVER_PATH_SIZE];
    struct note_key successor = {.jwk = NULL};
    struct buf bytes;
    handover_path(key, path);
    buf_init(&bytes, NOTE_MAX_BYTES);
    vlt_result result = tile_file_read(folder, path, NOTE_MAX_BYTES, NULL, &bytes);
    if (vlt_is_ok(result))
        result = handover_open(buf_bytes(&bytes), key, &successor);
    buf_done(&bytes);
    if (vlt_is_ok(result)) {
        note_key_done(key);
        *key = successor;
    }
    return result;
}

static vlt_result walk(int folder, struct note_key *key, struct fault *fault, unsigned *ret_steps) {
    for (unsigned steps = 0; steps <= STEPS_MAX; steps++) {
        vlt_result result = has_signed(folder, key, fault);
        if (vlt_is_ok(result))
            *ret_steps = steps;
        if (vlt_is_ok(result) || result.class != VLT_NOT_FOUND)
            return result;
        VLT_TRY(step(folder, key));
    }
    return vlt_fail(VLT_NOT_FOUND, "too many handovers");
}

vlt_result handover_follow(int folder, struct note_key *key, struct fault *fault,
                           unsigned *ret_steps) {
    struct note_key at;
    VLT_TRY(note_key_init(bytes_of_text(key->name), key->type, key->public_key, &at));
    vlt_result result = walk(folder, &at, fault, ret_steps);
    if (!vlt_is_ok(result)) {
        note_key_done(&at);
        return result;
    }
    note_key_done(key);
    *key = at;
    return vlt_ok();
}
