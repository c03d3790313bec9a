// SPDX-License-Identifier: Apache-2.0
// The TPM object behind a wrapping key: its template, making it, loading it,
// and the one command it is for. What the bytes mean is hsm/tpm/key.h's matter.
#ifndef VLT_HSM_TPM_OBJECT_H
#define VLT_HSM_TPM_OBJECT_H

#include <tss2/tss2_tpm2_types.h>

#include "hsm/device.h"
#include "hsm/tpm/hpke.h"

// What we keep of a key while its device is reached: `state` of hsm_open_key.
struct tpm_key {
    TPM2B_PUBLIC public_area;
    TPM2B_PRIVATE private_area;
    uint8_t point[HPKE_POINT_BYTES];     // from the public area
    uint8_t name[RECORD_TPM_NAME_BYTES]; // from the public area
    struct secret *auth, *psk;
};

// The primary: a storage key that every TPM makes again from its owner seed.
TPM2B_PUBLIC tpm_object_storage_template(void);

// Makes a key with state->auth, bound as `boot` says; fills public_area and private_area.
vlt_result tpm_object_make(struct hsm *hsm, const struct boot_binding *boot, struct tpm_key *state,
                           struct fault *fault) VLT_MUST_USE;
// Fills point and name; VLT_CRYPTO when the public area is not of our template.
vlt_result tpm_object_take_public(const struct boot_binding *boot, struct tpm_key *state,
                                  struct fault *fault) VLT_MUST_USE;
// Makes the key the one that is loaded, with its authorization.
vlt_result tpm_object_load(struct hsm *hsm, const struct hsm_open_key *key,
                           struct fault *fault) VLT_MUST_USE;
// The x coordinate of (private key) * point, computed in the TPM.
vlt_result tpm_object_multiply(struct hsm *hsm, const struct hsm_open_key *key,
                               const uint8_t point[HPKE_POINT_BYTES], struct fault *fault,
                               struct secret *ret_dh) VLT_MUST_USE;
// TPMs may drop leading zeros of a coordinate; false when it is too long.
bool tpm_coordinate(const TPM2B_ECC_PARAMETER *from, uint8_t to[HPKE_DH_BYTES]) VLT_MUST_USE;

#endif
