// SPDX-License-Identifier: Apache-2.0
#include "vaultd/shipper/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/log_pruned.h"
#include "libvault/base/clock.h"
#include "vaultd/log/log.h"
#include "vaultd/shipper/position.h"

#define LOOK_MS 500          // between two looks at the checkpoint
#define BACK_OFF_FIRST_MS 250
#define BACK_OFF_MAX_MS 60000
#define CONFIRM_AFTER_MS 3000 // a receiver that confirms by itself is asked so often
#define CONFIRM_AFTER_ENTRIES 5000

struct sink_thread {
    struct shipping *shipping;
    enum sink_kind kind;
    const struct sink_table *table;
    struct shipping_settings *settings;
    struct sink *sink; // NULL: not configured, or could not be opened
    int log, folder;   // of the log; of the position
    struct position position;
    struct checkpoint checkpoint;
    uint64_t sent; // index of the next entry to deliver
    int64_t unconfirmed_since_ms;
    unsigned back_off_ms, pause_ms;
    struct sink_report report;
    struct source_batch batch;
};

// ---- Opening ----

static void close_all(struct sink_thread *t) {
    if (t->sink)
        t->table->close(t->sink);
    if (t->log >= 0)
        close(t->log);
    if (t->folder >= 0)
        close(t->folder);
    t->sink = NULL;
    t->log = t->folder = -1;
}

static vlt_result open_folder(int at, const char *path, struct fault *fault, int *ret_folder) {
    int folder = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return fault_set(fault, VLT_UNAVAILABLE, "a folder can not be opened",
                         "folder %s can not be opened: %s", path, strerror(errno));
    *ret_folder = folder;
    return vlt_ok();
}

static vlt_result open_position(struct sink_thread *t, struct fault *fault) {
    const char *name = sink_kind_name(t->kind);
    int positions = -1;
    VLT_TRY(open_folder(AT_FDCWD, t->settings->positions, fault, &positions));
    vlt_result result = mkdirat(positions, name, 0750) == 0 || errno == EEXIST
                            ? open_folder(positions, name, fault, &t->folder)
                            : fault_set(fault, VLT_UNAVAILABLE, "a folder can not be made",
                                        "folder %s/%s can not be made: %s", t->settings->positions,
                                        name, strerror(errno));
    close(positions);
    if (vlt_is_ok(result))
        result = position_load(t->folder, fault, &t->position);
    if (!vlt_is_ok(result) && t->folder >= 0) { // read again next time, until it can be
        close(t->folder);
        t->folder = -1;
    }
    return result;
}

static vlt_result open_all(struct sink_thread *t, struct fault *fault) {
    if (t->log < 0)
        VLT_TRY(open_folder(AT_FDCWD, t->settings->log, fault, &t->log));
    if (t->folder < 0)
        VLT_TRY(open_position(t, fault));
    t->sent = t->position.next;
    t->sink = t->table->open(t->settings);
    return t->sink ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static void take_settings(struct sink_thread *t) {
    struct shipping_settings *now = shipping_hold(t->shipping);
    if (now == t->settings) {
        shipping_release(t->shipping, now);
        return;
    }
    close_all(t);
    shipping_release(t->shipping, t->settings);
    t->settings = now;
    t->back_off_ms = BACK_OFF_FIRST_MS;
    t->report.is_on = now->target[t->kind][0] != 0;
    t->report.problem[0] = 0;
}

// ---- Delivering ----

// Nothing is pruned that a receiver does not have; one that came later, or whose position
// was removed, gets what is there. Who removed files and wrote `pruned` to hide it does not
// make it pass over them.
static vlt_result pass_pruned(struct sink_thread *t, struct fault *fault) {
    struct log_pruned pruned;
    VLT_TRY(log_pruned_read(t->log, fault, &pruned));
    if (t->sent >= pruned.until || t->checkpoint.size < pruned.sequence)
        return vlt_ok(); // or the next checkpoint has that entry
    VLT_TRY(log_pruned_check(t->log, &t->checkpoint, &pruned, fault));
    log_warning("entries %llu to %llu are not shipped to the %s: they were pruned before it had "
                "them",
                (unsigned long long)t->sent + 1, (unsigned long long)pruned.until,
                sink_kind_name(t->kind));
    t->position.next = t->sent = pruned.until;
    return vlt_ok();
}

// A log that begins anew is another log: everything of it is shipped.
static vlt_result look(struct sink_thread *t, struct fault *fault) {
    VLT_TRY(source_checkpoint(t->log, fault, &t->checkpoint));
    t->report.entries = t->checkpoint.size;
    if (t->checkpoint.size && strcmp(t->position.origin, t->checkpoint.origin) != 0) {
        memcpy(t->position.origin, t->checkpoint.origin, sizeof t->position.origin);
        t->position.next = t->sent = 0;
    }
    VLT_TRY(pass_pruned(t, fault));
    t->report.confirmed = t->position.next;
    if (t->position.next > t->checkpoint.size && t->position.origin[0])
        return fault_set(
            fault, VLT_CONFLICT, "the log is shorter than what was shipped of it",
            "the log has %llu entries, and the receiver has %llu: somebody restored an old copy",
            (unsigned long long)t->checkpoint.size, (unsigned long long)t->position.next);
    return vlt_ok();
}

static vlt_result confirm(struct sink_thread *t, struct fault *fault) {
    struct position next = t->position;
    if (t->sent == t->position.next)
        return vlt_ok();
    if (t->table->confirm)
        VLT_TRY(t->table->confirm(t->sink, fault));
    next.next = t->sent;
    VLT_TRY(position_save(t->folder, &next, fault));
    t->position = next;
    t->report.confirmed = next.next;
    return vlt_ok();
}

static bool must_confirm(const struct sink_thread *t) {
    return !t->table->confirm || t->sent - t->position.next >= CONFIRM_AFTER_ENTRIES ||
           clock_elapsed_ms() - t->unconfirmed_since_ms >= CONFIRM_AFTER_MS;
}

static vlt_result deliver_next(struct sink_thread *t, struct fault *fault) {
    VLT_TRY(source_read(t->log, t->checkpoint.size, t->sent, fault, &t->batch));
    if (t->sent == t->position.next)
        t->unconfirmed_since_ms = clock_elapsed_ms();
    VLT_TRY(t->table->deliver(t->sink, &t->batch, t->checkpoint.origin, fault, &t->pause_ms));
    log_debug("the %s was sent %zu entries after %llu", sink_kind_name(t->kind), t->batch.count,
              (unsigned long long)t->sent);
    t->sent += t->batch.count;
    return vlt_ok();
}

// One step. *ret_is_idle: there is nothing more to deliver for now.
static vlt_result step(struct sink_thread *t, struct fault *fault, bool *ret_is_idle) {
    if (!t->sink)
        VLT_TRY(open_all(t, fault));
    VLT_TRY(look(t, fault));
    if (t->sent < t->checkpoint.size)
        VLT_TRY(deliver_next(t, fault));
    if (must_confirm(t))
        VLT_TRY(confirm(t, fault));
    *ret_is_idle = t->sent >= t->checkpoint.size;
    return vlt_ok();
}

static void failed(struct sink_thread *t, const char *why) {
    if (!t->report.problem[0])
        log_warning("shipping to the %s is held up: %s", sink_kind_name(t->kind), why);
    snprintf(t->report.problem, sizeof t->report.problem, "%s", why);
    t->report.failures++;
    if (t->sink)
        t->table->reset(t->sink);
    t->sent = t->position.next;
}

static void worked(struct sink_thread *t) {
    if (t->report.problem[0])
        log_notice("shipping to the %s goes on", sink_kind_name(t->kind));
    t->report.problem[0] = 0;
    t->back_off_ms = BACK_OFF_FIRST_MS;
}

static unsigned longer(struct sink_thread *t) {
    unsigned now_ms = t->back_off_ms > t->pause_ms ? t->back_off_ms : t->pause_ms;
    t->back_off_ms = t->back_off_ms * 2 > BACK_OFF_MAX_MS ? BACK_OFF_MAX_MS : t->back_off_ms * 2;
    return now_ms;
}

static void turn(struct sink_thread *t) {
    struct fault fault = {0};
    bool is_idle = true;
    unsigned wait_ms = LOOK_MS;
    take_settings(t);
    t->pause_ms = 0;
    if (t->report.is_on) {
        vlt_result result = step(t, &fault, &is_idle);
        if (vlt_is_ok(result)) {
            worked(t);
        } else {
            failed(t, fault_or_reason(&fault, result));
            wait_ms = longer(t);
        }
    }
    shipping_report(t->shipping, t->kind, &t->report);
    if (is_idle || wait_ms != LOOK_MS)
        shipping_wait(t->shipping, t->settings, wait_ms);
}

// Ends with the process. That is no loss: what is not confirmed comes again.
static void *run(void *context) {
    struct sink_thread *t = context;
    while (t->shipping)
        turn(t);
    return NULL;
}

vlt_result sink_start(struct shipping *shipping, enum sink_kind kind) {
    static const struct sink_table *const tables[SINK_KINDS] = {&syslog_sink, &collector_sink,
                                                                &file_sink};
    pthread_t thread;
    struct sink_thread *t = calloc(1, sizeof *t);
    if (!t)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    *t = (struct sink_thread){
        .shipping = shipping, .kind = kind, .table = tables[kind], .log = -1, .folder = -1};
    source_batch_init(&t->batch);
    if (pthread_create(&thread, NULL, run, t) != 0) {
        free(t);
        return vlt_fail(VLT_UNAVAILABLE, "a thread can not be started");
    }
    pthread_detach(thread);
    return vlt_ok();
}
