// SPDX-License-Identifier: Apache-2.0
// A recovery key that its owner keeps in a PEM file, offline: P-256, or RSA of 2048
// to 4096 bits.
#ifndef VLT_CLI_RECOVERY_PEM_H
#define VLT_CLI_RECOVERY_PEM_H

#include <jansson.h>

#include "libvault/base/fault.h"
#include "libvault/secret/secret.h"

// The public key of a PEM file ("BEGIN PUBLIC KEY") as JWK, owned by the caller.
// VLT_DENIED: the file holds the private half, which has no business here.
vlt_result recovery_pem_public(const char *path, struct fault *fault,
                               json_t **ret_jwk) VLT_MUST_USE;
// Opens what was sealed to that key with the private half; OpenSSL asks at the
// terminal for the passphrase of one that is encrypted. VLT_CRYPTO: another key.
vlt_result recovery_pem_open(const char *path, struct bytes jwe, struct fault *fault,
                             struct secret *ret_text) VLT_MUST_USE;

#endif
