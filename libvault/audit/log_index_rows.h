// SPDX-License-Identifier: Apache-2.0
// The head of an index file and its rows, for building and for reading.
#ifndef VLT_AUDIT_LOG_INDEX_ROWS_H
#define VLT_AUDIT_LOG_INDEX_ROWS_H

#include "libvault/audit/log_index.h"

#define LOG_INDEX_MAGIC "vaultd index 2\n"
#define LOG_INDEX_HEAD_BYTES (16 + 8 + MERKLE_HASH_SIZE + 2 * LOG_INDEX_TIME_SIZE + 4)

// The upper 56 bits count; the lower 8 are zero.
uint64_t log_index_hash(struct bytes member, struct bytes text);
// Hash of the subtree of the span's entries, as the log's tiles have it.
vlt_result log_index_root(struct tile_reader *reader, uint64_t number,
                          struct merkle_hash *ret_root) VLT_MUST_USE;

#endif
