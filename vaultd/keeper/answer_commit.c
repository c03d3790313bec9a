// SPDX-License-Identifier: Apache-2.0
// The admin role writes what is not secret: issuers, policies, forwarders, and
// what of a tenant may change. Ciphertext and keys have calls of their own.
#include "libvault/store/record_tenant.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/change.h"

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    struct answer_commit answer = {.revision = revision};
    reply_commit(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

// A tenant's number is in the context of its data keys and of every credential:
// another number under the same name would be another tenant's authority.
static vlt_result check_tenant(struct keeper *keeper, const struct store_change *row) {
    struct record_tenant old, new;
    if (row->remove)
        return vlt_fail(VLT_DENIED, "a tenant can be disabled and not removed");
    vlt_result result = record_tenant_find(keeper->store, row->name, &old);
    if (result.class == VLT_NOT_FOUND)
        return vlt_fail(VLT_NOT_FOUND, "there is no such tenant");
    VLT_TRY(result);
    VLT_TRY(record_tenant_parse(row->value, NULL, &new));
    if (new.number != old.number || strcmp(new.name, old.name) != 0)
        return vlt_fail(VLT_DENIED, "name and number of a tenant do not change");
    return vlt_ok();
}

static vlt_result check_row(struct keeper *keeper, const struct store_change *row) {
    if (!store_class_is_plain(row->class))
        return vlt_fail(VLT_DENIED, "records of this class are not written like this");
    bool is_system = row->class == STORE_TENANT || row->class == STORE_FORWARDER;
    if (is_system != (row->tenant == STORE_SYSTEM_TENANT) || row->tenant >= keeper->next_tenant)
        return vlt_fail(VLT_DENIED, "a record belongs to another tenant");
    if (row->name.size == 0)
        return vlt_fail(VLT_MALFORMED, "a record has no name");
    // The keeper goes through the plans by itself.
    if (row->class == STORE_ROTATION_PLAN && !record_name_is_valid(row->name))
        return vlt_fail(VLT_MALFORMED, "a rotation plan is not named as a credential is");
    return row->class == STORE_TENANT ? check_tenant(keeper, row) : vlt_ok();
}

static vlt_result read_rows(struct keeper *keeper, struct bytes rows, struct change *change,
                            bool *ret_is_malformed) {
    struct wire_reader r;
    vlt_result result = vlt_ok();
    wire_reader_init(&r, rows);
    size_t count = 0;
    while (r.next < r.size && !r.failed) {
        struct store_change row;
        store_change_get(&r, &row);
        if (r.failed)
            break;
        if (++count > STORE_CHANGES_MAX)
            return vlt_fail(VLT_LIMIT, "a commit has too many changes");
        if (vlt_is_ok(result))
            result = check_row(keeper, &row);
        if (vlt_is_ok(result) && row.remove)
            change_add_removal(change, row.tenant, row.class, row.name, row.expected_revision);
        else if (vlt_is_ok(result))
            change_add(change, row.tenant, row.class, row.name, row.value, row.expected_revision);
    }
    *ret_is_malformed = r.failed || count == 0;
    return result;
}

void answer_commit(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_commit ask;
    struct audit_event event;
    if (!vlt_is_ok(ask_commit_decode(frame, &ask)) ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_commit");
        return;
    }
    struct change *change = change_new(keeper, call, &event, answered);
    if (!change) {
        audit_refuse(keeper, call, &event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    bool is_malformed = false;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = read_rows(keeper, ask.changes, change, &is_malformed);
        store_snapshot_end(keeper->store);
    }
    if (is_malformed && vlt_is_ok(result))
        result = vlt_fail(VLT_MALFORMED, "the changes of a commit can not be read");
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}
