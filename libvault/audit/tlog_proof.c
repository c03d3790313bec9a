// SPDX-License-Identifier: Apache-2.0
#include "libvault/audit/tlog_proof.h"

#include "libvault/base/b64u.h"

#define FIRST_LINE "c2sp.org/tlog-proof@v1"
#define EXTRA_MAX 4096

void tlog_proof_put(const struct tlog_proof *proof, struct buf *out) {
    buf_put_text(out, FIRST_LINE "\n");
    if (proof->extra.size) {
        buf_put_text(out, "extra ");
        buf_put(out, proof->extra);
        buf_put_byte(out, '\n');
    }
    buf_put_format(out, "index %llu\n", (unsigned long long)proof->index);
    for (size_t i = 0; i < proof->proof.count; i++) {
        b64_encode(bytes_of(proof->proof.hashes[i].at, MERKLE_HASH_SIZE), out);
        buf_put_byte(out, '\n');
    }
    buf_put_byte(out, '\n');
    buf_put(out, proof->checkpoint);
}

static bool take_line(struct bytes *text, struct bytes *ret_line) {
    size_t end = bytes_find(*text, '\n');
    if (end == text->size)
        return false;
    *ret_line = bytes_of(text->at, end);
    *text = bytes_from(*text, end + 1);
    return true;
}

static bool take_prefix(struct bytes *line, const char *prefix) {
    struct bytes wanted = bytes_of_text(prefix);
    if (!bytes_begin_with(*line, wanted))
        return false;
    *line = bytes_from(*line, wanted.size);
    return true;
}

static bool is_base64(struct bytes text) {
    uint8_t room[B64U_DECODED_MAX(EXTRA_MAX)];
    size_t size;
    return text.size <= EXTRA_MAX && vlt_is_ok(b64_decode(text, room, sizeof room, &size));
}

vlt_result tlog_proof_parse(struct bytes text, struct tlog_proof *ret_proof) {
    const vlt_result malformed = vlt_fail(VLT_MALFORMED, "not a proof file");
    struct tlog_proof got = {.index = 0};
    struct bytes line = {0};
    if (!take_line(&text, &line) || !bytes_equal_text(line, FIRST_LINE) || !take_line(&text, &line))
        return malformed;
    if (take_prefix(&line, "extra ")) {
        got.extra = line;
        if (!line.size || !is_base64(line) || !take_line(&text, &line))
            return malformed;
    }
    if (!take_prefix(&line, "index "))
        return malformed;
    VLT_TRY(checkpoint_number_parse(line, &got.index));
    for (;;) {
        if (!take_line(&text, &line))
            return malformed;
        if (line.size == 0)
            break;
        if (got.proof.count == MERKLE_PROOF_MAX)
            return vlt_fail(VLT_LIMIT, "a proof file with too many hashes");
        VLT_TRY(checkpoint_hash_parse(line, &got.proof.hashes[got.proof.count]));
        got.proof.count++;
    }
    got.checkpoint = text;
    *ret_proof = got;
    return vlt_ok();
}

vlt_result tlog_proof_verify(const struct tlog_proof *proof, struct bytes entry,
                             const struct note_key *log_key, struct checkpoint *ret_checkpoint) {
    struct checkpoint checkpoint;
    struct merkle_hash leaf;
    VLT_TRY(checkpoint_open(proof->checkpoint, log_key, &checkpoint));
    VLT_TRY(merkle_leaf(entry, &leaf));
    VLT_TRY(merkle_inclusion_verify(&leaf, proof->index, checkpoint.size, &proof->proof,
                                    &checkpoint.root));
    *ret_checkpoint = checkpoint;
    return vlt_ok();
}
