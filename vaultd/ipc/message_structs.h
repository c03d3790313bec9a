// SPDX-License-Identifier: Apache-2.0
// One line for each message: binds its name to its fields (the preprocessor can
// not change letter case). Included by messages.h only.
#define IPC_STRUCTS(X)                                                                             \
    X(tell, peer, TELL_PEER_FIELDS)                                                                \
    X(tell, listener, TELL_LISTENER_FIELDS)                                                        \
    X(tell, drain, TELL_DRAIN_FIELDS)                                                              \
    X(tell, settings_broker, TELL_SETTINGS_BROKER_FIELDS)                                          \
    X(tell, settings_admin, TELL_SETTINGS_ADMIN_FIELDS)                                            \
    X(tell, settings_redeemer, TELL_SETTINGS_REDEEMER_FIELDS)                                      \
    X(tell, settings_keeper, TELL_SETTINGS_KEEPER_FIELDS)                                          \
    X(tell, settings_auditor, TELL_SETTINGS_AUDITOR_FIELDS)                                        \
    X(tell, settings_shipper, TELL_SETTINGS_SHIPPER_FIELDS)                                        \
    X(tell, ready, TELL_READY_FIELDS)                                                              \
    X(tell, offender, TELL_OFFENDER_FIELDS)                                                        \
    X(tell, generation, TELL_GENERATION_FIELDS)                                                    \
    X(ask, sign, ASK_SIGN_FIELDS)                                                                  \
    X(answer, sign, ANSWER_SIGN_FIELDS)                                                            \
    X(ask, revoke_token, ASK_REVOKE_TOKEN_FIELDS)                                                  \
    X(answer, revoke_token, ANSWER_REVOKE_TOKEN_FIELDS)                                            \
    X(ask, open, ASK_OPEN_FIELDS)                                                                  \
    X(answer, open, ANSWER_OPEN_FIELDS)                                                            \
    X(ask, init, ASK_INIT_FIELDS)                                                                  \
    X(answer, init, ANSWER_INIT_FIELDS)                                                            \
    X(ask, seal, ASK_SEAL_FIELDS)                                                                  \
    X(answer, seal, ANSWER_SEAL_FIELDS)                                                            \
    X(ask, recovery_key, ASK_RECOVERY_KEY_FIELDS)                                                  \
    X(answer, recovery_key, ANSWER_RECOVERY_KEY_FIELDS)                                            \
    X(ask, recover, ASK_RECOVER_FIELDS)                                                            \
    X(answer, recover, ANSWER_RECOVER_FIELDS)                                                      \
    X(ask, backup_begin, ASK_BACKUP_BEGIN_FIELDS)                                                  \
    X(answer, backup_begin, ANSWER_BACKUP_BEGIN_FIELDS)                                            \
    X(ask, backup_next, ASK_BACKUP_NEXT_FIELDS)                                                    \
    X(answer, backup_next, ANSWER_BACKUP_NEXT_FIELDS)                                              \
    X(ask, status, ASK_STATUS_FIELDS)                                                              \
    X(answer, status, ANSWER_STATUS_FIELDS)                                                        \
    X(ask, tenant_create, ASK_TENANT_CREATE_FIELDS)                                                \
    X(answer, tenant_create, ANSWER_TENANT_CREATE_FIELDS)                                          \
    X(ask, commit, ASK_COMMIT_FIELDS)                                                              \
    X(answer, commit, ANSWER_COMMIT_FIELDS)                                                        \
    X(ask, credential_put, ASK_CREDENTIAL_PUT_FIELDS)                                              \
    X(answer, credential_put, ANSWER_CREDENTIAL_PUT_FIELDS)                                        \
    X(ask, credential_step, ASK_CREDENTIAL_STEP_FIELDS)                                            \
    X(answer, credential_step, ANSWER_CREDENTIAL_STEP_FIELDS)                                      \
    X(ask, credential_state, ASK_CREDENTIAL_STATE_FIELDS)                                          \
    X(answer, credential_state, ANSWER_CREDENTIAL_STATE_FIELDS)                                    \
    X(ask, rotate, ASK_ROTATE_FIELDS)                                                              \
    X(answer, rotate, ANSWER_ROTATE_FIELDS)                                                        \
    X(ask, key_list, ASK_KEY_LIST_FIELDS)                                                          \
    X(answer, key_list, ANSWER_KEY_LIST_FIELDS)                                                    \
    X(ask, key_destroy, ASK_KEY_DESTROY_FIELDS)                                                    \
    X(answer, key_destroy, ANSWER_KEY_DESTROY_FIELDS)                                              \
    X(ask, credential_rollback, ASK_CREDENTIAL_ROLLBACK_FIELDS)                                    \
    X(answer, credential_rollback, ANSWER_CREDENTIAL_ROLLBACK_FIELDS)                              \
    X(ask, boot_show, ASK_BOOT_SHOW_FIELDS)                                                        \
    X(answer, boot_show, ANSWER_BOOT_SHOW_FIELDS)                                                  \
    X(ask, attest, ASK_ATTEST_FIELDS)                                                              \
    X(answer, attest, ANSWER_ATTEST_FIELDS)                                                        \
    X(ask, boot_approve, ASK_BOOT_APPROVE_FIELDS)                                                  \
    X(answer, boot_approve, ANSWER_BOOT_APPROVE_FIELDS)                                            \
    X(ask, device_list, ASK_DEVICE_LIST_FIELDS)                                                    \
    X(answer, device_list, ANSWER_DEVICE_LIST_FIELDS)                                              \
    X(ask, device_change, ASK_DEVICE_CHANGE_FIELDS)                                                \
    X(answer, device_change, ANSWER_DEVICE_CHANGE_FIELDS)                                          \
    X(ask, revoke_rule, ASK_REVOKE_RULE_FIELDS)                                                    \
    X(answer, revoke_rule, ANSWER_REVOKE_RULE_FIELDS)                                              \
    X(ask, sign_checkpoint, ASK_SIGN_CHECKPOINT_FIELDS)                                            \
    X(answer, sign_checkpoint, ANSWER_SIGN_CHECKPOINT_FIELDS)                                      \
    X(ask, record, ASK_RECORD_FIELDS)                                                              \
    X(answer, record, ANSWER_RECORD_FIELDS)                                                        \
    X(ask, shipping, ASK_SHIPPING_FIELDS)                                                          \
    X(answer, shipping, ANSWER_SHIPPING_FIELDS)                                                    \
    X(ask, read, ASK_READ_FIELDS)                                                                  \
    X(answer, read, ANSWER_READ_FIELDS)

IPC_STRUCTS(IPC_DECLARE)
