// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/device_thread.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "vaultd/keeper/worker.h"

// Generations that an interrupted init may have left in a device.
#define GENERATION_TRIES 64

struct device_thread {
    struct worker *worker;
    struct hsm *hsm; // the thread's own: the loop never touches it
    atomic_bool is_ending;
    void (*failed)(void *context); // loop's side, as the next
    void *context;
};

struct device_job {
    struct worker_job job;
    struct device_thread *thread;
    struct device_call call;
};

static struct device_job *job_of(struct worker_job *job) {
    return (struct device_job *)(void *)((char *)job - offsetof(struct device_job, job));
}

static struct device_job *job_of_call(struct device_call *call) {
    return (struct device_job *)(void *)((char *)call - offsetof(struct device_job, call));
}

// ---- On the thread ----

static vlt_result reach(struct device_thread *thread, struct device_call *call) {
    // Settings may have changed (another PIN file): begin anew.
    hsm_close(thread->hsm);
    thread->hsm = NULL;
    return hsm_open(&call->settings, &call->fault, &thread->hsm);
}

static vlt_result open_keys(struct device_thread *thread, struct device_call *call) {
    VLT_TRY(reach(thread, call));
    VLT_TRY(hsm_approvals_set(thread->hsm, call->approvals, call->approval_count));
    for (size_t i = 0; i < call->key_count; i++)
        VLT_TRY(hsm_key_find(thread->hsm, &call->keys[i], &call->fault));
    return vlt_ok();
}

static vlt_result generate_key(struct device_thread *thread, struct device_call *call,
                               uint32_t first) {
    vlt_result result = vlt_ok();
    // An init or rotation that was cut off before its commit leaves a key that
    // nothing refers to: step over it.
    for (uint32_t i = 0; i < GENERATION_TRIES; i++) {
        call->fault = (struct fault){0};
        result = hsm_key_create(thread->hsm, first + i, &call->fault, &call->keys[0]);
        if (result.class != VLT_CONFLICT)
            break;
    }
    call->key_count = vlt_is_ok(result) ? 1 : 0;
    return result;
}

static vlt_result create_key(struct device_thread *thread, struct device_call *call) {
    VLT_TRY(reach(thread, call));
    return generate_key(thread, call, 1);
}

static vlt_result wrap(struct device_thread *thread, struct device_call *call) {
    struct buf blob;
    buf_init(&blob, HSM_BLOB_MAX_BYTES);
    vlt_result result = hsm_wrap(thread->hsm, bytes_of(call->purpose, call->purpose_bytes),
                                 call->secret, &call->fault, &blob);
    if (vlt_is_ok(result) && buf_failed(&blob))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result)) {
        memcpy(call->blob, blob.at, blob.size);
        call->blob_bytes = blob.size;
    }
    buf_done(&blob);
    return result;
}

static bool is_same_key(const struct secret *a, const struct secret *b) {
    bool is_same = secret_equal(bytes_of(secret_borrow(a), secret_size(a)),
                                bytes_of(secret_borrow(b), secret_size(b)));
    secret_release(a);
    secret_release(b);
    return is_same;
}

// What replaces a blob must be able to do what it could.
static vlt_result prove(struct device_thread *thread, struct device_call *call) {
    struct secret *again = secret_new(HSM_DATA_KEY_BYTES);
    if (!again)
        return vlt_fail(VLT_UNAVAILABLE, "no secret memory left");
    vlt_result result = hsm_unwrap(thread->hsm, bytes_of(call->purpose, call->purpose_bytes),
                                   bytes_of(call->blob, call->blob_bytes), &call->fault, again);
    if (vlt_is_ok(result) && !is_same_key(call->secret, again))
        result = vlt_fail(VLT_CRYPTO, "the device does not give back what it wrapped");
    secret_free(again);
    return result;
}

static vlt_result wrap_proven(struct device_thread *thread, struct device_call *call) {
    VLT_TRY(wrap(thread, call));
    return prove(thread, call);
}

static vlt_result rewrap(struct device_thread *thread, struct device_call *call) {
    VLT_TRY(hsm_unwrap(thread->hsm, bytes_of(call->purpose, call->purpose_bytes),
                       bytes_of(call->blob, call->blob_bytes), &call->fault, call->secret));
    vlt_result result = wrap(thread, call);
    if (vlt_is_ok(result))
        result = prove(thread, call);
    secret_wipe(call->secret);
    return result;
}

static vlt_result destroy_key(struct device_thread *thread, struct device_call *call) {
    vlt_result result = hsm_key_destroy(thread->hsm, &call->keys[0], &call->fault);
    return result.class == VLT_NOT_FOUND ? vlt_ok() : result;
}

static vlt_result serve_counter(struct hsm *hsm, struct device_call *call) {
    if (call->kind == DEVICE_COUNTER_CREATE)
        return hsm_counter_create(hsm, &call->fault, &call->counter, &call->value);
    if (call->kind == DEVICE_COUNTER_READ)
        return hsm_counter_read(hsm, &call->counter, &call->fault, &call->value);
    if (call->kind == DEVICE_COUNTER_ADVANCE)
        return hsm_counter_advance(hsm, &call->counter, call->value, &call->fault);
    return hsm_counter_destroy(hsm, &call->counter, &call->fault);
}

static vlt_result serve_signer(struct hsm *hsm, struct device_call *call) {
    if (call->kind == DEVICE_SIGN)
        return hsm_sign(hsm, &call->signer, call->digest, &call->fault, call->signature);
    if (call->kind == DEVICE_SIGNER_CREATE)
        return hsm_signer_create(hsm, &call->fault, &call->signer);
    vlt_result result = hsm_signer_destroy(hsm, call->signer.id, &call->fault);
    return result.class == VLT_NOT_FOUND ? vlt_ok() : result;
}

// The state of the machine can be asked for when no key can be opened: then most of all.
static vlt_result boot_read(struct device_thread *thread, struct device_call *call) {
    struct hsm *hsm = thread->hsm;
    if (!hsm)
        VLT_TRY(hsm_open(&call->settings, &call->fault, &hsm));
    vlt_result result = hsm_boot_read(hsm, call->boot.pcrs, &call->fault, &call->boot);
    if (hsm != thread->hsm)
        hsm_close(hsm);
    return result;
}

static vlt_result serve(struct device_thread *thread, struct device_call *call) {
    if (thread->is_ending)
        return vlt_fail(VLT_UNAVAILABLE, "the keeper is stopping");
    if (call->kind == DEVICE_OPEN)
        return open_keys(thread, call);
    if (call->kind == DEVICE_CREATE)
        return create_key(thread, call);
    if (call->kind == DEVICE_CLOSE) {
        hsm_close(thread->hsm);
        thread->hsm = NULL;
        return vlt_ok();
    }
    if (call->kind == DEVICE_BOOT_READ)
        return boot_read(thread, call);
    if (!thread->hsm)
        return vlt_fail(VLT_UNAVAILABLE, "no device is open");
    if (call->kind == DEVICE_ATTEST)
        return hsm_attest(thread->hsm,
                          call->attestation->nonce[0] ? call->attestation->nonce : NULL,
                          call->attestation->nonce[0] ? NULL : &call->attestation->challenge,
                          &call->fault, &call->attestation->evidence);
    if (call->kind == DEVICE_APPROVE)
        return hsm_approvals_set(thread->hsm, call->approvals, call->approval_count);
    if (call->kind == DEVICE_WRAP)
        return wrap(thread, call);
    if (call->kind == DEVICE_WRAP_PROVEN)
        return wrap_proven(thread, call);
    if (call->kind == DEVICE_CHECK)
        return hsm_check(thread->hsm, &call->fault);
    if (call->kind >= DEVICE_SIGNER_CREATE && call->kind <= DEVICE_SIGNER_DESTROY)
        return serve_signer(thread->hsm, call);
    if (call->kind == DEVICE_GENERATE) {
        VLT_TRY(hsm_boot_bind(thread->hsm, call->settings.boot_pcrs, call->settings.boot_approver,
                              &call->fault));
        return generate_key(thread, call, call->generation);
    }
    if (call->kind == DEVICE_REWRAP)
        return rewrap(thread, call);
    if (call->kind == DEVICE_DESTROY)
        return destroy_key(thread, call);
    if (call->kind != DEVICE_UNWRAP)
        return serve_counter(thread->hsm, call);
    return hsm_unwrap(thread->hsm, bytes_of(call->purpose, call->purpose_bytes),
                      bytes_of(call->blob, call->blob_bytes), &call->fault, call->secret);
}

static void job_run(struct worker_job *job) {
    struct device_job *device = job_of(job);
    struct device_thread *thread = device->thread;
    struct device_call *call = &device->call;
    call->result = serve(thread, call);
    if (thread->hsm && (call->kind == DEVICE_GENERATE || call->kind == DEVICE_DESTROY ||
                        call->kind == DEVICE_CHECK))
        hsm_describe(thread->hsm, &call->description);
    if (call->kind != DEVICE_OPEN && call->kind != DEVICE_CREATE)
        return;
    if (!vlt_is_ok(call->result)) {
        hsm_close(thread->hsm);
        thread->hsm = NULL;
    } else {
        hsm_describe(thread->hsm, &call->description);
    }
}

// ---- On the loop ----

static void job_done(struct worker_job *job) {
    struct device_job *device = job_of(job);
    struct device_thread *thread = device->thread;
    bool is_its_fault = device->call.result.class == VLT_UNAVAILABLE;
    if (is_its_fault && thread->failed && !thread->is_ending)
        thread->failed(thread->context);
    device->call.done(&device->call);
    device_call_free(&device->call);
}

struct device_call *device_call_new(enum device_call_kind kind,
                                    void (*done)(struct device_call *call), void *context) {
    struct device_job *device = calloc(1, sizeof *device);
    if (!device)
        return NULL;
    device->job.run = job_run;
    device->job.done = job_done;
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

void device_call_free(struct device_call *call) {
    secret_free(call->secret);
    free(call->approvals);
    free(call->attestation);
    free(job_of_call(call));
}

void device_call_set_purpose(struct device_call *call, uint32_t tenant, uint32_t number) {
    struct wire_writer w;
    wire_writer_init(&w, call->purpose, sizeof call->purpose);
    record_datakey_context(&w, tenant, number);
    call->purpose_bytes = w.size;
}

void device_submit(struct device_thread *thread, struct device_call *call) {
    struct device_job *device = job_of_call(call);
    device->thread = thread;
    worker_submit(thread->worker, &device->job);
}

size_t device_pending(const struct device_thread *thread) {
    return worker_pending(thread->worker);
}

vlt_result device_thread_new(struct event_base *base, struct device_thread **ret_thread) {
    struct device_thread *thread = calloc(1, sizeof *thread);
    if (!thread)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = worker_new(base, &thread->worker);
    if (!vlt_is_ok(result)) {
        free(thread);
        return result;
    }
    *ret_thread = thread;
    return vlt_ok();
}

void device_thread_end(struct device_thread *thread) {
    thread->is_ending = true;
    worker_end(thread->worker);
}

void device_thread_on_failure(struct device_thread *thread, void (*failed)(void *context),
                              void *context) {
    thread->failed = failed;
    thread->context = context;
}

struct device_thread *device_call_thread(struct device_call *call) {
    return job_of_call(call)->thread;
}

void device_thread_free(struct device_thread *thread) {
    if (!thread)
        return;
    device_thread_end(thread);
    worker_free(thread->worker);
    hsm_close(thread->hsm); // the thread has ended
    free(thread);
}
