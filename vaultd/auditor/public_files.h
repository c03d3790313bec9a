// SPDX-License-Identifier: Apache-2.0
// The small files beside the tiles: `checkpoint`, `vkey`, handovers of replaced keys. Nothing
// is lost with one of them, but whoever verifies the log needs it, and no tile speaks of
// it: what they must be is kept in memory, and what somebody removes or alters is written
// again.
//
// Used by the publication: by its loop between jobs, by its thread during one.
#ifndef VLT_AUDITOR_PUBLIC_FILES_H
#define VLT_AUDITOR_PUBLIC_FILES_H

#include "vaultd/auditor/signed_note.h"

#define PUBLIC_FILES_MAX 64
#define PUBLIC_FILES_PATH_MAX 32

struct public_file {
    char path[PUBLIC_FILES_PATH_MAX];
    struct buf content;
    bool is_published; // by us; else it was only found
};
struct public_files { // begins as {0}
    size_t count;
    struct public_file files[PUBLIC_FILES_MAX];
};
void public_files_done(struct public_files *files);
// What is in the folder fills in what is missing later, but never replaces another content:
// for the start, when nobody can tell what is right. What can not be read is left out.
void public_files_learn(struct public_files *files, int folder);
// What was published now is. Handovers that were there before stay: they lead from older keys.
void public_files_set(struct public_files *files, const struct signed_note *note);
// Room for all of them in `ret_repaired`.
#define PUBLIC_FILES_REPAIRED_MAX ((size_t)PUBLIC_FILES_MAX * 128)
// Writes again what is not as it must be; `ret_repaired` names those files, and what stood
// there, and is empty where there are none:
//   vkey (sha256 HEX), checkpoint (missing), handover/01234567 (no file that can be read)
// in lines that have room in an entry. VLT_UNAVAILABLE: some can not be written, of which
// `fault` has the first; the others, which `ret_repaired` names, are.
vlt_result public_files_keep(const struct public_files *files, int folder, struct fault *fault,
                             struct buf *ret_repaired) VLT_MUST_USE;

#endif
