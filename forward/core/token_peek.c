// SPDX-License-Identifier: Apache-2.0
#include "forward/core/token_peek.h"

#include "forward/core/carrier.h"
#include "libvault/base/b64u.h"

bool token_peek_has_limit(struct bytes token) {
    // Inside of a text each quote follows a backslash.
    static const char limit[] = "\"max_tokens\":";
    uint8_t claims[CARRIER_TOKEN_MAX];
    size_t size = 0;
    struct bytes payload = bytes_from(token, bytes_find(token, '.') + 1);
    payload.size = bytes_find(payload, '.');
    return vlt_is_ok(b64u_decode(payload, claims, sizeof claims, &size)) &&
           memmem(claims, size, limit, sizeof limit - 1) != NULL;
}
