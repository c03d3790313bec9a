// SPDX-License-Identifier: Apache-2.0
// Audit first: a decision is durable with the auditor before its answer leaves
// (DESIGN promise 7). Whoever decides calls audit_first and answers in `done`,
// and nowhere else.
#ifndef VLT_KEEPER_AUDIT_FIRST_H
#define VLT_KEEPER_AUDIT_FIRST_H

#include "libvault/audit/event.h"
#include "vaultd/keeper/keeper.h"

#define AUDIT_EVENT_BYTES_MAX 8192

// Embed in what waits. `done` is called exactly once, perhaps before audit_first
// returns: with VLT_UNAVAILABLE when the record is not durable; then nothing may
// be released.
struct audit_wait {
    struct keeper *keeper;
    void (*done)(struct audit_wait *wait, vlt_result result);
    uint64_t sequence; // of the record, when the result is good: the receipt
};
void audit_first(struct keeper *keeper, const struct audit_event *event, struct audit_wait *wait);
// The same for an event that is encoded already (audit_event_put), which is copied.
void audit_first_encoded(struct keeper *keeper, struct bytes event, struct audit_wait *wait);

// For what happened already and nobody waits for (unsealed, a commit that failed
// after its record, a device that is lost): recorded now, or by the next auditor, with
// its time then.
void audit_later(struct keeper *keeper, const struct audit_event *event);
void audit_untold(struct keeper *keeper); // there is an auditor again
void audit_forget(struct keeper *keeper); // the end

// Refuses a call: records `event` as a denial (or an error, when the class says
// so) with the reason of `why`, then answers `why`; sign and open with `sequence`, too.
void audit_refuse(struct keeper *keeper, struct ipc_call *call, struct audit_event *event,
                  vlt_result why);

// Reads the event that came with a call. VLT_MALFORMED: refuse the peer.
// What the keeper itself knows about the decision is blanked, so that a peer
// can not make it up.
vlt_result audit_event_of(struct bytes bytes, enum audit_kind kind,
                          struct audit_event *ret_event) VLT_MUST_USE;

#endif
