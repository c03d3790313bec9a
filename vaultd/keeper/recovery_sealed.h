// SPDX-License-Identifier: Apache-2.0
// A recovery key of the operator's, kept offline, instead of shares on paper: the
// only share of the recovery secret is sealed to it at init (JWE, RFC 7516: ECDH-ES
// on P-256 or RSA-OAEP-256, with A256GCM) and kept in the store (STORE_META
// "recovery-sealed"), from where backups take it along. Whoever can open that JWE
// has the share, and `vaultctl recover` goes on as with one from paper.
#ifndef VLT_KEEPER_RECOVERY_SEALED_H
#define VLT_KEEPER_RECOVERY_SEALED_H

#include "vaultd/keeper/change.h"

#define RECOVERY_SEALED_MAX 4096

// Seals the shares to the key of the ask: of who asked, or of the operator.
// VLT_CRYPTO, VLT_DENIED: no sound key. VLT_MALFORMED: a kept key with several
// shares.
vlt_result recovery_seal_shares(const struct ask_init *ask, const struct secret *texts,
                                struct buf *ret_jwe) VLT_MUST_USE;
void recovery_add_sealed(struct change *change, struct bytes jwe);
// Within a snapshot; empty: the vault has shares on paper.
struct bytes recovery_look_sealed(struct store *store);

#endif
