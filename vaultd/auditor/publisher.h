// SPDX-License-Identifier: Apache-2.0
// Cuts the journal into the C2SP layout: tile/entries/N, tile/L/N, checkpoint.
//
// The journal is what makes an entry durable; everything here follows from it
// and can be made again. A publisher begins where the last checkpoint's full
// tiles end, so the files behind a checkpoint are never written twice, and what
// a crash left half done beyond it is replaced by the same bytes.
//
// Order on the disk: entries, tiles, then the checkpoint that speaks of them.
// Used by the auditor's publishing thread, and before that thread starts.
#ifndef VLT_AUDITOR_PUBLISHER_H
#define VLT_AUDITOR_PUBLISHER_H

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/tile.h"
#include "vaultd/auditor/signed_note.h"

#define PUBLISHER_MENDED_SIZE 320

struct publisher;
struct publisher_start {
    const char *folder;
    uint64_t segment;     // first sequence of the journal file that holds the entry after
                          // the last full tile of the checkpoint; 0: there is none
    uint64_t durable;     // entries in the journal and before it
    struct checkpoint at; // the last one that was written; size 0: none
};
// Takes up where the checkpoint ends and proves that tiles and journal still give
// its root. VLT_CONFLICT: they do not, or are shorter (altered or rolled back). Writes
// nothing, and needs no partial tile: journal and full tiles have what is in them.
vlt_result publisher_open(const struct publisher_start *start, struct fault *fault,
                          struct publisher **ret_publisher) VLT_MUST_USE;
void publisher_close(struct publisher *publisher); // NULL is fine

// Behind publisher_open, whose proof says what they must be: partial tiles of the checkpoint
// that are missing or not as they were are written again. `ret_mended` names them, ", "
// between them, and is empty where there are none; also after a failure.
vlt_result publisher_mend(struct publisher *publisher, struct fault *fault,
                          char ret_mended[PUBLISHER_MENDED_SIZE]) VLT_MUST_USE;
// Entries up to `durable` go to their tiles, which are on the disk when it
// returns. After a failure the publisher is of no more use: open another.
vlt_result publisher_advance(struct publisher *publisher, uint64_t durable,
                             struct fault *fault) VLT_MUST_USE;
// Size and root of what is in the tiles.
uint64_t publisher_size(const struct publisher *publisher);
vlt_result publisher_root(const struct publisher *publisher,
                          struct merkle_hash *ret_root) VLT_MUST_USE;
vlt_result publisher_prove(struct publisher *publisher, uint64_t old_size, struct fault *fault,
                           struct merkle_proof *ret_proof) VLT_MUST_USE;
// Replaces `checkpoint`, and before it whatever else is not there yet: `vkey`,
// handovers. Syncs.
vlt_result publisher_write_checkpoint(struct publisher *publisher,
                                      const struct signed_note *signed_note,
                                      struct fault *fault) VLT_MUST_USE;
// The last checkpoint of a folder; size 0 when there is none.
vlt_result publisher_read_checkpoint(int folder, struct fault *fault,
                                     struct checkpoint *ret_checkpoint) VLT_MUST_USE;

#endif
