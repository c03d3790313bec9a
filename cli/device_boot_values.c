// SPDX-License-Identifier: Apache-2.0
#include "cli/device_boot_values.h"

#include <errno.h>
#include <stdio.h>

#include "cli/terminal.h"
#include "libvault/base/hex.h"
#include "libvault/tpm/pcr_file.h"

typedef vlt_result read_fn(struct bytes content, struct fault *fault, struct boot_state *state,
                           uint32_t *ret_found);

static vlt_result values_add_file(const struct command *command, const char *option, read_fn *read,
                                  struct fault *fault, struct boot_state *state, uint32_t *named) {
    const char *path = command_option(command, option);
    struct buf content;
    uint32_t found = 0;
    if (!path)
        return vlt_ok();
    buf_init(&content, PCR_FILE_MAX_BYTES + 8192);
    struct fault why = {0};
    vlt_result result = file_read(path, PCR_FILE_MAX_BYTES, &content, fault);
    bool is_read = vlt_is_ok(result);
    if (is_read)
        result = read(buf_bytes(&content), &why, state, &found);
    buf_done(&content);
    if (is_read && !vlt_is_ok(result) && why.line)
        return fault_set(fault, result.class, result.reason, "%s, line %u: %s", path, why.line,
                         fault_or_reason(&why, result));
    if (is_read && !vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason, "%s: %s", path,
                         fault_or_reason(&why, result));
    *named |= found;
    return result;
}

vlt_result boot_values_collect(const struct command *command, const struct boot_state *now,
                               struct fault *fault, struct boot_state *ret_state,
                               uint32_t *ret_named) {
    struct boot_state state = *now;
    uint32_t named = 0, single = 0;
    VLT_TRY(values_add_file(command, "--event-log", pcr_log_replay, fault, &state, &named));
    VLT_TRY(values_add_file(command, "--pcr-file", pcr_text_read, fault, &state, &named));
    const char *pair;
    for (size_t n = 0; (pair = command_option_at(command, "--pcr", n)); n++)
        VLT_TRY(pcr_pair_read(bytes_of_text(pair), fault, &state, &single));
    if (single & ~now->pcrs) {
        char list[BOOT_LIST_SIZE];
        boot_list(now->pcrs, list);
        return fault_set(fault, VLT_MALFORMED, "a PCR that does not count",
                         "--pcr: the wrapping key is bound to PCR %s and to no other", list);
    }
    for (unsigned i = 0; i < BOOT_PCRS; i++) // what files say of others does not count
        if (!(now->pcrs >> i & 1))
            memset(state.values[i], 0, BOOT_PCR_BYTES);
    *ret_named = (named | single) & now->pcrs;
    *ret_state = state;
    return vlt_ok();
}

void boot_values_print(const struct boot_state *now, const struct boot_state *state) {
    uint32_t differing = boot_difference(now, state);
    for (unsigned i = 0; i < BOOT_PCRS; i++) {
        char text[2 * BOOT_PCR_BYTES + 1];
        if (!(now->pcrs >> i & 1))
            continue;
        hex_encode(bytes_of(now->values[i], BOOT_PCR_BYTES), text);
        printf("PCR %-2u  now       %s\n", i, text);
        if (!(differing >> i & 1))
            continue;
        hex_encode(bytes_of(state->values[i], BOOT_PCR_BYTES), text);
        printf("        approved  %s\n", text);
    }
}

vlt_result boot_file_write(const char *path, struct bytes content, struct fault *fault) {
    FILE *out = fopen(path, "wbe");
    bool is_open = out != NULL, done = out && fwrite(content.at, content.size, 1, out) == 1;
    if (out && fclose(out) != 0)
        done = false;
    return done ? vlt_ok()
                : fault_set(fault, VLT_UNAVAILABLE, "a file can not be written",
                            "%s can not be %s: %s", path, is_open ? "written" : "opened",
                            strerror(errno));
}

vlt_result boot_values_write(const char *path, const struct boot_state *state,
                             struct fault *fault) {
    struct buf text;
    buf_init(&text, 4096);
    buf_put_text(&text, "sha256:\n");
    for (unsigned i = 0; i < BOOT_PCRS; i++) {
        char value[2 * BOOT_PCR_BYTES + 1];
        if (!(state->pcrs >> i & 1))
            continue;
        hex_encode(bytes_of(state->values[i], BOOT_PCR_BYTES), value);
        buf_put_format(&text, "  %-2u: 0x%s\n", i, value);
    }
    vlt_result result = buf_failed(&text) ? vlt_fail(VLT_UNAVAILABLE, "out of memory")
                                          : boot_file_write(path, buf_bytes(&text), fault);
    buf_done(&text);
    return result;
}
