// SPDX-License-Identifier: Apache-2.0
// PCR values that somebody wrote down or recorded: as text, as tpm2_pcrread prints
// them, or as the event log of a boot.
#ifndef VLT_TPM_PCR_FILE_H
#define VLT_TPM_PCR_FILE_H

#include "libvault/tpm/boot.h"

#define PCR_FILE_MAX_BYTES (1u << 20)

// Text: one PCR a line, "7: 0x…" or "7 = …", 64 hexadecimal digits; "#" begins a
// comment. A line "sha1:" begins another bank, whose lines are not read, "sha256:"
// ours. Values replace those of the state; ret_found is the set of PCRs that were
// named. VLT_MALFORMED with the line.
vlt_result pcr_text_read(struct bytes text, struct fault *fault, struct boot_state *state,
                         uint32_t *ret_found) VLT_MUST_USE;
// The same from "7=HEX".
vlt_result pcr_pair_read(struct bytes pair, struct fault *fault, struct boot_state *state,
                         uint32_t *ret_found) VLT_MUST_USE;

// A crypto-agile event log (TCG PC Client Platform Firmware Profile 1.05, 10.2;
// /sys/kernel/security/tpm0/binary_bios_measurements): replays its SHA-256 digests
// from the reset values on. VLT_MALFORMED: not such a log; VLT_NOT_FOUND: it has no
// SHA-256 digests.
vlt_result pcr_log_replay(struct bytes log, struct fault *fault, struct boot_state *state,
                          uint32_t *ret_found) VLT_MUST_USE;

#endif
