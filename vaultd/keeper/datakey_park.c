// SPDX-License-Identifier: Apache-2.0
// Calls that wait for a data key.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/datakey_internal.h"

#define LOOK_MS 100
#define SLOW_MS 300 // a device that takes longer: another one is asked as well

static void parked_free(struct datakeys *datakeys, struct parked *parked) {
    datakeys->parked--;
    datakeys->keeper->in_flight--;
    secret_free(parked->frame);
    free(parked);
}

// Asks again. The failure is what datakey_park then says to whoever answers this call, who
// has it recorded with all that is known of it. A vault that is sealed decides nothing:
// that is for the one who asked to record.
static void ask_again(struct datakeys *datakeys, struct parked *parked, vlt_result failure) {
    if (channel_was_unheard(failure)) {
        reply_failure(parked->call, failure);
        return;
    }
    datakeys->given_up = failure;
    keeper_asked(parked->call, parked->message,
                 bytes_of(secret_borrow(parked->frame), secret_size(parked->frame)),
                 datakeys->keeper);
    datakeys->given_up = vlt_ok();
    secret_release(parked->frame);
}

// A device may take its time, a request may not.
static void expire(struct datakeys *datakeys, struct datakey *entry, int64_t now_ms) {
    struct parked **link = &entry->first;
    while (*link && (*link)->until_ms <= now_ms) { // in the order in which they came
        struct parked *parked = *link;
        *link = parked->next;
        ask_again(datakeys, parked,
                  vlt_fail(VLT_UNAVAILABLE, "the device does not answer in time"));
        parked_free(datakeys, parked);
    }
    if (!entry->first)
        entry->last = &entry->first;
}

static void look_later(struct datakeys *datakeys) {
    const struct timeval wait = {.tv_usec = LOOK_MS * 1000};
    if (datakeys->parked > 0 && !event_pending(datakeys->look, EV_TIMEOUT, NULL))
        event_add(datakeys->look, &wait);
}

void datakeys_look_at_parked(evutil_socket_t fd, short what, void *context) {
    struct datakeys *datakeys = context;
    int64_t now_ms = clock_elapsed_ms();
    for (size_t i = 0; datakeys->parked > 0 && i < DATAKEYS_BUCKETS; i++)
        for (struct datakey *entry = datakeys->buckets[i]; entry; entry = entry->next) {
            expire(datakeys, entry, now_ms);
            if (entry->first && now_ms - entry->asked_ms >= SLOW_MS)
                datakeys_load_also(datakeys, entry);
        }
    look_later(datakeys);
}

// Takes the whole list off the entry first: what is asked again may park again.
void datakeys_unpark(struct datakeys *datakeys, struct datakey *entry, vlt_result result) {
    struct parked *parked = entry->first;
    entry->first = NULL;
    entry->last = &entry->first;
    while (parked) {
        struct parked *next = parked->next;
        ask_again(datakeys, parked, result);
        parked_free(datakeys, parked);
        parked = next;
    }
}

static struct parked *parked_new(struct ipc_call *call, unsigned message, struct bytes frame) {
    struct parked *parked = calloc(1, sizeof *parked);
    if (!parked)
        return NULL;
    parked->frame = secret_new(frame.size);
    if (!parked->frame || !vlt_is_ok(secret_set(parked->frame, frame.at, frame.size))) {
        secret_free(parked->frame);
        free(parked);
        return NULL;
    }
    parked->call = call;
    parked->message = message;
    return parked;
}

vlt_result datakey_park(struct datakeys *datakeys, uint32_t tenant, uint32_t number,
                        struct ipc_call *call, unsigned message, struct bytes frame) {
    VLT_TRY(datakeys->given_up);
    if (datakeys->parked >= DATAKEYS_PARKED_MAX)
        return vlt_fail(VLT_LIMIT, "too many calls wait for the device");
    struct datakey *entry = datakeys_entry_or_new(datakeys, tenant, number);
    if (!entry)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    struct parked *parked = parked_new(call, message, frame);
    if (!parked)
        return vlt_fail(VLT_UNAVAILABLE, "no memory to wait for the device");
    vlt_result result = datakeys_load_first(datakeys, entry);
    if (!vlt_is_ok(result)) {
        secret_free(parked->frame);
        free(parked);
        return result;
    }
    *entry->last = parked;
    entry->last = &parked->next;
    datakeys->parked++;
    datakeys->keeper->in_flight++;
    parked->until_ms = clock_elapsed_ms() + DATAKEYS_WAIT_MS;
    look_later(datakeys);
    return vlt_ok();
}
