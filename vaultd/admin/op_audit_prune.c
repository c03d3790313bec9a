// SPDX-License-Identifier: Apache-2.0
// Pruning the audit log: recorded, and refused while a receiver still needs the
// entries. That an archive has them is verified by the auditor where it knows one; else
// who asks must say that they have done so, as vaultctl audit prune has.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/audit/tile.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/refusal.h"
#include "vaultd/admin/work.h"

struct prune_order {
    uint64_t until;
    bool is_archived;
};

static void pruned(vlt_result result, const struct answer_prune *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result)) {
        refusal_untold(work->x); // the auditor records what it begins
        answer_problem(work->x, answer_status(result.class), NULL, "%s", result.reason);
        work_free(work);
        return;
    }
    work->reply = json_pack("{s:I}", "pruned", (json_int_t)answer->pruned);
    answer_json(work->x, 200, work->reply, 0);
    work->reply = NULL;
    work_free(work);
}

static void ask_auditor(struct admin_work *work) {
    const struct prune_order *order = work->more;
    const struct ask_prune ask = {.until = order->until,
                                  .is_archived = order->is_archived,
                                  .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_prune(work->admin->auditor, &ask, pruned, work);
}

// NULL: every receiver has them.
static const char *receiver_behind(const json_t *receivers, uint64_t until) {
    const char *name;
    json_t *receiver;
    json_object_foreach((json_t *)(uintptr_t)receivers, name, receiver)
        if ((uint64_t)json_integer_value(json_object_get(receiver, "confirmed")) < until)
            return name;
    return NULL;
}

static void receivers_known(vlt_result result, const struct answer_shipping *answer,
                            void *context) {
    struct admin_work *work = context;
    const struct prune_order *order = work->more;
    json_t *receivers = NULL;
    if (vlt_is_ok(result))
        result = jsontext_parse(answer->description, &jsontext_document_limits, NULL, &receivers);
    const char *behind = vlt_is_ok(result) ? receiver_behind(receivers, order->until) : NULL;
    if (!vlt_is_ok(result)) {
        answer_problem(work->x, 503, NULL,
                       "whether every receiver has these entries is not known: the shipper does "
                       "not answer. Try again shortly");
        work_free(work);
    } else if (behind) {
        answer_problem(work->x, 409, NULL,
                       "the %s does not have these entries yet: see `vaultctl status`", behind);
        work_free(work);
    } else {
        ask_auditor(work);
    }
    json_decref(receivers);
}

static struct prune_order *order_read(struct http_exchange *x) {
    static const char *const members[] = {"entries", "archived", NULL};
    struct body body;
    struct prune_order *order = calloc(1, sizeof *order);
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    if (!order) {
        body_refuse(&body, 503, "", "the admin role is out of memory: try again");
    } else {
        order->until = (uint64_t)body_number(&body, "entries", 0, INT64_MAX, 0);
        order->is_archived = body_flag(&body, "archived", false);
        if (order->until == 0 || order->until % TILE_WIDTH)
            body_refuse(&body, 400, "entries",
                        "\"entries\" must be a multiple of %d: only full tiles are pruned",
                        TILE_WIDTH);
    }
    if (body_refused(&body, x)) {
        free(order);
        order = NULL;
    }
    body_done(&body);
    return order;
}

OP(op_audit_prune) {
    struct admin *admin = ctx;
    struct prune_order *order = order_read(x);
    struct admin_work *work = order ? work_new(admin, x, "audit.prune") : NULL;
    if (!work) {
        free(order);
        return;
    }
    char subject[64];
    snprintf(subject, sizeof subject, "entries 1 to %llu", (unsigned long long)order->until);
    work->kind = AUDIT_VAULT;
    work->more = order;
    work->more_free = free;
    work_set_subject(work, subject);
    const struct ask_shipping ask = {0};
    if (admin->ships) // also while there is no shipper: then nobody knows
        ask_shipping(admin->shipper, &ask, receivers_known, work);
    else
        ask_auditor(work);
}
