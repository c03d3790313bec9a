// SPDX-License-Identifier: Apache-2.0
// The Admin API as one table: method, path, operation, what it changes as the audit log
// calls it, the action that a remote administrator needs, and the largest body.
#include "vaultd/admin/ops.h"
#include "vaultd/admin/refusal.h"
#include "vaultd/admin/remote.h"

#define NONE 0
#define SMALL (16u << 10)
#define RECORD (128u << 10)    // an issuer may bring its key set
#define CREDENTIAL (64u << 10) // a JWE and what describes it
#define POLICIES (8u << 20)    // texts of a whole set

// Changes nothing: what it refuses leaves no entry, but for who may not ask at all.
#define READ NULL

// Any administrator that is known: nothing to keep from them, nothing to change.
#define ANYBODY NULL

#define TENANT "/v1/tenants/{tenant}"

#define ROUTES(ROUTE)                                                                              \
    ROUTE(HTTP_POST, "/v1/init", op_init, "vault.init", "seal", SMALL)                             \
    ROUTE(HTTP_GET, "/v1/status", op_status, READ, "readStatus", NONE)                             \
    ROUTE(HTTP_POST, "/v1/seal", op_seal, "vault.seal", "seal", SMALL)                             \
    ROUTE(HTTP_POST, "/v1/unseal", op_unseal, "vault.unseal", "seal", SMALL)                       \
    ROUTE(HTTP_GET, "/v1/recovery-key", op_recovery_key, READ, "seal", NONE)                       \
    ROUTE(HTTP_POST, "/v1/recover", op_recover, "vault.recover", "seal", SMALL)                    \
    ROUTE(HTTP_POST, "/v1/backups", op_backup_begin, "vault.backup", "seal", SMALL)                \
    ROUTE(HTTP_GET, "/v1/backups/{name}", op_backup_next, READ, "seal", NONE)                      \
    ROUTE(HTTP_POST, "/v1/device/attestations", op_device_attest, "device.attest", "seal", SMALL)  \
    ROUTE(HTTP_GET, "/v1/devices", op_device_list, READ, "readStatus", NONE)                       \
    ROUTE(HTTP_POST, "/v1/devices", op_device_add, "device.add", "seal", SMALL)                    \
    ROUTE(HTTP_DELETE, "/v1/devices/{name}", op_device_remove, "device.remove", "seal", NONE)      \
    ROUTE(HTTP_GET, "/v1/device/boot", op_device_boot, READ, "readStatus", NONE)                   \
    ROUTE(HTTP_POST, "/v1/device/boot/approvals", op_device_boot_approve,                          \
          "device.authorize_boot", "seal", SMALL)                                                  \
    ROUTE(HTTP_GET, "/v1/ready", op_ready, READ, "readStatus", NONE)                               \
    ROUTE(HTTP_GET, "/v1/health", op_health, READ, ANYBODY, NONE)                                  \
    ROUTE(HTTP_GET, "/v1/tenants", op_tenant_list, READ, "readTenant", NONE)                       \
    ROUTE(HTTP_POST, "/v1/tenants", op_tenant_create, "tenant.create", "writeTenant", SMALL)       \
    ROUTE(HTTP_GET, TENANT, op_tenant_show, READ, "readTenant", NONE)                              \
    ROUTE(HTTP_PATCH, TENANT, op_tenant_change, "tenant.change", "writeTenant", SMALL)             \
    ROUTE(HTTP_GET, TENANT "/issuers", op_issuer_list, READ, "readIssuer", NONE)                   \
    ROUTE(HTTP_GET, TENANT "/issuers/{name}", op_issuer_show, READ, "readIssuer", NONE)            \
    ROUTE(HTTP_PUT, TENANT "/issuers/{name}", op_issuer_put, "issuer.put", "writeIssuer", RECORD)  \
    ROUTE(HTTP_DELETE, TENANT "/issuers/{name}", op_issuer_remove,                                 \
          "issuer.remove", "writeIssuer", NONE)                                                    \
    ROUTE(HTTP_POST, TENANT "/issuers/{name}/check", op_issuer_check, READ, "readIssuer", SMALL)   \
    ROUTE(HTTP_GET, TENANT "/policies", op_policy_show, READ, "readPolicy", NONE)                  \
    ROUTE(HTTP_PUT, TENANT "/policies", op_policy_put,                                             \
          "policy.activate", "writePolicy", POLICIES)                                              \
    ROUTE(HTTP_GET, "/v1/intake-key", op_intake_key, READ, ANYBODY, NONE)                          \
    ROUTE(HTTP_GET, TENANT "/credentials", op_credential_list, READ, "readCredential", NONE)       \
    ROUTE(HTTP_GET, TENANT "/credentials/{name}", op_credential_show,                              \
          READ, "readCredential", NONE)                                                            \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}", op_credential_create,                           \
          "credential.put", "putCredential", CREDENTIAL)                                           \
    ROUTE(HTTP_DELETE, TENANT "/credentials/{name}", op_credential_delete,                         \
          "credential.delete", "deleteCredential", NONE)                                           \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/rotate", op_credential_rotate,                    \
          "credential.rotate", "rotateCredential", CREDENTIAL)                                     \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/disable", op_credential_disable,                  \
          "credential.disable", "disableCredential", SMALL)                                        \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/enable", op_credential_enable,                    \
          "credential.enable", "disableCredential", SMALL)                                         \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/rollback", op_credential_rollback,                \
          "credential.rollback", "rotateCredential", SMALL)                                        \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/stage", op_credential_stage,                      \
          "credential.stage", "rotateCredential", CREDENTIAL)                                      \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/verify", op_credential_verify,                    \
          "credential.verify", "rotateCredential", SMALL)                                          \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/promote", op_credential_promote,                  \
          "credential.promote", "rotateCredential", SMALL)                                         \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/abandon", op_credential_abandon,                  \
          "credential.abandon", "rotateCredential", SMALL)                                         \
    ROUTE(HTTP_GET, TENANT "/credentials/{name}/rotation", op_rotation_show,                       \
          READ, "readCredential", NONE)                                                            \
    ROUTE(HTTP_PUT, TENANT "/credentials/{name}/rotation", op_rotation_put,                        \
          "credential.automate", "putCredential", SMALL)                                           \
    ROUTE(HTTP_DELETE, TENANT "/credentials/{name}/rotation", op_rotation_remove,                  \
          "credential.automate.end", "putCredential", NONE)                                        \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/rotation", op_rotation_order,                     \
          "rotate.credential", "rotateCredential", SMALL)                                          \
    ROUTE(HTTP_GET, TENANT "/rotations", op_rotation_list, READ, "readCredential", NONE)           \
    ROUTE(HTTP_GET, TENANT "/keys", op_tenant_key_list, READ, "readKey", NONE)                     \
    ROUTE(HTTP_DELETE, TENANT "/keys/{key}", op_tenant_key_destroy,                                \
          "key.destroy", "rotateKey", NONE)                                                        \
    ROUTE(HTTP_GET, TENANT "/rotate", op_tenant_rotate_show, READ, "readKey", NONE)                \
    ROUTE(HTTP_POST, TENANT "/rotate", op_tenant_rotate, "rotate.tenant", "rotateKey", SMALL)      \
    ROUTE(HTTP_GET, "/v1/keys", op_key_list, READ, "readKey", NONE)                                \
    ROUTE(HTTP_DELETE, "/v1/keys/{kind}/{key}", op_key_destroy, "key.destroy", "rotateKey", NONE)  \
    ROUTE(HTTP_GET, "/v1/rotate/{kind}", op_rotate_show, READ, "readKey", NONE)                    \
    ROUTE(HTTP_POST, "/v1/rotate/{kind}", op_rotate, "rotate.key", "rotateKey", SMALL)             \
    ROUTE(HTTP_GET, "/v1/forwarders", op_forwarder_list, READ, "readForwarder", NONE)              \
    ROUTE(HTTP_GET, "/v1/forwarders/{name}", op_forwarder_show, READ, "readForwarder", NONE)       \
    ROUTE(HTTP_POST, "/v1/forwarders", op_forwarder_enrol,                                         \
          "forwarder.enrol", "writeForwarder", SMALL)                                              \
    ROUTE(HTTP_DELETE, "/v1/forwarders/{name}", op_forwarder_remove,                               \
          "forwarder.remove", "writeForwarder", NONE)                                              \
    ROUTE(HTTP_POST, TENANT "/revoke", op_revoke, "token.revoke", "revokeToken", SMALL)            \
    ROUTE(HTTP_POST, "/v1/audit/prune", op_audit_prune, "audit.prune", "seal", SMALL)              \
    ROUTE(HTTP_GET, "/v1/audit/{number}/proof", op_audit_proof, READ, "readAudit", NONE)           \
    ROUTE(HTTP_GET, "/v1/audit", op_audit_read, READ, "readAudit", NONE)

static bool begin(struct admin *admin, struct http_exchange *x,
                  const struct http_parameters *parameters, const char *change,
                  const char *action) {
    if (change && !refusal_watch(admin, x, parameters, change))
        return false;
    return admin_permit(admin, x, parameters, action);
}

#define GATE(method, path, operation, change, action, body_bytes)                                  \
    static void gate_##operation(struct http_exchange *x,                                          \
                                 const struct http_parameters *parameters, void *ctx) {            \
        if (begin(ctx, x, parameters, change, action))                                             \
            operation(x, parameters, ctx);                                                         \
    }
ROUTES(GATE)

#define ROW(method, path, operation, change, action, body_bytes)                                   \
    {method, path, gate_##operation, body_bytes},
const struct http_route admin_routes[] = {ROUTES(ROW)};
const size_t admin_route_count = sizeof admin_routes / sizeof *admin_routes;

#define CHANGE(method, path, operation, change, action, body_bytes) change,
const char *const admin_route_operations[] = {ROUTES(CHANGE)};
