// SPDX-License-Identifier: Apache-2.0
// Hardware that keeps the wrapping keys: a TPM 2.0 or a PKCS#11 HSM. One table
// of functions (hsm/device.h) that each back end fills, one contract, one suite
// of tests (tests/unit/test_hsm.c). There is no software back end.
//
// Caller: the keeper, from one thread for each device. Calls block (a real TPM
// answers in 5-500 ms) and a `struct hsm` is never used by two threads at once.
//
// A device that vanishes makes calls fail with VLT_UNAVAILABLE; the next call
// tries to reach it again (reconnect, log in again, load the key again), so the
// caller only has to call again later. Result classes of every call:
//   VLT_UNAVAILABLE  device, daemon or module does not answer, or is locked out
//   VLT_DENIED       wrong or missing PIN or authorization: the same PIN is never
//                    tried twice in the life of the process, so calling again is
//                    harmless and useless until the PIN file changes; or the
//                    machine's boot state is not one that the key may be used in
//   VLT_NOT_FOUND    no such device, module, PIN file or key
//   VLT_CONFLICT     another device or key than the one recorded, or a key that
//                    exists already
//   VLT_CRYPTO       the blob was altered or belongs to another context, proven
//                    on a device that just passed its known-answer check; or a
//                    key whose attributes do not protect it
//   VLT_MALFORMED    settings, key record or blob are not of our format
// `fault` (may be NULL) names the device and says what to do next.
#ifndef VLT_HSM_HSM_H
#define VLT_HSM_HSM_H

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"
#include "libvault/secret/secret.h"
#include "libvault/tpm/boot.h"
#include "libvault/tpm/challenge.h"
#include "libvault/tpm/evidence.h"

enum hsm_kind { HSM_TPM = 1, HSM_PKCS11 = 2 };

enum hsm_mechanism {
    HSM_MECHANISM_AUTO,     // the best one that the device passes a known-answer check with
    HSM_MECHANISM_ECDH,     // TPM: ECDH P-256, HPKE (RFC 9180) with a device-held pre-shared key
    HSM_MECHANISM_GCM,      // PKCS#11: CKM_AES_GCM, 96-bit IV, 128-bit tag
    HSM_MECHANISM_KEY_WRAP, // PKCS#11: CKM_AES_KEY_WRAP around key and HMAC of the context
    HSM_MECHANISM_SIGNATURE, // PKCS#11: AES-GCM under a key that an RSA signature gives
};

struct hsm_settings {
    enum hsm_kind kind;
    // TPM: "device:/dev/tpmrm0", "swtpm:path=/run/swtpm.sock",
    // "swtpm:host=127.0.0.1,port=2321", or what tpm2-tss can load ("tabrmd:…").
    char tcti[256];
    // PKCS#11 URI (RFC 7512): token=, serial=, model=, manufacturer=, slot-id=
    // choose the device, object= the label of the wrapping key ("vaultd" when
    // absent), module-path= or module-name= the module, pin-source= the PIN.
    // pin-value= is refused: a PIN does not belong into a configuration.
    char p11_uri[512];
    char p11_module[256]; // path of the module; "" = as the URI says, else all of p11-kit's
    enum hsm_mechanism mechanism;
    // Where the PIN is: an absolute path, or the name of a systemd credential
    // ($CREDENTIALS_DIRECTORY/NAME). One line of at most 64 bytes; accessible to
    // its owner alone. For a TPM it is optional and becomes part of the key's
    // authorization.
    char pin_source[256];
    // TPM: keys that are made from now on are bound to these PCRs (bit n: PCR n; 0:
    // not bound) as they are when the key is made, and to states that the approver
    // signed (libvault/tpm/boot.h).
    uint32_t boot_pcrs;
    uint8_t boot_approver[BOOT_POINT_BYTES];
    unsigned timeout_ms; // of one TPM command; 0 = 20 000. A PKCS#11 module cannot be timed.
};

// What the store keeps about one wrapping key: public, but whoever can alter it
// can make the vault unusable. A TPM key record holds the key itself, encrypted
// by the TPM; a PKCS#11 record identifies an object in the device.
#define HSM_KEY_MAX_BYTES 1536
struct hsm_key {
    size_t size;
    uint8_t at[HSM_KEY_MAX_BYTES];
};

#define HSM_DATA_KEY_BYTES 32   // what wrap takes and unwrap gives
#define HSM_CONTEXT_MAX_BYTES 256
#define HSM_BLOB_MAX_BYTES 160  // a wrapped data key
#define HSM_KEY_ID_BYTES 16
#define HSM_KEYS_MAX 4          // generations that one device can have open at once

struct hsm;

// Reaches the device, proves the PIN where one is needed, and opens no key yet.
// The caller owns *ret_hsm (hsm_close). Settings are copied.
vlt_result hsm_open(const struct hsm_settings *settings, struct fault *fault,
                    struct hsm **ret_hsm) VLT_MUST_USE;
void hsm_close(struct hsm *hsm); // NULL is fine

// Makes a new wrapping key, checks that it is one that cannot leave the device,
// and opens it. VLT_CONFLICT when the device holds that generation of it
// already. The caller stores *ret_key before it relies on the key.
vlt_result hsm_key_create(struct hsm *hsm, uint32_t generation, struct fault *fault,
                          struct hsm_key *ret_key) VLT_MUST_USE;
// Opens the key of a record: the device must be the one that made it, the key
// must still be unable to leave, and must pass a known-answer check. Opening
// it twice is fine.
vlt_result hsm_key_find(struct hsm *hsm, const struct hsm_key *key,
                        struct fault *fault) VLT_MUST_USE;
// States of the machine in which bound keys may be used besides the one they were
// made in. Copied; replaces what was given before. Without them, or when none
// fits, calls that need a bound key fail with VLT_DENIED and a fault that says
// which PCRs differ. VLT_LIMIT.
#define HSM_APPROVALS_MAX 16
vlt_result hsm_approvals_set(struct hsm *hsm, const struct boot_approval *approvals,
                             size_t count) VLT_MUST_USE;
// Keys that are made from now on are bound so (settings: boot_pcrs). VLT_MALFORMED.
vlt_result hsm_boot_bind(struct hsm *hsm, uint32_t pcrs, const uint8_t approver[BOOT_POINT_BYTES],
                         struct fault *fault) VLT_MUST_USE;
// The PCRs as they are now. VLT_NOT_FOUND for a device that has none.
vlt_result hsm_boot_read(struct hsm *hsm, uint32_t pcrs, struct fault *fault,
                         struct boot_state *ret_state) VLT_MUST_USE;
// How a key of a record is bound; created.pcrs 0: it is not.
vlt_result hsm_key_boot(const struct hsm_key *key, struct boot_binding *ret_binding) VLT_MUST_USE;
// Removes the key for ever, from the device where it lives there.
vlt_result hsm_key_destroy(struct hsm *hsm, const struct hsm_key *key,
                           struct fault *fault) VLT_MUST_USE;

// Wraps with the open key of the highest generation. `context` (tenant and key
// number, 1 to HSM_CONTEXT_MAX_BYTES) is authenticated, not stored: unwrap must
// be given the same. Appends at most HSM_BLOB_MAX_BYTES to ret_blob. Only
// somebody who can use the device can make a blob that unwraps.
vlt_result hsm_wrap(struct hsm *hsm, struct bytes context, const struct secret *key32,
                    struct fault *fault, struct buf *ret_blob) VLT_MUST_USE;
// The blob says which open key it needs; VLT_NOT_FOUND when that one is not
// open here (another device's blob, or an altered key id). ret_key32 has
// capacity for HSM_DATA_KEY_BYTES.
vlt_result hsm_unwrap(struct hsm *hsm, struct bytes context, struct bytes blob,
                      struct fault *fault, struct secret *ret_key32) VLT_MUST_USE;

// --- rollback counter ---------------------------------------------------------
// A number in the device that only grows, for noticing that an old copy of the
// store was put back. TPM: an NV counter, which not even its owner can turn back
// (removed and made anew it continues above the highest value ever). PKCS#11: a
// private data object; whoever has the PIN can turn that back, so it protects
// against an old disk, not against an old disk together with the PIN.
//
// NV memory wears: makers promise some 100 000 writes. The caller batches.
struct hsm_counter { // what the store keeps about it; needs no secrecy
    size_t size;
    uint8_t at[96];
};
// Makes a counter and reads it once. VLT_LIMIT when the device has no room.
vlt_result hsm_counter_create(struct hsm *hsm, struct fault *fault, struct hsm_counter *ret_counter,
                              uint64_t *ret_value) VLT_MUST_USE;
// VLT_NOT_FOUND when the device has no such counter (any more), VLT_CONFLICT
// when there is another one in its place.
vlt_result hsm_counter_read(struct hsm *hsm, const struct hsm_counter *counter, struct fault *fault,
                            uint64_t *ret_value) VLT_MUST_USE;
// Moves it from target - 1 to target. Fine when it is at target already, so a
// call whose answer was lost can be repeated. VLT_CONFLICT when it is elsewhere.
vlt_result hsm_counter_advance(struct hsm *hsm, const struct hsm_counter *counter, uint64_t target,
                               struct fault *fault) VLT_MUST_USE;
vlt_result hsm_counter_destroy(struct hsm *hsm, const struct hsm_counter *counter,
                               struct fault *fault) VLT_MUST_USE;

// --- a key that signs inside the device ---------------------------------------
// PKCS#11 only: P-256, made by the device (CKM_EC_KEY_PAIR_GEN), not extractable,
// used with CKM_ECDSA. VLT_MALFORMED from every call for a TPM.
#define HSM_POINT_BYTES 65 // uncompressed: 04, x, y
#define HSM_DIGEST_BYTES 32
#define HSM_SIGNATURE_BYTES 64 // r and s, 32 bytes each
struct hsm_signer {
    uint8_t id[HSM_KEY_ID_BYTES];   // CKA_ID, drawn at random
    uint8_t point[HSM_POINT_BYTES]; // the public key
};
// Makes a pair and proves that it signs. The caller stores *ret_signer before it
// relies on it, or destroys it.
vlt_result hsm_signer_create(struct hsm *hsm, struct fault *fault,
                             struct hsm_signer *ret_signer) VLT_MUST_USE;
// Signs a SHA-256 digest. Every signature is verified before it is returned: a
// device that answers with anything else is sick (VLT_UNAVAILABLE).
// VLT_NOT_FOUND: the device does not hold this key. VLT_CRYPTO: the key could
// have been copied.
vlt_result hsm_sign(struct hsm *hsm, const struct hsm_signer *signer,
                    const uint8_t digest[HSM_DIGEST_BYTES], struct fault *fault,
                    uint8_t ret_signature[HSM_SIGNATURE_BYTES]) VLT_MUST_USE;
// Both halves, for ever. VLT_NOT_FOUND when they are gone already.
vlt_result hsm_signer_destroy(struct hsm *hsm, const uint8_t id[HSM_KEY_ID_BYTES],
                              struct fault *fault) VLT_MUST_USE;

// --- attestation --------------------------------------------------------------
// Evidence that the open key of the highest generation lives in this very TPM
// (libvault/tpm/evidence.h). Either with a nonce of the verifier, or with its
// challenge, whose secret is then the nonce. VLT_NOT_FOUND: the device can not
// attest, or has no endorsement certificate. VLT_CRYPTO: the challenge is for
// another TPM or another attestation key.
vlt_result hsm_attest(struct hsm *hsm, const char *nonce, const struct challenge *challenge,
                      struct fault *fault, struct evidence *ret_evidence) VLT_MUST_USE;

// --- health and facts ---------------------------------------------------------
// Does the device answer, and does every open key still give its known answer?
vlt_result hsm_check(struct hsm *hsm, struct fault *fault) VLT_MUST_USE;

// Facts that a person can compare with the label on the box. Never a secret.
struct hsm_description {
    enum hsm_kind kind;
    char kind_text[16];     // "TPM 2.0", "PKCS#11"
    char label[72];         // PKCS#11 label of the device; TPM: the TCTI configuration, cut
    char manufacturer[40];
    char model[24];
    char serial[72];        // TPM: SHA-256 of the pinned primary key's name, in hex
    char firmware[24];
    char mechanism[64];     // what wraps, in words
    unsigned key_count;     // open keys
    uint32_t generation;    // of the key that wraps; 0 when none is open
    int64_t known_answer_at; // when a key last gave it; seconds, 0: none was opened
    uint32_t boot_pcrs;     // that key is bound to these PCRs; 0: it is not
    char boot_name[65];     // approved state that let us use it last; "" when it is the
                            // state of its creation
};
// As last seen; does not touch the device.
void hsm_describe(const struct hsm *hsm, struct hsm_description *ret_description);

// Reading a record or a blob without a device.
vlt_result hsm_key_facts(const struct hsm_key *key, enum hsm_kind *ret_kind,
                         uint32_t *ret_generation, uint8_t ret_id[HSM_KEY_ID_BYTES]) VLT_MUST_USE;
// The id of the key that wrapped it.
vlt_result hsm_blob_key_id(struct bytes blob, uint8_t ret_id[HSM_KEY_ID_BYTES]) VLT_MUST_USE;

#endif
