// SPDX-License-Identifier: Apache-2.0
// A backup passes through here as it is: ciphertext, and signed by the keeper.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

static void begun(vlt_result result, const struct answer_backup_begin *answer, void *context) {
    struct admin_work *work = context;
    if (result.class == VLT_CONFLICT) {
        answer_problem(work->x, 409, NULL, "another backup is under way: try again in a minute");
        work_free(work);
        return;
    }
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    char number[24];
    snprintf(number, sizeof number, "%" PRIu64, answer->number);
    work->reply = json_pack("{s:s,s:I,s:I}", "backup", number, "revision",
                            (json_int_t)answer->revision, "records", (json_int_t)answer->records);
    work_reply(work, 0);
}

OP(op_backup_begin) {
    static const char *const none[] = {NULL};
    struct admin *admin = ctx;
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, none, &body);
    bool is_refused = body_refused(&body, x);
    body_done(&body);
    struct admin_work *work = is_refused ? NULL : work_new(admin, x, "vault.backup");
    if (!work)
        return;
    work->kind = AUDIT_VAULT;
    work->status = 201;
    const struct ask_backup_begin ask = {.event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_backup_begin(admin->keeper, &ask, begun, work);
}

static void chunk_known(vlt_result result, const struct answer_backup_next *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    struct buf text;
    buf_init(&text, B64U_SIZE(120000) + 8);
    b64u_encode(answer->records, &text);
    work->reply = buf_failed(&text)
                      ? NULL
                      : json_pack("{s:s%,s:s%}", "records", buf_text(&text) ? buf_text(&text) : "",
                                  text.size, "signature",
                                  answer->signature.size ? (const char *)answer->signature.at : "",
                                  answer->signature.size);
    buf_done(&text);
    work_reply(work, 0);
}

OP(op_backup_next) {
    struct admin *admin = ctx;
    char name[RECORD_NAME_MAX + 1], *end;
    if (!name_take(x, parameters, "name", name))
        return;
    struct admin_work *work = work_new(admin, x, "vault.backup");
    if (!work)
        return;
    const struct ask_backup_next ask = {.number = strtoull(name, &end, 10)};
    ask_backup_next(admin->keeper, &ask, chunk_known, work);
}
