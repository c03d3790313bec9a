// SPDX-License-Identifier: Apache-2.0
// A vault whose device is gone, or whose store was restored: what is needed to
// unseal it all the same.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/jwe.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

// ---- The key to which the recovery secret is sealed ----

static json_t *jwk_of(const struct answer_recovery_key *answer) {
    char x[B64U_SIZE(32) + 1], y[B64U_SIZE(32) + 1];
    b64u_encode_text(bytes_of(answer->x, sizeof answer->x), x);
    b64u_encode_text(bytes_of(answer->y, sizeof answer->y), y);
    return json_pack("{s:s,s:s,s:s,s:s,s:s%}", "kty", "EC", "crv", "P-256", "x", x, "y", y, "kid",
                     (const char *)answer->kid.at, answer->kid.size);
}

static void key_known(vlt_result result, const struct answer_recovery_key *answer, void *context) {
    struct admin_work *work = context;
    if (result.class == VLT_CONFLICT) {
        answer_problem(work->x, 409, NULL, "%s", result.reason);
        work_free(work);
        return;
    }
    if (!vlt_is_ok(result)) {
        work_fail(work, result);
        return;
    }
    work->reply = json_pack("{s:o,s:i,s:i}", "key", jwk_of(answer), "shares", answer->shares,
                            "threshold", answer->threshold);
    if (work->reply && answer->sealed.size > 0)
        json_object_set_new(work->reply, "sealed",
                            json_stringn((const char *)answer->sealed.at, answer->sealed.size));
    work_reply(work, 0);
}

static void go_on_for_key(struct admin_work *work) {
    const struct ask_recovery_key ask = {0};
    ask_recovery_key(work->admin->keeper, &ask, key_known, work);
}

static void state_known(vlt_result result, const struct answer_status *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result) || answer->state == KEEPER_SEALED) {
        void (*const *go_on)(struct admin_work *work) = work->more;
        (*go_on)(work);
        return;
    }
    answer_problem(work->x, 409, NULL, "the vault is %s: there is nothing to recover",
                   keeper_state_name((enum keeper_state)answer->state));
    work_free(work);
}

// What can only be asked of a sealed vault. work->more begins with the function
// that goes on.
static void when_sealed(struct admin_work *work) {
    const struct ask_status ask = {0};
    ask_status(work->admin->keeper, &ask, state_known, work);
}

OP(op_recovery_key) {
    static void (*go_on)(struct admin_work *work) = go_on_for_key;
    struct admin_work *work = work_new(ctx, x, "recovery.read");
    if (!work)
        return;
    work->more = &go_on;
    when_sealed(work);
}

// ---- Recovering ----

static void recovered(vlt_result result, const struct answer_recover *answer, void *context) {
    struct admin_work *work = context;
    if (result.class == VLT_CONFLICT || result.class == VLT_DENIED) {
        answer_problem(work->x, result.class == VLT_DENIED ? 403 : 409, NULL, "%s", result.reason);
        work_free(work);
    } else if (!vlt_is_ok(result)) {
        work_fail(work, result);
    } else if (answer->note.size > 0) {
        answer_problem(work->x, 409, NULL, "the vault is still sealed: %.*s",
                       (int)answer->note.size, (const char *)answer->note.at);
        work_free(work);
    } else {
        work->reply =
            json_pack("{s:s,s:i}", "state", "unsealed", "data_keys", (int)answer->data_keys);
        work_reply(work, 0);
    }
}

struct recover {
    void (*go_on)(struct admin_work *work);
    bool accepts_rollback;
    struct jwe_intake_fields jwe; // no ciphertext: none was sent
};

static void go_on_to_recover(struct admin_work *work) {
    const struct recover *recover = work->more;
    const struct jwe_intake_fields *jwe = &recover->jwe;
    struct ask_recover ask = {.accept_rollback = recover->accepts_rollback,
                              .kid = bytes_of_text(jwe->kid),
                              .jwe_header = bytes_of(jwe->aad, jwe->aad_bytes),
                              .ciphertext = bytes_of(jwe->ciphertext, jwe->ciphertext_bytes),
                              .event = work_event(work, AUDIT_ALLOW, NULL)};
    memcpy(ask.epk_x, jwe->epk_x, sizeof ask.epk_x);
    memcpy(ask.epk_y, jwe->epk_y, sizeof ask.epk_y);
    memcpy(ask.iv, jwe->iv, sizeof ask.iv);
    memcpy(ask.tag, jwe->tag, sizeof ask.tag);
    ask_recover(work->admin->keeper, &ask, recovered, work);
}

static void recover_begin(struct admin *admin, struct http_exchange *x, struct recover *recover) {
    struct admin_work *work = work_new(admin, x, "vault.recover");
    if (!work) {
        free(recover);
        return;
    }
    recover->go_on = go_on_to_recover;
    work->kind = AUDIT_VAULT;
    work->more = recover;
    work->more_free = free;
    work_set_subject(work, recover->jwe.ciphertext_bytes == 0  ? "accept-rollback"
                           : recover->accepts_rollback         ? "shares, accept-rollback"
                                                               : "shares");
    when_sealed(work);
}

OP(op_recover) {
    static const char *const members[] = {"accept_rollback", "jwe", NULL};
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    bool accepts_rollback = body_flag(&body, "accept_rollback", false);
    const char *text = body_text(&body, "jwe", BODY_OPTIONAL, 2048);
    struct recover *recover = calloc(1, sizeof *recover);
    if (!recover)
        body_refuse(&body, 503, "jwe", "the admin role is out of memory: try again");
    if (recover && text) {
        vlt_result result = jwe_intake_split(bytes_of_text(text), &recover->jwe);
        if (!vlt_is_ok(result) || recover->jwe.ciphertext_bytes > 1024)
            body_refuse(&body, 400, "jwe",
                        "\"jwe\" is not a recovery secret sealed to the key of /v1/recovery-key");
    } else if (!accepts_rollback) {
        body_refuse(&body, 400, "jwe",
                    "give \"jwe\", the recovery secret, or \"accept_rollback\", or both");
    }
    if (recover)
        recover->accepts_rollback = accepts_rollback;
    if (body_refused(&body, x))
        free(recover);
    else
        recover_begin(ctx, x, recover);
    body_done(&body);
}
