// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/checkpoint.h"

#include "libvault/base/b64u.h"

void checkpoint_put(const struct checkpoint *checkpoint, struct buf *out) {
    buf_put_format(out, "%s\n%llu\n", checkpoint->origin, (unsigned long long)checkpoint->size);
    b64_encode(bytes_of(checkpoint->root.at, sizeof checkpoint->root.at), out);
    buf_put_byte(out, '\n');
}

vlt_result checkpoint_number_parse(struct bytes text, uint64_t *ret_number) {
    uint64_t number = 0;
    if (text.size == 0 || text.size > 19 || (text.at[0] == '0' && text.size > 1))
        return vlt_fail(VLT_MALFORMED, "not a number of a checkpoint");
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return vlt_fail(VLT_MALFORMED, "not a number of a checkpoint");
        number = number * 10 + (text.at[i] - '0');
    }
    if (number > INT64_MAX)
        return vlt_fail(VLT_MALFORMED, "not a number of a checkpoint");
    *ret_number = number;
    return vlt_ok();
}

vlt_result checkpoint_hash_parse(struct bytes text, struct merkle_hash *ret_hash) {
    uint8_t room[64]; // for what decodes to more than a hash
    size_t size;
    VLT_TRY(b64_decode(text, room, sizeof room, &size));
    if (size != sizeof ret_hash->at)
        return vlt_fail(VLT_MALFORMED, "not a hash of 32 bytes");
    memcpy(ret_hash->at, room, sizeof ret_hash->at);
    return vlt_ok();
}

vlt_result checkpoint_parse(struct bytes text, struct checkpoint *ret_checkpoint) {
    struct checkpoint got;
    struct bytes lines[3];
    for (size_t i = 0; i < 3; i++) {
        size_t end = bytes_find(text, '\n');
        if (end == text.size)
            return vlt_fail(VLT_MALFORMED, "not a checkpoint");
        lines[i] = bytes_of(text.at, end);
        text = bytes_from(text, end + 1);
    }
    if (text.size || lines[0].size == 0 || !bytes_is_utf8(lines[0], NULL) ||
        !bytes_to_text(lines[0], got.origin, sizeof got.origin))
        return vlt_fail(VLT_MALFORMED, "not a checkpoint");
    VLT_TRY(checkpoint_number_parse(lines[1], &got.size));
    VLT_TRY(checkpoint_hash_parse(lines[2], &got.root));
    *ret_checkpoint = got;
    return vlt_ok();
}

static vlt_result verify(const struct note *note, const struct note_key *log_keys, size_t count,
                         struct checkpoint *ret_checkpoint) {
    struct checkpoint got;
    uint64_t good = 0;
    VLT_TRY(note_verify(note, log_keys, count, &good));
    VLT_TRY(checkpoint_parse(note->text, &got));
    for (size_t i = 0; i < count; i++)
        if ((good >> i & 1) && strcmp(got.origin, log_keys[i].name) == 0) {
            *ret_checkpoint = got;
            return vlt_ok();
        }
    return vlt_fail(VLT_CRYPTO, "the checkpoint of another log");
}

vlt_result checkpoint_open_any(struct bytes bytes, const struct note_key *log_keys, size_t count,
                               struct checkpoint *ret_checkpoint) {
    struct note note;
    VLT_TRY(note_parse(bytes, &note));
    vlt_result result = verify(&note, log_keys, count, ret_checkpoint);
    note_done(&note);
    return result;
}

vlt_result checkpoint_open(struct bytes bytes, const struct note_key *log_key,
                           struct checkpoint *ret_checkpoint) {
    return checkpoint_open_any(bytes, log_key, 1, ret_checkpoint);
}
