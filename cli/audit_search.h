// SPDX-License-Identifier: Apache-2.0
// Walks the entries of a log that fit some filters, in order.
#ifndef VLT_CLI_AUDIT_SEARCH_H
#define VLT_CLI_AUDIT_SEARCH_H

#include "cli/audit_index.h"
#include "cli/timestamp.h"

#define AUDIT_FILTERS_MAX 16

struct audit_filter {
    const char *member;
    struct buf wanted; // as it stands in an entry: escaped, without quotes
    bool is_list;      // texts joined by a space: one of them
};
struct audit_search {
    struct command *command;
    struct audit_filter filters[AUDIT_FILTERS_MAX];
    size_t filter_count;
    char since[CLOCK_TEXT_SIZE], until[CLOCK_TEXT_SIZE]; // as entries have them; "": none
    uint64_t first, end;       // entries by their index; end may be beyond the log
    uint64_t left;             // how many more are wanted
    // Set by audit_search_run: when the first entry was written that it could look at, were
    // there no filter; "": there is none.
    char begins[CLOCK_TEXT_SIZE];
    bool uses_index;
    bool compares; // what is found with the hash in its tile: VLT_CRYPTO where they differ
    bool is_quiet; // about entries that were pruned
    // EXIT_OK to go on; anything else ends the walk with that status.
    int (*each)(struct audit_search *search, struct bytes entry);
    void *context;
};
// Everything, to the last entry.
void audit_search_init(struct audit_search *search, struct command *command,
                       int (*each)(struct audit_search *search, struct bytes entry));
void audit_search_done(struct audit_search *search);
// `text` NULL: no filter.
void audit_search_filter(struct audit_search *search, const char *member, const char *text,
                         bool is_list);
// Entries from `since` on and before `until`, as a person types them (timestamp.h); NULL:
// no bound. EXIT_OK, or what is wrong was said.
int audit_search_time(struct audit_search *search, const char *since, const char *until);
// Exit status; failures are said.
int audit_search_run(struct audit_search *search);

#endif
