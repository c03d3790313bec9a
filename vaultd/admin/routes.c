// SPDX-License-Identifier: Apache-2.0
#include "vaultd/admin/ops.h"

#define SMALL (16u << 10)
#define RECORD (128u << 10)     // an issuer may bring its key set
#define CREDENTIAL (64u << 10)  // a JWE and what describes it
#define POLICIES (8u << 20)     // texts of a whole set

const struct http_route admin_routes[] = {
    {HTTP_POST, "/v1/init", op_init, SMALL},
    {HTTP_GET, "/v1/status", op_status, 0},
    {HTTP_POST, "/v1/seal", op_seal, SMALL},
    {HTTP_POST, "/v1/unseal", op_unseal, SMALL},
    {HTTP_GET, "/v1/ready", op_ready, 0},
    {HTTP_GET, "/v1/health", op_health, 0},

    {HTTP_GET, "/v1/tenants", op_tenant_list, 0},
    {HTTP_POST, "/v1/tenants", op_tenant_create, SMALL},
    {HTTP_GET, "/v1/tenants/{tenant}", op_tenant_show, 0},
    {HTTP_PATCH, "/v1/tenants/{tenant}", op_tenant_change, SMALL},

    {HTTP_GET, "/v1/tenants/{tenant}/issuers", op_issuer_list, 0},
    {HTTP_GET, "/v1/tenants/{tenant}/issuers/{name}", op_issuer_show, 0},
    {HTTP_PUT, "/v1/tenants/{tenant}/issuers/{name}", op_issuer_put, RECORD},
    {HTTP_DELETE, "/v1/tenants/{tenant}/issuers/{name}", op_issuer_remove, 0},

    {HTTP_GET, "/v1/tenants/{tenant}/policies", op_policy_show, 0},
    {HTTP_PUT, "/v1/tenants/{tenant}/policies", op_policy_put, POLICIES},

    {HTTP_GET, "/v1/intake-key", op_intake_key, 0},
    {HTTP_GET, "/v1/tenants/{tenant}/credentials", op_credential_list, 0},
    {HTTP_GET, "/v1/tenants/{tenant}/credentials/{name}", op_credential_show, 0},
    {HTTP_POST, "/v1/tenants/{tenant}/credentials/{name}", op_credential_create, CREDENTIAL},
    {HTTP_DELETE, "/v1/tenants/{tenant}/credentials/{name}", op_credential_delete, 0},
    {HTTP_POST, "/v1/tenants/{tenant}/credentials/{name}/rotate", op_credential_rotate, CREDENTIAL},
    {HTTP_POST, "/v1/tenants/{tenant}/credentials/{name}/disable", op_credential_disable, SMALL},
    {HTTP_POST, "/v1/tenants/{tenant}/credentials/{name}/enable", op_credential_enable, SMALL},

    {HTTP_GET, "/v1/forwarders", op_forwarder_list, 0},
    {HTTP_GET, "/v1/forwarders/{name}", op_forwarder_show, 0},
    {HTTP_POST, "/v1/forwarders", op_forwarder_enrol, SMALL},
    {HTTP_DELETE, "/v1/forwarders/{name}", op_forwarder_remove, 0},

    {HTTP_POST, "/v1/tenants/{tenant}/revoke", op_revoke, SMALL},
    {HTTP_GET, "/v1/audit", op_audit_read, 0},
};
const size_t admin_route_count = sizeof admin_routes / sizeof *admin_routes;
