// SPDX-License-Identifier: Apache-2.0
// Every record parser of libvault/store. The first byte chooses one. What a JSON
// parser accepts, it accepts again after a round trip, and says the same.
#include <stdlib.h>

#include "libvault/store/record_boot.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_datakey.h"
#include "libvault/store/record_forwarder.h"
#include "libvault/store/record_issuer.h"
#include "libvault/store/record_key.h"
#include "libvault/store/record_policy.h"
#include "libvault/store/record_revocation.h"
#include "libvault/store/record_rotation.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

#define JSON_RECORD(kind, DONE)                                                                    \
    static json_t *once_##kind(struct bytes text) {                                                \
        struct fault fault = {0};                                                                  \
        struct record_##kind record;                                                               \
        if (!vlt_is_ok(record_##kind##_parse(text, &fault, &record)))                              \
            return NULL;                                                                           \
        json_t *json = record_##kind##_json(&record);                                              \
        DONE;                                                                                      \
        if (!json)                                                                                 \
            abort();                                                                               \
        return json;                                                                               \
    }
JSON_RECORD(tenant, (void)0)
JSON_RECORD(forwarder, (void)0)
JSON_RECORD(policy_set, (void)0)
JSON_RECORD(issuer, record_issuer_done(&record))
JSON_RECORD(credential, record_credential_done(&record))
JSON_RECORD(key, record_key_done(&record))
JSON_RECORD(rotation_plan, record_rotation_plan_done(&record))
JSON_RECORD(rotation_job, (void)0)
JSON_RECORD(boot, (void)0)

static void round_trip(json_t *(*once)(struct bytes text), struct bytes text) {
    json_t *first = once(text);
    if (!first)
        return;
    char *spelled = json_dumps(first, JSON_COMPACT);
    json_t *second = spelled ? once(bytes_of_text(spelled)) : NULL;
    if (!second || !json_equal(first, second))
        abort();
    free(spelled);
    json_decref(first);
    json_decref(second);
}

static void binary(struct bytes value) {
    struct record_credential_state state;
    struct record_credential_secret secret;
    struct record_key_secret key;
    struct record_device device;
    struct record_datakey datakey;
    struct store_change change;
    struct wire_reader r;
    int64_t time;
    uint8_t room[RECORD_CREDENTIAL_CONTEXT_MAX];
    struct wire_writer w;
    (void)!vlt_is_ok(record_credential_state_get(value, &state));
    (void)!vlt_is_ok(record_key_secret_get(value, &key));
    (void)!vlt_is_ok(record_device_get(value, &device));
    (void)!vlt_is_ok(record_revocation_time(value, &time));
    if (vlt_is_ok(record_datakey_get(value, &datakey)) && datakey.slot_count > RECORD_SLOTS_MAX)
        abort();
    if (vlt_is_ok(record_credential_secret_get(value, &secret))) {
        wire_writer_init(&w, room, sizeof room);
        record_credential_context(&w, 1, BYTES_LITERAL("name"), 1, &secret);
        if (w.failed) // the context of whatever can be read must fit
            abort();
    }
    wire_reader_init(&r, value);
    store_change_get(&r, &change);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    static json_t *(*const parsers[])(struct bytes text) = {
        once_tenant, once_forwarder, once_policy_set, once_issuer, once_credential,
        once_key,    once_boot,     once_rotation_plan, once_rotation_job};
    const size_t count = sizeof parsers / sizeof *parsers;
    if (size == 0)
        return 0;
    struct bytes rest = bytes_of(at + 1, size - 1);
    size_t which = at[0] % (count + 1);
    if (which < count)
        round_trip(parsers[which], rest);
    else
        binary(rest);
    return 0;
}
