// SPDX-License-Identifier: Apache-2.0
// Measured boot: what the TPM's wrapping key is bound to, and approving a state.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/store/record_boot.h"
#include "libvault/store/record_datakey.h"
#include "libvault/tpm/boot_json.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

// ---- Showing ----

static void boot_known(vlt_result result, const struct answer_boot_show *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        result = jsontext_parse(answer->description, &jsontext_document_limits, NULL, &work->reply);
    if (vlt_is_ok(result)) {
        work_reply(work, 0);
    } else if (result.class == VLT_NOT_FOUND) {
        answer_problem(work->x, 404, NULL, "%s", result.reason);
        work_free(work);
    } else {
        work_fail_device(work, result);
    }
}

OP(op_device_boot) {
    static const char *const names[] = {"device", NULL};
    char texts[1][QUERY_TEXT_SIZE];
    struct admin *admin = ctx;
    struct body query = {.status = 0};
    query_read(&query, http_exchange_request(x), names, texts);
    if (strlen(texts[0]) > RECORD_DEVICE_NAME_MAX)
        body_refuse(&query, 400, "device", "\"device\" must be the name of a device");
    if (body_refused(&query, x))
        return;
    struct admin_work *work = work_new(admin, x, "device.boot");
    const struct ask_boot_show ask = {.device = bytes_of_text(texts[0])};
    if (work)
        ask_boot_show(admin->keeper, &ask, boot_known, work);
}

// ---- Approving ----

static void approved(vlt_result result, const struct answer_boot_approve *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result)) {
        work_reply(work, answer->revision);
    } else if (result.class == VLT_UNAVAILABLE || result.class == VLT_BUG) {
        work_fail(work, result);
    } else { // the keeper's words say what to do
        answer_problem(work->x, answer_status(result.class), NULL, "%s", result.reason);
        work_free(work);
    }
}

static void approve(struct admin *admin, struct http_exchange *x,
                    const struct boot_approval *approval) {
    uint8_t state[BOOT_STATE_MAX_BYTES];
    char list[BOOT_LIST_SIZE], subject[200];
    struct wire_writer w;
    struct admin_work *work = work_new(admin, x, "device.authorize_boot");
    if (!work)
        return;
    boot_list(approval->state.pcrs, list);
    (void)snprintf(subject, sizeof subject, "%s PCR %s", approval->name, list);
    work->kind = AUDIT_DEVICE;
    work->status = 201;
    work_set_subject(work, subject);
    wire_writer_init(&w, state, sizeof state);
    boot_state_put(&w, &approval->state);
    work->reply = json_pack("{s:s}", "name", approval->name);
    struct ask_boot_approve ask = {.name = bytes_of_text(approval->name),
                                   .state = bytes_of(state, w.size),
                                   .event = work_event(work, AUDIT_ALLOW, NULL)};
    memcpy(ask.signature, approval->signature, sizeof ask.signature);
    ask_boot_approve(admin->keeper, &ask, approved, work);
}

static void read_signature(struct body *body, uint8_t signature[BOOT_SIGNATURE_BYTES]) {
    const char *text = body_text(body, "signature", BODY_REQUIRED, 2 * BOOT_SIGNATURE_BYTES);
    size_t size = 0;
    if (text &&
        (!vlt_is_ok(b64u_decode(bytes_of_text(text), signature, BOOT_SIGNATURE_BYTES, &size)) ||
         size != BOOT_SIGNATURE_BYTES))
        body_refuse(body, 400, "signature", "\"signature\" must be r and s, 64 bytes in base64url");
}

OP(op_device_boot_approve) {
    static const char *const members[] = {"name", "pcrs", "signature", NULL};
    struct boot_approval approval = {.name = ""};
    struct fault fault = {0};
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    const char *name = body_text(&body, "name", BODY_REQUIRED, RECORD_NAME_MAX);
    if (name && !record_name_is_valid(bytes_of_text(name)))
        body_refuse(&body, 400, "name",
                    "\"name\" must be 1 to 64 of a-z, 0-9, '-', '_', '.', first a letter or digit");
    if (name)
        (void)bytes_to_text(bytes_of_text(name), approval.name, sizeof approval.name);
    read_signature(&body, approval.signature);
    vlt_result result = boot_json_read_values(body_object(&body, "pcrs"), &fault, &approval.state);
    if (!vlt_is_ok(result))
        body_refuse(&body, 400, "pcrs", "%s", fault.text);
    if (!body_refused(&body, x))
        approve(ctx, x, &approval);
    body_done(&body);
}
