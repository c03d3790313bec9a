// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <string.h>

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

// Whoever ends tokens in a hurry must not be told that a rule does it which fits none.
static void value_check(struct body *body, struct store *store, uint32_t tenant, uint8_t kind,
                        const char *value) {
    const char *bar = strchr(value, '|');
    struct bytes record;
    uint64_t revision;
    if (kind == RECORD_REVOKE_TOKEN && strchr(value, '.'))
        body_refuse(body, 400, "value",
                    "\"value\" must be the id of a token, its jti; the token itself is revoked at "
                    "the broker");
    if (kind == RECORD_REVOKE_PRINCIPAL && (!bar || bar == value || !bar[1]))
        body_refuse(body, 400, "value",
                    "\"value\" must be ISSUER|SUBJECT, such as https://login.example|alice");
    if (kind != RECORD_REVOKE_CREDENTIAL)
        return;
    vlt_result result = record_name_is_valid(bytes_of_text(value))
                            ? store_get(store, tenant, STORE_CREDENTIAL, bytes_of_text(value),
                                        &record, &revision)
                            : vlt_fail(VLT_NOT_FOUND, "no name");
    if (result.class == VLT_NOT_FOUND) // one that was deleted is still known
        // Not what was given: in a hurry that may be the secret itself, and this is recorded.
        body_refuse(body, 404, "value",
                    "there was never a credential with that name: `vaultctl credential list` "
                    "shows those there are");
}

OP(op_revoke) {
    static const char *const members[] = {"kind", "value", NULL};
    struct store *store;
    struct record_tenant tenant;
    if (!tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
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
    if (kind && value)
        value_check(&body, store, tenant.number, kind, value);
    store_snapshot_end(store);
    if (!body_refused(&body, x))
        revoke(ctx, x, &tenant, kind, name, value);
    body_done(&body);
}
