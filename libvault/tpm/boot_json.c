// SPDX-License-Identifier: Apache-2.0
#include "libvault/tpm/boot_json.h"

#include <stdio.h>

#include "libvault/base/hex.h"

json_t *boot_json_values(const struct boot_state *state) {
    json_t *values = json_object();
    for (unsigned i = 0; i < BOOT_PCRS; i++) {
        char name[12], text[2 * BOOT_PCR_BYTES + 1];
        if (!(state->pcrs >> i & 1))
            continue;
        (void)snprintf(name, sizeof name, "%u", i);
        hex_encode(bytes_of(state->values[i], BOOT_PCR_BYTES), text);
        json_object_set_new(values, name, json_string(text));
    }
    return values;
}

// One spelling each: no sign, no leading zero.
static bool boot_number(const char *text, unsigned *ret_number) {
    size_t size = strlen(text);
    if (size < 1 || size > 2 || text[0] < '0' || text[0] > '9' || (size == 2 && text[0] == '0') ||
        (size == 2 && (text[1] < '0' || text[1] > '9')))
        return false;
    unsigned number = (unsigned)(text[0] - '0');
    *ret_number = size == 1 ? number : number * 10 + (unsigned)(text[1] - '0');
    return *ret_number < BOOT_PCRS;
}

vlt_result boot_json_read_values(const json_t *values, struct fault *fault,
                                 struct boot_state *ret_state) {
    struct boot_state state = {.pcrs = 0};
    const char *name;
    json_t *value;
    if (!json_is_object(values))
        return fault_set(fault, VLT_MALFORMED, "PCR values are not an object",
                         "\"pcrs\" must be an object of PCR numbers and their values");
    json_object_foreach((json_t *)(uintptr_t)values, name, value) {
        unsigned number = 0;
        struct bytes text = bytes_of(json_string_value(value), json_string_length(value));
        if (!boot_number(name, &number) ||
            !vlt_is_ok(hex_decode(text, state.values[number], BOOT_PCR_BYTES)))
            return fault_set(fault, VLT_MALFORMED, "a PCR value is not valid",
                             "\"pcrs\" must have numbers from 0 to %d, each with 64 hexadecimal "
                             "digits (SHA-256)",
                             BOOT_PCRS - 1);
        state.pcrs |= 1u << number;
    }
    VLT_TRY(boot_pcrs_check(state.pcrs, fault));
    *ret_state = state;
    return vlt_ok();
}
