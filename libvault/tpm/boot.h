// SPDX-License-Identifier: Apache-2.0
// Measured boot: the values of some PCRs, the policy of a key that is bound to
// them, and the approval of a state by a signature. Computed without a TPM, so
// that keeper, vaultctl and whoever verifies evidence agree with it.
//
// The policy of a bound key (TPM 2.0 Library part 3, 23; part 1, 19.7):
//
//   PolicyAuthValue after PolicyOR of
//     PolicyPCR       the state in which the key was made
//     PolicyAuthorize a state that the approver, an offline P-256 key, signed
//
// What is signed (ECDSA, SHA-256): the digest of the state's PolicyPCR, then
// BOOT_POLICY_REF. It names no vault: one signature serves a fleet that boots the
// same software and trusts the same approver.
//
// Callers: hsm/tpm, the keeper, the supervisor, vaultctl. No state; any thread.
#ifndef VLT_TPM_BOOT_H
#define VLT_TPM_BOOT_H

#include "libvault/base/fault.h"
#include "libvault/base/wire.h"

#define BOOT_PCRS 24      // of a PC (TCG PC Client Platform Profile 2.3.4)
#define BOOT_PCR_BYTES 32 // the SHA-256 bank
#define BOOT_DIGEST_BYTES 32
#define BOOT_POINT_BYTES 65 // uncompressed P-256 point
#define BOOT_SIGNATURE_BYTES 64
#define BOOT_POLICY_REF "vaultd boot v1"
#define BOOT_TO_SIGN_BYTES (BOOT_DIGEST_BYTES + sizeof BOOT_POLICY_REF - 1)
#define BOOT_STATE_MAX_BYTES (4 + BOOT_PCRS * BOOT_PCR_BYTES)
#define BOOT_LIST_SIZE 80 // text of boot_list

struct boot_state {
    uint32_t pcrs;                             // bit n: PCR n counts; 0: no state at all
    uint8_t values[BOOT_PCRS][BOOT_PCR_BYTES]; // zero where it does not count
};

// How a key is bound; approver is meaningful when created.pcrs is not 0.
struct boot_binding {
    struct boot_state created; // the state in which the key was made
    uint8_t approver[BOOT_POINT_BYTES];
};

// A state that the approver signed.
struct boot_approval {
    char name[65]; // for people
    struct boot_state state;
    uint8_t signature[BOOT_SIGNATURE_BYTES]; // r, s
};

// Refuses an empty set, PCRs that a TPM does not have, and 16 and 23, which any
// program can reset and extend to whatever it likes. VLT_MALFORMED.
vlt_result boot_pcrs_check(uint32_t pcrs, struct fault *fault) VLT_MUST_USE;
// "0,2,7"; "none" for an empty set.
void boot_list(uint32_t pcrs, char text[BOOT_LIST_SIZE]);
// PCRs whose values differ, or that count in one of them only.
uint32_t boot_difference(const struct boot_state *a, const struct boot_state *b);

// Digest of a policy session after PolicyPCR of this state.
vlt_result boot_state_policy(const struct boot_state *state,
                             uint8_t ret_digest[BOOT_DIGEST_BYTES]) VLT_MUST_USE;
// … after PolicyAuthorize by this approver.
vlt_result boot_approver_policy(const uint8_t approver[BOOT_POINT_BYTES],
                                uint8_t ret_digest[BOOT_DIGEST_BYTES]) VLT_MUST_USE;
// The authPolicy of a key that is bound so.
vlt_result boot_key_policy(const struct boot_binding *binding,
                           uint8_t ret_digest[BOOT_DIGEST_BYTES]) VLT_MUST_USE;

// The approver's public area as a TPM loads it (TPMT_PUBLIC), and its name.
#define BOOT_APPROVER_PUBLIC_BYTES 88
void boot_approver_public(const uint8_t approver[BOOT_POINT_BYTES],
                          uint8_t ret_area[BOOT_APPROVER_PUBLIC_BYTES]);
vlt_result boot_approver_name(const uint8_t approver[BOOT_POINT_BYTES],
                              uint8_t ret_name[2 + BOOT_DIGEST_BYTES]) VLT_MUST_USE;

// ECDSA with SHA-256 on P-256. VLT_CRYPTO.
vlt_result boot_signature_verify(const uint8_t point[BOOT_POINT_BYTES], struct bytes message,
                                 const uint8_t signature[BOOT_SIGNATURE_BYTES]) VLT_MUST_USE;
// What the approver signs.
vlt_result boot_to_sign(const struct boot_state *state,
                        uint8_t ret_message[BOOT_TO_SIGN_BYTES]) VLT_MUST_USE;
// VLT_CRYPTO when it is not the approver's signature of that state.
vlt_result boot_approval_verify(const struct boot_approval *approval,
                                const uint8_t approver[BOOT_POINT_BYTES]) VLT_MUST_USE;

// In a record: pcrs u32, then the values that count. Reading fails sticky.
void boot_state_put(struct wire_writer *w, const struct boot_state *state);
void boot_state_get(struct wire_reader *r, struct boot_state *ret_state);

#endif
