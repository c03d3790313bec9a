// SPDX-License-Identifier: Apache-2.0
// PCR values from somebody else: event log, text, signature. The first byte chooses.
#include <stdlib.h>

#include "libvault/tpm/boot_key.h"
#include "libvault/tpm/pcr_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct boot_state state = {.pcrs = 0};
    uint8_t signature[BOOT_SIGNATURE_BYTES], point[BOOT_POINT_BYTES];
    struct fault fault = {0};
    uint32_t found = 0;
    if (size == 0)
        return 0;
    struct bytes rest = bytes_of(at + 1, size - 1);
    vlt_result result = at[0] % 4 == 0   ? pcr_log_replay(rest, &fault, &state, &found)
                        : at[0] % 4 == 1 ? pcr_text_read(rest, &fault, &state, &found)
                        : at[0] % 4 == 2 ? boot_signature_read(rest, signature)
                                         : boot_key_point(rest, &fault, point);
    if (vlt_is_ok(result) && found >> BOOT_PCRS)
        abort();
    return 0;
}
