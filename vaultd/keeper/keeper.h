// SPDX-License-Identifier: Apache-2.0
// The trusted core: everything that one keeper has, and how its state changes.
//
//   STARTING ──no store, or none that was finished──▶ UNINITIALISED ──init──▶ UNSEALED
//      │                                                                      │   ▲
//      └──────────────store is there──────────────▶ SEALED ◀──seal────────────┘   │
//                                                     └────────unseal─────────────┘
//
// SEALED has a reason that `status` shows: sealed by an administrator, device
// missing, wrong PIN, another device, store of a newer version.
//
// One event loop, one thread for each device, one for commits. Everything here is
// called on the loop. See docs/decisions/0001-keeper-crypto-inline.md.
#ifndef VLT_KEEPER_KEEPER_H
#define VLT_KEEPER_KEEPER_H

#include <event2/event.h>
#include <openssl/evp.h>

#include "hsm/hsm.h"
#include "libvault/store/store.h"
#include "vaultd/ipc/channel.h"
#include "vaultd/keeper/keeper_settings.h"

#define KEEPER_PEERS_MAX 16 // of one role

struct audit_untold;
struct backup;
struct commit_queue;
struct datakey_use;
struct datakeys;
struct device_thread;
struct epoch;
struct devices;
struct replay;
struct rotations;
struct seen;
struct sweep_place;
struct system_keys;
struct tenants;
struct unseal_wait;

struct keeper {
    struct event_base *base;
    struct keeper_settings settings;
    enum keeper_state state;
    char why[480];          // it is sealed or does not start; "" otherwise
    bool is_sealed_by_hand; // then only an administrator unseals
    int64_t started_ms, unsealed_at;

    struct store *store; // NULL until there is one
    struct commit_queue *commits;
    struct devices *devices;
    struct device_thread *device; // the first one that works; the next two are about it
    struct hsm_description device_description;
    bool is_device_known;                               // the description is valid
    uint8_t device_ids[KEEPER_DEVICES_MAX * HSM_KEYS_MAX][HSM_KEY_ID_BYTES]; // open keys
    size_t device_id_count;

    struct system_keys *keys; // NULL unless unsealed
    struct datakeys *datakeys;
    struct datakey_use *datakey_uses; // commits that are under way
    struct seen *seen; // tokens that were verified before
    struct tenants *tenants;
    struct replay *replay;
    struct secret *plaintext; // of the credential that is being opened or put
    struct epoch *epoch;      // rollback protection
    struct backup *backup;    // that is under way, or NULL
    EVP_PKEY *recover_key;    // shares are sealed to it; NULL until somebody recovers
    uint32_t next_tenant;     // number of the next new tenant

    // Grow with each commit: of any record, and of one that can end the authority
    // of a token (tenants, revocations). What was checked at the same count still
    // holds.
    uint64_t change_count, authority_count;
    uint64_t key_epoch; // grows when the signing keys are replaced without overlap
    // The latest time at which a token that it signed or saw was issued. After the clock
    // was set back that is in the future, and what ends tokens must reach so far.
    int64_t issued_until_s;
    // Rules that end tokens and are being recorded and committed, and when the oldest was
    // asked for. What is signed meanwhile bears that time, so that it does not survive them.
    unsigned rules_under_way;
    int64_t rules_since_s;
    int64_t rules_until_s; // how far those of this keeper's life reach

    struct channel *auditor;
    bool auditor_is_silent;    // it was said in the log
    struct audit_untold *untold; // events that no auditor has taken yet, oldest first
    struct channel *brokers[KEEPER_PEERS_MAX], *admins[KEEPER_PEERS_MAX],
        *redeemers[KEEPER_PEERS_MAX];
    size_t wraps_in_flight; // wrapped data keys on their way to the disk
    size_t changes_bytes;   // memory of changes that wait (change.h)
    bool is_draining;       // begins nothing new
    bool is_restarting;     // for the sake of a device that hangs
    size_t in_flight;          // calls whose answer waits for the auditor, disk or device
    bool has_unseal_to_record; // the vault unsealed itself before the auditor was there

    struct rotations *rotations;
    unsigned signer_device; // number of the device that signed a token last
    char sign_trouble[480]; // why the device did not sign the last token; "" when it did
    int64_t sign_warned_ms; // before then nothing is said again about a device that does not sign
    struct event *retry, *sweep;     // timers
    struct sweep_place *sweep_place; // where the sweep goes on
    bool is_sweeping;                // a commit of the sweep is under way
    unsigned retry_s;
    bool is_unsealing;
    struct unseal_attempt *unsealing; // NULL also when init or recovery has the device
    struct unseal_wait *unseal_waits;

    // Tells the supervisor; NULL in tests that do not care.
    void (*ready)(const char *note, void *context);
    // The process can not go on and should be replaced; NULL in tests.
    void (*failed)(const char *why, void *context);
    void *hook_context;
};

// Threads start with keeper_start, not here, so that they inherit the sandbox.
vlt_result keeper_new(struct event_base *base, struct keeper **ret_keeper) VLT_MUST_USE;
// Finishes what is with the threads, wipes every key. False: a device does not return
// from a call, and the process must end by _exit.
bool keeper_free(struct keeper *keeper);
// First settings or a reload (then fields that need a restart must not differ).
vlt_result keeper_configure(struct keeper *keeper, struct bytes frame, bool is_first,
                            struct fault *fault) VLT_MUST_USE;
// Starts the threads, opens the store, unseals when there is something to unseal.
// VLT_UNAVAILABLE when no thread can be started.
vlt_result keeper_start(struct keeper *keeper) VLT_MUST_USE;
// channel NULL: that peer is gone.
void keeper_set_peer(struct keeper *keeper, enum ipc_role role, unsigned number,
                     struct channel *channel);
// channel_events.asked and .permits, context is the keeper.
void keeper_asked(struct ipc_call *call, unsigned message, struct bytes frame, void *context);
bool keeper_permits(unsigned states, void *context);

// Changes the state, says so to log and supervisor. `why` may be NULL.
void keeper_set_state(struct keeper *keeper, enum keeper_state state, const char *why);
// Begins nothing by itself any more: the process is about to end.
void keeper_drain(struct keeper *keeper);
// Nothing is under way that a peer waits for.
bool keeper_is_idle(const struct keeper *keeper);
// A commit failed. Ends the process when the store can not be written any more.
void keeper_commit_failed(struct keeper *keeper, vlt_result result);
// A commit is durable: drop what may be stale, tell the peers.
void keeper_committed(struct keeper *keeper, const struct store_change *changes, size_t count,
                      uint64_t revision);
// Nothing was committed, but no answer given before may be used again: sealed.
void keeper_end_reuse(struct keeper *keeper);

#endif
