// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/datakey.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/devices.h"
#include "vaultd/keeper/recovery.h"
#include "vaultd/log/log.h"

#define BUCKETS 4096         // a power of two
#define FAILURE_REST_MS 1000 // no call of the device for this key so soon after a failure
#define PARKED_LOOK_MS 100

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
    bool is_loading;
    int64_t used_ms, failed_ms;
    struct parked *first, **last;
    struct datakey *next;
};

struct datakeys {
    struct keeper *keeper;
    size_t loaded, parked;
    uint64_t generation; // grows with each clear: an answer to an older load is dropped
    struct event *look;  // at calls that are parked
    struct datakey *buckets[BUCKETS];
};

// What travels through the device thread.
struct load {
    struct datakeys *datakeys;
    uint32_t tenant, number;
    uint64_t generation;
    unsigned tried; // set of devices (bit n: device n)
};

static void look_at_parked(evutil_socket_t fd, short what, void *context);

struct datakeys *datakeys_new(struct keeper *keeper) {
    struct datakeys *datakeys = calloc(1, sizeof *datakeys);
    if (!datakeys)
        return NULL;
    datakeys->keeper = keeper;
    datakeys->look = evtimer_new(keeper->base, look_at_parked, datakeys);
    if (!datakeys->look) {
        free(datakeys);
        return NULL;
    }
    return datakeys;
}

static struct datakey **bucket_of(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    return &datakeys->buckets[(tenant * 2654435761u ^ number) & (BUCKETS - 1)];
}

static struct datakey *find(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = *bucket_of(datakeys, tenant, number);
    while (entry && (entry->tenant != tenant || entry->number != number))
        entry = entry->next;
    return entry;
}

static struct datakey *find_or_make(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = find(datakeys, tenant, number);
    if (entry || !(entry = calloc(1, sizeof *entry)))
        return entry;
    entry->tenant = tenant;
    entry->number = number;
    entry->last = &entry->first;
    struct datakey **bucket = bucket_of(datakeys, tenant, number);
    entry->next = *bucket;
    *bucket = entry;
    return entry;
}

static void parked_free(struct datakeys *datakeys, struct parked *parked) {
    datakeys->parked--;
    datakeys->keeper->in_flight--;
    secret_free(parked->frame);
    free(parked);
}

// A device may take its time, a request may not.
static void expire(struct datakeys *datakeys, struct datakey *entry, int64_t now_ms) {
    struct parked **link = &entry->first;
    while (*link && (*link)->until_ms <= now_ms) { // in the order in which they came
        struct parked *parked = *link;
        *link = parked->next;
        reply_failure(parked->call,
                      vlt_fail(VLT_UNAVAILABLE, "the device does not answer in time"));
        parked_free(datakeys, parked);
    }
    if (!entry->first)
        entry->last = &entry->first;
}

static void look_later(struct datakeys *datakeys) {
    const struct timeval wait = {.tv_usec = PARKED_LOOK_MS * 1000};
    if (datakeys->parked > 0 && !event_pending(datakeys->look, EV_TIMEOUT, NULL))
        event_add(datakeys->look, &wait);
}

static void look_at_parked(evutil_socket_t fd, short what, void *context) {
    struct datakeys *datakeys = context;
    int64_t now_ms = clock_elapsed_ms();
    for (size_t i = 0; datakeys->parked > 0 && i < BUCKETS; i++)
        for (struct datakey *entry = datakeys->buckets[i]; entry; entry = entry->next)
            expire(datakeys, entry, now_ms);
    look_later(datakeys);
}

// Takes the whole list off the entry first: what is asked again may park again.
static void unpark(struct datakeys *datakeys, struct datakey *entry, vlt_result result) {
    struct parked *parked = entry->first;
    entry->first = NULL;
    entry->last = &entry->first;
    while (parked) {
        struct parked *next = parked->next;
        if (vlt_is_ok(result)) {
            keeper_asked(parked->call, parked->message,
                         bytes_of(secret_borrow(parked->frame), secret_size(parked->frame)),
                         datakeys->keeper);
            secret_release(parked->frame);
        } else {
            reply_failure(parked->call, result);
        }
        parked_free(datakeys, parked);
        parked = next;
    }
}

static void unload(struct datakeys *datakeys, struct datakey *entry) {
    if (!entry->key)
        return;
    xaes_key_free(entry->key);
    entry->key = NULL;
    datakeys->loaded--;
}

void datakeys_clear(struct datakeys *datakeys) {
    datakeys->generation++;
    for (size_t i = 0; i < BUCKETS; i++)
        while (datakeys->buckets[i]) {
            struct datakey *entry = datakeys->buckets[i];
            datakeys->buckets[i] = entry->next;
            unload(datakeys, entry);
            unpark(datakeys, entry, vlt_fail(VLT_UNAVAILABLE, "the vault is sealed"));
            free(entry);
        }
}

void datakeys_free(struct datakeys *datakeys) {
    if (!datakeys)
        return;
    datakeys_clear(datakeys);
    event_free(datakeys->look);
    free(datakeys);
}

void datakeys_drop_idle(struct datakeys *datakeys) {
    uint32_t idle_s = datakeys->keeper->settings.data_key_idle_s;
    if (idle_s == 0)
        return;
    int64_t oldest_ms = clock_elapsed_ms() - (int64_t)idle_s * 1000;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct datakey **link = &datakeys->buckets[i]; *link;) {
            struct datakey *entry = *link;
            if (entry->is_loading || entry->first || entry->used_ms > oldest_ms) {
                link = &entry->next;
                continue;
            }
            *link = entry->next;
            unload(datakeys, entry);
            free(entry);
        }
}

// Room for one more: the one that was unused for longest goes.
static void drop_oldest(struct datakeys *datakeys) {
    struct datakey *oldest = NULL;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct datakey *entry = datakeys->buckets[i]; entry; entry = entry->next)
            if (entry->key && (!oldest || entry->used_ms < oldest->used_ms))
                oldest = entry;
    if (oldest)
        unload(datakeys, oldest);
}

struct xaes_key *datakey_find(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = find(datakeys, tenant, number);
    if (!entry || !entry->key)
        return NULL;
    entry->used_ms = clock_elapsed_ms();
    return entry->key;
}

size_t datakeys_loaded(const struct datakeys *datakeys) {
    return datakeys->loaded;
}

// ---- Records ----

struct newest {
    uint32_t number;
    vlt_result result;
};

static bool look_for_active(struct bytes name, struct bytes value, uint64_t revision,
                            void *context) {
    struct newest *newest = context;
    struct record_datakey record;
    struct wire_reader r;
    newest->result = record_datakey_get(value, &record);
    wire_reader_init(&r, name);
    uint32_t number = wire_get_u32(&r);
    if (vlt_is_ok(newest->result) && record.state == RECORD_WRAPPING_ACTIVE)
        newest->number = number; // names sort by number
    return vlt_is_ok(newest->result);
}

vlt_result datakey_active(struct keeper *keeper, uint32_t tenant, uint32_t *ret_number) {
    struct newest newest = {.result = vlt_ok()};
    VLT_TRY(store_each(keeper->store, tenant, STORE_DATA_KEY, bytes_of(NULL, 0), bytes_of(NULL, 0),
                       look_for_active, &newest));
    VLT_TRY(newest.result);
    if (newest.number == 0)
        return vlt_fail(VLT_NOT_FOUND, "the tenant has no data key");
    *ret_number = newest.number;
    return vlt_ok();
}

vlt_result datakey_wrapped_by_known(const struct keeper *keeper,
                                    const uint8_t id[HSM_KEY_ID_BYTES]) {
    for (size_t i = 0; i < keeper->device_id_count; i++)
        if (bytes_equal(bytes_of(id, HSM_KEY_ID_BYTES),
                        bytes_of(keeper->device_ids[i], HSM_KEY_ID_BYTES)))
            return vlt_ok();
    return vlt_fail(VLT_CONFLICT, "the wrapping key is being rotated: try again");
}

vlt_result datakey_record(const struct recovery *recovery, uint32_t tenant, uint32_t number,
                          uint32_t generation, const struct device_call *wrapped, uint8_t *room,
                          size_t *ret_size) {
    uint8_t offline[RECORD_SLOT_BLOB_MAX];
    struct record_datakey record = {.state = RECORD_WRAPPING_ACTIVE,
                                    .created_at = (uint64_t)clock_now_s(),
                                    .slot_count = 1};
    struct record_slot *slot = &record.slots[0];
    slot->generation = generation;
    slot->blob = bytes_of(wrapped->blob, wrapped->blob_bytes);
    VLT_TRY(hsm_blob_key_id(slot->blob, slot->device));
    VLT_TRY(recovery_add_slot(recovery, tenant, number, wrapped->secret, &record, offline));
    struct wire_writer w;
    wire_writer_init(&w, room, RECORD_DATAKEY_MAX);
    record_datakey_put(&w, &record);
    if (w.failed)
        return vlt_fail(VLT_BUG, "a wrapped data key is too large");
    *ret_size = w.size;
    return vlt_ok();
}

// ---- Loading ----

static vlt_result keep_key(struct datakeys *datakeys, struct datakey *entry,
                           const struct secret *key32) {
    if (entry->key)
        return vlt_ok();
    if (datakeys->loaded >= DATAKEYS_LOADED_MAX)
        drop_oldest(datakeys);
    VLT_TRY(xaes_key_new(key32, &entry->key));
    datakeys->loaded++;
    entry->used_ms = clock_elapsed_ms();
    return vlt_ok();
}

static vlt_result start_load(struct datakeys *datakeys, struct datakey *entry, unsigned tried);

static void load_failed(struct datakeys *datakeys, struct datakey *entry, const struct load *load,
                        const char *why) {
    struct keeper *keeper = datakeys->keeper;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) { // perhaps with another device
        result = start_load(datakeys, entry, load->tried);
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result))
        return;
    entry->failed_ms = entry->used_ms = clock_elapsed_ms();
    log_error("data key %u of tenant %u can not be unwrapped: %s", load->number, load->tenant, why);
    // Which class it was is for the log; who waits can only try again.
    unpark(datakeys, entry,
           vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant can not be unwrapped"));
}

static void unwrapped(struct device_call *call) {
    struct load *load = call->context;
    struct datakeys *datakeys = load->datakeys;
    struct datakey *entry = load->generation == datakeys->generation
                                ? find(datakeys, load->tenant, load->number)
                                : NULL;
    if (entry) {
        entry->is_loading = false;
        vlt_result result = call->result;
        if (vlt_is_ok(result))
            result = keep_key(datakeys, entry, call->secret);
        if (vlt_is_ok(result))
            unpark(datakeys, entry, result);
        else
            load_failed(datakeys, entry, load, fault_or_reason(&call->fault, result));
    }
    free(load);
}

// Not with the devices of `tried`.
static vlt_result start_load(struct datakeys *datakeys, struct datakey *entry, unsigned tried) {
    struct keeper *keeper = datakeys->keeper;
    uint8_t room[4];
    struct bytes value;
    struct record_datakey record;
    const struct record_slot *slot;
    struct device *device;
    VLT_TRY(store_get(keeper->store, entry->tenant, STORE_DATA_KEY,
                      record_datakey_name(entry->number, room), &value, NULL));
    VLT_TRY(record_datakey_get(value, &record));
    VLT_TRY(devices_slot(keeper, &record, tried, &slot, &device));
    struct load *load = malloc(sizeof *load);
    struct device_call *call = load ? device_call_new(DEVICE_UNWRAP, unwrapped, load) : NULL;
    if (!call || slot->blob.size > sizeof call->blob) {
        if (call)
            device_call_free(call);
        free(load);
        return vlt_fail(VLT_UNAVAILABLE, "a data key can not be unwrapped now");
    }
    *load = (struct load){datakeys, entry->tenant, entry->number, datakeys->generation,
                          tried | 1u << device->number};
    memcpy(call->blob, slot->blob.at, slot->blob.size);
    call->blob_bytes = slot->blob.size;
    device_call_set_purpose(call, entry->tenant, entry->number);
    entry->is_loading = true;
    device_submit(device->thread, call);
    return vlt_ok();
}

static bool is_resting(const struct datakey *entry) {
    return entry->failed_ms && clock_elapsed_ms() - entry->failed_ms < FAILURE_REST_MS;
}

vlt_result datakey_want(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = find_or_make(datakeys, tenant, number);
    if (!entry)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (entry->key || entry->is_loading)
        return vlt_ok();
    if (is_resting(entry))
        return vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant can not be unwrapped");
    return start_load(datakeys, entry, 0);
}

vlt_result datakey_keep(struct datakeys *datakeys, uint32_t tenant, uint32_t number,
                        const struct secret *key32) {
    struct datakey *entry = find_or_make(datakeys, tenant, number);
    return entry ? keep_key(datakeys, entry, key32)
                 : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

void datakey_forget(struct datakeys *datakeys, uint32_t tenant, uint32_t number) {
    struct datakey *entry = find(datakeys, tenant, number);
    if (entry)
        unload(datakeys, entry); // the empty entry goes with those that are idle
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
    if (datakeys->parked >= DATAKEYS_PARKED_MAX)
        return vlt_fail(VLT_LIMIT, "too many calls wait for the device");
    struct datakey *entry = find_or_make(datakeys, tenant, number);
    if (!entry)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (is_resting(entry))
        return vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant can not be unwrapped");
    struct parked *parked = parked_new(call, message, frame);
    if (!parked)
        return vlt_fail(VLT_UNAVAILABLE, "no memory to wait for the device");
    if (!entry->is_loading) {
        vlt_result result = start_load(datakeys, entry, 0);
        if (!vlt_is_ok(result)) {
            secret_free(parked->frame);
            free(parked);
            return result;
        }
    }
    *entry->last = parked;
    entry->last = &parked->next;
    datakeys->parked++;
    datakeys->keeper->in_flight++;
    parked->until_ms = clock_elapsed_ms() + DATAKEYS_WAIT_MS;
    look_later(datakeys);
    return vlt_ok();
}
