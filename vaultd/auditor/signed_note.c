// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/signed_note.h"

#define NOTE_ROOM 8192
#define VKEYS_ROOM ((SIGNED_NOTE_OLDER_MAX + 1) * NOTE_VKEY_MAX)

void signed_note_init(struct signed_note *note) {
    *note = (struct signed_note){.handover_count = 0};
    buf_init(&note->note, NOTE_ROOM);
    buf_init(&note->vkeys, VKEYS_ROOM);
    for (size_t i = 0; i < SIGNED_NOTE_OLDER_MAX; i++)
        buf_init(&note->handovers[i].note, NOTE_ROOM);
}

void signed_note_done(struct signed_note *note) {
    buf_done(&note->note);
    buf_done(&note->vkeys);
    for (size_t i = 0; i < SIGNED_NOTE_OLDER_MAX; i++)
        buf_done(&note->handovers[i].note);
}

static void add_vkey(struct signed_note *note, const struct note_key *key) {
    note_key_text(key, &note->vkeys);
    buf_put_byte(&note->vkeys, '\n');
}

static vlt_result add_handover(struct signed_note *note, const struct note_key *key,
                               const struct note_key *successor, struct bytes signature) {
    struct signed_handover *handover = &note->handovers[note->handover_count];
    struct note_key again;
    buf_clear(&handover->note);
    handover_put(successor, &handover->note);
    buf_put_byte(&handover->note, '\n');
    note_signature_put(&handover->note, key->name, key->id, signature);
    handover_path(key, handover->path);
    if (buf_failed(&handover->note))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(handover_open(buf_bytes(&handover->note), key, &again));
    note_key_done(&again);
    note->handover_count++;
    return vlt_ok();
}

// One of answer.older: signs the checkpoint, and who comes after it.
static vlt_result add_older(struct signed_note *note, const struct note_key *newest,
                            struct wire_reader *r) {
    struct note_key key;
    struct bytes public_key = wire_get_raw(r, sizeof key.public_key);
    struct bytes signature = wire_get_raw(r, NOTE_ED25519_SIZE);
    struct bytes handover = wire_get_raw(r, NOTE_ED25519_SIZE);
    if (r->failed || note->handover_count == SIGNED_NOTE_OLDER_MAX)
        return vlt_fail(VLT_MALFORMED, "signatures of older keys that do not decode");
    VLT_TRY(note_key_init(bytes_of_text(newest->name), NOTE_ED25519, public_key.at, &key));
    note_signature_put(&note->note, key.name, key.id, signature);
    add_vkey(note, &key);
    vlt_result result = add_handover(note, &key, newest, handover);
    struct checkpoint again;
    if (vlt_is_ok(result) && !buf_failed(&note->note))
        result = checkpoint_open(buf_bytes(&note->note), &key, &again);
    note_key_done(&key);
    return result;
}

static vlt_result make(struct signed_note *note, const struct checkpoint *checkpoint,
                       const struct answer_sign_checkpoint *answer, const struct note_key *key) {
    struct wire_reader r;
    struct checkpoint again;
    checkpoint_put(checkpoint, &note->note);
    buf_put_byte(&note->note, '\n');
    note_signature_put(&note->note, key->name, key->id, answer->signature);
    add_vkey(note, key);
    wire_reader_init(&r, answer->older);
    while (r.next < r.size)
        VLT_TRY(add_older(note, key, &r));
    if (buf_failed(&note->note) || buf_failed(&note->vkeys))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return checkpoint_open(buf_bytes(&note->note), key, &again);
}

vlt_result signed_note_make(struct signed_note *note, const struct checkpoint *checkpoint,
                            const struct answer_sign_checkpoint *answer) {
    struct note_key key;
    VLT_TRY(note_key_init(bytes_of_text(checkpoint->origin), NOTE_ED25519, answer->public_key,
                          &key));
    buf_clear(&note->note);
    buf_clear(&note->vkeys);
    note->handover_count = 0;
    vlt_result result = make(note, checkpoint, answer, &key);
    note_key_done(&key);
    return result;
}
