// SPDX-License-Identifier: Apache-2.0
// The keys of the vault itself, while it is unsealed: signing keys and intake
// keys, decrypted under the system data key.
//
// Which keys verify a token is decided by what decrypts, never by a public
// record: whoever could write to the file on the disk must not be able to add a
// key of his own.
#ifndef VLT_KEEPER_SYSTEM_KEYS_H
#define VLT_KEEPER_SYSTEM_KEYS_H

#include "hsm/hsm.h"
#include "libvault/crypto/aead.h"
#include "libvault/crypto/jwk.h"
#include "libvault/store/record_key.h"
#include "libvault/store/store.h"

#define SYSTEM_DATAKEYS_MAX 8
#define SYSTEM_INTAKE_MAX 8
#define SYSTEM_SIGNERS_MAX 16
#define SYSTEM_CHECKPOINTS_MAX 4 // older keys that still sign checkpoints

struct recovery;

struct system_datakey {
    uint32_t number;
    struct xaes_key *key;
};
struct system_intake {
    char kid[RECORD_KID_MAX + 1];
    EVP_PKEY *pkey;
};

struct system_signer { // a token signing key that is in the device
    char kid[RECORD_KID_MAX + 1];
    struct hsm_signer signer;
};

struct system_keys {
    struct system_datakey datakeys[SYSTEM_DATAKEYS_MAX];
    size_t datakey_count;
    uint32_t active_datakey;    // number
    struct jwk *signing;        // the active one; borrowed from token_keys; only its public
                                // half when it is among the signers
    struct jwk *checkpoint;     // private Ed25519, owned
    struct jwk *old_checkpoints[SYSTEM_CHECKPOINTS_MAX]; // retired, sign beside it; owned
    size_t old_checkpoint_count;
    struct jwk_set *token_keys; // private P-256 keys that signed or sign tokens; verifies too
    struct system_intake intake[SYSTEM_INTAKE_MAX];
    size_t intake_count;
    struct system_signer signers[SYSTEM_SIGNERS_MAX];
    size_t signer_count;
    struct recovery *recovery; // of the offline slots; NULL: the vault has none
};

struct system_keys *system_keys_new(void);       // NULL: out of memory
void system_keys_free(struct system_keys *keys); // wipes; NULL is fine
// Copies key32 into a schedule. VLT_LIMIT beyond SYSTEM_DATAKEYS_MAX.
vlt_result system_keys_add_datakey(struct system_keys *keys, uint32_t number,
                                   const struct secret *key32, bool is_active) VLT_MUST_USE;
// What is encrypted from now on is so under that one. It is loaded.
void system_keys_use_datakey(struct system_keys *keys, uint32_t number);
// Destroyed, or never recorded. Not the active one. Does nothing when it is not there.
void system_keys_forget_datakey(struct system_keys *keys, uint32_t number);
struct xaes_key *system_datakey(const struct system_keys *keys, uint32_t number); // NULL: none
// Decrypts every key of the store, within a snapshot. VLT_CRYPTO: altered record;
// VLT_NOT_FOUND: no active signing key.
vlt_result system_keys_load(struct system_keys *keys, struct store *store,
                            struct fault *fault) VLT_MUST_USE;
// Again, after a commit that changed them; the data keys stay. On failure nothing
// has changed. Within a snapshot.
vlt_result system_keys_reload(struct system_keys *keys, struct store *store,
                              struct fault *fault) VLT_MUST_USE;
// VLT_NOT_FOUND.
vlt_result system_keys_intake(const struct system_keys *keys, struct bytes kid,
                              EVP_PKEY **ret_pkey) VLT_MUST_USE;

// A new key pair as two changes: the public record and the encrypted private
// half. Memory of the changes belongs to `made`, which the caller frees after
// the commit.
struct system_key_made {
    char kid[RECORD_KID_MAX + 1];
    char *json;          // public record
    uint8_t sealed[256]; // private record
    size_t sealed_bytes;
};
vlt_result system_key_make(const struct system_keys *keys, enum record_key_use use,
                           enum record_key_state state, int64_t now_s,
                           struct system_key_made *ret_made) VLT_MUST_USE;
// The same for a token signing key that the device has made.
vlt_result system_key_describe(const struct system_keys *keys, const struct hsm_signer *signer,
                               enum record_key_state state, int64_t now_s,
                               struct system_key_made *ret_made) VLT_MUST_USE;
// Where the key of that name is, when it is in the device; else NULL.
const struct system_signer *system_keys_signer(const struct system_keys *keys, const char *kid);
void system_key_made_done(struct system_key_made *made);
enum store_class system_key_public_class(enum record_key_use use);
enum store_class system_key_secret_class(enum record_key_use use);

#endif
