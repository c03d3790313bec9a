// SPDX-License-Identifier: Apache-2.0
// One question to the policies for one call of a remote administrator. The
// resource is the tenant of the path (for what belongs to the whole vault, the
// administrators' own tenant), or the credential in it.
#include "libvault/base/clock.h"
#include "libvault/policy/policy_decide.h"
#include "libvault/policy/policy_vocabulary.h"
#include "libvault/store/record_credential.h"
#include "vaultd/admin/refusal.h"
#include "vaultd/admin/remote_members.h"
#include "vaultd/admin/work.h"

struct question {
    struct bytes tenant, credential; // credential empty: the tenant itself
    struct record_credential record; // of the credential; empty when there is none yet
    struct bytes hosts[RECORD_HOSTS_MAX];
};

static const char *type_of(const struct subject *subject) {
    static const char *const types[] = {POLICY_TYPE_USER, POLICY_TYPE_WORKLOAD, POLICY_TYPE_AGENT};
    return types[subject->kind < 3 ? subject->kind : 0];
}

static void principal_add(struct policy_request *request, const struct subject *subject,
                          struct bytes home) {
    struct policy_entity *entity = policy_entity_add(request, type_of(subject), subject->principal);
    struct policy_record *attributes = policy_entity_attributes(entity);
    policy_put_string(attributes, "issuer", subject->issuer);
    policy_put_string(attributes, "subject", subject->subject);
    if (subject->traits.acr.size)
        policy_put_string(attributes, "acr", subject->traits.acr);
    policy_put_strings(attributes, "amr", subject->traits.amr.items, subject->traits.amr.count);
    for (size_t i = 0; i < subject->traits.tag_count; i++)
        policy_put_string_named(policy_entity_tags(entity), subject->traits.tags[i].name,
                                subject->traits.tags[i].value);
    for (size_t i = 0; i < subject->group_count; i++)
        policy_entity_parent(entity, POLICY_TYPE_GROUP, subject->groups[i]);
    policy_entity_parent(entity, POLICY_TYPE_TENANT, home);
}

static void credential_add(struct policy_request *request, struct question *q) {
    struct policy_entity *entity =
        policy_entity_add(request, POLICY_TYPE_CREDENTIAL, q->credential);
    struct policy_record *attributes = policy_entity_attributes(entity);
    for (size_t i = 0; i < q->record.host_count; i++)
        q->hosts[i] = bytes_of_text(q->record.hosts[i]);
    policy_put_string(attributes, "name", q->credential);
    policy_put_string(attributes, "profile", bytes_of_text(q->record.profile));
    policy_put_strings(attributes, "hosts", q->hosts, q->record.host_count);
    if (q->record.profile[0])
        policy_entity_parent(entity, POLICY_TYPE_PROVIDER, bytes_of_text(q->record.profile));
    policy_entity_parent(entity, POLICY_TYPE_TENANT, q->tenant);
}

static bool ask(struct admin_remote *remote, const struct policy_active *active,
                struct question *q, const char *action, struct bytes address) {
    struct policy_request *request = remote->request;
    struct bytes home = bytes_of_text(remote->tenant);
    bool is_credential = q->credential.size > 0;
    policy_request_reset(request);
    principal_add(request, remote->subject, home);
    policy_entity_add(request, POLICY_TYPE_TENANT, home);
    if (!bytes_equal(home, q->tenant))
        policy_entity_add(request, POLICY_TYPE_TENANT, q->tenant);
    if (is_credential)
        credential_add(request, q);
    policy_vocabulary_action(request, action);
    struct policy_record *context = policy_request_context(request);
    policy_put_ip(context, "sourceIp", address);
    policy_put_datetime(context, "now", clock_now_s() * 1000);
    policy_request_ask(request, policy_uid_of(type_of(remote->subject), remote->subject->principal),
                       policy_uid_of(POLICY_TYPE_ACTION, bytes_of_text(action)),
                       is_credential ? policy_uid_of(POLICY_TYPE_CREDENTIAL, q->credential)
                                     : policy_uid_of(POLICY_TYPE_TENANT, q->tenant));
    return policy_decide(active->set, request).is_allowed;
}

// What the store knows about the question. Within a snapshot.
static void record_read(struct store *store, struct question *q) {
    struct record_tenant tenant;
    struct bytes value;
    if (q->credential.size && vlt_is_ok(record_tenant_find(store, q->tenant, &tenant)) &&
        vlt_is_ok(store_get(store, tenant.number, STORE_CREDENTIAL, q->credential, &value, NULL)) &&
        !vlt_is_ok(record_credential_parse(value, NULL, &q->record)))
        q->record = (struct record_credential){0};
}

static vlt_result decide(struct admin *admin, struct store *store, struct question *q,
                         const char *action, struct bytes address) {
    struct admin_remote *remote = admin->remote;
    struct record_tenant home;
    struct policy_active active;
    VLT_TRY(record_tenant_find(store, bytes_of_text(remote->tenant), &home));
    VLT_TRY(policy_cache_get(remote->policies, store, home.number, NULL, &active));
    record_read(store, q);
    bool is_allowed = ask(remote, &active, q, action, address);
    record_credential_done(&q->record);
    return is_allowed ? vlt_ok()
                      : vlt_fail(VLT_DENIED, "no policy lets this administrator do that");
}

static bool credential_of_path(const char *action, const struct http_parameters *parameters,
                               struct bytes *ret_name) {
    static const char suffix[] = "Credential";
    size_t size = strlen(action);
    struct bytes name = http_parameter(parameters, "name");
    if (size <= strlen(suffix) || strcmp(action + size - strlen(suffix), suffix) || !name.size)
        return false;
    *ret_name = name;
    return true;
}

static void take_name(struct bytes name, char to[RECORD_NAME_MAX + 1]) {
    if (record_name_is_valid(name))
        (void)bytes_to_text(name, to, RECORD_NAME_MAX + 1);
}

// In the log a change that was denied has the name under which it would have been done;
// the action that was not permitted is its subject.
static void deny(struct admin *admin, struct http_exchange *x, const struct question *q,
                 const char *action) {
    const char *change = refusal_operation(x);
    struct admin_work *work = work_new(admin, x, change ? change : action);
    if (!work)
        return;
    take_name(q->tenant, work->tenant_name);
    take_name(q->credential, work->credential);
    work_set_subject(work, action);
    work_deny(work, 403,
              "no policy lets this administrator do that: the policies of admin.oidc_tenant decide "
              "with the actions of group \"administer\"");
}

bool admin_permit(struct admin *admin, struct http_exchange *x,
                  const struct http_parameters *parameters, const char *action) {
    struct store *store;
    if (!admin->remote || !admin->remote->subject || !action)
        return true;
    struct question q = {.tenant = http_parameter(parameters, "tenant")};
    if (!q.tenant.size)
        q.tenant = bytes_of_text(admin->remote->tenant);
    credential_of_path(action, parameters, &q.credential);
    if (!store_begin(admin, x, &store))
        return false;
    vlt_result result =
        decide(admin, store, &q, action, bytes_of_text(http_exchange_peer(x)->address));
    store_snapshot_end(store);
    if (vlt_is_ok(result))
        return true;
    deny(admin, x, &q, action);
    return false;
}
