// SPDX-License-Identifier: Apache-2.0
// Evidence of where the wrapping key lives. The roles between the caller and the
// TPM only pass it on: whoever verifies it trusts none of them.
#include "libvault/tpm/evidence.h"

#include <stdlib.h>

#include "libvault/store/record_datakey.h"
#include "libvault/tpm/challenge.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

static void attested(vlt_result result, const struct answer_attest *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        result = jsontext_parse(answer->evidence, &jsontext_document_limits, NULL, &work->reply);
    if (vlt_is_ok(result)) {
        work_reply(work, 0);
    } else if (result.class == VLT_UNAVAILABLE || result.class == VLT_BUG) {
        work_fail_device(work, result);
    } else {
        answer_problem(work->x, answer_status(result.class), NULL, "%s", result.reason);
        work_free(work);
    }
}

static void attest(struct admin *admin, struct http_exchange *x, const char *device,
                   const char *nonce, const struct challenge *challenge) {
    struct admin_work *work = work_new(admin, x, "device.attest");
    if (!work)
        return;
    work->kind = AUDIT_DEVICE;
    work_set_subject(work, nonce ? "nonce" : "challenge");
    const struct ask_attest ask = {.device = bytes_of_text(device),
                                   .nonce = bytes_of_text(nonce),
                                   .credential =
                                       bytes_of(challenge->credential, challenge->credential_bytes),
                                   .seed = bytes_of(challenge->seed, challenge->seed_bytes),
                                   .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_attest(admin->keeper, &ask, attested, work);
}

static void challenge_read(struct body *body, const json_t *object, struct challenge *challenge) {
    char *text = json_dumps(object, JSON_COMPACT);
    struct fault fault = {0};
    vlt_result result = text ? challenge_parse(bytes_of_text(text), &fault, challenge)
                             : vlt_fail(VLT_MALFORMED, "out of memory");
    if (!vlt_is_ok(result))
        body_refuse(body, 400, "challenge", "\"challenge\": %s", fault_or_reason(&fault, result));
    free(text);
}

OP(op_device_attest) {
    static const char *const members[] = {"device", "nonce", "challenge", NULL};
    struct challenge challenge = {.seed_bytes = 0};
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    const char *device = body_text(&body, "device", BODY_OPTIONAL, RECORD_DEVICE_NAME_MAX);
    const char *nonce = body_text(&body, "nonce", BODY_OPTIONAL, EVIDENCE_NONCE_MAX);
    const json_t *object = body_object(&body, "challenge");
    if (!nonce == !object)
        body_refuse(&body, 400, "nonce", "give \"nonce\" or \"challenge\"");
    else if (nonce && !evidence_nonce_is_valid(nonce))
        body_refuse(&body, 400, "nonce",
                    "\"nonce\" must be 8 to 128 printable characters without spaces");
    else if (object)
        challenge_read(&body, object, &challenge);
    if (!body_refused(&body, x))
        attest(ctx, x, device, nonce, &challenge);
    body_done(&body);
}
