// SPDX-License-Identifier: Apache-2.0
// What becomes of a staged version: verified, promoted, abandoned. The keeper
// knows which edges there are; a wrong one is 409 with what to do.
#include <stdio.h>

#include "libvault/store/record_credential.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"
#include "vaultd/ipc/credential_change.h"

#define GRACE_DEFAULT_S 300

static void stepped(vlt_result result, const struct answer_credential_step *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    json_object_set_new(work->reply, "version", json_integer(answer->version));
    work_reply(work, answer->revision);
}

static void step_ask(struct admin *admin, struct http_exchange *x,
                     const struct record_tenant *tenant, const char *name, const char *operation,
                     struct ask_credential_step *ask) {
    struct admin_work *work = work_new(admin, x, operation);
    if (!work)
        return;
    work_set_tenant(work, tenant);
    work_set_subject(work, name);
    snprintf(work->credential, sizeof work->credential, "%s", name);
    work->reply = json_pack("{s:s}", "name", name);
    ask->tenant = tenant->number;
    ask->name = bytes_of_text(name);
    ask->event = work_event(work, AUDIT_ALLOW, NULL);
    ask_credential_step(admin->keeper, ask, stepped, work);
}

static void step(struct admin *admin, struct http_exchange *x,
                 const struct http_parameters *parameters, enum credential_step step,
                 const char *operation) {
    static const char *const with_grace[] = {"grace_s", NULL},
                             *const with_word[] = {"tested", NULL}, *const none[] = {NULL};
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    struct body body;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(admin, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    body_open(http_exchange_request(x), &jsontext_token_limits,
              step == CREDENTIAL_PROMOTE    ? with_grace
              : step == CREDENTIAL_VERIFIED ? with_word
                                            : none,
              &body);
    struct ask_credential_step ask = {.step = (uint8_t)step};
    ask.grace_s =
        (uint32_t)body_number(&body, "grace_s", 0, CREDENTIAL_GRACE_MAX_S, GRACE_DEFAULT_S);
    ask.expected_revision = if_match_read(&body, http_exchange_request(x));
    // Nobody can say it but who has tried it: the vault shows the value to no one.
    if (step == CREDENTIAL_VERIFIED && !body_flag(&body, "tested", false))
        body_refuse(
            &body, 400, "tested",
            "try the new value at the provider yourself, then say so with \"tested\": true");
    if (!body_refused(&body, x))
        step_ask(admin, x, &tenant, name, operation, &ask);
    body_done(&body);
}

OP(op_credential_verify) { step(ctx, x, parameters, CREDENTIAL_VERIFIED, "credential.verify"); }
OP(op_credential_promote) { step(ctx, x, parameters, CREDENTIAL_PROMOTE, "credential.promote"); }
OP(op_credential_abandon) { step(ctx, x, parameters, CREDENTIAL_ABANDON, "credential.abandon"); }
