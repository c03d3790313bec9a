// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/audit_first.h"

#include <stdlib.h>

#include "vaultd/log/log.h"

static const char not_recorded[] = "the decision can not be recorded";

static vlt_result audit_result(vlt_result result) {
    // Whatever ails the auditor, who waits here is told one thing.
    return vlt_is_ok(result) ? result : vlt_fail(VLT_UNAVAILABLE, not_recorded);
}

// The auditor can not say that it hangs.
static void note_silence(struct keeper *keeper, bool is_silent) {
    keeper->auditor_is_silent = is_silent;
    if (is_silent)
        log_error("decisions stop: the auditor does not answer");
    else
        log_notice("the auditor answers again; decisions go on");
}

static void recorded(vlt_result result, const struct answer_record *answer, void *context) {
    struct audit_wait *wait = context;
    bool is_silent = result.reason == CHANNEL_PEER_SILENT;
    if (is_silent != wait->keeper->auditor_is_silent && (is_silent || vlt_is_ok(result)))
        note_silence(wait->keeper, is_silent);
    wait->keeper->in_flight--;
    wait->sequence = answer ? answer->sequence : 0;
    wait->done(wait, audit_result(result));
}

// The event as bytes: a view that is good until the next call. One loop, one thread:
// the room is zeroed once and not for each event.
static bool encode(const struct audit_event *event, struct bytes *ret_event) {
    static uint8_t room[AUDIT_EVENT_BYTES_MAX];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, event);
    *ret_event = bytes_of(room, w.size);
    return !w.failed;
}

void audit_first(struct keeper *keeper, const struct audit_event *event, struct audit_wait *wait) {
    struct bytes encoded;
    wait->keeper = keeper;
    if (encode(event, &encoded))
        audit_first_encoded(keeper, encoded, wait);
    else
        wait->done(wait, vlt_fail(VLT_UNAVAILABLE, not_recorded));
}

void audit_first_encoded(struct keeper *keeper, struct bytes event, struct audit_wait *wait) {
    const struct ask_record ask = {.event = event};
    wait->keeper = keeper;
    if (!keeper->auditor) {
        wait->done(wait, vlt_fail(VLT_UNAVAILABLE, not_recorded));
        return;
    }
    keeper->in_flight++;
    ask_record(keeper->auditor, &ask, recorded, wait);
}

// ---- Later ----

#define UNTOLD_MAX 64 // then the oldest is given up

struct audit_untold {
    struct audit_untold *next;
    struct keeper *keeper;
    size_t event_bytes;
    uint8_t event[];
};

static void keep_untold(struct audit_untold *untold) {
    struct audit_untold **first = &untold->keeper->untold, **link = first;
    size_t count = 1;
    for (; *link; link = &(*link)->next)
        count++;
    *link = untold;
    if (count <= UNTOLD_MAX)
        return;
    untold = *first;
    *first = untold->next;
    free(untold);
    log_error("an event could not be recorded: there is no auditor");
}

static void recorded_later(vlt_result result, const struct answer_record *answer, void *context) {
    struct audit_untold *untold = context;
    struct keeper *keeper = untold->keeper;
    if (!vlt_is_ok(result)) {
        keep_untold(untold);
        return;
    }
    free(untold);
    audit_untold(keeper);
}

static void tell_untold(struct audit_untold *untold) {
    const struct ask_record ask = {.event = bytes_of(untold->event, untold->event_bytes)};
    untold->next = NULL;
    ask_record(untold->keeper->auditor, &ask, recorded_later, untold);
}

void audit_later(struct keeper *keeper, const struct audit_event *event) {
    struct bytes encoded;
    struct audit_untold *untold =
        encode(event, &encoded) ? malloc(sizeof *untold + encoded.size) : NULL;
    if (!untold) {
        log_error("an event could not be recorded: out of memory");
        return;
    }
    untold->keeper = keeper;
    untold->event_bytes = encoded.size;
    memcpy(untold->event, encoded.at, encoded.size);
    tell_untold(untold);
}

void audit_untold(struct keeper *keeper) {
    struct audit_untold *untold = keeper->untold, *next;
    keeper->untold = NULL;
    for (; untold; untold = next) {
        next = untold->next;
        tell_untold(untold);
    }
}

void audit_forget(struct keeper *keeper) {
    for (struct audit_untold *untold = keeper->untold, *next; untold; untold = next) {
        next = untold->next;
        free(untold);
    }
    keeper->untold = NULL;
}

// ---- Refusals ----

struct held_refusal { // until its entry is recorded
    struct audit_wait wait;
    struct ipc_call *call;
    vlt_result why;
};

// Whoever asked for a token, or with one, is told which entry of the log the refusal is.
static void reply_recorded(struct ipc_call *call, vlt_result why, uint64_t sequence) {
    const struct answer_sign no_token = {.sequence = sequence};
    const struct answer_open no_credential = {.sequence = sequence};
    if (ipc_call_message(call) == IPC_ASK_sign)
        reply_sign(call, why, &no_token);
    else if (ipc_call_message(call) == IPC_ASK_open)
        reply_open(call, why, &no_credential);
    else
        reply_failure(call, why);
}

static void held_refusal_recorded(struct audit_wait *wait, vlt_result result) {
    struct held_refusal *held = (struct held_refusal *)wait; // its first member
    if (vlt_is_ok(result))
        reply_recorded(held->call, held->why, wait->sequence);
    else
        reply_failure(held->call, result);
    free(held);
}

static enum audit_outcome outcome_of(enum vlt_class class) {
    return class == VLT_UNAVAILABLE || class == VLT_BUG ? AUDIT_ERROR : AUDIT_DENY;
}

void audit_refuse(struct keeper *keeper, struct ipc_call *call, struct audit_event *event,
                  vlt_result why) {
    struct held_refusal *held = calloc(1, sizeof *held);
    if (!held) {
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, not_recorded));
        return;
    }
    held->wait.done = held_refusal_recorded;
    held->call = call;
    held->why = why;
    event->outcome = (uint8_t)outcome_of(why.class);
    event->reason = bytes_of_text(why.reason);
    audit_first(keeper, event, &held->wait);
}

// A call that was made with a token: everything about it is in the token or in the
// call, and no administrator had a part in it.
static void blank_request(enum audit_kind kind, struct audit_event *event) {
    static const char *const operations[AUDIT_KIND_COUNT] = {[AUDIT_ISSUE] = "token.issue",
                                                             [AUDIT_REDEEM] = "token.redeem",
                                                             [AUDIT_REVOKE] = "token.revoke"};
    if (!operations[kind])
        return;
    event->operation = bytes_of_text(operations[kind]);
    event->tenant = event->principal = event->actor = event->client = event->credential =
        event->administrator = event->subject = bytes_of(NULL, 0);
}

vlt_result audit_event_of(struct bytes bytes, enum audit_kind kind, struct audit_event *ret_event) {
    struct audit_event event;
    VLT_TRY(audit_event_get(bytes, &event));
    event.kind = (uint8_t)kind;
    event.outcome = AUDIT_ALLOW;
    event.version = event.repeats = 0;
    event.at_us = 0; // the auditor's clock counts
    event.reason = bytes_of(NULL, 0);
    event.token_id = bytes_of(NULL, 0);
    blank_request(kind, &event);
    *ret_event = event;
    return vlt_ok();
}
