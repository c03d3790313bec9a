// SPDX-License-Identifier: Apache-2.0
// What was lawfully taken away from a log. Its folder has a file `pruned` of two lines: how
// many entries are gone, from the first on, and the number of the entry `audit.prune` that
// says so. The file is nobody's word: the entry is, which lies under the signed checkpoint.
// Each such entry names everything that is gone since the log began, so the last one is
// enough, and it never takes itself away. Any program.
#ifndef VLT_AUDIT_LOG_PRUNED_H
#define VLT_AUDIT_LOG_PRUNED_H

#include "libvault/audit/checkpoint.h"
#include "libvault/audit/tile.h"

#define LOG_PRUNED_SUBJECT_SIZE 64
#define LOG_PRUNED_OPERATION "audit.prune"

struct log_pruned {
    uint64_t until;    // entries below this index, which begins a tile, are gone; 0: none
    uint64_t sequence; // of the entry that says so
};
// The file's two lines.
void log_pruned_put(const struct log_pruned *pruned, struct buf *out);
// What that entry has as its `subject`: "entries 1 to UNTIL".
void log_pruned_subject(uint64_t until, char ret_subject[LOG_PRUNED_SUBJECT_SIZE]);
// How far that entry of a log permits to prune; 0: it is about something else.
uint64_t log_pruned_told(struct bytes entry);

// The same read. VLT_MALFORMED: not two lines as above, or an entry that would have taken
// itself away.
vlt_result log_pruned_parse(struct bytes text, struct log_pruned *ret_pruned) VLT_MUST_USE;
// What the file says, and nothing more; {0, 0} where there is none. VLT_MALFORMED.
vlt_result log_pruned_read(int folder, struct fault *fault,
                           struct log_pruned *ret_pruned) VLT_MUST_USE;
// Of a file as earlier versions wrote it, one line, how many entries are gone; 0: it is not
// one of these. Nothing speaks for it: log_pruned_find looks for what does.
uint64_t log_pruned_read_old(int folder);
// That the log holds the entry, below the root of that checkpoint, and that it goes as far.
// VLT_CRYPTO: it does not. VLT_UNAVAILABLE: a file can not be read.
vlt_result log_pruned_check(int folder, const struct checkpoint *at,
                            const struct log_pruned *pruned, struct fault *fault) VLT_MUST_USE;
// For who has no file that leads there: the entry that permits exactly `until`, else the one
// that permits most, proved as above; {0, 0} where there is none. Reads all entries that the
// folder has, unless it finds the exact one before. VLT_UNAVAILABLE.
vlt_result log_pruned_find(int folder, const struct checkpoint *at, uint64_t until,
                           struct fault *fault, struct log_pruned *ret_pruned) VLT_MUST_USE;
// Both: what is gone from the log, and may be. With the log's key a newer checkpoint of the
// folder than `at`, from which it must have grown, counts as well: who reads for long may
// meet what was pruned meanwhile. `key` may be NULL. VLT_MALFORMED, VLT_CRYPTO,
// VLT_UNAVAILABLE; *ret_pruned is untouched then.
vlt_result log_pruned_prove(int folder, const struct checkpoint *at, const struct note_key *key,
                            struct fault *fault, struct log_pruned *ret_pruned) VLT_MUST_USE;

#endif
