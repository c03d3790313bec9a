// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/digest.h"
#include "libvault/tpm/pcr_file.h"

// TCG PC Client Platform Firmware Profile 1.05, 10.2.1, 10.2.2, 10.4.1 and 10.4.5.3.
#define EV_NO_ACTION 3
#define ALG_SHA256 0x000b
#define SHA1_BYTES 20
#define ALGORITHMS_MAX 8
#define DIGEST_MAX_BYTES 64
#define SPEC_SIGNATURE "Spec ID Event03"     // with its NUL
#define LOCALITY_SIGNATURE "StartupLocality" // with its NUL

// Little-endian; failure sticks.
struct log_reader {
    struct bytes rest;
    bool failed;
};

static struct bytes log_take(struct log_reader *r, size_t size) {
    if (size > r->rest.size)
        r->failed = true;
    if (r->failed)
        return bytes_of(NULL, 0);
    struct bytes taken = bytes_of(r->rest.at, size);
    r->rest = bytes_from(r->rest, size);
    return taken;
}

static uint32_t log_number(struct log_reader *r, size_t size) {
    struct bytes bytes = log_take(r, size);
    uint32_t number = 0;
    for (size_t i = bytes.size; i > 0; i--)
        number = number << 8 | bytes.at[i - 1];
    return number;
}

struct log_algorithms {
    uint32_t count;
    uint16_t id[ALGORITHMS_MAX];
    size_t size[ALGORITHMS_MAX];
};

// The first event has the form of an older log and says which digests follow.
static bool log_read_head(struct log_reader *r, struct log_algorithms *algorithms) {
    uint32_t pcr = log_number(r, 4), type = log_number(r, 4);
    log_take(r, SHA1_BYTES);
    struct log_reader event = {.rest = log_take(r, log_number(r, 4))};
    struct bytes signature = log_take(&event, sizeof SPEC_SIGNATURE);
    log_take(&event, 4 + 4); // platform class, version
    algorithms->count = log_number(&event, 4);
    if (r->failed || event.failed || pcr != 0 || type != EV_NO_ACTION ||
        !bytes_equal(signature, bytes_of(SPEC_SIGNATURE, sizeof SPEC_SIGNATURE)) ||
        algorithms->count == 0 || algorithms->count > ALGORITHMS_MAX)
        return false;
    for (uint32_t i = 0; i < algorithms->count; i++) {
        algorithms->id[i] = (uint16_t)log_number(&event, 2);
        algorithms->size[i] = log_number(&event, 2);
        if (algorithms->size[i] > DIGEST_MAX_BYTES ||
            (algorithms->id[i] == ALG_SHA256 && algorithms->size[i] != BOOT_PCR_BYTES))
            return false;
    }
    return !event.failed;
}

static size_t log_digest_bytes(const struct log_algorithms *algorithms, uint16_t id) {
    for (uint32_t i = 0; i < algorithms->count; i++)
        if (algorithms->id[i] == id)
            return algorithms->size[i];
    return 0;
}

struct log_event {
    uint32_t pcr, type;
    struct bytes sha256; // empty: it has none
    struct bytes content;
};

static bool log_read_event(struct log_reader *r, const struct log_algorithms *algorithms,
                           struct log_event *event) {
    *event = (struct log_event){.pcr = log_number(r, 4), .type = log_number(r, 4)};
    uint32_t count = log_number(r, 4);
    if (count > ALGORITHMS_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint16_t id = (uint16_t)log_number(r, 2);
        size_t size = log_digest_bytes(algorithms, id);
        struct bytes digest = log_take(r, size);
        if (!size || (id == ALG_SHA256 && event->sha256.size))
            return false;
        if (id == ALG_SHA256)
            event->sha256 = digest;
    }
    event->content = log_take(r, log_number(r, 4));
    return !r->failed;
}

static bool log_apply(const struct log_event *event, struct boot_state *state, uint32_t *found) {
    static const size_t locality_bytes = sizeof LOCALITY_SIGNATURE + 1;
    if (event->type == EV_NO_ACTION) {
        // Who started the TPM from another locality left it in the last byte of PCR 0.
        if (event->pcr == 0 && event->content.size == locality_bytes &&
            bytes_begin_with(event->content,
                             bytes_of(LOCALITY_SIGNATURE, sizeof LOCALITY_SIGNATURE)) &&
            !(*found & 1))
            state->values[0][BOOT_PCR_BYTES - 1] = event->content.at[sizeof LOCALITY_SIGNATURE];
        return true;
    }
    if (event->pcr >= BOOT_PCRS || !event->sha256.size)
        return false;
    const struct bytes parts[] = {bytes_of(state->values[event->pcr], BOOT_PCR_BYTES),
                                  event->sha256};
    uint8_t next[BOOT_PCR_BYTES];
    if (!vlt_is_ok(digest_sha256_parts(parts, 2, next)))
        return false;
    memcpy(state->values[event->pcr], next, sizeof next);
    *found |= 1u << event->pcr;
    return true;
}

vlt_result pcr_log_replay(struct bytes log, struct fault *fault, struct boot_state *state,
                          uint32_t *ret_found) {
    struct log_reader r = {.rest = log};
    struct log_algorithms algorithms;
    struct boot_state replayed = {.pcrs = 0};
    struct log_event event;
    uint32_t found = 0;
    if (!log_read_head(&r, &algorithms))
        return fault_set(fault, VLT_MALFORMED, "not an event log",
                         "it is not a crypto-agile event log of a TPM 2.0");
    if (!log_digest_bytes(&algorithms, ALG_SHA256))
        return fault_set(fault, VLT_NOT_FOUND, "no SHA-256 in the event log",
                         "the event log has no SHA-256 digests");
    for (unsigned i = 17; i <= 22; i++) // part 1, 17.7: all ones until a dynamic launch
        memset(replayed.values[i], 0xff, BOOT_PCR_BYTES);
    for (unsigned number = 2; r.rest.size; number++)
        if (!log_read_event(&r, &algorithms, &event) || !log_apply(&event, &replayed, &found))
            return fault_set(fault, VLT_MALFORMED, "the event log is damaged",
                             "event %u of the log is damaged or cut off", number);
    for (unsigned i = 0; i < BOOT_PCRS; i++)
        if (found >> i & 1)
            memcpy(state->values[i], replayed.values[i], BOOT_PCR_BYTES);
    *ret_found = found;
    return vlt_ok();
}
