// SPDX-License-Identifier: Apache-2.0
// An index over a log, so that a search reads the bundles that may hold what is
// looked for and no others. It is made from the log, can be made again at any
// time, and is never the truth: what it points to is read in the log and compared
// there. One file for each LOG_INDEX_SPAN entries, of an own folder:
//
//   magic[16]  "vaultd index 2\n" and a zero
//   u64        number of the file; entries number * LOG_INDEX_SPAN and on
//   root[32]   hash of the subtree of these entries: of another log's, or of other
//              entries, the file does not count
//   earliest[32], latest[32]  RFC 3339 times of entries, zero padded: a clock may
//              have been set back between the first and the last
//   u32        how many rows
//   row[8]…    56 bits of a hash of member and text, then which of the file's 256
//              bundles holds it; sorted
//   sha256[32] of everything before
//
// All numbers big-endian. Entries behind the last whole span have no index: at
// most 65,535, which are read.
#ifndef VLT_AUDIT_LOG_INDEX_H
#define VLT_AUDIT_LOG_INDEX_H

#include "libvault/audit/tile.h"

#define LOG_INDEX_SPAN (TILE_WIDTH * TILE_WIDTH)
#define LOG_INDEX_NAME_SIZE 24
#define LOG_INDEX_TIME_SIZE 32
#define LOG_INDEX_MAX_BYTES (64u << 20)

// Members whose texts are found; of `credential` each word.
bool log_index_has_member(struct bytes member);
// File name of a number: "00000000000000000007".
void log_index_name(uint64_t number, char ret_name[LOG_INDEX_NAME_SIZE]);

// Reads the span's bundles and writes its file into `folder`, synced. The log must
// have all of the span. VLT_CRYPTO, VLT_MALFORMED: the log is damaged there.
vlt_result log_index_build(struct tile_reader *reader, uint64_t number, int folder,
                           struct fault *fault) VLT_MUST_USE;

struct log_index {
    struct buf content;
    const uint8_t *rows; // in content
    size_t row_count;
    char earliest[LOG_INDEX_TIME_SIZE + 1], latest[LOG_INDEX_TIME_SIZE + 1];
};
// VLT_NOT_FOUND: there is none. VLT_CRYPTO: damaged, or of other entries than the
// log has there; to be built again. log_index_close frees.
vlt_result log_index_open(int folder, uint64_t number, struct tile_reader *reader,
                          struct log_index *ret_index) VLT_MUST_USE;
void log_index_close(struct log_index *index);

// Which of the 256 bundles may hold an entry whose member is, or has as a word,
// that text: bit i of ret_bundles[i / 64]. The text as it stands in an entry,
// escaped, without its quotes.
void log_index_find(const struct log_index *index, const char *member, struct bytes text,
                    uint64_t ret_bundles[4]);

#endif
