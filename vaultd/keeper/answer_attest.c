// SPDX-License-Identifier: Apache-2.0
// Evidence of where the wrapping key lives, for somebody on another machine.
#include <stdlib.h>

#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/boot.h"
#include "vaultd/log/log.h"

struct attesting {
    struct audit_wait wait; // first: the auditor's answer comes to it
    struct keeper *keeper;
    struct ipc_call *call;
    struct device_thread *thread;
    struct device_call *device;
    uint8_t event[2048]; // for when the device gives none after all
    size_t event_bytes;
};

static void finish(struct attesting *attesting, vlt_result result, const char *text) {
    const struct answer_attest answer = {.evidence = bytes_of_text(text)};
    reply_attest(attesting->call, result, vlt_is_ok(result) ? &answer : NULL);
    free(attesting);
}

// The record says that it was permitted; the log must also say that nothing came of it.
static void record_failure(struct attesting *attesting, vlt_result why) {
    struct audit_event event;
    if (!vlt_is_ok(audit_event_get(bytes_of(attesting->event, attesting->event_bytes), &event)))
        return;
    event.outcome = AUDIT_ERROR;
    event.reason = bytes_of_text(why.reason);
    audit_later(attesting->keeper, &event);
}

static void attested(struct device_call *device) {
    struct attesting *attesting = device->context;
    vlt_result result = device->result;
    attesting->keeper->in_flight--;
    json_t *json = vlt_is_ok(result) ? evidence_json(&device->attestation->evidence) : NULL;
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!vlt_is_ok(result))
        log_warning("no evidence: %s", fault_or_reason(&device->fault, result));
    else if (!text)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result))
        record_failure(attesting, result);
    finish(attesting, result, text);
    free(text);
}

static void recorded(struct audit_wait *wait, vlt_result result) {
    struct attesting *attesting = (struct attesting *)wait;
    if (!vlt_is_ok(result)) {
        device_call_free(attesting->device);
        finish(attesting, result, NULL);
        return;
    }
    attesting->keeper->in_flight++;
    device_submit(attesting->thread, attesting->device);
}

static vlt_result read_ask(const struct ask_attest *ask, struct device_attestation *attestation) {
    struct challenge *challenge = &attestation->challenge;
    if (!bytes_to_text(ask->nonce, attestation->nonce, sizeof attestation->nonce) ||
        (ask->nonce.size && !evidence_nonce_is_valid(attestation->nonce)) ||
        !ask->nonce.size == !ask->credential.size || !ask->credential.size != !ask->seed.size)
        return vlt_fail(VLT_MALFORMED, "give a nonce (8 to 128 characters) or a challenge");
    challenge->credential_bytes = ask->credential.size;
    challenge->seed_bytes = ask->seed.size;
    if (ask->credential.size)
        memcpy(challenge->credential, ask->credential.at, ask->credential.size);
    if (ask->seed.size)
        memcpy(challenge->seed, ask->seed.at, ask->seed.size);
    return vlt_ok();
}

void answer_attest(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_attest ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_attest_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_DEVICE, &event))) {
        ipc_call_refuse(call, "a malformed ask_attest");
        return;
    }
    struct attesting *attesting = calloc(1, sizeof *attesting);
    struct device_call *device =
        attesting ? device_call_new(DEVICE_ATTEST, attested, attesting) : NULL;
    if (device)
        device->attestation = calloc(1, sizeof *device->attestation);
    struct device *of = NULL;
    vlt_result result = device && device->attestation ? read_ask(&ask, device->attestation)
                                                      : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (vlt_is_ok(result))
        result = boot_device(keeper, ask.device, &of);
    if (vlt_is_ok(result) && of->state != DEVICE_WORKS)
        result = vlt_fail(VLT_UNAVAILABLE, "that device does not work: see `vaultctl device list`");
    if (!vlt_is_ok(result)) {
        if (device)
            device_call_free(device);
        free(attesting);
        audit_refuse(keeper, call, &event, result);
        return;
    }
    *attesting = (struct attesting){.wait = {.done = recorded},
                                    .keeper = keeper,
                                    .call = call,
                                    .thread = of->thread,
                                    .device = device};
    struct wire_writer w;
    wire_writer_init(&w, attesting->event, sizeof attesting->event);
    audit_event_put(&w, &event);
    attesting->event_bytes = w.failed ? 0 : w.size;
    audit_first(keeper, &event, &attesting->wait);
}
