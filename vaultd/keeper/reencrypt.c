// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/reencrypt.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/crypto/random.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/reencrypt_batch.h"
#include "vaultd/keeper/rotate_tenant.h"
#include "vaultd/log/log.h"

#define LOOKS_EACH_TURN 2048
#define BATCHES_MAX 8 // on their way to the disk
#define RETRY_MS 20   // a key is being loaded, or the throttle holds
#define REST_S 60     // after a pass that changed nothing
#define TENANTS_EACH_TICK 2000
#define PACE_WINDOW_MS 1000

enum phase { PHASE_COUNT, PHASE_ENCRYPT, PHASE_DESTROY };

struct reencrypt {
    struct keeper *keeper;
    struct event *turn;
    uint32_t tenant, active; // number of the active key when the pass began
    enum phase phase;
    bool had_writers; // of older keys, when the pass began
    uint8_t after[STORE_NAME_MAX];
    size_t after_bytes;
    uint64_t counted, named; // by this pass: records, and those that name an old key
    uint64_t records, remaining, done, done_before, damaged;
    uint32_t records_per_s;
    int64_t started_ms, pace_ms;
    uint64_t pace_done;
    size_t outstanding;
    bool is_stopping;
};

static void turn_after(struct reencrypt *job, long wait_ms) {
    // A timer and not an active event: other events get their turn in between.
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    event_add(job->turn, &wait);
}

static void job_free(struct reencrypt *job) {
    if (job->turn)
        event_free(job->turn);
    free(job);
}

void reencrypt_stop(struct keeper *keeper) {
    struct reencrypt *job = keeper->rotations ? keeper->rotations->reencrypt : NULL;
    if (!job)
        return;
    keeper->rotations->reencrypt = NULL;
    event_del(job->turn);
    job->is_stopping = true;
    if (job->outstanding == 0)
        job_free(job);
}

// ---- Passes ----

static bool pass_begin(struct reencrypt *job, enum phase phase) {
    struct keeper *keeper = job->keeper;
    uint32_t active;
    if (!vlt_is_ok(store_snapshot_begin(keeper->store)))
        return false;
    vlt_result result = datakey_active(keeper, job->tenant, &active);
    store_snapshot_end(keeper->store);
    if (!vlt_is_ok(result))
        return false;
    job->phase = phase;
    job->active = active;
    job->after_bytes = 0;
    job->counted = job->named = 0;
    job->done_before = job->done;
    // A record that is written by a put begun before the key was replaced may come
    // after we passed its place.
    job->had_writers = datakey_use_of_other(keeper, job->tenant, active);
    return true;
}

static void end(struct reencrypt *job) {
    job->keeper->rotations->is_dirty = true; // another tenant may wait
    reencrypt_stop(job->keeper);
}

// ---- The old keys go ----

static void destroyed(struct change *change, vlt_result result, uint64_t revision) {
    struct keeper *keeper = change->keeper;
    struct reencrypt *job = keeper->rotations->reencrypt;
    for (size_t i = 0; vlt_is_ok(result) && i < change->count; i++) {
        struct wire_reader r;
        if (change->changes[i].class != STORE_DATA_KEY)
            continue;
        wire_reader_init(&r, change->changes[i].name);
        datakey_forget(keeper->datakeys, change->changes[i].tenant, wire_get_u32(&r));
    }
    if (vlt_is_ok(result))
        log_notice("tenant %u: the old data keys are destroyed", change->number);
    if (job && job->tenant == change->number)
        end(job);
}

// The log says which keys end.
struct key_names {
    char text[256];
    size_t used;
};

static void key_names_add(struct key_names *names, uint32_t tenant,
                          const struct rotate_datakey *key) {
    char text[ROTATE_DATAKEY_TEXT_SIZE];
    size_t left = sizeof names->text - names->used;
    rotate_datakey_text(tenant, key, text);
    int size = snprintf(names->text + names->used, left, "%s%s", names->used ? "; " : "", text);
    if (size > 0 && (size_t)size < left)
        names->used += (size_t)size;
    else
        names->text[names->used] = 0; // each was named when it was retired, too
}

static vlt_result add_old_keys(struct reencrypt *job, struct change *change) {
    struct key_names names = {.used = 0};
    struct keeper *keeper = job->keeper;
    struct rotate_datakeys keys;
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result = rotate_datakeys_read(keeper, job->tenant, &keys);
    store_snapshot_end(keeper->store);
    VLT_TRY(result);
    for (size_t i = 0; i < keys.count; i++) {
        uint8_t room[4];
        // Those that were retired while the pass ran wait for the next one.
        if (keys.keys[i].number >= job->active || keys.keys[i].state != RECORD_WRAPPING_RETIRED)
            continue;
        key_names_add(&names, job->tenant, &keys.keys[i]);
        change_add_removal(change, job->tenant, STORE_DATA_KEY,
                           record_datakey_name(keys.keys[i].number, room), keys.keys[i].revision);
    }
    if (names.used)
        change->event.subject = change_keep(change, bytes_of_text(names.text));
    return change->count ? vlt_ok() : vlt_fail(VLT_NOT_FOUND, "no old data key is left");
}

static void destroy_old_keys(struct reencrypt *job) {
    char subject[32], tenant[RECORD_NAME_MAX + 1];
    struct audit_event event;
    snprintf(subject, sizeof subject, "tenant %u", job->tenant);
    rotation_event(&event, "rotate.tenant.destroy", subject);
    rotation_event_tenant(job->keeper, &event, job->tenant, tenant);
    struct change *change = change_new(job->keeper, NULL, &event, destroyed);
    if (!change) {
        end(job);
        return;
    }
    job->phase = PHASE_DESTROY;
    change->number = job->tenant;
    vlt_result result = add_old_keys(job, change);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}

static void pass_ended(struct reencrypt *job) {
    if (job->phase == PHASE_ENCRYPT) {
        if (job->outstanding == 0 && pass_begin(job, PHASE_COUNT))
            turn_after(job, 0);
        else if (job->outstanding == 0)
            turn_after(job, RETRY_MS);
        return; // else the last commit comes back here
    }
    job->records = job->counted;
    job->remaining = job->named;
    if (job->named == 0 && !job->had_writers) {
        destroy_old_keys(job);
    } else if (job->named == 0) {
        turn_after(job, pass_begin(job, PHASE_COUNT) ? RETRY_MS : REST_S * 1000);
    } else if (job->damaged >= job->named) {
        log_error("tenant %u: %llu records can not be decrypted and keep their data key",
                  job->tenant, (unsigned long long)job->named);
        reencrypt_stop(job->keeper); // looked at again with the next round
    } else {
        job->damaged = 0;
        turn_after(job, pass_begin(job, PHASE_ENCRYPT) ? 0 : REST_S * 1000);
    }
}

// ---- One turn ----

struct slice {
    struct reencrypt *job;
    struct reencrypt_batch *batch; // NULL while counting
    size_t looks, quota;
    bool is_full, needs_key;
};

static void note_place(struct reencrypt *job, struct bytes name) {
    memcpy(job->after, name.at, name.size);
    job->after_bytes = name.size;
}

static bool look_at_secret(struct bytes name, struct bytes value, uint64_t revision,
                           void *context) {
    struct slice *slice = context;
    struct reencrypt *job = slice->job;
    struct record_credential_secret secret;
    vlt_result result = record_credential_secret_get(value, &secret);
    bool is_old = vlt_is_ok(result) && secret.data_key != job->active;
    if (is_old && slice->batch) {
        result = reencrypt_batch_add(slice->batch, name, &secret, revision);
        if (result.class == VLT_NOT_FOUND) { // its key is on its way
            slice->needs_key = slice->is_full = true;
            return false;
        }
        if (result.class == VLT_UNAVAILABLE) {
            slice->is_full = true;
            return false;
        }
    }
    if (!vlt_is_ok(result)) {
        job->damaged += slice->batch != NULL;
        is_old = true; // nobody knows which key it names: none may go
    }
    job->counted++;
    job->named += is_old;
    note_place(job, name);
    slice->is_full = ++slice->looks >= LOOKS_EACH_TURN ||
                     (slice->batch && reencrypt_batch_count(slice->batch) >= slice->quota);
    return !slice->is_full;
}

// How many records the throttle lets through now.
static size_t quota_of(struct reencrypt *job) {
    int64_t now_ms = clock_elapsed_ms();
    if (job->records_per_s == 0 || job->records_per_s == ROTATION_RATE_UNLIMITED)
        return REENCRYPT_BATCH_MAX;
    if (now_ms - job->pace_ms >= PACE_WINDOW_MS) { // what was not used is not saved up
        job->pace_ms = now_ms - RETRY_MS;
        job->pace_done = job->done;
    }
    uint64_t may = (uint64_t)(now_ms - job->pace_ms) * job->records_per_s / 1000 + 1;
    uint64_t used = job->done - job->pace_done + job->outstanding * REENCRYPT_BATCH_MAX;
    uint64_t left = may > used ? may - used : 0;
    return left < REENCRYPT_BATCH_MAX ? (size_t)left : REENCRYPT_BATCH_MAX;
}

static void batch_done(struct reencrypt_batch *batch, vlt_result result, void *context) {
    struct reencrypt *job = context;
    job->outstanding--;
    if (vlt_is_ok(result)) {
        size_t count = reencrypt_batch_count(batch);
        job->done += count;
        job->remaining -= job->remaining < count ? job->remaining : count;
    } else if (result.class != VLT_CONFLICT) { // else the next pass finds them
        keeper_commit_failed(job->keeper, result);
    }
    if (!job->is_stopping)
        turn_after(job, 0);
    else if (job->outstanding == 0)
        job_free(job);
}

static vlt_result walk(struct reencrypt *job, struct slice *slice) {
    struct keeper *keeper = job->keeper;
    uint8_t after[STORE_NAME_MAX];
    memcpy(after, job->after, job->after_bytes); // the place moves while we look
    VLT_TRY(store_snapshot_begin(keeper->store));
    vlt_result result =
        store_each(keeper->store, job->tenant, STORE_CREDENTIAL_SECRET, bytes_of(NULL, 0),
                   bytes_of(after, job->after_bytes), look_at_secret, slice);
    store_snapshot_end(keeper->store);
    return result;
}

static void take_turn(evutil_socket_t fd, short what, void *context) {
    struct reencrypt *job = context;
    struct keeper *keeper = job->keeper;
    struct slice slice = {.job = job, .quota = quota_of(job)};
    bool is_encrypting = job->phase == PHASE_ENCRYPT;
    if (job->phase == PHASE_DESTROY || (is_encrypting && job->outstanding >= BATCHES_MAX))
        return; // what is under way comes back here
    if (is_encrypting && slice.quota == 0) {
        turn_after(job, RETRY_MS);
        return;
    }
    if (is_encrypting)
        slice.batch = reencrypt_batch_new(keeper, job->tenant, job->active, batch_done, job);
    if (is_encrypting && !slice.batch) {
        turn_after(job, RETRY_MS);
        return;
    }
    vlt_result result = walk(job, &slice);
    if (slice.batch && reencrypt_batch_count(slice.batch) > 0) {
        job->outstanding++;
        reencrypt_batch_commit(slice.batch);
    } else if (slice.batch) {
        reencrypt_batch_free(slice.batch);
    }
    if (!vlt_is_ok(result))
        turn_after(job, RETRY_MS);
    else if (slice.is_full)
        turn_after(job, slice.needs_key ? RETRY_MS : 0);
    else
        pass_ended(job);
}

// ---- Begin, and what people see ----

static uint32_t rate_of(const struct keeper *keeper, uint32_t records_per_s) {
    return records_per_s == ROTATION_RATE_DEFAULT ? keeper->settings.records_per_s : records_per_s;
}

void reencrypt_set_rate(struct keeper *keeper, uint32_t tenant, uint32_t records_per_s) {
    struct reencrypt *job = keeper->rotations->reencrypt;
    if (job && job->tenant == tenant && records_per_s != ROTATION_RATE_DEFAULT)
        job->records_per_s = records_per_s;
}

void reencrypt_begin(struct keeper *keeper, uint32_t tenant, uint32_t records_per_s) {
    if (keeper->rotations->reencrypt || keeper->state != KEEPER_UNSEALED)
        return;
    struct reencrypt *job = calloc(1, sizeof *job);
    if (!job)
        return;
    job->keeper = keeper;
    job->tenant = tenant;
    job->records_per_s = rate_of(keeper, records_per_s);
    job->started_ms = job->pace_ms = clock_elapsed_ms();
    job->turn = evtimer_new(keeper->base, take_turn, job);
    if (!job->turn || !pass_begin(job, PHASE_COUNT)) {
        job_free(job);
        return;
    }
    keeper->rotations->reencrypt = job;
    turn_after(job, 0);
}

bool reencrypt_look(const struct keeper *keeper, uint32_t tenant,
                    struct reencrypt_progress *ret_progress) {
    static const char *const names[] = {"counting", "re-encrypting", "destroying"};
    const struct reencrypt *job = keeper->rotations->reencrypt;
    if (!job || job->tenant != tenant)
        return false;
    uint64_t elapsed_ms = (uint64_t)(clock_elapsed_ms() - job->started_ms) + 1;
    uint64_t rate = job->done * 1000 / elapsed_ms;
    *ret_progress = (struct reencrypt_progress){.tenant = tenant,
                                                .phase = names[job->phase],
                                                .records = job->records,
                                                .remaining = job->remaining,
                                                .done = job->done,
                                                .damaged = job->damaged,
                                                .records_per_s = rate,
                                                .left_s = rate ? job->remaining / rate : 0};
    return true;
}

static bool has_old_key(struct keeper *keeper, uint32_t tenant) {
    struct rotate_datakeys keys;
    return vlt_is_ok(rotate_datakeys_read(keeper, tenant, &keys)) && keys.count > 1;
}

void reencrypt_tick(struct keeper *keeper) {
    struct rotations *rotations = keeper->rotations;
    if (rotations->reencrypt || !vlt_is_ok(store_snapshot_begin(keeper->store)))
        return;
    if (rotations->is_dirty && rotations->look_tenant == 0)
        rotations->look_tenant = 1;
    uint32_t found = 0;
    for (size_t i = 0; rotations->look_tenant && !found && i < TENANTS_EACH_TICK; i++) {
        if (rotations->look_tenant >= keeper->next_tenant) {
            rotations->look_tenant = 0;
            rotations->is_dirty = false;
            break;
        }
        if (has_old_key(keeper, rotations->look_tenant))
            found = rotations->look_tenant;
        rotations->look_tenant++;
    }
    store_snapshot_end(keeper->store);
    if (found)
        reencrypt_begin(keeper, found, ROTATION_RATE_DEFAULT);
}
