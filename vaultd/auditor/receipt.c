// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/receipt.h"

#include <fcntl.h>
#include <unistd.h>

#include "libvault/audit/log_pruned.h"
#include "libvault/audit/tlog_proof.h"

// The signature is not verified: the keeper made it for us. Whoever gets the
// receipt verifies it.
static vlt_result read_note(int folder, struct fault *fault, struct buf *bytes,
                            struct checkpoint *ret_checkpoint) {
    struct note note;
    VLT_TRY(tile_file_read(folder, "checkpoint", NOTE_MAX_BYTES, fault, bytes));
    VLT_TRY(note_parse(buf_bytes(bytes), &note));
    vlt_result result = checkpoint_parse(note.text, ret_checkpoint);
    note_done(&note);
    return result;
}

static vlt_result check(const struct tlog_proof *proof, struct bytes entry,
                        const struct checkpoint *checkpoint) {
    struct merkle_hash leaf;
    VLT_TRY(merkle_leaf(entry, &leaf));
    vlt_result result = merkle_inclusion_verify(&leaf, proof->index, checkpoint->size,
                                                &proof->proof, &checkpoint->root);
    return result.class == VLT_CRYPTO
               ? vlt_fail(VLT_CONFLICT, "the files of the audit log are not what was signed")
               : result;
}

static vlt_result prove(struct tile_reader *reader, const struct checkpoint *checkpoint,
                        struct tlog_proof *proof, struct buf *proof_out, struct buf *entry_out) {
    const struct merkle_source source = tile_reader_source(reader);
    struct bytes entry;
    VLT_TRY(merkle_inclusion_prove(&source, proof->index, checkpoint->size, &proof->proof));
    VLT_TRY(tile_reader_entry(reader, proof->index, &entry));
    VLT_TRY(check(proof, entry, checkpoint)); // what is handed out holds
    tlog_proof_put(proof, proof_out);
    buf_put(entry_out, entry);
    if (buf_failed(proof_out) || buf_failed(entry_out))
        return vlt_fail(VLT_UNAVAILABLE, "a receipt has no room in memory");
    return vlt_ok();
}

static vlt_result prove_in(int folder, uint64_t sequence, struct fault *fault,
                           struct buf *proof_out, struct buf *entry_out) {
    struct checkpoint checkpoint;
    struct tile_reader reader;
    struct tlog_proof proof = {.index = sequence - 1};
    struct log_pruned pruned = {0};
    struct buf note;
    buf_init(&note, NOTE_MAX_BYTES);
    vlt_result result = read_note(folder, fault, &note, &checkpoint);
    if (vlt_is_ok(result) && proof.index >= checkpoint.size)
        result = vlt_fail(VLT_NOT_FOUND,
                          "no checkpoint has that entry; new ones are in it within seconds");
    if (vlt_is_ok(result))
        result = log_pruned_prove(folder, &checkpoint, NULL, fault, &pruned);
    if (result.class == VLT_CRYPTO || result.class == VLT_MALFORMED) // of the log, not of who asks
        result = vlt_fail(VLT_CONFLICT, "the files of the audit log are not what was signed");
    if (vlt_is_ok(result) && proof.index < pruned.until)
        result = vlt_fail(VLT_NOT_FOUND, "that entry was pruned: `vaultctl audit prove --archive` "
                                         "proves it where it is archived");
    if (vlt_is_ok(result))
        result = tile_reader_init(&reader, folder, checkpoint.size);
    if (vlt_is_ok(result)) {
        reader.fault = fault;
        proof.checkpoint = buf_bytes(&note);
        result = prove(&reader, &checkpoint, &proof, proof_out, entry_out);
        tile_reader_done(&reader);
    }
    buf_done(&note);
    return result;
}

vlt_result receipt_make(const char *folder, uint64_t sequence, struct fault *fault,
                        struct buf *proof, struct buf *entry) {
    if (sequence == 0)
        return vlt_fail(VLT_NOT_FOUND, "entries are numbered from 1");
    int at = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return vlt_fail(VLT_UNAVAILABLE, "the folder of the audit log can not be opened");
    vlt_result result = prove_in(at, sequence, fault, proof, entry);
    close(at);
    return result;
}
