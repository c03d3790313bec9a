// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/device_thread.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/device_serve.h"
#include "vaultd/log/log.h"
#include "vaultd/role/worker.h"

struct device_thread {
    const char *name;
    struct worker *worker;
    struct hsm *hsm; // the thread's own: the loop never touches it
    atomic_bool is_ending;
    // Loop's side only, as all that follows.
    struct device_thread_events events;
    void *context;
    struct device_job *stuck; // has not returned, and nobody waits for it any more
    int64_t stuck_since_ms;
    struct device_job *refused, **last_refused; // to be told so by the next turn of the loop
    struct event *refuse;
};

// The thread works on a copy: when it does not come back, the caller's half is
// finished without it.
struct device_job {
    struct worker_job job;
    struct device_thread *thread;
    struct device_call call, work;
    int64_t begun_ms, took_ms; // 0 where the log does not show it
    struct device_job *next;   // of those that are refused
};

static struct device_job *job_of(struct worker_job *job) {
    return (struct device_job *)(void *)((char *)job - offsetof(struct device_job, job));
}

static struct device_job *job_of_call(struct device_call *call) {
    return (struct device_job *)(void *)((char *)call - offsetof(struct device_job, call));
}

// ---- Calls ----

struct device_call *device_call_new(enum device_call_kind kind,
                                    void (*done)(struct device_call *call), void *context) {
    struct device_job *device = calloc(1, sizeof *device);
    if (!device)
        return NULL;
    device->call.kind = kind;
    device->call.done = done;
    device->call.context = context;
    if (kind == DEVICE_WRAP || kind == DEVICE_WRAP_PROVEN || kind == DEVICE_UNWRAP ||
        kind == DEVICE_REWRAP) {
        device->call.secret = secret_new(HSM_DATA_KEY_BYTES);
        if (!device->call.secret) {
            free(device);
            return NULL;
        }
    }
    return &device->call;
}

static void free_parts(struct device_call *call) {
    secret_free(call->secret);
    free(call->approvals);
    free(call->attestation);
}

void device_call_free(struct device_call *call) {
    free_parts(call);
    free(job_of_call(call));
}

void device_call_set_purpose(struct device_call *call, uint32_t tenant, uint32_t number) {
    struct wire_writer w;
    wire_writer_init(&w, call->purpose, sizeof call->purpose);
    record_datakey_context(&w, tenant, number);
    call->purpose_bytes = w.size;
}

struct device_thread *device_call_thread(struct device_call *call) {
    return job_of_call(call)->thread;
}

// What the call owns is the thread's while it works.
static void lend(struct device_job *device) {
    device->work = device->call;
    device->call.secret = NULL;
    device->call.approvals = NULL;
    device->call.attestation = NULL;
}

static void take_back(struct device_job *device) {
    device->call = device->work;
    memset(&device->work, 0, sizeof device->work);
}

// ---- A device that does not come back ----

static void tell_stuck(const struct device_thread *thread, struct device_call *call) {
    long long waited_s = (clock_elapsed_ms() - thread->stuck_since_ms) / 1000;
    call->result = fault_set(&call->fault, VLT_UNAVAILABLE, "the device hangs",
                             "it hangs: a call has not returned for %lld s", waited_s);
}

// Never from within device_submit: who submits does not expect its answer there.
static void refuse_later(struct device_thread *thread, struct device_job *device) {
    device->next = NULL;
    *thread->last_refused = device;
    thread->last_refused = &device->next;
    event_active(thread->refuse, EV_TIMEOUT, 0);
}

static void refuse_all(struct device_thread *thread) {
    struct device_job *device = thread->refused;
    thread->refused = NULL;
    thread->last_refused = &thread->refused;
    while (device) {
        struct device_job *next = device->next;
        tell_stuck(thread, &device->call);
        device->call.done(&device->call);
        device_call_free(&device->call);
        device = next;
    }
}

static void on_refuse(evutil_socket_t fd, short what, void *context) { refuse_all(context); }

static void give_up_on(struct device_thread *thread, struct device_job *device, int64_t since_ms) {
    struct worker_job *waiting;
    thread->stuck = device;
    thread->stuck_since_ms = since_ms;
    // First of all: whoever is told looks for another device.
    if (thread->events.stuck && !thread->is_ending)
        thread->events.stuck(thread->context);
    while ((waiting = worker_withdraw(thread->worker))) {
        take_back(job_of(waiting));
        refuse_later(thread, job_of(waiting));
    }
    tell_stuck(thread, &device->call);
    device->call.done(&device->call);
}

// Making keys and opening a device (a person may type a PIN) take their time.
static bool is_slow(enum device_call_kind kind) {
    return kind == DEVICE_OPEN || kind == DEVICE_CREATE || kind == DEVICE_GENERATE ||
           kind == DEVICE_SIGNER_CREATE || kind == DEVICE_ATTEST;
}

void device_thread_look(struct device_thread *thread, uint32_t timeout_s) {
    int64_t since_ms = 0;
    struct worker_job *job = worker_running(thread->worker, &since_ms);
    if (!job || thread->stuck)
        return;
    struct device_job *device = job_of(job); // not freed before this loop has seen its end
    int64_t limit_ms = (int64_t)timeout_s * 1000;
    if (is_slow(device->call.kind))
        limit_ms *= DEVICE_SLOW_FACTOR;
    if (clock_elapsed_ms() - since_ms >= limit_ms)
        give_up_on(thread, device, since_ms);
}

int64_t device_thread_stuck_ms(const struct device_thread *thread) {
    return thread->stuck ? clock_elapsed_ms() - thread->stuck_since_ms : -1;
}

// ---- It came back after all ----

static void undone(struct device_call *call) {
    if (!vlt_is_ok(call->result))
        log_warning("what a device made too late stays in it, unused: %s",
                    fault_or_reason(&call->fault, call->result));
}

static void closed(struct device_call *call) {}

static void submit_kind(struct device_thread *thread, enum device_call_kind kind,
                        const struct device_call *made) {
    struct device_call *call =
        device_call_new(kind, kind == DEVICE_CLOSE ? closed : undone, NULL);
    if (!call) {
        log_error("no memory to tidy up a device");
        return;
    }
    call->keys[0] = made->keys[0];
    call->signer = made->signer;
    call->counter = made->counter;
    device_submit(thread, call);
}

// Nobody knows of what it made.
static void undo(struct device_thread *thread, const struct device_call *late) {
    if (!vlt_is_ok(late->result))
        return;
    if (late->kind == DEVICE_CREATE || late->kind == DEVICE_GENERATE)
        submit_kind(thread, DEVICE_DESTROY, late);
    else if (late->kind == DEVICE_SIGNER_CREATE)
        submit_kind(thread, DEVICE_SIGNER_DESTROY, late);
    else if (late->kind == DEVICE_COUNTER_CREATE)
        submit_kind(thread, DEVICE_COUNTER_DESTROY, late);
}

static void came_back(struct device_thread *thread) {
    struct device_job *device = thread->stuck;
    thread->stuck = NULL;
    undo(thread, &device->work);
    // Where it stands is not known: it is opened anew by who wants it.
    submit_kind(thread, DEVICE_CLOSE, &device->work);
    free_parts(&device->work);
    free(device);
    if (thread->events.returned && !thread->is_ending)
        thread->events.returned(thread->context);
}

// ---- Calls that are served ----

static void log_call(const struct device_job *device) {
    static const char *const names[] = {
        [DEVICE_OPEN] = "open",
        [DEVICE_CREATE] = "create",
        [DEVICE_WRAP] = "wrap",
        [DEVICE_WRAP_PROVEN] = "wrap and prove",
        [DEVICE_UNWRAP] = "unwrap",
        [DEVICE_GENERATE] = "generate",
        [DEVICE_REWRAP] = "rewrap",
        [DEVICE_DESTROY] = "destroy",
        [DEVICE_COUNTER_CREATE] = "create a counter",
        [DEVICE_COUNTER_READ] = "read the counter",
        [DEVICE_COUNTER_ADVANCE] = "advance the counter",
        [DEVICE_COUNTER_DESTROY] = "destroy the counter",
        [DEVICE_SIGNER_CREATE] = "create a signing key",
        [DEVICE_SIGN] = "sign",
        [DEVICE_SIGNER_DESTROY] = "destroy a signing key",
        [DEVICE_APPROVE] = "approve boot states",
        [DEVICE_CHECK] = "check",
        [DEVICE_BOOT_READ] = "read PCRs",
        [DEVICE_ATTEST] = "attest",
        [DEVICE_CLOSE] = "close",
    };
    const struct device_call *work = &device->work;
    bool is_ok = vlt_is_ok(work->result);
    log_debug("device %s: %s: %s in %lld ms%s%s", device->thread->name, names[work->kind],
              vlt_class_name(work->result.class), (long long)device->took_ms, is_ok ? "" : ": ",
              is_ok ? "" : fault_or_reason(&work->fault, work->result));
}

static void job_run(struct worker_job *job) {
    struct device_job *device = job_of(job);
    struct device_thread *thread = device->thread;
    device->begun_ms = log_shows(LOG_LEVEL_DEBUG) ? clock_elapsed_ms() : 0;
    if (thread->is_ending)
        device->work.result = vlt_fail(VLT_UNAVAILABLE, "the keeper is stopping");
    else
        device_serve(&thread->hsm, &device->work);
    if (device->begun_ms)
        device->took_ms = clock_elapsed_ms() - device->begun_ms;
}

static void job_done(struct worker_job *job) {
    struct device_job *device = job_of(job);
    struct device_thread *thread = device->thread;
    if (log_shows(LOG_LEVEL_DEBUG))
        log_call(device);
    if (device == thread->stuck) {
        came_back(thread);
        return;
    }
    take_back(device);
    bool is_its_fault = device->call.result.class == VLT_UNAVAILABLE;
    if (is_its_fault && thread->events.failed && !thread->is_ending)
        thread->events.failed(thread->context);
    device->call.done(&device->call);
    device_call_free(&device->call);
}

void device_submit(struct device_thread *thread, struct device_call *call) {
    struct device_job *device = job_of_call(call);
    device->thread = thread;
    if (thread->stuck) {
        refuse_later(thread, device);
        return;
    }
    device->job.run = job_run;
    device->job.done = job_done;
    lend(device);
    worker_submit(thread->worker, &device->job);
}

size_t device_pending(const struct device_thread *thread) {
    return worker_pending(thread->worker);
}

// ---- Life ----

vlt_result device_thread_new(struct event_base *base, const char *name,
                             struct device_thread **ret_thread) {
    struct device_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    thread->name = name;
    thread->last_refused = &thread->refused;
    thread->refuse = event_new(base, -1, 0, on_refuse, thread);
    vlt_result result = thread->refuse ? worker_new(base, &thread->worker)
                                       : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        if (thread->refuse)
            event_free(thread->refuse);
        free(thread);
        return result;
    }
    *ret_thread = thread;
    return vlt_ok();
}

void device_thread_on(struct device_thread *thread, const struct device_thread_events *events,
                      void *context) {
    thread->events = *events;
    thread->context = context;
}

bool device_thread_end(struct device_thread *thread, unsigned within_ms) {
    int64_t since_ms = 0;
    thread->is_ending = true;
    bool has_ended = worker_end_within(thread->worker, within_ms);
    struct worker_job *job = has_ended ? NULL : worker_running(thread->worker, &since_ms);
    if (job && !thread->stuck)
        give_up_on(thread, job_of(job), since_ms);
    while (thread->refused) // who is told may ask again
        refuse_all(thread);
    return has_ended;
}

void device_thread_free(struct device_thread *thread) {
    if (!thread)
        return;
    event_free(thread->refuse);
    worker_free(thread->worker);
    hsm_close(thread->hsm); // the thread has ended
    free(thread);
}
