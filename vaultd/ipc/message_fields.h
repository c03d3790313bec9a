// SPDX-License-Identifier: Apache-2.0
// The fields of every message between our processes, each declared once. From
// these lists messages.h makes the structs and messages.c both halves of the
// wire format, so sender and receiver cannot disagree.
//
// FIELD(kind, name, max):
//   U8 U32 U64        unsigned integers, max unused (0)
//   BYTES             byte string or text, at most `max` bytes; in a decoded
//                     message it is borrowed from the frame
//   FIXED             exactly `max` bytes
// Lists are BYTES that hold wire_* items; the field's comment says of what.
#ifndef VLT_IPC_MESSAGE_FIELDS_H
#define VLT_IPC_MESSAGE_FIELDS_H

#define IPC_NAME_MAX 64     // tenant, credential, issuer, forwarder, policy names
#define IPC_TEXT_MAX 512    // principals, paths, hosts
#define IPC_TOKEN_MAX 8192
#define IPC_RECORD_MAX 98304
#define IPC_VALUE_MAX 16384 // a credential value

#define KEEPER_MORE_DEVICES_MAX 8192

#define NO_FIELDS(FIELD)

// ---- Supervisor to everybody ----

// A peer's channel (the descriptor travels with the frame). A second one for the
// same role and number replaces the first: that peer was restarted.
#define TELL_PEER_FIELDS(FIELD)                                                                    \
    FIELD(U8, role, 0)                                                                             \
    FIELD(U32, number, 0)
// A bound, listening socket (the descriptor travels with the frame). Replaces
// the role's socket of the same name. Names: "tls", "unix".
#define TELL_LISTENER_FIELDS(FIELD) FIELD(BYTES, name, 16)
#define TELL_DRAIN_FIELDS(FIELD) FIELD(U32, within_ms, 0)

#define TELL_SETTINGS_BROKER_FIELDS(FIELD)                                                         \
    FIELD(BYTES, issuer, IPC_TEXT_MAX)      /* https URL without trailing slash */                 \
    FIELD(BYTES, store_path, IPC_TEXT_MAX)                                                         \
    FIELD(BYTES, tls_certificate, 49152)    /* PEM chain */                                        \
    FIELD(BYTES, tls_key, 16384)            /* PEM */                                              \
    FIELD(BYTES, issuer_ca, 32768)          /* PEM roots for fetching JWKS; empty: system's */     \
    FIELD(U32, max_connections, 0)                                                                 \
    FIELD(U32, request_deadline_ms, 0)                                                             \
    FIELD(U32, idle_ms, 0)                                                                         \
    FIELD(U32, token_lifetime_s, 0)         /* default; policy and subject may shorten */          \
    FIELD(FIXED, nonce_key, 32)             /* of DPoP nonces: the same for every worker */        \
    FIELD(U8, log_level, 0)
#define TELL_SETTINGS_ADMIN_FIELDS(FIELD)                                                          \
    FIELD(BYTES, issuer, IPC_TEXT_MAX)                                                             \
    FIELD(BYTES, store_path, IPC_TEXT_MAX)                                                         \
    FIELD(BYTES, profiles_dir, IPC_TEXT_MAX)                                                       \
    FIELD(BYTES, recipes_dir, IPC_TEXT_MAX)                                                        \
    FIELD(BYTES, programs, 2048)            /* names of driver programs: list of texts */          \
    FIELD(BYTES, allowed_uids, 1024)        /* list of u32 */                                      \
    FIELD(BYTES, tls_certificate, 49152)                                                           \
    FIELD(BYTES, tls_key, 16384)                                                                   \
    FIELD(BYTES, issuer_ca, 32768)                                                            \
    FIELD(BYTES, oidc_tenant, IPC_NAME_MAX) /* tenant whose issuers and policies admit remote      \
                                               administrators; empty: unix socket only */          \
    FIELD(U8, ships, 0)                     /* there is a shipper, or will be again */             \
    FIELD(U32, max_connections, 0)                                                                 \
    FIELD(U32, request_deadline_ms, 0)                                                             \
    FIELD(U32, idle_ms, 0)                                                                         \
    FIELD(U8, log_level, 0)
#define TELL_SETTINGS_REDEEMER_FIELDS(FIELD)                                                       \
    FIELD(BYTES, issuer, IPC_TEXT_MAX)                                                             \
    FIELD(BYTES, store_path, IPC_TEXT_MAX)                                                         \
    FIELD(BYTES, profiles_dir, IPC_TEXT_MAX)                                                       \
    FIELD(BYTES, tls_certificate, 49152)    /* empty: unix socket only */                          \
    FIELD(BYTES, tls_key, 16384)                                                                   \
    FIELD(U32, max_connections, 0)                                                                 \
    FIELD(U32, request_deadline_ms, 0)                                                             \
    FIELD(U32, idle_ms, 0)                                                                         \
    FIELD(U32, cache_max_s, 0)              /* longest reuse a forwarder is told */                \
    FIELD(U8, log_level, 0)
#define TELL_SETTINGS_KEEPER_FIELDS(FIELD)                                                         \
    FIELD(BYTES, issuer, IPC_TEXT_MAX)                                                             \
    FIELD(BYTES, store_path, IPC_TEXT_MAX)  /* folder of the LMDB environment */                   \
    FIELD(BYTES, device_name, 32)           /* of the first one: it makes the vault */             \
    FIELD(BYTES, device_kind, 16)           /* "tpm" or "pkcs11" */                                \
    FIELD(BYTES, device_tcti, IPC_TEXT_MAX)                                                        \
    FIELD(BYTES, device_uri, IPC_TEXT_MAX)                                                         \
    FIELD(BYTES, device_module, IPC_TEXT_MAX)                                                      \
    FIELD(BYTES, device_pin_file, IPC_TEXT_MAX)                                                    \
    FIELD(BYTES, more_devices, KEEPER_MORE_DEVICES_MAX) /* list of name, kind, tcti, uri, module,  \
                                               pin_file, boot_pcrs u32, boot_approver[65] */       \
    FIELD(U32, device_probe_s, 0)           /* how often a device must give its known answer */    \
    FIELD(U32, device_grace_s, 0)           /* data keys stay for so long when none answers */     \
    FIELD(U32, device_timeout_s, 0)         /* a call that takes longer hangs */                   \
    FIELD(U32, audit_epoch_s, 0)            /* checkpoints of the log move the counter so often */ \
    FIELD(U32, device_restart_s, 0)         /* then the keeper is replaced; 0: never */            \
    FIELD(U32, device_boot_pcrs, 0)         /* bit n: PCR n; 0: keys are not bound to the boot */  \
    FIELD(FIXED, device_boot_approver, 65)  /* P-256 point; zero when keys are not bound */        \
    FIELD(U32, token_max_lifetime_s, 0)     /* the keeper's own ceiling */                         \
    FIELD(U32, data_key_idle_s, 0)          /* unused data keys leave memory after this */         \
    FIELD(U32, publication_s, 0)            /* a new key is public for so long before its use */   \
    FIELD(U32, intake_overlap_s, 0)         /* an old intake key still opens for so long */        \
    FIELD(U32, checkpoint_overlap_s, 0)     /* an old checkpoint key still signs for so long */    \
    FIELD(U32, records_per_s, 0)            /* throttle of re-encryption; 0: none */               \
    FIELD(U32, signing_age_s, 0)            /* rotated when so old; 0: by hand only */             \
    FIELD(U32, intake_age_s, 0)                                                                    \
    FIELD(U32, tenant_age_s, 0)                                                                    \
    FIELD(U32, wrapping_age_s, 0)                                                                  \
    FIELD(U32, credential_age_s, 0)         /* a warning, or rotated by its driver */              \
    FIELD(U32, checkpoint_age_s, 0)                                                                \
    FIELD(U32, system_age_s, 0)                                                                    \
    FIELD(U32, retry_s, 0)                  /* after a provider failed; doubles */                 \
    FIELD(U8, signs_in_device, 0)           /* new token signing keys are made in the device */    \
    FIELD(U8, log_level, 0)
#define TELL_SETTINGS_AUDITOR_FIELDS(FIELD)                                                        \
    FIELD(BYTES, directory, IPC_TEXT_MAX)                                                          \
    FIELD(BYTES, origin, IPC_TEXT_MAX)      /* name of the log */                                  \
    FIELD(BYTES, pseudonym_key, 256)        /* empty: persons stand in the log as they are */      \
    FIELD(BYTES, archive, IPC_TEXT_MAX)     /* empty: who asks to prune knows one */               \
    FIELD(U8, log_level, 0)
#define TELL_SETTINGS_SHIPPER_FIELDS(FIELD)                                                        \
    FIELD(BYTES, log, IPC_TEXT_MAX)         /* folder of the audit log */                          \
    FIELD(BYTES, positions, IPC_TEXT_MAX)   /* folder: how far each receiver has got */            \
    FIELD(BYTES, syslog, IPC_TEXT_MAX)      /* host:port; empty: off */                            \
    FIELD(BYTES, syslog_ca, 16384)          /* PEM roots; empty: the system's */                   \
    FIELD(BYTES, syslog_certificate, 16384) /* PEM chain that we show; may be empty */             \
    FIELD(BYTES, syslog_key, 16384)                                                                \
    FIELD(BYTES, collector, IPC_TEXT_MAX)   /* https URL; empty: off */                            \
    FIELD(BYTES, collector_ca, 16384)                                                              \
    FIELD(BYTES, collector_header, 4096)    /* one header line that authenticates us */            \
    FIELD(BYTES, file, IPC_TEXT_MAX)        /* path of a file or FIFO; empty: off */               \
    FIELD(U8, log_level, 0)
#define TELL_SETTINGS_ROTATOR_FIELDS(FIELD)                                                        \
    FIELD(BYTES, recipes_dir, IPC_TEXT_MAX)                                                        \
    FIELD(BYTES, provider_ca, 49152)        /* PEM roots of providers; empty: the system's */      \
    FIELD(U32, call_timeout_ms, 0)          /* of one call to a provider */                        \
    FIELD(U8, log_level, 0)
// Rotator to supervisor: run that program of the configuration with this socket
// as its standard input and output (the descriptor travels with the frame).
#define TELL_RUN_PROGRAM_FIELDS(FIELD) FIELD(BYTES, name, IPC_NAME_MAX)
// Role to supervisor: it serves now, or why it does not.
#define TELL_READY_FIELDS(FIELD) FIELD(BYTES, note, 1024)

// Role to supervisor: that peer sent something that is no message; its channel is
// closed, and only a new process gets another one.
#define TELL_OFFENDER_FIELDS(FIELD)                                                                \
    FIELD(U8, role, 0)                                                                             \
    FIELD(U32, number, 0)                                                                          \
    FIELD(BYTES, why, 256)

// ---- Broker to keeper ----

#define ASK_SIGN_FIELDS(FIELD)                                                                     \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, claims, 12288)             /* token_claims_put; iss, jti, iat, exp are the        \
                                               keeper's to set */                                  \
    FIELD(U32, lifetime_s, 0)                                                                      \
    FIELD(FIXED, proof_id, 32)              /* SHA-256(jkt ‖ jti) of a DPoP proof; zero: none */   \
    FIELD(U64, proof_until, 0)              /* POSIX seconds after which the proof is stale */     \
    FIELD(BYTES, event, 8192)               /* audit_event_put: what the broker knows */
#define ANSWER_SIGN_FIELDS(FIELD)                                                                  \
    FIELD(BYTES, token, IPC_TOKEN_MAX)                                                             \
    FIELD(U64, expires_at, 0)                                                                      \
    FIELD(U64, sequence, 0)                 /* of the audit entry */
// Revokes the token itself (RFC 7009). The keeper verifies it first.
#define ASK_REVOKE_TOKEN_FIELDS(FIELD)                                                             \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, token, IPC_TOKEN_MAX)                                                             \
    FIELD(BYTES, event, 8192)

// ---- Redeemer to keeper ----

#define ASK_OPEN_FIELDS(FIELD)                                                                     \
    FIELD(BYTES, token, IPC_TOKEN_MAX)                                                             \
    FIELD(BYTES, credential, IPC_NAME_MAX)                                                         \
    FIELD(BYTES, method, 16)                                                                       \
    FIELD(BYTES, host, IPC_TEXT_MAX)                                                               \
    FIELD(BYTES, path, 4096)                                                                       \
    FIELD(BYTES, model, 256)                                                                       \
    FIELD(BYTES, tool, 256)                                                                        \
    FIELD(U64, max_tokens, 0)               /* that the request may produce; 0: not known */       \
    FIELD(U8, proof_kind, 0)                /* enum token_binding that was proved */               \
    FIELD(FIXED, proof_key, 32)             /* the thumbprint that was proved */                   \
    FIELD(FIXED, proof_id, 32)                                                                     \
    FIELD(U64, proof_until, 0)                                                                     \
    FIELD(BYTES, event, 8192)
#define ANSWER_OPEN_FIELDS(FIELD)                                                                  \
    FIELD(BYTES, value, IPC_VALUE_MAX)      /* secret */                                           \
    FIELD(BYTES, profile, IPC_NAME_MAX)                                                            \
    FIELD(BYTES, hosts, 4096)               /* list of texts */                                    \
    FIELD(BYTES, parameters, 4096)          /* JSON object of the profile's parameters */          \
    FIELD(U32, version, 0)                                                                         \
    FIELD(U64, reuse_until, 0)              /* POSIX seconds: expiry, grace, …; 0: never reuse */  \
    FIELD(U64, sequence, 0)                 /* of the audit entry */

// ---- Admin to keeper ----

#define ASK_INIT_FIELDS(FIELD)                                                                     \
    FIELD(FIXED, reply_x, 32)               /* P-256 key to which the recovery shares are sealed */\
    FIELD(FIXED, reply_y, 32)                                                                      \
    FIELD(U8, shares, 0)                                                                           \
    FIELD(U8, threshold, 0)                 /* how many of them recover the vault */               \
    FIELD(U8, keeps_sealed, 0)              /* 1: the key is the operator's, kept offline; the one \
                                               share is sealed to it and kept in the store */      \
    FIELD(BYTES, rsa_modulus, 512)          /* not empty: an RSA key instead of the P-256 key */   \
    FIELD(U32, rsa_exponent, 0)                                                                    \
    FIELD(BYTES, event, 8192)
#define ANSWER_INIT_FIELDS(FIELD)                                                                  \
    FIELD(BYTES, note, 1024)                                                                       \
    FIELD(BYTES, shares, 4096)              /* JWE of the shares, one a line */
#define ASK_SEAL_FIELDS(FIELD)                                                                     \
    FIELD(U8, seal, 0) /* 1 seal, 0 unseal */                                                      \
    FIELD(BYTES, event, 8192)
// The key to which `vaultctl recover` seals the recovery secret: made when it is
// first asked for, forgotten when the vault is unsealed.
#define ANSWER_RECOVERY_KEY_FIELDS(FIELD)                                                          \
    FIELD(FIXED, x, 32)                                                                            \
    FIELD(FIXED, y, 32)                                                                            \
    FIELD(BYTES, kid, 64)                                                                          \
    FIELD(U8, shares, 0)                    /* how many were made at init, */                      \
    FIELD(U8, threshold, 0)                 /* and how many are needed */                          \
    FIELD(BYTES, sealed, 4096)              /* JWE of the only share to the operator's key; empty: \
                                               there are shares on paper */
// Unseals a vault that refuses to be: with `accept_rollback` an old copy of the
// store, with a ciphertext (JWE to the recovery key) on another device.
#define ASK_RECOVER_FIELDS(FIELD)                                                                  \
    FIELD(U8, accept_rollback, 0)           /* 1 or 0 */                                           \
    FIELD(BYTES, kid, 64)                                                                          \
    FIELD(BYTES, jwe_header, 1024)                                                                 \
    FIELD(FIXED, epk_x, 32)                                                                        \
    FIELD(FIXED, epk_y, 32)                                                                        \
    FIELD(FIXED, iv, 12)                                                                           \
    FIELD(FIXED, tag, 16)                                                                          \
    FIELD(BYTES, ciphertext, 1024)                                                                 \
    FIELD(BYTES, event, 8192)
#define ANSWER_RECOVER_FIELDS(FIELD)                                                               \
    FIELD(U32, data_keys, 0)                /* that were wrapped for the new device */             \
    FIELD(BYTES, note, 1024)                /* why it is still sealed; empty: it is unsealed */
// A consistent copy of the store, chunk by chunk; the last chunk is empty and has
// the signature.
#define ASK_BACKUP_BEGIN_FIELDS(FIELD) FIELD(BYTES, event, 8192)
#define ANSWER_BACKUP_BEGIN_FIELDS(FIELD)                                                          \
    FIELD(U64, number, 0)                                                                          \
    FIELD(U64, revision, 0)                                                                        \
    FIELD(U64, records, 0)
#define ASK_BACKUP_NEXT_FIELDS(FIELD) FIELD(U64, number, 0)
#define ANSWER_BACKUP_NEXT_FIELDS(FIELD)                                                           \
    FIELD(BYTES, records, 120000)           /* list of key, value; see store_copy.h */             \
    FIELD(BYTES, signature, 1024)           /* JWS over the SHA-256 of every chunk */
#define ANSWER_STATUS_FIELDS(FIELD)                                                                \
    FIELD(U8, state, 0)                                                                            \
    FIELD(BYTES, description, 16384) /* JSON object for people */
#define ASK_TENANT_CREATE_FIELDS(FIELD)                                                            \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(BYTES, description, 4096) /* JSON record value */                                        \
    FIELD(BYTES, event, 8192)
#define ANSWER_TENANT_CREATE_FIELDS(FIELD)                                                         \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(U64, revision, 0)
// Non-secret records, all or none: compare_and_commit.
#define ASK_COMMIT_FIELDS(FIELD)                                                                   \
    FIELD(BYTES, changes, 120000) /* list of store_change_put */                                   \
    FIELD(BYTES, event, 8192)
#define ANSWER_COMMIT_FIELDS(FIELD) FIELD(U64, revision, 0)
// A new credential (version 1) or a new version of one.
#define ASK_CREDENTIAL_PUT_FIELDS(FIELD)                                                           \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U8, mode, 0)                      /* enum credential_put_mode */                         \
    FIELD(U8, form, 0)                      /* enum credential_form */                             \
    FIELD(U64, expected_revision, 0)        /* 0: any */                                           \
    FIELD(BYTES, profile, IPC_NAME_MAX)                                                            \
    FIELD(BYTES, hosts, 4096)               /* list of texts */                                    \
    FIELD(BYTES, parameters, 4096)          /* JSON object */                                      \
    FIELD(BYTES, description, 1024)         /* for people */                                       \
    FIELD(U32, grace_s, 0)                  /* how long the previous version still opens */        \
    FIELD(BYTES, intake_kid, 64)            /* the JWE that the CLI made, taken apart */           \
    FIELD(BYTES, jwe_header, 1024)          /* its protected header, as encoded: the AAD */        \
    FIELD(FIXED, epk_x, 32)                                                                        \
    FIELD(FIXED, epk_y, 32)                                                                        \
    FIELD(FIXED, iv, 12)                                                                           \
    FIELD(FIXED, tag, 16)                                                                          \
    FIELD(BYTES, ciphertext, IPC_VALUE_MAX)                                                        \
    FIELD(BYTES, event, 8192)
#define ANSWER_CREDENTIAL_PUT_FIELDS(FIELD)                                                        \
    FIELD(U32, version, 0)                                                                         \
    FIELD(U64, revision, 0)
// The staged version goes on, or ends.
#define ASK_CREDENTIAL_STEP_FIELDS(FIELD)                                                          \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U8, step, 0)                      /* enum credential_step */                             \
    FIELD(U64, expected_revision, 0)        /* 0: any */                                           \
    FIELD(U32, grace_s, 0)                  /* promotion: how long the version before opens */     \
    FIELD(BYTES, event, 8192)
#define ANSWER_CREDENTIAL_STEP_FIELDS(FIELD)                                                       \
    FIELD(U32, version, 0)                  /* that was staged */                                  \
    FIELD(U64, revision, 0)
#define ASK_CREDENTIAL_STATE_FIELDS(FIELD)                                                         \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U8, state, 0)                     /* enum record_credential_state; deleted destroys */   \
    FIELD(U64, expected_revision, 0)                                                               \
    FIELD(BYTES, event, 8192)
#define ANSWER_CREDENTIAL_STATE_FIELDS(FIELD) FIELD(U64, revision, 0)
// Measured boot: what the wrapping key is bound to, what the machine booted, and
// what was approved.
#define ASK_BOOT_SHOW_FIELDS(FIELD)                                                                \
    FIELD(BYTES, device, 32)                /* its name; empty: the first TPM */
#define ANSWER_BOOT_SHOW_FIELDS(FIELD) FIELD(BYTES, description, 49152) /* JSON object */
// A state of the machine, with the approver's signature.
#define ASK_BOOT_APPROVE_FIELDS(FIELD)                                                             \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(BYTES, state, 800)                /* boot_state_put */                                   \
    FIELD(FIXED, signature, 64)                                                                    \
    FIELD(BYTES, event, 8192)
#define ANSWER_BOOT_APPROVE_FIELDS(FIELD) FIELD(U64, revision, 0)
// Evidence of where the wrapping key lives: with a nonce, or with a challenge.
#define ASK_ATTEST_FIELDS(FIELD)                                                                   \
    FIELD(BYTES, device, 32)                /* its name; empty: the first TPM that works */        \
    FIELD(BYTES, nonce, 128)                /* empty: with the challenge */                        \
    FIELD(BYTES, credential, 128)                                                                  \
    FIELD(BYTES, seed, 256)                                                                        \
    FIELD(BYTES, event, 8192)
#define ANSWER_ATTEST_FIELDS(FIELD) FIELD(BYTES, evidence, 32768) /* JSON, evidence.h */
// Devices: those of the configuration and those of the vault.
#define ANSWER_DEVICE_LIST_FIELDS(FIELD) FIELD(BYTES, description, 16384) /* JSON object */
// The device becomes part of the vault, or is none any more; slots follow.
#define ASK_DEVICE_CHANGE_FIELDS(FIELD)                                                            \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U8, removes, 0)                                                                          \
    FIELD(BYTES, event, 8192)
#define ANSWER_DEVICE_CHANGE_FIELDS(FIELD)                                                         \
    FIELD(U64, revision, 0)                                                                        \
    FIELD(BYTES, note, 480)                 /* what the device says that can not be added */
// Ends tokens by rule. Visible to every redeem before the answer leaves.
#define ASK_REVOKE_RULE_FIELDS(FIELD)                                                              \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(U8, kind, 0)                      /* enum record_revocation_kind */                      \
    FIELD(BYTES, value, IPC_TEXT_MAX)       /* jti, principal, client or credential */             \
    FIELD(BYTES, event, 8192)

// ---- Auditor to keeper ----

// Signs a checkpoint of the audit log, of which the keeper writes the text. It
// remembers the last size and root that it signed for each origin and demands a
// proof that the log only grew since.
#define ASK_SIGN_CHECKPOINT_FIELDS(FIELD)                                                          \
    FIELD(BYTES, origin, 255)               /* name of the log */                                  \
    FIELD(U64, size, 0)                                                                            \
    FIELD(FIXED, root, 32)                                                                         \
    FIELD(U64, old_size, 0)                 /* the proof begins there */                           \
    FIELD(BYTES, proof, 2080)               /* hashes of 32 bytes */
#define ANSWER_SIGN_CHECKPOINT_FIELDS(FIELD)                                                       \
    FIELD(U64, last_size, 0)                /* what the keeper signed last */                      \
    FIELD(BYTES, signature, 64)             /* empty: old_size is not last_size, ask again */      \
    FIELD(FIXED, public_key, 32)            /* Ed25519 */                                          \
    FIELD(BYTES, older, 640)                /* of each key that still signs beside it: public      \
                                               key[32], signature[64], and its signature of the    \
                                               handover to public_key[64] (audit/handover.h) */

// Rotation (rotation_kind.h). `expected_revision` is that of the record of the
// key in use as the administrator saw it; 0: go on with whatever is under way.
#define ASK_ROTATE_FIELDS(FIELD)                                                                   \
    FIELD(U8, kind, 0)                      /* enum rotation_kind */                               \
    FIELD(U8, mode, 0)                      /* enum rotation_mode */                               \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(U64, expected_revision, 0)                                                               \
    FIELD(U32, records_per_s, 0)            /* throttle; ROTATION_RATE_… */                        \
    FIELD(BYTES, event, 8192)
#define ANSWER_ROTATE_FIELDS(FIELD) FIELD(BYTES, description, 16384) /* JSON object for people */
// Keys of the vault itself, or (tenant > 0) data keys of tenants from that number on.
#define ASK_KEY_LIST_FIELDS(FIELD)                                                                 \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(U8, only, 0)                      /* 1: that tenant and no other */
#define ANSWER_KEY_LIST_FIELDS(FIELD)                                                              \
    FIELD(BYTES, keys, 120000)              /* JSON array */                                       \
    FIELD(U32, next_tenant, 0)              /* 0: that was all */
#define ASK_KEY_DESTROY_FIELDS(FIELD)                                                              \
    FIELD(U8, kind, 0)                                                                             \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, key, 64)                   /* kid, number, or id in hex, as listed */             \
    FIELD(BYTES, event, 8192)
#define ANSWER_KEY_DESTROY_FIELDS(FIELD) FIELD(U64, revision, 0)
// The value of the previous version becomes a new version.
#define ASK_CREDENTIAL_ROLLBACK_FIELDS(FIELD)                                                      \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U64, expected_revision, 0)                                                               \
    FIELD(U32, grace_s, 0)                  /* how long the one in use now still opens */          \
    FIELD(BYTES, event, 8192)
#define ANSWER_CREDENTIAL_ROLLBACK_FIELDS(FIELD)                                                   \
    FIELD(U32, version, 0)                                                                         \
    FIELD(U64, revision, 0)

// ---- Rotator to keeper (job_outcome.h, docs/rotation.md) ----

// What is to be done next. It says `revision` again in everything about this job,
// so that nothing is done twice.
#define ANSWER_JOB_NEXT_FIELDS(FIELD)                                                              \
    FIELD(U8, state, 0)                     /* enum record_rotation_state; 0: nothing */           \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U64, revision, 0)                                                                        \
    FIELD(BYTES, recipe, 80)                                                                       \
    FIELD(BYTES, parameters, 4096)          /* JSON object */                                      \
    FIELD(BYTES, mark, IPC_NAME_MAX)                                                               \
    FIELD(BYTES, known, 8192)               /* list of ids */                                      \
    FIELD(BYTES, key_id, 256)               /* of the key to be revoked */                         \
    FIELD(BYTES, intake, 1024)              /* JWK to which a new value is sealed */
// The value that this step of this job needs, and no other.
#define ASK_JOB_OPEN_FIELDS(FIELD)                                                                 \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U64, revision, 0)                                                                        \
    FIELD(BYTES, host, IPC_TEXT_MAX)        /* to which it will be sent; of a program: empty */
#define ANSWER_JOB_OPEN_FIELDS(FIELD) FIELD(BYTES, value, IPC_VALUE_MAX)
#define ASK_JOB_REPORT_FIELDS(FIELD)                                                               \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U64, revision, 0)                                                                        \
    FIELD(U8, outcome, 0)                   /* enum job_outcome */                                 \
    FIELD(BYTES, mark, IPC_NAME_MAX)                                                               \
    FIELD(BYTES, ids, 8192)                 /* list of ids */                                      \
    FIELD(BYTES, key_id, 256)               /* of the key in use, where its value says it */       \
    FIELD(BYTES, why, 256)
#define ANSWER_JOB_REPORT_FIELDS(FIELD) FIELD(U64, revision, 0)
// The new value, sealed as an administrator's is.
#define ASK_JOB_MINTED_FIELDS(FIELD)                                                               \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U64, revision, 0)                                                                        \
    FIELD(BYTES, key_id, 256)                                                                      \
    FIELD(BYTES, intake_kid, 64)                                                                   \
    FIELD(BYTES, jwe_header, 1024)                                                                 \
    FIELD(FIXED, epk_x, 32)                                                                        \
    FIELD(FIXED, epk_y, 32)                                                                        \
    FIELD(FIXED, iv, 12)                                                                           \
    FIELD(FIXED, tag, 16)                                                                          \
    FIELD(BYTES, ciphertext, IPC_VALUE_MAX)
#define ANSWER_JOB_MINTED_FIELDS(FIELD)                                                            \
    FIELD(U32, version, 0)                                                                         \
    FIELD(U64, revision, 0)
// An administrator orders a rotation at the provider, or looks at it.
#define ASK_JOB_ORDER_FIELDS(FIELD)                                                                \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(BYTES, name, IPC_NAME_MAX)                                                               \
    FIELD(U8, mode, 0)                      /* enum rotation_mode: run or look */                  \
    FIELD(BYTES, event, 8192)
#define ANSWER_JOB_ORDER_FIELDS(FIELD) FIELD(BYTES, description, 16384) /* JSON object for people */

// ---- Anybody to the auditor ----

// Durable when answered.
#define ASK_RECORD_FIELDS(FIELD) FIELD(BYTES, event, 8192) /* audit_event_put */
#define ANSWER_RECORD_FIELDS(FIELD) FIELD(U64, sequence, 0)
// Entries from `first` on, newest last; admin only.
#define ASK_READ_FIELDS(FIELD)                                                                     \
    FIELD(U64, first, 0)                    /* UINT64_MAX: the last `count` */                     \
    FIELD(U32, count, 0)                                                                           \
    FIELD(BYTES, tenant, IPC_NAME_MAX)      /* empty: every tenant */
#define ANSWER_READ_FIELDS(FIELD)                                                                  \
    FIELD(U64, next, 0)                                                                            \
    FIELD(BYTES, entries, 120000)           /* JSON lines */
// An entry and the proof of it (auditor/receipt.h).
#define ASK_PROVE_FIELDS(FIELD) FIELD(U64, sequence, 0)
#define ANSWER_PROVE_FIELDS(FIELD)                                                                 \
    FIELD(BYTES, entry, 65535)                                                                     \
    FIELD(BYTES, proof, 32768)              /* C2SP tlog-proof */

// Takes entries away that an archive has; recorded before.
#define ASK_PRUNE_FIELDS(FIELD)                                                                    \
    FIELD(U64, until, 0)                    /* index; begins a tile */                             \
    FIELD(U8, is_archived, 0)               /* who asks says so: counts without audit.archive */   \
    FIELD(BYTES, event, 8192)
#define ANSWER_PRUNE_FIELDS(FIELD) FIELD(U64, pruned, 0) /* up to where; less: ask again */

#define ANSWER_LOG_STATE_FIELDS(FIELD)                                                             \
    FIELD(BYTES, description, 2048) /* JSON, see log_state.h */

// ---- Admin to shipper ----

#define ANSWER_SHIPPING_FIELDS(FIELD)                                                              \
    FIELD(BYTES, description, 4096) /* JSON, see shipping_describe */

// ---- Keeper to broker, admin, redeemer ----

// Something that a cache may hold has changed; sent after the commit.
#define TELL_GENERATION_FIELDS(FIELD)                                                              \
    FIELD(U64, revision, 0)                                                                        \
    FIELD(U32, tenant, 0)                                                                          \
    FIELD(U8, kind, 0) /* enum store_class of the change; 0: several */

#endif
