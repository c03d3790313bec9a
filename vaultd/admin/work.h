// SPDX-License-Identifier: Apache-2.0
// One request while it waits for the keeper or the auditor. Handlers make it,
// ask, and end it in the answer's callback. Owns its texts, so that nothing
// points into a request that is gone.
#ifndef VLT_ADMIN_WORK_H
#define VLT_ADMIN_WORK_H

#include "libvault/audit/event.h"
#include "libvault/store/record_tenant.h"
#include "vaultd/admin/admin.h"
#include "vaultd/admin/answer.h"
#include "vaultd/admin/body.h"
#include "vaultd/ipc/rotation_kind.h"
#include "vaultd/policy/policy_cache.h"

#define WORK_EVENT_MAX 8192

struct admin_work {
    struct admin *admin;
    struct http_exchange *x;
    struct admin_caller caller;
    enum audit_kind kind;
    const char *operation; // static: "tenant.create"
    uint32_t tenant;       // number; 0: the vault's own
    char tenant_name[RECORD_NAME_MAX + 1];
    char subject[257];     // what the operation is about, for the audit
    char credential[RECORD_NAME_MAX + 1];
    char policy_set[POLICY_HASH_TEXT_SIZE]; // hash of the set that comes into force; "": none
    unsigned status;       // of a successful answer
    json_t *reply;         // owned; what a successful answer says
    void *more;            // of one operation; freed with more_free
    void (*more_free)(void *more);
    vlt_result failure;    // while the reason is being found out
    uint8_t event[WORK_EVENT_MAX];
};

// NULL: a 503 was sent (no memory).
struct admin_work *work_new(struct admin *admin, struct http_exchange *x, const char *operation);
void work_free(struct admin_work *work);
void work_set_tenant(struct admin_work *work, const struct record_tenant *tenant);
void work_set_subject(struct admin_work *work, const char *subject);

// The audit event of this change, for an ask's `event`. Lives in the work.
struct bytes work_event(struct admin_work *work, enum audit_outcome outcome, const char *reason);

// Ends the work: answers and frees.
void work_reply(struct admin_work *work, uint64_t revision); // status, reply
// UNAVAILABLE asks the keeper for its state first, to say what to do about it.
void work_fail(struct admin_work *work, vlt_result result);
// When it was the question for that state that failed.
void work_fail_state(struct admin_work *work, vlt_result result);
// The same when it was the device that failed, whatever the class: 503, with what
// the keeper says about the device and what to do.
void work_fail_device(struct admin_work *work, vlt_result result);
// Records the refusal, then answers with that status (401, 403) and `detail`
// (static).
void work_deny(struct admin_work *work, unsigned status, const char *detail);

// Commits records through the keeper, then replies with status, reply and the
// new revision. `what` names the record in a conflict.
void work_commit(struct admin_work *work, const struct store_change *changes, size_t count);

// ---- What most handlers begin with ----

// Opens a snapshot and finds the tenant of the path. false: it has replied.
// On true the caller ends the snapshot.
bool tenant_begin(struct admin *admin, struct http_exchange *x,
                  const struct http_parameters *parameters, struct store **ret_store,
                  struct record_tenant *ret_tenant);
// Only the snapshot.
bool store_begin(struct admin *admin, struct http_exchange *x, struct store **ret_store);
// The parameter of the path as a name that a person may have chosen. false: it
// has replied 400 that names `parameter`.
bool name_take(struct http_exchange *x, const struct http_parameters *parameters,
               const char *parameter, char name[RECORD_NAME_MAX + 1]);

// The kind of key in the path: one of the vault itself. false: it has replied.
bool rotation_kind_take(struct http_exchange *x, const struct http_parameters *parameters,
                        enum rotation_kind *ret_kind);

// Lists records of a class: {"items":[…],"next":"name"}; ?after= and ?limit=.
// `keep` (may be NULL) says whether a record is shown and may add members.
typedef bool list_keep(json_t *record, uint64_t revision);
void list_answer(struct http_exchange *x, struct store *store, uint32_t tenant,
                 enum store_class class, list_keep *keep);
// One record as JSON with its ETag, or 404 "no such <what>".
void record_answer(struct http_exchange *x, struct store *store, uint32_t tenant,
                   enum store_class class, const char *name, const char *what);

#endif
