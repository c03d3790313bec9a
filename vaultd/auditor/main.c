// SPDX-License-Identifier: Apache-2.0
// The auditor: takes events from every role, makes them durable in groups, and
// only then answers. It has its own uid, listens to nobody outside, and never
// reads what it has written except when the admin role asks (`read`, `prove`).
#include <stdlib.h>

#include "libvault/audit/pseudonym.h"
#include "libvault/base/clock.h"
#include "libvault/crypto/crypto.h"
#include "vaultd/auditor/group.h"
#include "vaultd/auditor/log_state.h"
#include "vaultd/auditor/pruning.h"
#include "vaultd/auditor/receipt.h"
#include "vaultd/auditor/repeats.h"
#include "vaultd/auditor/reserve.h"
#include "vaultd/auditor/spare.h"
#include "vaultd/auditor/speaker.h"
#include "vaultd/log/log.h"
#include "vaultd/role/role.h"

struct auditor {
    struct role *role;
    struct log_file *file;
    struct publication *publication;
    struct group *group;
    struct pruning *pruning;
    struct spare *spare;
    uint8_t pseudonym_key[PSEUDONYM_KEY_MAX];
    size_t pseudonym_key_bytes; // 0: persons stand in the log as they are
    char archive[IPC_TEXT_MAX + 1]; // what is not there is not pruned; empty: not known here
    struct repeats *repeats;
    struct reserve reserve;
    struct event *tick;
};

// ---- Recording ----

static void settled(bool is_lost, void *context) {
    struct auditor *auditor = context;
    repeats_settle(auditor->repeats, log_file_durable(auditor->file), is_lost);
}

static void recorded(struct ipc_call *call, vlt_result result, uint64_t sequence, void *context) {
    const struct answer_record answer = {.sequence = sequence};
    reply_record(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static vlt_result write_repeats(const struct audit_event *event, void *context,
                                uint64_t *ret_sequence) {
    struct auditor *auditor = context;
    struct audit_event now = *event;
    now.at_us = (uint64_t)clock_now_us();
    return group_add(auditor->group, &now, ret_sequence);
}

static void flush_repeats(struct auditor *auditor, bool all) {
    if (publication_refusal(auditor->publication))
        return;
    repeats_flush(auditor->repeats, (uint64_t)clock_now_us(), all, write_repeats, auditor);
    group_write_soon(auditor->group);
}

// What the log finds out about itself.
static bool tell(struct auditor *auditor, const char *operation, const char *reason) {
    struct audit_event event = {.kind = AUDIT_VAULT,
                                .outcome = AUDIT_ALLOW,
                                .at_us = (uint64_t)clock_now_us(),
                                .operation = bytes_of_text(operation),
                                .reason = bytes_of_text(reason)};
    uint64_t sequence;
    if (!vlt_is_ok(group_add(auditor->group, &event, &sequence)))
        return false;
    group_write_soon(auditor->group);
    return true;
}

static void tell_repairs(struct auditor *auditor) {
    for (const char *repaired; (repaired = publication_repaired(auditor->publication)) &&
                               tell(auditor, "audit.repair", repaired);)
        publication_repaired_recorded(auditor->publication);
}

// Nobody may ask for a decision while none is given: it finds out by itself that it can be
// written again, and says so in an entry.
static void try_again(struct auditor *auditor) {
    const char *mended = publication_mended(auditor->publication);
    if (publication_refusal(auditor->publication))
        return;
    if (group_failure(auditor->group))
        (void)tell(auditor, "audit.resume", group_failure(auditor->group));
    else if (mended && tell(auditor, "audit.resume", mended))
        publication_mended_recorded(auditor->publication);
    else
        tell_repairs(auditor);
}

static void on_tick(evutil_socket_t fd, short what, void *context) {
    struct auditor *auditor = context;
    flush_repeats(auditor, false);
    try_again(auditor);
    pruning_look(auditor->pruning);
    if (auditor->spare)
        spare_look(auditor->spare);
}

// Puts the event into the batch, unless it is one of many that an entry of this
// second already stands for: then it waits for that entry.
static vlt_result add_or_count(struct auditor *auditor, const struct audit_event *event,
                               enum ipc_role teller, uint64_t *ret_sequence) {
    uint64_t now_us = (uint64_t)clock_now_us();
    bool concerns = repeats_concern(event, teller == IPC_KEEPER);
    if (concerns && repeats_count(auditor->repeats, event, now_us, ret_sequence))
        return vlt_ok();
    VLT_TRY(group_add(auditor->group, event, ret_sequence));
    if (concerns)
        repeats_add(auditor->repeats, event, now_us, *ret_sequence);
    return vlt_ok();
}

// What is written of an event: with a time, and of persons what the configuration
// allows. The event borrows from here until the next one.
static void complete(struct auditor *auditor, struct audit_event *event) {
    static struct pseudonym_room room; // one loop, one thread
    if (event->at_us == 0)
        event->at_us = (uint64_t)clock_now_us();
    if (auditor->pseudonym_key_bytes)
        pseudonym_event(bytes_of(auditor->pseudonym_key, auditor->pseudonym_key_bytes), event,
                        &room);
}

static void answer_record(struct auditor *auditor, struct ipc_call *call, struct bytes frame) {
    struct ask_record ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_record_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_get(ask.event, &event))) {
        ipc_call_refuse(call, "an audit event that does not decode");
        return;
    }
    enum ipc_role teller = channel_peer(ipc_call_channel(call));
    const char *foreign = speaker_refusal(teller, &event);
    if (foreign) {
        ipc_call_refuse(call, foreign);
        return;
    }
    const char *refusal = publication_refusal(auditor->publication);
    if (refusal) {
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, refusal));
        return;
    }
    complete(auditor, &event);
    uint64_t sequence;
    vlt_result result = reserve_permit(&auditor->reserve, log_file_folder_open(auditor->file),
                                       (enum audit_kind)event.kind);
    if (vlt_is_ok(result))
        result = add_or_count(auditor, &event, teller, &sequence);
    if (vlt_is_ok(result))
        result = group_wait(auditor->group, sequence, call, recorded, NULL);
    if (!vlt_is_ok(result))
        reply_failure(call, result);
}

static void answer_read(struct auditor *auditor, struct ipc_call *call, struct bytes frame) {
    struct ask_read ask;
    struct answer_read answer = {0};
    if (!vlt_is_ok(ask_read_decode(frame, &ask))) {
        ipc_call_refuse(call, "a request to read that does not decode");
        return;
    }
    struct buf lines;
    buf_init(&lines, 120000);
    vlt_result result =
        log_file_read(auditor->file, ask.first, ask.count, ask.tenant, &lines, &answer.next);
    answer.entries = buf_bytes(&lines);
    reply_read(call, result, vlt_is_ok(result) ? &answer : NULL);
    buf_done(&lines);
}

static void complete_for(struct audit_event *event, void *context) { complete(context, event); }

static void answer_prune(struct auditor *auditor, struct ipc_call *call, struct bytes frame) {
    struct ask_prune ask;
    if (!vlt_is_ok(ask_prune_decode(frame, &ask)))
        ipc_call_refuse(call, "a request to prune that does not decode");
    else
        pruning_begin(auditor->pruning, call, &ask);
}

// ---- Proofs ----

static void answer_prove(struct auditor *auditor, struct ipc_call *call, struct bytes frame) {
    struct ask_prove ask;
    struct answer_prove answer = {0};
    struct fault fault = {0};
    struct buf proof, entry;
    if (!vlt_is_ok(ask_prove_decode(frame, &ask))) {
        ipc_call_refuse(call, "a request for a proof that does not decode");
        return;
    }
    buf_init(&proof, RECEIPT_PROOF_MAX);
    buf_init(&entry, 65535);
    vlt_result result =
        receipt_make(log_file_folder(auditor->file), ask.sequence, &fault, &proof, &entry);
    if (!vlt_is_ok(result) && result.class != VLT_NOT_FOUND)
        log_error("no proof of entry %llu: %s", (unsigned long long)ask.sequence,
                  fault_or_reason(&fault, result));
    answer.proof = buf_bytes(&proof);
    answer.entry = buf_bytes(&entry);
    reply_prove(call, result, vlt_is_ok(result) ? &answer : NULL);
    buf_done(&proof);
    buf_done(&entry);
}

// Why no decision can be recorded now; NULL: one can.
static const char *stopped_by(struct auditor *auditor) {
    const char *refusal = publication_refusal(auditor->publication);
    const char *failure = group_failure(auditor->group);
    if (refusal || failure)
        return refusal ? refusal : failure;
    return reserve_is_touched(&auditor->reserve, log_file_folder_open(auditor->file))
               ? "the disk is full"
               : NULL;
}

static void answer_serving(struct auditor *auditor, struct ipc_call *call) {
    const char *why = stopped_by(auditor);
    const struct answer_serving answer = {0};
    reply_serving(call, why ? vlt_fail(VLT_UNAVAILABLE, why) : vlt_ok(), why ? NULL : &answer);
}

static void answer_log_state(struct auditor *auditor, struct ipc_call *call) {
    const struct log_state state = {.entries = log_file_durable(auditor->file),
                                    .published = log_file_checkpoint(auditor->file)->size,
                                    .sync_ms = group_sync_ms(auditor->group),
                                    .stopped = stopped_by(auditor),
                                    .unpublished = publication_delay(auditor->publication),
                                    .is_slow = group_sync_ms(auditor->group) > GROUP_SLOW_MS};
    struct buf text;
    buf_init(&text, 2048);
    log_state_put(&state, &text);
    const struct answer_log_state answer = {.description = buf_bytes(&text)};
    bool failed = buf_failed(&text);
    reply_log_state(call, failed ? vlt_fail(VLT_UNAVAILABLE, "out of memory") : vlt_ok(),
                    failed ? NULL : &answer);
    buf_done(&text);
}

static void asked(struct ipc_call *call, unsigned message, struct bytes frame, void *context) {
    if (message == IPC_ASK_record)
        answer_record(context, call, frame);
    else if (message == IPC_ASK_prune)
        answer_prune(context, call, frame);
    else if (message == IPC_ASK_log_state)
        answer_log_state(context, call);
    else if (message == IPC_ASK_serving)
        answer_serving(context, call);
    else if (message == IPC_ASK_prove)
        answer_prove(context, call, frame);
    else
        answer_read(context, call, frame);
}

// ---- Life ----

// The first turn of the loop comes after the sandbox: the threads are in it, too.
static void begin(evutil_socket_t fd, short what, void *context) {
    struct auditor *auditor = context;
    struct event_base *base = role_base(auditor->role);
    vlt_result result = publication_start(auditor->publication, base);
    if (vlt_is_ok(result))
        result = group_start(auditor->group);
    if (vlt_is_ok(result))
        result = spare_new(base, auditor->file, &auditor->spare);
    if (!vlt_is_ok(result)) {
        log_error("can not start: %s", result.reason);
        role_finish(auditor->role, EXIT_FAILURE);
    }
}

static void on_peer(struct role *role, enum ipc_role peer, unsigned number,
                    struct channel *channel) {
    struct auditor *auditor = role_context(role);
    if (peer == IPC_KEEPER && auditor->publication)
        publication_set_keeper(auditor->publication, channel);
}

static void on_peer_gone(struct role *role, enum ipc_role peer, unsigned number) {
    on_peer(role, peer, number, NULL);
}

static vlt_result settings(struct role *role, struct bytes frame, bool is_first,
                           struct fault *fault) {
    struct auditor *auditor = role_context(role);
    struct tell_settings_auditor got;
    const struct timeval at_once = {0, 0}, every_second = {1, 0};
    char folder[IPC_TEXT_MAX + 1], origin[IPC_TEXT_MAX + 1];
    VLT_TRY(tell_settings_auditor_decode(frame, &got));
    log_set_level((enum log_level)got.log_level);
    if (!bytes_to_text(got.archive, auditor->archive, sizeof auditor->archive))
        return vlt_fail(VLT_MALFORMED, "audit.archive is not a path");
    auditor->pseudonym_key_bytes = got.pseudonym_key.size;
    if (got.pseudonym_key.size)
        memcpy(auditor->pseudonym_key, got.pseudonym_key.at, got.pseudonym_key.size);
    if (!is_first)
        return vlt_ok(); // the folder is fixed until a restart: one writer, one log
    if (!bytes_to_text(got.directory, folder, sizeof folder))
        return vlt_fail(VLT_MALFORMED, "audit.directory is not a path");
    if (!bytes_to_text(got.origin, origin, sizeof origin))
        return vlt_fail(VLT_MALFORMED, "audit.origin is not a name");
    VLT_TRY(crypto_open());
    VLT_TRY(log_file_open(folder, fault, &auditor->file));
    VLT_TRY(publication_new(auditor->file, origin, fault, &auditor->publication));
    if (event_base_once(role_base(role), -1, EV_TIMEOUT, begin, auditor, &at_once) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "no event loop");
    auditor->role = role;
    VLT_TRY(group_new(role_base(role), auditor->file, settled, auditor, &auditor->group));
    VLT_TRY(pruning_new(&(struct pruning_parts){.file = auditor->file,
                                                .group = auditor->group,
                                                .publication = auditor->publication,
                                                .archive = auditor->archive,
                                                .complete = complete_for,
                                                .context = auditor},
                        &auditor->pruning));
    auditor->repeats = repeats_new();
    auditor->tick = event_new(role_base(role), -1, EV_PERSIST, on_tick, auditor);
    if (!auditor->repeats || !auditor->tick || event_add(auditor->tick, &every_second) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    role_ready(role, "writes the audit log");
    return vlt_ok();
}

static void drain(struct role *role, unsigned within_ms) {
    struct auditor *auditor = role_context(role);
    if (auditor->group) {
        group_end(auditor->group); // then counts follow the entries that they belong to
        flush_repeats(auditor, true);
        group_end(auditor->group);
    }
    role_finish(role, EXIT_SUCCESS);
}

int main(void) {
    static struct auditor auditor;
    static const struct role_hooks hooks = {
        .self = IPC_AUDITOR,
        .settings = settings,
        .peer = on_peer,
        .peer_gone = on_peer_gone,
        .asked = asked,
        .drain = drain,
    };
    int status = role_run(&hooks, &auditor);
    if (auditor.tick)
        event_free(auditor.tick);
    spare_free(auditor.spare);
    pruning_end(auditor.pruning);
    group_free(auditor.group); // tells the repeats what is lost
    repeats_free(auditor.repeats);
    publication_free(auditor.publication);
    pruning_free(auditor.pruning);
    log_file_close(auditor.file);
    return status;
}
