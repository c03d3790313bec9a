// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>

#include "libvault/store/record_revocation.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

static const struct {
    const char *name;
    enum record_revocation_kind kind;
} kinds[] = {{"token", RECORD_REVOKE_TOKEN},
             {"principal", RECORD_REVOKE_PRINCIPAL},
             {"client", RECORD_REVOKE_CLIENT},
             {"credential", RECORD_REVOKE_CREDENTIAL}};

static void revoked(vlt_result result, const struct answer_revoke_rule *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        work_reply(work, 0);
    else
        work_fail(work, result);
}

static void revoke(struct admin *admin, struct http_exchange *x, const struct record_tenant *tenant,
                   uint8_t kind, const char *kind_name, const char *value) {
    struct admin_work *work = work_new(admin, x, "token.revoke");
    if (!work)
        return;
    work->kind = AUDIT_REVOKE;
    work_set_tenant(work, tenant);
    char subject[sizeof work->subject];
    snprintf(subject, sizeof subject, "%s %s", kind_name, value);
    work_set_subject(work, subject);
    work->reply = json_pack("{s:s,s:s}", "kind", kind_name, "value", value);
    const struct ask_revoke_rule ask = {.tenant = tenant->number,
                                        .kind = kind,
                                        .value = bytes_of_text(value),
                                        .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_revoke_rule(admin->keeper, &ask, revoked, work);
}

OP(op_revoke) {
    static const char *const members[] = {"kind", "value", NULL};
    struct store *store;
    struct record_tenant tenant;
    if (!tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    store_snapshot_end(store);
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    const char *name = body_text(&body, "kind", BODY_REQUIRED, 16);
    const char *value = body_text(&body, "value", BODY_REQUIRED, IPC_TEXT_MAX);
    uint8_t kind = 0;
    for (size_t i = 0; name && i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(name, kinds[i].name))
            kind = (uint8_t)kinds[i].kind;
    if (name && !kind)
        body_refuse(&body, 400, "kind",
                    "\"kind\" must be \"token\", \"principal\", \"client\" or \"credential\"");
    if (!body_refused(&body, x))
        revoke(ctx, x, &tenant, kind, name, value);
    body_done(&body);
}
