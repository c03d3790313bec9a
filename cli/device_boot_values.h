// SPDX-License-Identifier: Apache-2.0
// The PCR values that an administrator means: those of now, replaced by what an
// event log, a file and single values say, in that order.
#ifndef VLT_CLI_DEVICE_BOOT_VALUES_H
#define VLT_CLI_DEVICE_BOOT_VALUES_H

#include "cli/command.h"
#include "libvault/tpm/boot.h"

#define BOOT_VALUE_OPTIONS                                                                         \
    {"--event-log", OPTION_VALUE, "FILE", "event log of a boot of the new state (TCG, binary)",    \
     0},                                                                                           \
        {"--pcr-file", OPTION_VALUE, "FILE", "values as tpm2_pcrread prints them", 0}, {           \
        "--pcr", OPTION_LIST, "N=HEX", "one value (SHA-256); may be repeated", 0                   \
    }

// `now` has the PCRs that count. A value for another PCR in an option of its own is
// a mistake; in a file it is left alone. *ret_named: PCRs that an option named.
vlt_result boot_values_collect(const struct command *command, const struct boot_state *now,
                               struct fault *fault, struct boot_state *ret_state,
                               uint32_t *ret_named) VLT_MUST_USE;
// One line for each PCR: its value now, and the approved one where it differs.
void boot_values_print(const struct boot_state *now, const struct boot_state *state);
// The format of --pcr-file.
vlt_result boot_values_write(const char *path, const struct boot_state *state,
                             struct fault *fault) VLT_MUST_USE;
// Makes a file of these bytes, or replaces it.
vlt_result boot_file_write(const char *path, struct bytes content,
                           struct fault *fault) VLT_MUST_USE;

#endif
