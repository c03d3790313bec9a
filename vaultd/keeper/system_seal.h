// SPDX-License-Identifier: Apache-2.0
// Small records of the vault itself (its epoch, its recovery key), encrypted
// under the system data key. What decrypts was written by this vault; whoever
// can write the disk can at most put an older one back.
//
// Binary: u8 version, u32 number of the system data key, then (u32 length) nonce,
// ciphertext, tag.
// Associated data: "vaultd system record 1" and the purpose.
#ifndef VLT_KEEPER_SYSTEM_SEAL_H
#define VLT_KEEPER_SYSTEM_SEAL_H

#include "vaultd/keeper/system_keys.h"

#define SYSTEM_RECORD_PLAIN_MAX 1024
#define SYSTEM_RECORD_MAX (9 + XAES_SEALED_SIZE(SYSTEM_RECORD_PLAIN_MAX))

// Encrypts with the active system data key. `room` holds SYSTEM_RECORD_MAX bytes.
vlt_result system_seal(const struct system_keys *keys, const char *purpose, struct bytes plain,
                       uint8_t *room, size_t *ret_size) VLT_MUST_USE;
// Number of the system data key that the record names; 0: it is damaged.
uint32_t system_seal_number(struct bytes record);
// VLT_CRYPTO: altered, or of another purpose or vault. `plain` has room for
// SYSTEM_RECORD_PLAIN_MAX bytes.
vlt_result system_unseal(const struct system_keys *keys, const char *purpose, struct bytes record,
                         struct secret *plain) VLT_MUST_USE;

#endif
