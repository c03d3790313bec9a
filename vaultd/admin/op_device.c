// SPDX-License-Identifier: Apache-2.0
// Devices of the vault. Adding and removing return when it is decided; data keys
// follow, and the list says how far they are.
#include "libvault/store/record_datakey.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

// ---- List ----

static void listed(vlt_result result, const struct answer_device_list *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        result = jsontext_parse(answer->description, &jsontext_document_limits, NULL, &work->reply);
    if (vlt_is_ok(result))
        work_reply(work, 0);
    else
        work_fail(work, result);
}

OP(op_device_list) {
    struct admin *admin = ctx;
    struct admin_work *work = work_new(admin, x, "device.list");
    const struct ask_device_list ask = {0};
    if (work)
        ask_device_list(admin->keeper, &ask, listed, work);
}

// ---- One more, one less ----

static void changed(vlt_result result, const struct answer_device_change *answer, void *context) {
    struct admin_work *work = context;
    unsigned status = result.class == VLT_CONFLICT ? 409 : 404;
    if (vlt_is_ok(result) && answer->note.size > 0) {
        answer_problem(work->x, 503, NULL, "the device can not be added: %.*s",
                       (int)answer->note.size, (const char *)answer->note.at);
        work_free(work);
    } else if (vlt_is_ok(result)) {
        work_reply(work, answer->revision);
    } else if (result.class == VLT_CONFLICT || result.class == VLT_NOT_FOUND) {
        answer_problem(work->x, status, NULL, "%s", result.reason);
        work_free(work);
    } else {
        work_fail(work, result);
    }
}

static void change(struct admin *admin, struct http_exchange *x, const char *name, bool removes) {
    struct admin_work *work = work_new(admin, x, removes ? "device.remove" : "device.add");
    if (!work)
        return;
    work->kind = AUDIT_VAULT;
    work->status = removes ? 202 : 201;
    work_set_subject(work, name);
    work->reply = json_pack("{s:s}", "name", name);
    const struct ask_device_change ask = {.name = bytes_of_text(name),
                                          .removes = removes,
                                          .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_device_change(admin->keeper, &ask, changed, work);
}

OP(op_device_add) {
    static const char *const members[] = {"name", NULL};
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    const char *name = body_text(&body, "name", BODY_REQUIRED, RECORD_DEVICE_NAME_MAX);
    if (!body_refused(&body, x))
        change(ctx, x, name, false);
    body_done(&body);
}

OP(op_device_remove) {
    char name[RECORD_NAME_MAX + 1];
    if (name_take(x, parameters, "name", name))
        change(ctx, x, name, true);
}
