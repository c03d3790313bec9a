// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/change.h"

#include <stddef.h>
#include <stdlib.h>

#include "vaultd/keeper/scrub.h"

static void count_bytes(struct change *change, size_t bytes) {
    change->bytes += bytes;
    change->keeper->changes_bytes += bytes;
}

static void change_free(struct change *change) {
    change->keeper->changes_bytes -= change->bytes;
    for (size_t i = 0; i < change->kept_count; i++)
        free(change->kept[i]);
    free(change);
}

struct bytes change_keep(struct change *change, struct bytes bytes) {
    if (bytes.size == 0 || change->has_failed)
        return bytes_of(NULL, 0);
    bool has_place = change->kept_count < sizeof change->kept / sizeof *change->kept;
    uint8_t *copy = has_place ? malloc(bytes.size) : NULL;
    if (!copy) {
        change->has_failed = true;
        return bytes_of(NULL, 0);
    }
    memcpy(copy, bytes.at, bytes.size);
    change->kept[change->kept_count++] = copy;
    count_bytes(change, bytes.size);
    return bytes_of(copy, bytes.size);
}

// Through the wire form: one block holds every text.
static void keep_event(struct change *change, const struct audit_event *event) {
    uint8_t room[AUDIT_EVENT_BYTES_MAX];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, event);
    struct bytes kept = change_keep(change, bytes_of(room, w.size));
    if (w.failed || change->has_failed || !vlt_is_ok(audit_event_get(kept, &change->event)))
        change->has_failed = true;
}

struct change *
change_new(struct keeper *keeper, struct ipc_call *call, const struct audit_event *event,
           void (*answer)(struct change *change, vlt_result result, uint64_t revision)) {
    bool has_room = keeper->changes_bytes < CHANGES_WAITING_MAX_BYTES;
    struct change *change = has_room ? calloc(1, sizeof *change) : NULL;
    if (!change)
        return NULL;
    change->keeper = keeper;
    count_bytes(change, sizeof *change);
    change->call = call;
    change->answer = answer;
    keep_event(change, event);
    if (change->has_failed) {
        change_free(change);
        return NULL;
    }
    return change;
}

static struct store_change *next_place(struct change *change) {
    if (change->count == STORE_CHANGES_MAX) {
        change->has_failed = true;
        return NULL;
    }
    return &change->changes[change->count++];
}

void change_add(struct change *change, uint32_t tenant, enum store_class class, struct bytes name,
                struct bytes value, uint64_t expected_revision) {
    struct store_change *place = next_place(change);
    if (place)
        *place = (struct store_change){.tenant = tenant,
                                       .class = class,
                                       .name = change_keep(change, name),
                                       .value = change_keep(change, value),
                                       .expected_revision = expected_revision};
}

void change_add_removal(struct change *change, uint32_t tenant, enum store_class class,
                        struct bytes name, uint64_t expected_revision) {
    struct store_change *place = next_place(change);
    if (place)
        *place = (struct store_change){.tenant = tenant,
                                       .class = class,
                                       .name = change_keep(change, name),
                                       .remove = true,
                                       .expected_revision = expected_revision};
}

static void finish(struct change *change, vlt_result result, uint64_t revision) {
    change->answer(change, result, revision);
    change_free(change);
}

static struct change *change_of(struct commit *commit) {
    return (struct change *)(void *)((char *)commit - offsetof(struct change, commit));
}

static void committed(struct commit *commit, vlt_result result, uint64_t revision) {
    struct change *change = change_of(commit);
    struct keeper *keeper = change->keeper;
    keeper->in_flight--;
    if (vlt_is_ok(result)) {
        keeper_committed(keeper, change->changes, change->count, revision);
    } else {
        // The record says that it was permitted; the log must also say that it
        // did not happen.
        change->event.outcome = AUDIT_ERROR;
        change->event.reason = bytes_of_text(result.reason);
        audit_later(keeper, &change->event);
        keeper_commit_failed(keeper, result);
    }
    finish(change, result, revision);
}

static void recorded(struct audit_wait *wait, vlt_result result) {
    struct change *change = (struct change *)wait;
    if (!vlt_is_ok(result)) {
        finish(change, result, 0);
        return;
    }
    change->commit =
        (struct commit){.changes = change->changes, .count = change->count, .done = committed};
    change->keeper->in_flight++;
    commit_queue_add(change->keeper->commits, &change->commit);
}

static void refused(struct audit_wait *wait, vlt_result result) {
    struct change *change = (struct change *)wait;
    finish(change, vlt_is_ok(result) ? change->refusal : result, 0);
}

void change_run(struct change *change) {
    if (scrub_is_due_to(change->changes, change->count)) {
        struct store_change *place = next_place(change);
        if (place)
            *place = scrub_wish();
    }
    if (change->has_failed) {
        change_refuse(change, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    change->wait.done = recorded;
    audit_first(change->keeper, &change->event, &change->wait);
}

void change_refuse(struct change *change, vlt_result why) {
    change->wait.done = refused;
    change->event.outcome =
        why.class == VLT_UNAVAILABLE || why.class == VLT_BUG ? AUDIT_ERROR : AUDIT_DENY;
    change->event.reason = bytes_of_text(why.reason);
    change->refusal = why;
    audit_first(change->keeper, &change->event, &change->wait);
}
