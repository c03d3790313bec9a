// SPDX-License-Identifier: Apache-2.0
// Every verb, declared once; verbs.c puts them in order.
#ifndef VLT_CLI_VERBS_H
#define VLT_CLI_VERBS_H

#include "cli/verb.h"

extern const struct verb verb_init, verb_status, verb_seal, verb_unseal, verb_recover, verb_backup,
    verb_restore;
extern const struct verb verb_tenant_create, verb_tenant_list, verb_tenant_show,
    verb_tenant_disable, verb_tenant_enable;
extern const struct verb verb_issuer_add, verb_issuer_list, verb_issuer_show, verb_issuer_check,
    verb_issuer_remove;
extern const struct verb verb_policy_put, verb_policy_check, verb_policy_show, verb_policy_test,
    verb_policy_explain;
extern const struct verb verb_credential_automate;
extern const struct verb verb_credential_verify, verb_credential_promote, verb_credential_abandon;
extern const struct verb verb_credential_put, verb_credential_list, verb_credential_show,
    verb_credential_rotate, verb_credential_disable, verb_credential_enable, verb_credential_delete;
extern const struct verb verb_credential_rollback, verb_rotate_credential, verb_rotate_signing,
    verb_rotate_intake, verb_rotate_checkpoint, verb_rotate_tenant, verb_rotate_system,
    verb_rotate_wrapping,
    verb_key_list, verb_key_destroy;
extern const struct verb verb_device_boot, verb_device_authorize_boot, verb_device_attest,
    verb_device_verify_attestation;
extern const struct verb verb_device_list, verb_device_add, verb_device_remove;
extern const struct verb verb_forwarder_enrol, verb_forwarder_list, verb_forwarder_remove;
extern const struct verb verb_token_get, verb_exec, verb_revoke;
extern const struct verb verb_audit_verify, verb_audit_prove, verb_audit_check, verb_audit_search,
    verb_audit_index, verb_audit_unused, verb_audit_inventory, verb_audit_show, verb_audit_export,
    verb_audit_witness, verb_audit_archive, verb_audit_prune;
extern const struct verb verb_audit_tail, verb_completion;

#endif
