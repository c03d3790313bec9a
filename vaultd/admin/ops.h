// SPDX-License-Identifier: Apache-2.0
// The operations of the Admin API, one handler for each row of routes.c. `ctx`
// is the struct admin. A handler replies exactly once, now or later.
#ifndef VLT_ADMIN_OPS_H
#define VLT_ADMIN_OPS_H

#include "vaultd/net/http_router.h"

#define OP(name)                                                                                   \
    void name(struct http_exchange *x, const struct http_parameters *parameters, void *ctx)

OP(op_init);
OP(op_status);
OP(op_seal);
OP(op_unseal);
OP(op_ready);
OP(op_health);
OP(op_recovery_key);
OP(op_recover);
OP(op_backup_begin);
OP(op_backup_next);
OP(op_device_attest);
OP(op_device_boot);
OP(op_device_boot_approve);

OP(op_device_list);
OP(op_device_add);
OP(op_device_remove);

OP(op_tenant_list);
OP(op_tenant_create);
OP(op_tenant_show);
OP(op_tenant_change);

OP(op_issuer_list);
OP(op_issuer_show);
OP(op_issuer_put);
OP(op_issuer_remove);
OP(op_issuer_check);

OP(op_policy_show);
OP(op_policy_put);

OP(op_intake_key);
OP(op_credential_list);
OP(op_credential_show);
OP(op_credential_create);
OP(op_credential_rotate);
OP(op_credential_disable);
OP(op_credential_enable);
OP(op_credential_delete);

OP(op_credential_rollback);
OP(op_credential_stage);
OP(op_credential_verify);
OP(op_credential_promote);
OP(op_credential_abandon);
OP(op_rotation_show);
OP(op_rotation_put);
OP(op_rotation_remove);
OP(op_rotation_order);
OP(op_rotation_list);

OP(op_rotate);
OP(op_rotate_show);
OP(op_tenant_rotate);
OP(op_tenant_rotate_show);
OP(op_key_list);
OP(op_tenant_key_list);
OP(op_key_destroy);
OP(op_tenant_key_destroy);

OP(op_forwarder_list);
OP(op_forwarder_show);
OP(op_forwarder_enrol);
OP(op_forwarder_remove);

OP(op_revoke);
OP(op_audit_read);
OP(op_audit_prune);
OP(op_audit_proof);

// For http_router.
extern const struct http_route admin_routes[];
extern const size_t admin_route_count;
// What each of them changes, as the audit log calls it; NULL: nothing.
extern const char *const admin_route_operations[];

#endif
