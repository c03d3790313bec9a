// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/hex.h"
#include "libvault/tpm/pcr_file.h"

static bool is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\r';
}

static struct bytes trimmed(struct bytes text) {
    while (text.size && is_blank(text.at[0]))
        text = bytes_from(text, 1);
    while (text.size && is_blank(text.at[text.size - 1]))
        text.size--;
    return text;
}

static bool take_number(struct bytes *text, unsigned *ret_number) {
    unsigned number = 0;
    size_t digits = 0;
    while (digits < text->size && digits < 3 && text->at[digits] >= '0' && text->at[digits] <= '9')
        number = number * 10 + (unsigned)(text->at[digits++] - '0');
    *text = trimmed(bytes_from(*text, digits));
    *ret_number = number;
    return digits > 0 && number < BOOT_PCRS;
}

vlt_result pcr_pair_read(struct bytes pair, struct fault *fault, struct boot_state *state,
                         uint32_t *ret_found) {
    unsigned number;
    struct bytes rest = trimmed(pair);
    bool fits =
        take_number(&rest, &number) && rest.size && (rest.at[0] == ':' || rest.at[0] == '=');
    rest = trimmed(bytes_from(rest, 1));
    if (bytes_begin_with(rest, BYTES_LITERAL("0x")))
        rest = bytes_from(rest, 2);
    uint8_t value[BOOT_PCR_BYTES];
    if (!fits || !vlt_is_ok(hex_decode(rest, value, sizeof value)))
        return fault_set(fault, VLT_MALFORMED, "not a PCR and its value",
                         "expected a PCR from 0 to %d and its SHA-256 value, as 7=<64 hexadecimal "
                         "digits>",
                         BOOT_PCRS - 1);
    if (*ret_found >> number & 1)
        return fault_set(fault, VLT_MALFORMED, "a PCR is there twice", "PCR %u is there twice",
                         number);
    memcpy(state->values[number], value, sizeof value);
    *ret_found |= 1u << number;
    return vlt_ok();
}

vlt_result pcr_text_read(struct bytes text, struct fault *fault, struct boot_state *state,
                         uint32_t *ret_found) {
    struct boot_state read = *state;
    uint32_t found = 0;
    bool is_ours = true;
    for (unsigned number = 1; text.size; number++) {
        size_t end = bytes_find(text, '\n');
        struct bytes line = bytes_of(text.at, end);
        text = bytes_from(text, end + 1);
        line.size = bytes_find(line, '#');
        line = trimmed(line);
        if (line.size && line.at[line.size - 1] == ':') {
            is_ours = bytes_equal_text(line, "sha256:");
            continue;
        }
        if (!line.size || !is_ours)
            continue;
        vlt_result result = pcr_pair_read(line, fault, &read, &found);
        if (fault)
            fault->line = vlt_is_ok(result) ? fault->line : number;
        VLT_TRY(result);
    }
    if (!found)
        return fault_set(fault, VLT_MALFORMED, "no PCR value",
                         "there is no SHA-256 value of a PCR in it");
    *state = read;
    *ret_found = found;
    return vlt_ok();
}
