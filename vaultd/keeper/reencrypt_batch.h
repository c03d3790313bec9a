// SPDX-License-Identifier: Apache-2.0
// Some records of one tenant, decrypted and encrypted again under another data
// key, and their commit. Plaintext exists for one record at a time, in secret
// memory.
#ifndef VLT_KEEPER_REENCRYPT_BATCH_H
#define VLT_KEEPER_REENCRYPT_BATCH_H

#include "libvault/store/record_credential.h"
#include "vaultd/keeper/keeper.h"

#define REENCRYPT_BATCH_MAX STORE_CHANGES_MAX

struct reencrypt_batch;
// NULL: out of memory. `done` is called when the commit is done, before the batch
// is freed.
struct reencrypt_batch *
reencrypt_batch_new(struct keeper *keeper, uint32_t tenant, uint32_t data_key,
                    void (*done)(struct reencrypt_batch *batch, vlt_result result, void *context),
                    void *context);
void reencrypt_batch_free(struct reencrypt_batch *batch); // one that is not committed
// Within a snapshot. VLT_NOT_FOUND: one of the two data keys is not loaded; it is
// on its way. VLT_UNAVAILABLE: out of memory. VLT_CRYPTO, VLT_MALFORMED: this
// record does not open, or its key was destroyed.
vlt_result reencrypt_batch_add(struct reencrypt_batch *batch, struct bytes name,
                               const struct record_credential_secret *secret,
                               uint64_t revision) VLT_MUST_USE;
size_t reencrypt_batch_count(const struct reencrypt_batch *batch);
void reencrypt_batch_commit(struct reencrypt_batch *batch); // takes it

#endif
