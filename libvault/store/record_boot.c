// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_boot.h"

#include <stdio.h>

#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"
#include "libvault/store/record_json.h"

json_t *record_boot_values_json(const struct boot_state *state) {
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

vlt_result record_boot_values_read(const json_t *values, struct fault *fault,
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

static void boot_read_signature(struct record_json *r, uint8_t signature[BOOT_SIGNATURE_BYTES]) {
    char text[B64U_SIZE(BOOT_SIGNATURE_BYTES) + 2] = "";
    size_t size = 0;
    record_json_text(r, "signature", RECORD_REQUIRED, text, sizeof text);
    if (!record_json_failed(r) &&
        (!vlt_is_ok(b64u_decode(bytes_of_text(text), signature, BOOT_SIGNATURE_BYTES, &size)) ||
         size != BOOT_SIGNATURE_BYTES))
        record_json_fail(r, "signature", "64 bytes in base64url");
}

vlt_result record_boot_parse(struct bytes json, struct fault *fault, struct record_boot *ret_boot) {
    static const char *const members[] = {"name", "approved_at", "pcrs", "signature", NULL};
    struct record_boot boot = {.approved_at = 0};
    struct record_json r;
    json_t *root;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    record_json_name(&r, "name", RECORD_REQUIRED, boot.approval.name, sizeof boot.approval.name);
    record_json_number(&r, "approved_at", RECORD_REQUIRED, 1, INT64_MAX, &boot.approved_at);
    boot_read_signature(&r, boot.approval.signature);
    vlt_result result = r.result;
    if (vlt_is_ok(result))
        result = record_boot_values_read(json_object_get(root, "pcrs"), fault, &boot.approval.state);
    json_decref(root);
    VLT_TRY(result);
    *ret_boot = boot;
    return vlt_ok();
}

json_t *record_boot_json(const struct record_boot *boot) {
    char signature[B64U_SIZE(BOOT_SIGNATURE_BYTES) + 1];
    json_t *object = json_object();
    b64u_encode_text(bytes_of(boot->approval.signature, BOOT_SIGNATURE_BYTES), signature);
    record_json_put_text(&object, "name", boot->approval.name);
    record_json_put_number(&object, "approved_at", boot->approved_at);
    record_json_put(&object, "pcrs", record_boot_values_json(&boot->approval.state));
    record_json_put_text(&object, "signature", signature);
    return object;
}
