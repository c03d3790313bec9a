// SPDX-License-Identifier: Apache-2.0
// The index of a log (libvault/audit/log_index.h) in the cache of whoever
// searches: made when it is missing, made again when it is damaged or of another
// log. Without it a search reads every entry.
#ifndef VLT_CLI_AUDIT_INDEX_H
#define VLT_CLI_AUDIT_INDEX_H

#include "cli/audit_log.h"
#include "libvault/audit/log_index.h"

#define AUDIT_INDEX_OPTIONS                                                                        \
    {"--index", OPTION_VALUE, "DIR",                                                               \
     "where the index is kept (default: $VAULTCTL_AUDIT_INDEX, or "                                \
     "below $XDG_CACHE_HOME)",                                                                     \
     0},                                                                                           \
    {                                                                                              \
        "--no-index", OPTION_FLAG, NULL, "read every entry, use and make no index", 0              \
    }

struct audit_index {
    int folder; // -1: there is none
};
// Opens the folder for that log and makes it when it can. Never fails: without a
// folder there is no index.
void audit_index_open(const struct command *command, const char *origin,
                      struct audit_index *ret_index);
void audit_index_close(struct audit_index *index);

// The file of that number, built when it is missing or does not count, with
// progress for people. Somebody else who builds at the same time is waited for.
// On VLT_UNAVAILABLE (no room, no right) there is none; others: the log is damaged.
// *ret_was_built may be NULL.
vlt_result audit_index_file(const struct command *command, const struct audit_index *index,
                            uint64_t number, struct tile_reader *reader, struct fault *fault,
                            struct log_index *ret_file, bool *ret_was_built) VLT_MUST_USE;

#endif
