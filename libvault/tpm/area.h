// SPDX-License-Identifier: Apache-2.0
// Public areas (TPMT_PUBLIC, TPM 2.0 Library part 2, 12.2.4) of the keys that take
// part in attestation. Each kind is one template in every byte but its unique
// field, so reading one is comparing it with its template: what is left to believe
// is the key itself.
//
//   wrapping     hsm/tpm/object.c: ECDH, fixedTPM, fixedParent, no other use
//   attestation  restricted signing key: signs nothing that the TPM did not say
//   endorsement  TCG EK Credential Profile 2.5, templates L-1 (RSA 2048) and L-2
//                (ECC P-256): restricted decryption, usable with PolicySecret
#ifndef VLT_TPM_AREA_H
#define VLT_TPM_AREA_H

#include "libvault/tpm/boot.h"

#define AREA_MAX_BYTES 400
#define AREA_NAME_BYTES (2 + BOOT_DIGEST_BYTES)
#define AREA_RSA_BYTES 256

struct area {
    size_t size;
    uint8_t at[AREA_MAX_BYTES];
};

enum area_endorsement { AREA_EK_RSA = 1, AREA_EK_ECC };

// Templates, as a TPM takes them; `point` NULL: the unique field is empty or zero.
void area_of_attestation(const uint8_t *point, struct area *ret_area);
void area_of_endorsement(enum area_endorsement kind, const uint8_t *unique, struct area *ret_area);
// `boot` NULL or with no PCR: a key that is not bound.
vlt_result area_of_wrapping(const struct boot_binding *boot, const uint8_t *point,
                            struct area *ret_area) VLT_MUST_USE;

// VLT_CRYPTO when the area is not of that template. ret_point is the key.
vlt_result area_read_attestation(const struct area *area,
                                 uint8_t ret_point[BOOT_POINT_BYTES]) VLT_MUST_USE;
vlt_result area_read_wrapping(const struct area *area, const struct boot_binding *boot,
                              uint8_t ret_point[BOOT_POINT_BYTES]) VLT_MUST_USE;
// ret_unique gets the modulus, or the point.
vlt_result area_read_endorsement(const struct area *area, enum area_endorsement *ret_kind,
                                 uint8_t ret_unique[AREA_RSA_BYTES]) VLT_MUST_USE;

// Name (part 1, 16): algorithm, then the SHA-256 of the area.
vlt_result area_name(const struct area *area, uint8_t ret_name[AREA_NAME_BYTES]) VLT_MUST_USE;

#endif
