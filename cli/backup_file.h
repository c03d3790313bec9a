// SPDX-License-Identifier: Apache-2.0
// The file that `vaultctl backup` writes and `vaultctl restore` reads: BACKUP_MAGIC, then
// chunks (u32 big-endian length, at most BACKUP_CHUNK_MAX, records as in store_copy.h), a
// chunk of length 0, and the signature (u32 length, a JWS of type BACKUP_TYP by the
// checkpoint key over SHA-256 of the chunks).
#ifndef VLT_CLI_BACKUP_FILE_H
#define VLT_CLI_BACKUP_FILE_H

#define BACKUP_MAGIC "vaultd backup 1\n"
#define BACKUP_TYP "vaultd-backup+jws"
#define BACKUP_CHUNK_MAX 120000

#endif
