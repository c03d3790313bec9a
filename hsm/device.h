// SPDX-License-Identifier: Apache-2.0
// Inside hsm/: the table that a back end fills, and what hsm.c keeps for it.
//
// A back end knows one device and one key at a time. It does not retry, does
// not look for keys by id and does not judge whether a failed unwrap means
// tampering: hsm.c does that for all of them.
#ifndef VLT_HSM_DEVICE_H
#define VLT_HSM_DEVICE_H

#include "hsm/record.h"

struct hsm_open_key {
    struct hsm_record record;
    void *state; // back end's; NULL while the device is not reached
};

// What the last failure says about the connection. A back end sets it when it
// fails; hsm.c then drops the device and perhaps tries anew.
enum hsm_link {
    HSM_LINK_HELD,      // the device answered: dropping it would not help
    HSM_LINK_BROKEN,    // drop it; the caller hears about it now (a hung device)
    HSM_LINK_TRY_AGAIN, // drop it, reach it again and repeat once (restarted, replugged)
};

struct hsm_ops {
    // Puts its state into hsm->device. After a failure nothing is left to close.
    vlt_result (*reach)(struct hsm *hsm, struct fault *fault);
    // Lets go of the connection; keys are already closed.
    void (*drop)(struct hsm *hsm);
    // Frees what outlives a connection (a loaded module); may be NULL.
    void (*forget)(struct hsm *hsm);

    // Fills the record (hsm.c gave kind and generation) and opens the key. Opening
    // checks device, attributes and known answer. After a failure nothing is open.
    vlt_result (*key_create)(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault);
    vlt_result (*key_open)(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault);
    void (*key_close)(struct hsm *hsm, struct hsm_open_key *key); // the device may be gone
    vlt_result (*key_destroy)(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault);
    // The known answer, of an open key.
    vlt_result (*key_check)(struct hsm *hsm, struct hsm_open_key *key, struct fault *fault);

    // body: what follows the header in a blob. unwrap gives VLT_CRYPTO whenever
    // the device refused the blob for a reason that may be the blob's fault.
    vlt_result (*wrap)(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                       const struct secret *key32, struct fault *fault, struct buf *body);
    vlt_result (*unwrap)(struct hsm *hsm, struct hsm_open_key *key, struct bytes aad,
                         struct bytes body, struct fault *fault, struct secret *ret_key32);

    // create fills the record; advance adds exactly one.
    vlt_result (*counter_create)(struct hsm *hsm, struct record_counter *record,
                                 struct fault *fault);
    vlt_result (*counter_read)(struct hsm *hsm, const struct record_counter *record,
                               struct fault *fault, uint64_t *ret_value);
    vlt_result (*counter_advance)(struct hsm *hsm, const struct record_counter *record,
                                  struct fault *fault);
    vlt_result (*counter_destroy)(struct hsm *hsm, const struct record_counter *record,
                                  struct fault *fault);

    // The state of the machine; NULL where the device does not know it.
    vlt_result (*boot_read)(struct hsm *hsm, uint32_t pcrs, struct fault *fault,
                            struct boot_state *ret_state);
    // NULL where the device can not attest. `nonce` NULL: with the challenge.
    vlt_result (*attest)(struct hsm *hsm, const struct hsm_open_key *key, const char *nonce,
                         const struct challenge *challenge, struct fault *fault,
                         struct evidence *ret_evidence);

    // All NULL where a device does not sign. create fills the signer.
    vlt_result (*signer_create)(struct hsm *hsm, struct hsm_signer *signer, struct fault *fault);
    vlt_result (*sign)(struct hsm *hsm, const struct hsm_signer *signer,
                       const uint8_t digest[HSM_DIGEST_BYTES], struct fault *fault,
                       uint8_t ret_signature[HSM_SIGNATURE_BYTES]);
    vlt_result (*signer_destroy)(struct hsm *hsm, const struct hsm_signer *signer,
                                 struct fault *fault);
};

struct hsm {
    const struct hsm_ops *ops;
    struct hsm_settings settings;
    struct hsm_description description; // static facts filled by reach
    bool is_reached;
    enum hsm_link link;
    void *device; // back end's, of one connection
    void *module; // back end's, until hsm_close
    struct boot_approval *approvals; // owned
    size_t approval_count;
    unsigned key_count;
    struct hsm_open_key keys[HSM_KEYS_MAX];
};

// One call of the caller's, on a device that may have to be reached again.
struct hsm_call {
    vlt_result (*step)(struct hsm *hsm, struct hsm_call *call, struct fault *fault);
    bool is_once; // making and removing must not happen twice
    struct hsm_open_key *key;
    struct bytes context, blob;
    const struct secret *plain;
    struct secret *ret_plain;
    struct buf *ret_blob;
    struct record_counter *counter;
    struct boot_state *ret_boot;
    const char *nonce;
    const struct challenge *challenge;
    struct evidence *ret_evidence;
    uint64_t value;
    struct hsm_signer *signer;
    const uint8_t *digest;
    uint8_t *ret_signature;
};
// The open key that wraps; NULL when none is open.
struct hsm_open_key *hsm_newest_key(const struct hsm *hsm);
vlt_result hsm_run(struct hsm *hsm, struct hsm_call *call, struct fault *fault) VLT_MUST_USE;

extern const struct hsm_ops tpm_ops; // hsm/tpm/device.c
extern const struct hsm_ops p11_ops; // hsm/p11/device.c

#endif
