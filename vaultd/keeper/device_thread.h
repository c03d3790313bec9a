// SPDX-License-Identifier: Apache-2.0
// The one thread that talks to a device. Every call returns at once; `done`
// comes later, on the loop. Calls are served in their order.
//
// A call into a PKCS#11 module can not be interrupted. When one does not return in
// time it is finished without the device (VLT_UNAVAILABLE), so are those behind it,
// and so is each that is submitted until it returns. What it brings then is
// dropped, what it made is destroyed, and the device is closed.
#ifndef VLT_KEEPER_DEVICE_THREAD_H
#define VLT_KEEPER_DEVICE_THREAD_H

#include <event2/event.h>

#include "hsm/hsm.h"
#include "libvault/store/record_datakey.h"

#define DEVICE_KEYS_MAX HSM_KEYS_MAX

enum device_call_kind {
    DEVICE_OPEN,   // reach the device and open `keys`
    DEVICE_CREATE, // reach the device and make a wrapping key: `keys[0]`
    DEVICE_WRAP,   // `secret` into `blob`
    DEVICE_WRAP_PROVEN, // the same, and unwrapped again for comparison
    DEVICE_UNWRAP, // `blob` into `secret`
    DEVICE_GENERATE, // one more wrapping key, of `generation` or the next that is free: `keys[0]`
    DEVICE_REWRAP,   // `blob` under the newest wrapping key, and proven to open
    DEVICE_DESTROY,  // `keys[0]` for ever; fine when it is gone already
    DEVICE_COUNTER_CREATE,  // a rollback counter: `counter`, `value`
    DEVICE_COUNTER_READ,    // `counter` into `value`
    DEVICE_COUNTER_ADVANCE, // `counter` to `value`
    DEVICE_COUNTER_DESTROY,
    DEVICE_SIGNER_CREATE,  // a token signing key: `signer`
    DEVICE_SIGN,           // `digest` with `signer` into `signature`
    DEVICE_SIGNER_DESTROY, // `signer.id` for ever; fine when it is gone already
    DEVICE_APPROVE,         // from now on `approvals` are the approved boot states
    DEVICE_CHECK,           // every open key must give its known answer
    DEVICE_BOOT_READ,       // PCRs of `boot.pcrs` into `boot`; reaches the device if need be
    DEVICE_ATTEST,          // `attestation`
    DEVICE_CLOSE
};

struct device_attestation {
    char nonce[EVIDENCE_NONCE_MAX + 1]; // "": with the challenge
    struct challenge challenge;
    struct evidence evidence;
};

// Made by device_call_new, filled in by the caller, consumed by device_submit;
// freed after `done`. The call owns `secret` and wipes it, unless done takes it
// away by setting it to NULL. After a failure what the call owned may be gone.
struct device_call {
    enum device_call_kind kind;
    struct hsm_settings settings; // DEVICE_OPEN, DEVICE_CREATE, DEVICE_GENERATE, DEVICE_BOOT_READ
    struct hsm_key keys[DEVICE_KEYS_MAX];
    size_t key_count;
    uint32_t generation; // DEVICE_GENERATE
    uint8_t purpose[RECORD_DATAKEY_CONTEXT_MAX]; // what the device binds to the key
    size_t purpose_bytes;
    struct secret *secret;
    uint8_t blob[HSM_BLOB_MAX_BYTES];
    size_t blob_bytes;
    struct boot_approval *approvals; // DEVICE_OPEN, DEVICE_APPROVE; owned by the call
    size_t approval_count;
    struct boot_state boot;
    struct device_attestation *attestation; // DEVICE_ATTEST; owned by the call
    struct hsm_counter counter;
    uint64_t value; // of the counter
    struct hsm_signer signer;
    uint8_t digest[HSM_DIGEST_BYTES], signature[HSM_SIGNATURE_BYTES];
    void (*done)(struct device_call *call);
    void *context;
    // Results, valid in done.
    vlt_result result;
    struct fault fault;
    struct hsm_description description; // after calls that change which keys are open
};

#define DEVICE_SLOW_FACTOR 12 // opening a device and making keys may take longer

struct device_thread;
// `name`: the device's in the log; kept by reference.
vlt_result device_thread_new(struct event_base *base, const char *name,
                             struct device_thread **ret_thread) VLT_MUST_USE;
struct device_thread_events { // any may be NULL; called before `done` of the call
    void (*failed)(void *context);   // a call failed because the device does not answer
    void (*stuck)(void *context);    // a call does not return
    void (*returned)(void *context); // it did; the device is closed
};
void device_thread_on(struct device_thread *thread, const struct device_thread_events *events,
                      void *context);
// Has a call been running for longer than `timeout_s`? Called every now and then.
void device_thread_look(struct device_thread *thread, uint32_t timeout_s);
// For how long a call has not returned that was given up; -1: there is none.
int64_t device_thread_stuck_ms(const struct device_thread *thread);
// Finishes what was submitted, waiting for the device no longer than `within_ms`;
// what is submitted from then on fails at once. False: the thread is still in the
// device. It must not be freed then, and the process ends by _exit.
bool device_thread_end(struct device_thread *thread, unsigned within_ms) VLT_MUST_USE;
void device_thread_free(struct device_thread *thread); // one that has ended; NULL is fine
// The thread that a call was submitted to.
struct device_thread *device_call_thread(struct device_call *call);
// NULL: out of memory. `secret`, where the kind needs one, has room for a data key.
struct device_call *device_call_new(enum device_call_kind kind,
                                    void (*done)(struct device_call *call), void *context);
void device_call_free(struct device_call *call); // one that was not submitted
// What wraps or unwraps data key `number` of `tenant`.
void device_call_set_purpose(struct device_call *call, uint32_t tenant, uint32_t number);
void device_submit(struct device_thread *thread, struct device_call *call);
size_t device_pending(const struct device_thread *thread);

#endif
