// SPDX-License-Identifier: Apache-2.0
// STORE_SIGNING_KEY and STORE_INTAKE_KEY: the public half of a key of ours, for
// everybody; and STORE_SIGNING_SECRET and STORE_INTAKE_SECRET: its private half,
// encrypted under the system data key. JSON: {kid, use, state, jwk, created_at,
// retired_at, keep_until}; the JWK is ready for a JWK Set.
#ifndef VLT_STORE_RECORD_KEY_H
#define VLT_STORE_RECORD_KEY_H

#include "libvault/store/record_tenant.h"

#define RECORD_KID_MAX 64

enum record_key_use {
    RECORD_KEY_TOKEN = 1,  // P-256, signs tokens: published as JWKS
    RECORD_KEY_CHECKPOINT, // Ed25519, signs checkpoints of the audit log
    RECORD_KEY_INTAKE      // P-256, credentials are sealed to it
};
// next → active → retired. A key is published in all three; `next` does not sign
// yet, `retired` does not sign any more but still verifies or opens.
enum record_key_state { RECORD_KEY_NEXT = 1, RECORD_KEY_ACTIVE, RECORD_KEY_RETIRED };

struct record_key {
    char kid[RECORD_KID_MAX + 1]; // RFC 7638 thumbprint in base64url
    enum record_key_use use;
    enum record_key_state state;
    json_t *jwk; // owned; public members only
    int64_t created_at, retired_at;
    int64_t keep_until; // of a retired key: what it made may be in use until then
};
vlt_result record_key_parse(struct bytes json, struct fault *fault,
                            struct record_key *ret_key) VLT_MUST_USE;
void record_key_done(struct record_key *key);
json_t *record_key_json(const struct record_key *key);

// Binary secret: u8 algorithm, u32 number of the system data key, then nonce,
// ciphertext and tag (XAES-256-GCM) of what the algorithm says. What
// names a key in a device is no secret; it is encrypted because nobody who can
// write the store may put a key of theirs in its place.
enum record_key_algorithm {
    RECORD_KEY_PRIVATE = 1,  // the 32 private bytes
    RECORD_KEY_IN_DEVICE = 2 // which key in the device: its id[16], its point[65]
};
struct record_key_secret {
    uint8_t algorithm;
    uint32_t data_key;
    struct bytes sealed; // borrowed
};
void record_key_secret_put(struct wire_writer *w, const struct record_key_secret *secret);
vlt_result record_key_secret_get(struct bytes value,
                                 struct record_key_secret *ret_secret) VLT_MUST_USE;
// Associated data: class, kid and use, so that no key can stand in for another.
// At most RECORD_KEY_CONTEXT_MAX bytes.
#define RECORD_KEY_CONTEXT_MAX 128
void record_key_context(struct wire_writer *w, enum store_class class, struct bytes kid,
                        enum record_key_use use);
// The same of a key in a device: one kind can not be read as the other.
void record_key_device_context(struct wire_writer *w, struct bytes kid);

#endif
