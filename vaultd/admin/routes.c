// SPDX-License-Identifier: Apache-2.0
// The Admin API as one table: method, path, operation, the action that a remote
// administrator needs, and the largest body.
#include "vaultd/admin/ops.h"
#include "vaultd/admin/remote.h"

#define NONE 0
#define SMALL (16u << 10)
#define RECORD (128u << 10)    // an issuer may bring its key set
#define CREDENTIAL (64u << 10) // a JWE and what describes it
#define POLICIES (8u << 20)    // texts of a whole set

// Any administrator that is known: nothing to keep from them, nothing to change.
#define ANYBODY NULL

#define TENANT "/v1/tenants/{tenant}"

#define ROUTES(ROUTE)                                                                              \
    ROUTE(HTTP_POST, "/v1/init", op_init, "seal", SMALL)                                           \
    ROUTE(HTTP_GET, "/v1/status", op_status, "readStatus", NONE)                                   \
    ROUTE(HTTP_POST, "/v1/seal", op_seal, "seal", SMALL)                                           \
    ROUTE(HTTP_POST, "/v1/unseal", op_unseal, "seal", SMALL)                                       \
    ROUTE(HTTP_GET, "/v1/recovery-key", op_recovery_key, "seal", NONE)                             \
    ROUTE(HTTP_POST, "/v1/recover", op_recover, "seal", SMALL)                                     \
    ROUTE(HTTP_POST, "/v1/backups", op_backup_begin, "seal", SMALL)                                \
    ROUTE(HTTP_GET, "/v1/backups/{name}", op_backup_next, "seal", NONE)                            \
    ROUTE(HTTP_POST, "/v1/device/attestations", op_device_attest, "seal", SMALL)                   \
    ROUTE(HTTP_GET, "/v1/devices", op_device_list, "readStatus", NONE)                             \
    ROUTE(HTTP_POST, "/v1/devices", op_device_add, "seal", SMALL)                                  \
    ROUTE(HTTP_DELETE, "/v1/devices/{name}", op_device_remove, "seal", NONE)                       \
    ROUTE(HTTP_GET, "/v1/device/boot", op_device_boot, "readStatus", NONE)                         \
    ROUTE(HTTP_POST, "/v1/device/boot/approvals", op_device_boot_approve, "seal", SMALL)           \
    ROUTE(HTTP_GET, "/v1/ready", op_ready, "readStatus", NONE)                                     \
    ROUTE(HTTP_GET, "/v1/health", op_health, ANYBODY, NONE)                                        \
    ROUTE(HTTP_GET, "/v1/tenants", op_tenant_list, "readTenant", NONE)                             \
    ROUTE(HTTP_POST, "/v1/tenants", op_tenant_create, "writeTenant", SMALL)                        \
    ROUTE(HTTP_GET, TENANT, op_tenant_show, "readTenant", NONE)                                    \
    ROUTE(HTTP_PATCH, TENANT, op_tenant_change, "writeTenant", SMALL)                              \
    ROUTE(HTTP_GET, TENANT "/issuers", op_issuer_list, "readIssuer", NONE)                         \
    ROUTE(HTTP_GET, TENANT "/issuers/{name}", op_issuer_show, "readIssuer", NONE)                  \
    ROUTE(HTTP_PUT, TENANT "/issuers/{name}", op_issuer_put, "writeIssuer", RECORD)                \
    ROUTE(HTTP_DELETE, TENANT "/issuers/{name}", op_issuer_remove, "writeIssuer", NONE)            \
    ROUTE(HTTP_POST, TENANT "/issuers/{name}/check", op_issuer_check, "readIssuer", SMALL)         \
    ROUTE(HTTP_GET, TENANT "/policies", op_policy_show, "readPolicy", NONE)                        \
    ROUTE(HTTP_PUT, TENANT "/policies", op_policy_put, "writePolicy", POLICIES)                    \
    ROUTE(HTTP_GET, "/v1/intake-key", op_intake_key, ANYBODY, NONE)                                \
    ROUTE(HTTP_GET, TENANT "/credentials", op_credential_list, "readCredential", NONE)             \
    ROUTE(HTTP_GET, TENANT "/credentials/{name}", op_credential_show, "readCredential", NONE)      \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}", op_credential_create, "putCredential",          \
          CREDENTIAL)                                                                              \
    ROUTE(HTTP_DELETE, TENANT "/credentials/{name}", op_credential_delete, "deleteCredential",     \
          NONE)                                                                                    \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/rotate", op_credential_rotate,                    \
          "rotateCredential", CREDENTIAL)                                                          \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/disable", op_credential_disable,                  \
          "disableCredential", SMALL)                                                              \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/enable", op_credential_enable,                    \
          "disableCredential", SMALL)                                                              \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/rollback", op_credential_rollback,                \
          "rotateCredential", SMALL)                                                               \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/stage", op_credential_stage, "rotateCredential",  \
          CREDENTIAL)                                                                              \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/verify", op_credential_verify,                    \
          "rotateCredential", SMALL)                                                               \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/promote", op_credential_promote,                  \
          "rotateCredential", SMALL)                                                               \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/abandon", op_credential_abandon,                  \
          "rotateCredential", SMALL)                                                               \
    ROUTE(HTTP_GET, TENANT "/credentials/{name}/rotation", op_rotation_show, "readCredential",     \
          NONE)                                                                                    \
    ROUTE(HTTP_PUT, TENANT "/credentials/{name}/rotation", op_rotation_put, "putCredential",       \
          SMALL)                                                                                   \
    ROUTE(HTTP_DELETE, TENANT "/credentials/{name}/rotation", op_rotation_remove, "putCredential", \
          NONE)                                                                                    \
    ROUTE(HTTP_POST, TENANT "/credentials/{name}/rotation", op_rotation_order, "rotateCredential", \
          SMALL)                                                                                   \
    ROUTE(HTTP_GET, TENANT "/rotations", op_rotation_list, "readCredential", NONE)                 \
    ROUTE(HTTP_GET, TENANT "/keys", op_tenant_key_list, "readKey", NONE)                           \
    ROUTE(HTTP_DELETE, TENANT "/keys/{key}", op_tenant_key_destroy, "rotateKey", NONE)             \
    ROUTE(HTTP_GET, TENANT "/rotate", op_tenant_rotate_show, "readKey", NONE)                      \
    ROUTE(HTTP_POST, TENANT "/rotate", op_tenant_rotate, "rotateKey", SMALL)                       \
    ROUTE(HTTP_GET, "/v1/keys", op_key_list, "readKey", NONE)                                      \
    ROUTE(HTTP_DELETE, "/v1/keys/{kind}/{key}", op_key_destroy, "rotateKey", NONE)                 \
    ROUTE(HTTP_GET, "/v1/rotate/{kind}", op_rotate_show, "readKey", NONE)                          \
    ROUTE(HTTP_POST, "/v1/rotate/{kind}", op_rotate, "rotateKey", SMALL)                           \
    ROUTE(HTTP_GET, "/v1/forwarders", op_forwarder_list, "readForwarder", NONE)                    \
    ROUTE(HTTP_GET, "/v1/forwarders/{name}", op_forwarder_show, "readForwarder", NONE)             \
    ROUTE(HTTP_POST, "/v1/forwarders", op_forwarder_enrol, "writeForwarder", SMALL)                \
    ROUTE(HTTP_DELETE, "/v1/forwarders/{name}", op_forwarder_remove, "writeForwarder", NONE)       \
    ROUTE(HTTP_POST, TENANT "/revoke", op_revoke, "revokeToken", SMALL)                            \
    ROUTE(HTTP_POST, "/v1/audit/prune", op_audit_prune, "seal", SMALL)                             \
    ROUTE(HTTP_GET, "/v1/audit/{number}/proof", op_audit_proof, "readAudit", NONE)                 \
    ROUTE(HTTP_GET, "/v1/audit", op_audit_read, "readAudit", NONE)

#define GATE(method, path, operation, action, body_bytes)                                          \
    static void gate_##operation(struct http_exchange *x,                                          \
                                 const struct http_parameters *parameters, void *ctx) {            \
        if (admin_permit(ctx, x, parameters, action))                                              \
            operation(x, parameters, ctx);                                                         \
    }
ROUTES(GATE)

#define ROW(method, path, operation, action, body_bytes)                                           \
    {method, path, gate_##operation, body_bytes},
const struct http_route admin_routes[] = {ROUTES(ROW)};
const size_t admin_route_count = sizeof admin_routes / sizeof *admin_routes;
