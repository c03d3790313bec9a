// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/repeats.h"

#include <stdlib.h>

#include "vaultd/ipc/reasons.h"

#define SLOTS (REPEATS_MAX + REPEATS_MERGED_MAX + REPEATS_LAST_MAX)

// name, room. What makes two denials the same.
#define KEPT(TEXT)                                                                                 \
    TEXT(tenant, 64)                                                                               \
    TEXT(operation, 64)                                                                            \
    TEXT(source, 64)                                                                               \
    TEXT(forwarder, 64)                                                                            \
    TEXT(reason, 512)

struct slot {
    uint8_t kind;       // 0: free
    uint8_t outcome;
    uint32_t count;     // of those that got no entry
    uint32_t told;      // of them, in an entry that is on its way to the disk
    uint64_t told_as;   // its number
    uint64_t since_us;
    uint64_t sequence;  // of their entry; 0: it could not be written
#define SLOT_TEXT(name, room) char name[(room) + 1];
    KEPT(SLOT_TEXT)
};
struct repeats {
    struct slot slots[SLOTS]; // then whatever the source, then whatever the reason
};

struct repeats *repeats_new(void) { return calloc(1, sizeof(struct repeats)); }
void repeats_free(struct repeats *repeats) { free(repeats); }

#define K(kind) (1u << AUDIT_##kind)

// What comes from callers, and so as often as they like.
static bool is_call(const struct audit_event *event) {
    return (K(ISSUE) | K(REDEEM) | K(REVOKE) | K(INTROSPECT) | K(EVALUATE)) >> event->kind & 1;
}

bool repeats_concern(const struct audit_event *event, bool is_keepers) {
    if (event->kind == AUDIT_ADMIN && bytes_equal_text(event->operation, "admin.connect"))
        return event->outcome == AUDIT_DENY;
    if (event->administrator.size)
        return false;
    return (event->outcome == AUDIT_DENY && event->principal.size == 0) ||
           (event->outcome == AUDIT_ERROR && is_call(event) && !is_keepers &&
            !bytes_equal_text(event->reason, REASON_UNANSWERED));
}

static struct bytes cut(struct bytes text, size_t max) {
    return bytes_of(text.at, text.size < max ? text.size : max);
}

static bool is_same(const struct slot *slot, const struct audit_event *event) {
    bool same = slot->kind == event->kind && slot->outcome == event->outcome;
#define COMPARE(name, room)                                                                        \
    same = same && bytes_equal(bytes_of_text(slot->name), cut(event->name, room));
    KEPT(COMPARE)
    return same;
}

// As a merged slot has it.
static struct audit_event without_source(const struct audit_event *event) {
    return (struct audit_event){.kind = event->kind, .outcome = event->outcome,
                                .operation = event->operation, .reason = event->reason};
}

// The slot of that event, or the first free one, or NULL.
static struct slot *find(struct slot *slots, size_t count, const struct audit_event *event) {
    struct slot *vacant = NULL;
    for (size_t i = 0; i < count; i++) {
        if (slots[i].kind && is_same(&slots[i], event))
            return &slots[i];
        if (!slots[i].kind && !vacant)
            vacant = &slots[i];
    }
    return vacant;
}

// *ret_event: what the slot says or shall say.
static struct slot *slot_of(struct repeats *repeats, const struct audit_event *event,
                            struct audit_event *ret_event) {
    struct slot *slot = find(repeats->slots, REPEATS_MAX, event);
    *ret_event = *event;
    if (slot)
        return slot;
    *ret_event = without_source(event);
    slot = find(repeats->slots + REPEATS_MAX, REPEATS_MERGED_MAX, ret_event);
    if (slot)
        return slot;
    ret_event->reason = BYTES_LITERAL("for more reasons than are told apart");
    return find(repeats->slots + REPEATS_MAX + REPEATS_MERGED_MAX, REPEATS_LAST_MAX, ret_event);
}

bool repeats_count(struct repeats *repeats, const struct audit_event *event, uint64_t now_us,
                   uint64_t *ret_sequence) {
    struct audit_event kept;
    struct slot *slot = slot_of(repeats, event, &kept);
    // A clock that was set back must not keep a slot for ever.
    if (!slot || !slot->kind || slot->sequence == 0 || slot->count >= UINT32_MAX / 2 ||
        now_us < slot->since_us || now_us - slot->since_us >= REPEATS_SPAN_US)
        return false;
    slot->count++;
    *ret_sequence = slot->sequence;
    return true;
}

void repeats_add(struct repeats *repeats, const struct audit_event *event, uint64_t now_us,
                 uint64_t sequence) {
    struct audit_event kept;
    struct slot *slot = slot_of(repeats, event, &kept);
    if (!slot)
        return;
    // What it knows of the second before is not durable yet.
    const struct slot before = slot->kind ? *slot : (struct slot){.kind = 0};
    *slot = (struct slot){.kind = kept.kind,
                          .outcome = kept.outcome,
                          .count = before.count,
                          .told = before.told,
                          .told_as = before.told_as,
                          .since_us = now_us,
                          .sequence = sequence};
#define KEEP(name, room)                                                                           \
    if (kept.name.size)                                                                            \
        memcpy(slot->name, kept.name.at, cut(kept.name, room).size);
    KEPT(KEEP)
}

void repeats_flush(struct repeats *repeats, uint64_t now_us, bool all, repeats_write *write,
                   void *context) {
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *slot = &repeats->slots[i];
        bool is_over = now_us < slot->since_us || now_us - slot->since_us >= REPEATS_SPAN_US;
        if (!slot->kind || slot->told || (!is_over && !all))
            continue;
        struct audit_event event = {
            .kind = slot->kind, .outcome = slot->outcome, .repeats = slot->count};
#define TELL(name, room) event.name = bytes_of_text(slot->name);
        KEPT(TELL)
        if (slot->count == 0) {
            slot->kind = 0;
        } else if (vlt_is_ok(write(&event, context, &slot->told_as))) {
            slot->told = slot->count;
            slot->count = 0;
        }
    }
}

static void settle(struct slot *slot, uint64_t durable, bool is_lost) {
    if (slot->told && slot->told_as <= durable) {
        slot->told = 0;
        if (slot->count == 0 && slot->sequence < slot->told_as)
            slot->kind = 0; // nothing came since
    }
    if (!is_lost)
        return;
    slot->count += slot->told; // neither is beyond UINT32_MAX / 2
    slot->told = 0;
    if (slot->sequence > durable)
        slot->sequence = 0; // the next of its kind gets an entry of its own
}

void repeats_settle(struct repeats *repeats, uint64_t durable, bool is_lost) {
    for (size_t i = 0; i < SLOTS; i++)
        settle(&repeats->slots[i], durable, is_lost);
}
