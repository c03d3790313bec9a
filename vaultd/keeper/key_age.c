// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/key_age.h"

#include <stdio.h>

#include "libvault/base/clock.h"
#include "vaultd/keeper/audit_first.h"
#include "vaultd/keeper/rotation.h"
#include "vaultd/log/log.h"

#define SAY_EACH_MS 3600000
#define FRESH_MS 600000 // whoever is late is seen again before
#define STARTS_WITHIN_S 30 // a schedule has looked at each key by then

// A rotation that is due begins before the age is reached. One that has not begun
// then can not: the device is away, or too many old keys are still needed.
static enum key_lateness lateness_of(int64_t old_s, uint32_t age_s) {
    if (old_s > (int64_t)age_s + age_s / 10 + STARTS_WITHIN_S)
        return KEY_OVERDUE;
    return old_s > (int64_t)age_s + age_s / 50 + STARTS_WITHIN_S ? KEY_DUE : KEY_ON_TIME;
}

static void say(struct keeper *keeper, enum rotation_kind kind, const char *key,
                enum key_lateness lateness) {
    char operation[64];
    struct audit_event event;
    bool is_overdue = lateness == KEY_OVERDUE;
    snprintf(operation, sizeof operation, "rotate.%s.%s", rotation_kind_name(kind),
             is_overdue ? "overdue" : "due");
    log_warning("the %s key %s is %s for rotation: `vaultctl rotate %s` says why it does not "
                "happen",
                rotation_kind_name(kind), key, is_overdue ? "overdue" : "due",
                rotation_kind_name(kind));
    rotation_event(&event, operation, key);
    audit_later(keeper, &event);
}

static void note(struct keeper *keeper, enum rotation_kind kind, const char *key,
                 enum key_lateness lateness) {
    struct key_age *age = &keeper->rotations->age;
    int64_t now_ms = clock_elapsed_ms();
    bool is_news = !age->kinds[kind].said_ms || lateness > age->kinds[kind].lateness ||
                   now_ms - age->kinds[kind].said_ms > SAY_EACH_MS;
    age->kinds[kind].lateness = lateness;
    age->kinds[kind].seen_ms = now_ms;
    if (!is_news)
        return;
    age->kinds[kind].said_ms = now_ms;
    say(keeper, kind, key, lateness);
}

bool key_age_is_reached(int64_t created_at, uint32_t age_s, uint32_t seed) {
    uint32_t earlier_s = (uint32_t)((uint64_t)age_s * ((seed * 2654435761u) >> 24) / 2560);
    return age_s != 0 && clock_now_s() - created_at >= (int64_t)age_s - earlier_s;
}

bool key_age_is_due(struct keeper *keeper, enum rotation_kind kind, const char *key,
                    int64_t created_at, uint32_t age_s, uint32_t seed) {
    if (!key_age_is_reached(created_at, age_s, seed))
        return false;
    enum key_lateness lateness = lateness_of(clock_now_s() - created_at, age_s);
    if (lateness != KEY_ON_TIME)
        note(keeper, kind, key, lateness);
    return true;
}

static json_t *kinds_json(const struct key_age *age, enum key_lateness lateness) {
    json_t *kinds = json_array();
    int64_t now_ms = clock_elapsed_ms();
    for (unsigned kind = 1; kind < ROTATION_KIND_COUNT; kind++)
        if (age->kinds[kind].lateness == lateness && age->kinds[kind].seen_ms &&
            now_ms - age->kinds[kind].seen_ms < FRESH_MS)
            json_array_append_new(kinds, json_string(rotation_kind_name(kind)));
    return kinds;
}

json_t *key_age_json(const struct keeper *keeper) {
    if (!keeper->rotations)
        return json_null();
    const struct key_age *age = &keeper->rotations->age;
    return json_pack("{s:o, s:o}", "due", kinds_json(age, KEY_DUE), "overdue",
                     kinds_json(age, KEY_OVERDUE));
}
