// SPDX-License-Identifier: Apache-2.0
// A whole keeper on one event loop with its peers: the test plays broker, admin,
// redeemer and auditor over real socket pairs. Device and store are real.
#ifndef VLT_TESTS_UNIT_KEEPER_FIXTURE_H
#define VLT_TESTS_UNIT_KEEPER_FIXTURE_H

#include <event2/event.h>
#include <jansson.h>

#include "libvault/audit/event.h"
#include "libvault/crypto/jwk.h"
#include "libvault/token/claims.h"
#include "tests/devices/device_fixture.h"
#include "vaultd/ipc/channel.h"
#include "vaultd/keeper/keeper.h"

#define FIXTURE_EVENTS_MAX 64
#define FIXTURE_ISSUER "https://vault.example"

enum auditor_mood { AUDITOR_WRITES, AUDITOR_FAILS, AUDITOR_WAITS };

struct noted_event { // what the auditor was told, by value
    uint8_t kind, outcome;
    uint32_t version;
    uint64_t max_tokens;
    char operation[65], tenant[65], principal[513], administrator[257], credential[257];
    char token_id[65], reason[513];
};

struct keeper_fixture {
    struct device_fixture device;
    char folder[64], store_path[96];
    uint32_t max_lifetime_s, idle_s;
    bool signs_in_device;
    struct event_base *base;
    struct keeper *keeper;
    // The test's ends and the keeper's ends, by role.
    struct channel *mine[IPC_ROLE_COUNT], *its[IPC_ROLE_COUNT];
    unsigned closed[IPC_ROLE_COUNT]; // how often the keeper closed a channel
    enum auditor_mood auditor;
    struct ipc_call *waiting[FIXTURE_EVENTS_MAX]; // records of AUDITOR_WAITS
    size_t waiting_count;
    struct noted_event events[FIXTURE_EVENTS_MAX];
    size_t event_count;
    unsigned generations; // tell_generation seen by the redeemer
    pid_t program;        // of keeper_fixture_spawn; then `keeper` and `its` are not there
    char note[1024];      // the last tell_ready
};

// Ends the test program when something does not start.
void keeper_fixture_begin(struct keeper_fixture *f, enum hsm_kind kind);
void keeper_fixture_end(struct keeper_fixture *f);
void keeper_fixture_start(struct keeper_fixture *f); // keeper and channels
void keeper_fixture_stop(struct keeper_fixture *f);  // as a drain and exit would
void keeper_fixture_restart(struct keeper_fixture *f); // until it is unsealed
// The real program in a process of its own, sandbox and all; the test is its
// supervisor, too. Ended with keeper_fixture_kill: returns the wait status.
void keeper_fixture_spawn(struct keeper_fixture *f, const char *path);
int keeper_fixture_kill(struct keeper_fixture *f, int signal_number);
int keeper_fixture_drain(struct keeper_fixture *f); // ends it as the supervisor does
void keeper_fixture_wait_note(struct keeper_fixture *f, const char *note);
void keeper_fixture_connect(struct keeper_fixture *f, enum ipc_role role);
void keeper_fixture_disconnect(struct keeper_fixture *f, enum ipc_role role);
vlt_result keeper_fixture_reload(struct keeper_fixture *f, const char *pin_path);
// Runs the loop until *is_done or 10 s are over (then the test program ends).
void keeper_fixture_wait(struct keeper_fixture *f, const bool *is_done);
void keeper_fixture_turn(struct keeper_fixture *f, unsigned for_ms);
void keeper_fixture_settle(struct keeper_fixture *f); // until the keeper has nothing under way
void keeper_fixture_wait_state(struct keeper_fixture *f, enum keeper_state state);
void keeper_fixture_release_records(struct keeper_fixture *f); // those that wait
const struct noted_event *keeper_fixture_last_event(const struct keeper_fixture *f);
void keeper_fixture_give_up(const char *what); // ends the test program
void keeper_fixture_note(char *text, size_t capacity, struct bytes bytes); // as text, cut if longer

// ---- Calls, made and waited for (keeper_fixture_calls.c) ----

struct signed_answer {
    char token[IPC_TOKEN_MAX + 1];
    uint64_t expires_at;
    uint64_t sequence; // also of a refusal
};
struct opened_answer {
    char value[IPC_VALUE_MAX + 1], profile[65], parameters[256];
    uint32_t version;
    uint64_t reuse_until;
    uint64_t sequence; // also of a refusal
};

// What a call says about itself for the log; good until the next one.
struct bytes fixture_event(const char *operation);
vlt_result fixture_init(struct keeper_fixture *f);
vlt_result fixture_seal(struct keeper_fixture *f, bool seal);
vlt_result fixture_status(struct keeper_fixture *f, char *text, size_t capacity);
vlt_result fixture_tenant(struct keeper_fixture *f, const char *name, uint32_t *ret_number);
struct put_request {
    uint32_t tenant;
    const char *name, *value, *host;
    bool rotates, stages;
    uint8_t form; // enum credential_form
    uint32_t grace_s;
    uint64_t revision;
    bool breaks_tag; // a byte of the JWE's tag is flipped
};
vlt_result fixture_put(struct keeper_fixture *f, const struct put_request *request,
                       uint32_t *ret_version);
vlt_result fixture_state(struct keeper_fixture *f, uint32_t tenant, const char *name,
                         uint8_t state);
vlt_result fixture_commit(struct keeper_fixture *f, const struct store_change *changes,
                          size_t count);
vlt_result fixture_revoke_rule(struct keeper_fixture *f, uint32_t tenant, uint8_t kind,
                               const char *value);
vlt_result fixture_revoke_token(struct keeper_fixture *f, uint32_t tenant, const char *token);
// Its event is put in. What the keeper says of it is the caller's; ret_json may be NULL.
vlt_result fixture_rotate(struct keeper_fixture *f, const struct ask_rotate *how,
                          json_t **ret_json);
vlt_result fixture_key_destroy(struct keeper_fixture *f, unsigned kind, uint32_t tenant,
                               const char *key);
// Of tenant 1, with a grace of 60 s; ret_version may be NULL.
vlt_result fixture_rollback(struct keeper_fixture *f, const char *name, uint32_t *ret_version);

// Claims for tenant "default", credential `name`, POST /v1/*, bound by DPoP to a
// key whose thumbprint is all `key_byte` (0: bearer).
void fixture_claims(struct token_claims *claims, const char *name, uint8_t key_byte);
vlt_result fixture_sign(struct keeper_fixture *f, const struct token_claims *claims,
                        uint32_t tenant, uint32_t lifetime_s, struct signed_answer *ret_answer);
// A request that the claims above cover; change what the test is about.
void fixture_open_request(struct ask_open *ask, const char *token, const char *name,
                          uint8_t key_byte);
vlt_result fixture_open(struct keeper_fixture *f, const struct ask_open *ask,
                        struct opened_answer *ret_answer);

#endif
