// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/digest.h"
#include "libvault/identity/dpop.h"
#include "libvault/secret/secret.h"

#define MAC_BYTES 16 // of the 32: enough for a value that lives minutes

// No secret worth locked memory: whoever knew it could make nonces, which prove
// freshness and nothing else.
struct dpop_nonces {
    uint8_t key[DPOP_NONCE_KEY_BYTES];
};

vlt_result dpop_nonces_new(const uint8_t key[DPOP_NONCE_KEY_BYTES],
                           struct dpop_nonces **ret_nonces) {
    struct dpop_nonces *nonces = calloc(1, sizeof *nonces);
    if (!nonces)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    memcpy(nonces->key, key, sizeof nonces->key);
    *ret_nonces = nonces;
    return vlt_ok();
}

void dpop_nonces_free(struct dpop_nonces *nonces) {
    if (nonces)
        secret_cleanse(nonces, sizeof *nonces);
    free(nonces);
}

static vlt_result slot_text(const struct dpop_nonces *nonces, int64_t slot,
                            char text[DPOP_NONCE_TEXT_SIZE]) {
    char message[40];
    uint8_t mac[32];
    int size = snprintf(message, sizeof message, "dpop nonce %lld", (long long)slot);
    VLT_TRY(
        hmac_sha256_once(nonces->key, sizeof nonces->key, bytes_of(message, (size_t)size), mac));
    b64u_encode_text(bytes_of(mac, MAC_BYTES), text);
    return vlt_ok();
}

vlt_result dpop_nonce_text(const struct dpop_nonces *nonces, int64_t now_s,
                           char ret_text[DPOP_NONCE_TEXT_SIZE]) {
    return slot_text(nonces, now_s / DPOP_NONCE_SLOT_S, ret_text);
}

bool dpop_nonce_is_good(const struct dpop_nonces *nonces, struct bytes nonce, int64_t now_s) {
    for (int64_t back = 0; back < 2; back++) {
        char text[DPOP_NONCE_TEXT_SIZE];
        if (vlt_is_ok(slot_text(nonces, now_s / DPOP_NONCE_SLOT_S - back, text)) &&
            secret_equal(nonce, bytes_of_text(text)))
            return true;
    }
    return false;
}
