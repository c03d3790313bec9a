// SPDX-License-Identifier: Apache-2.0
// Denials of callers that proved nothing about themselves cost them nothing, so
// each must not cost us a synced entry. The first of a second is an entry of its
// own; the same again within that second is counted, and one more entry says how
// many there were. "The same": operation, outcome, tenant, source, forwarder and reason.
// So are calls that nobody could decide (outcome error: the vault is sealed, the keeper
// is away), whoever made them: clients try those again and again.
//
// At most REPEATS_MAX different ones are told apart at a time; beyond that, those
// of one operation and reason are counted together, whatever their source, and beyond
// REPEATS_MERGED_MAX of these those of one operation. So nobody writes more than a few
// hundred such entries a second.
// A crash loses the count of the last second, never the first entry.
//
// Used by the auditor's loop.
#ifndef VLT_AUDITOR_REPEATS_H
#define VLT_AUDITOR_REPEATS_H

#include "libvault/audit/event.h"

#define REPEATS_MAX 256       // with their source
#define REPEATS_MERGED_MAX 64 // without
#define REPEATS_LAST_MAX 32   // without a reason, too: more than callers have operations
#define REPEATS_SPAN_US UINT64_C(1000000)

struct repeats;
struct repeats *repeats_new(void); // NULL: out of memory
void repeats_free(struct repeats *repeats); // NULL is fine

// An event that may be counted: a denial without principal or administrator (or of one who
// wanted to be an administrator and is none), or a call that could not be decided. Not an
// error that the keeper tells, nor of a call that it did not come to answer
// (REASON_UNANSWERED): it may belong to an entry before it that permitted something.
bool repeats_concern(const struct audit_event *event, bool is_keepers);
// True: an entry says the same already, *ret_sequence; this one was counted. False:
// write it, then call repeats_add.
bool repeats_count(struct repeats *repeats, const struct audit_event *event, uint64_t now_us,
                   uint64_t *ret_sequence);
// The event was written as that entry. Copies what it needs.
void repeats_add(struct repeats *repeats, const struct audit_event *event, uint64_t now_us,
                 uint64_t sequence);

// Calls `write` with one event for each count whose second is over, or with
// `all` for every count.
typedef vlt_result repeats_write(const struct audit_event *event, void *context,
                                 uint64_t *ret_sequence);
void repeats_flush(struct repeats *repeats, uint64_t now_us, bool all, repeats_write *write,
                   void *context);
// After each sync. `is_lost`: what is beyond `durable` could not be written after
// all; a count among it is kept and comes with the next flush. Else that is still
// on its way.
void repeats_settle(struct repeats *repeats, uint64_t durable, bool is_lost);

#endif
