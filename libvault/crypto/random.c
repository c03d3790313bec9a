// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/random.h"

#include <limits.h>
#include <openssl/rand.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/algorithms.h"

vlt_result random_bytes(void *at, size_t size) {
    if (size > INT_MAX || RAND_bytes(at, (int)size) != 1)
        return algorithms_failed(VLT_UNAVAILABLE, "no random bytes");
    return vlt_ok();
}

vlt_result random_text(size_t entropy_bytes, char *text) {
    uint8_t drawn[32];
    if (entropy_bytes > sizeof drawn)
        return vlt_fail(VLT_BUG, "random text is too long");
    VLT_TRY(random_bytes(drawn, entropy_bytes));
    b64u_encode_text(bytes_of(drawn, entropy_bytes), text);
    return vlt_ok();
}
