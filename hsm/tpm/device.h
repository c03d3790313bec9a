// SPDX-License-Identifier: Apache-2.0
// One connection to a TPM 2.0: context, primary key, session, one loaded key.
#ifndef VLT_HSM_TPM_DEVICE_H
#define VLT_HSM_TPM_DEVICE_H

#include <tss2/tss2_esys.h>

#include "hsm/device.h"
#include "hsm/tpm/link.h"

struct tpm {
    struct tpm_link *link;
    ESYS_CONTEXT *esys;
    ESYS_TR primary; // storage key, ECC P-256, owner hierarchy: the same after every restart
    ESYS_TR session; // HMAC, salted to the primary, parameters encrypted both ways
    ESYS_TR policy;  // as session, for keys that are bound to measured boot; made when needed
    ESYS_TR loaded;  // the wrapping key of loaded_id, or ESYS_TR_NONE: a TPM has three slots
    uint8_t loaded_id[HSM_KEY_ID_BYTES];
    uint8_t primary_name[RECORD_TPM_NAME_BYTES];
};

// A session that is salted to the primary and encrypts parameters both ways.
vlt_result tpm_start_session(struct hsm *hsm, TPM2_SE type, struct fault *fault,
                             ESYS_TR *ret_session) VLT_MUST_USE;
unsigned tpm_timeout_ms(const struct hsm *hsm);

// Repeats a command while the TPM says that it is busy; false when it was busy
// for too long. `turn` counts from 0.
bool tpm_pause(unsigned turn);
#define TPM_SEND(rc, call)                                                                         \
    do {                                                                                           \
        unsigned tpm_send_turn = 0;                                                                \
        do {                                                                                       \
            (rc) = (call);                                                                         \
        } while (tpm_result_is_wait(rc) && tpm_pause(tpm_send_turn++));                            \
    } while (0)

// Wipes what the last response left in tpm2-tss's buffer.
void tpm_wipe_response(struct tpm *tpm);
void tpm_flush(struct tpm *tpm, ESYS_TR *handle);

#endif
