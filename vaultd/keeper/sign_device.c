// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/sign_device.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/crypto/digest.h"
#include "libvault/token/token_sign.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/signer_device.h"
#include "vaultd/log/log.h"

#define WARN_EACH_MS 10000

struct signing {
    struct keeper *keeper;
    struct device *device; // that has it now
    unsigned tried;        // and that had it: a set
    struct hsm_signer signer;
    uint8_t digest[HSM_DIGEST_BYTES];
    struct ipc_call *call;
    sign_device_done_fn *done;
    uint64_t expires_at;
    struct buf token;
    size_t event_bytes;
    uint8_t event[AUDIT_EVENT_BYTES_MAX]; // wire form
};

static void signing_free(struct signing *signing) {
    buf_done(&signing->token);
    free(signing);
}

// Why is for the log: who asked for a token can do nothing about a device.
static vlt_result failed(struct keeper *keeper, const struct device_call *call) {
    int64_t now_ms = clock_elapsed_ms();
    const char *why = fault_or_reason(&call->fault, call->result);
    if (call->result.class == VLT_NOT_FOUND && signer_device_is_away(keeper))
        why = "no device that works holds the token signing key, and one that may hold it is away: "
              "bring it back, or make a new key with vaultctl rotate signing --emergency";
    if (!bytes_to_text(bytes_of_text(why), keeper->sign_trouble, sizeof keeper->sign_trouble))
        keeper->sign_trouble[0] = 0;
    if (now_ms >= keeper->sign_warned_ms) {
        keeper->sign_warned_ms = now_ms + WARN_EACH_MS;
        log_error("tokens can not be signed: %s", why);
    }
    return vlt_fail(VLT_UNAVAILABLE, "the device does not sign");
}

static void signed_or_not(struct device_call *call);

// Asks the next device. VLT_UNAVAILABLE: there is none.
static vlt_result ask_next(struct signing *signing) {
    struct keeper *keeper = signing->keeper;
    struct device *device = signer_device_next(keeper, &signing->tried);
    if (!device)
        return vlt_fail(VLT_UNAVAILABLE, "no device that signs tokens works");
    if (device_pending(device->thread) >= SIGN_DEVICE_PENDING_MAX)
        return vlt_fail(VLT_UNAVAILABLE, "the device has too much to sign");
    struct device_call *call = device_call_new(DEVICE_SIGN, signed_or_not, signing);
    if (!call)
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a token");
    call->signer = signing->signer;
    memcpy(call->digest, signing->digest, sizeof call->digest);
    signing->device = device;
    keeper->in_flight++;
    device_submit(device->thread, call);
    return vlt_ok();
}

static void answer(struct signing *signing, vlt_result result) {
    struct audit_event event = {.kind = AUDIT_ISSUE};
    if (!vlt_is_ok(audit_event_get(bytes_of(signing->event, signing->event_bytes), &event)))
        result = vlt_fail(VLT_BUG, "an event was not kept");
    signing->done(signing->keeper, signing->call, result, &event, buf_bytes(&signing->token),
                  signing->expires_at);
    signing_free(signing);
}

static void signed_or_not(struct device_call *call) {
    struct signing *signing = call->context;
    struct keeper *keeper = signing->keeper;
    keeper->in_flight--;
    if (vlt_is_ok(call->result)) {
        keeper->sign_trouble[0] = 0;
        signer_device_note(keeper, signing->device);
        answer(signing, token_sign_end(call->signature, &signing->token));
        return;
    }
    // Another one may hold the key. Nothing is begun while the keeper is torn down.
    if (call->result.class != VLT_NOT_FOUND || keeper->state != KEEPER_UNSEALED ||
        !vlt_is_ok(ask_next(signing)))
        answer(signing, failed(keeper, call));
}

static vlt_result fill(struct signing *signing, const struct token_claims *claims,
                       const struct audit_event *event) {
    struct wire_writer w;
    wire_writer_init(&w, signing->event, sizeof signing->event);
    audit_event_put(&w, event);
    signing->event_bytes = w.size;
    VLT_TRY(token_sign_begin(signing->keeper->keys->signing, claims, &signing->token));
    struct bytes input = buf_bytes(&signing->token);
    VLT_TRY(digest_parts(DIGEST_SHA256, &input, 1, signing->digest));
    return w.failed ? vlt_fail(VLT_LIMIT, "the event is too large") : vlt_ok();
}

vlt_result sign_device(struct keeper *keeper, struct ipc_call *call,
                       const struct system_signer *signer, const struct token_claims *claims,
                       const struct audit_event *event, sign_device_done_fn *done) {
    struct signing *signing = malloc(sizeof *signing);
    if (!signing)
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a token");
    *signing = (struct signing){.keeper = keeper,
                                .call = call,
                                .done = done,
                                .signer = signer->signer,
                                .expires_at = (uint64_t)claims->expires_at};
    buf_init(&signing->token, TOKEN_BYTES_MAX);
    vlt_result result = fill(signing, claims, event);
    if (vlt_is_ok(result))
        result = ask_next(signing);
    if (!vlt_is_ok(result))
        signing_free(signing);
    return result;
}
