// SPDX-License-Identifier: Apache-2.0
// Inside datakey*.c: the table of data keys (datakey.c), calls that wait for one
// (datakey_park.c), and how one is loaded (datakey_load.c).
#ifndef VLT_KEEPER_DATAKEY_INTERNAL_H
#define VLT_KEEPER_DATAKEY_INTERNAL_H

#include "vaultd/keeper/datakey.h"

#define DATAKEYS_BUCKETS 4096 // a power of two

struct parked {
    struct ipc_call *call;
    unsigned message;
    struct secret *frame; // holds a token
    int64_t until_ms;
    struct parked *next;
};

struct datakey {
    uint32_t tenant, number;
    struct xaes_key *key; // NULL while it is not loaded
    unsigned loads;       // calls to devices that are under way for it
    unsigned tried;       // set of the devices that were asked (bit n: device n)
    int64_t asked_ms;     // when the last of them was
    int64_t used_ms, failed_ms;
    struct parked *first, **last;
    struct datakey *next;
};

struct datakeys {
    struct keeper *keeper;
    size_t loaded, parked;
    uint64_t generation; // grows with each clear: an answer to an older load is dropped
    struct event *look;  // at calls that are parked
    vlt_result given_up; // while one is asked for the last time: why it waits no more
    struct datakey *buckets[DATAKEYS_BUCKETS];
};

// ---- datakey.c ----

struct datakey *datakeys_entry(struct datakeys *datakeys, uint32_t tenant, uint32_t number);
// NULL: out of memory.
struct datakey *datakeys_entry_or_new(struct datakeys *datakeys, uint32_t tenant, uint32_t number);
vlt_result datakeys_take(struct datakeys *datakeys, struct datakey *entry,
                         const struct secret *key32) VLT_MUST_USE;

// ---- datakey_park.c ----

// On a timer: those that waited too long are answered, and a device that does not
// answer is given company.
void datakeys_look_at_parked(evutil_socket_t fd, short what, void *context);
// Asks them all again; with a failure for the last time: then they are refused with it,
// and recorded, by who decides about them.
void datakeys_unpark(struct datakeys *datakeys, struct datakey *entry, vlt_result result);

// ---- datakey_load.c ----

// With the first device that works and was not tried. Within a snapshot, as the next.
vlt_result datakeys_load(struct datakeys *datakeys, struct datakey *entry) VLT_MUST_USE;
// The same from the beginning. Fine when it is under way; VLT_UNAVAILABLE so soon
// after a failure.
vlt_result datakeys_load_first(struct datakeys *datakeys, struct datakey *entry) VLT_MUST_USE;
// The devices that were asked take their time: asks another one as well.
void datakeys_load_also(struct datakeys *datakeys, struct datakey *entry);

#endif
