// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/random.h"

#include <limits.h>
#include <openssl/rand.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/algorithms.h"
#include "libvault/secret/secret.h"

vlt_result random_bytes(void *at, size_t size) {
    if (size > INT_MAX || RAND_bytes(at, (int)size) != 1)
        return algorithms_failed(VLT_UNAVAILABLE, "no random bytes");
    return vlt_ok();
}

// Identifiers are short and every request has one or two: drawn from the generator
// many at a time, because entering it costs a system call and a lock. Each byte is
// handed out once and wiped here. No process of ours goes on after a fork.
#define FEW_BYTES 16
static _Thread_local struct {
    uint8_t at[32 * FEW_BYTES];
    size_t left;
} pool;

static vlt_result draw_few(uint8_t *at, size_t size) {
    if (pool.left < size) {
        pool.left = 0;
        VLT_TRY(random_bytes(pool.at, sizeof pool.at));
        pool.left = sizeof pool.at;
    }
    pool.left -= size;
    memcpy(at, pool.at + pool.left, size);
    secret_cleanse(pool.at + pool.left, size);
    return vlt_ok();
}

static vlt_result draw(uint8_t *at, size_t size) {
    return size <= FEW_BYTES ? draw_few(at, size) : random_bytes(at, size);
}

vlt_result random_text(size_t entropy_bytes, char *text) {
    uint8_t drawn[32];
    if (entropy_bytes == 0 || entropy_bytes > sizeof drawn)
        return vlt_fail(VLT_BUG, "random text is empty or too long");
    do { // one in 64 would begin with "-": an option, where a person hands it to a program
        VLT_TRY(draw(drawn, entropy_bytes));
        b64u_encode_text(bytes_of(drawn, entropy_bytes), text);
    } while (text[0] == '-');
    secret_cleanse(drawn, sizeof drawn);
    return vlt_ok();
}
