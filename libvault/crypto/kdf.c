// SPDX-License-Identifier: Apache-2.0
#include "libvault/crypto/kdf.h"

#include "libvault/base/wire.h"
#include "libvault/crypto/algorithms.h"

// T(i) = HMAC(PRK, T(i-1) ‖ purpose ‖ i)
static vlt_result expand(enum digest_kind kind, const uint8_t *prk, struct bytes purpose,
                         uint8_t *okm, size_t okm_bytes) {
    size_t size = digest_size(kind);
    uint8_t block[DIGEST_SIZE_MAX];
    vlt_result result = vlt_ok();
    for (size_t done = 0; done < okm_bytes && vlt_is_ok(result); done += size) {
        uint8_t number = (uint8_t)(done / size + 1);
        struct bytes parts[] = {bytes_of(block, done ? size : 0), purpose, bytes_of(&number, 1)};
        result = hmac_with_key(kind, prk, size, parts, 3, block);
        size_t part = okm_bytes - done < size ? okm_bytes - done : size;
        if (vlt_is_ok(result))
            memcpy(okm + done, block, part);
    }
    secret_cleanse(block, sizeof block);
    return result;
}

vlt_result kdf_hkdf(enum digest_kind kind, const struct secret *ikm, struct bytes salt,
                    struct bytes purpose, size_t okm_bytes, struct secret *okm) {
    size_t size = digest_size(kind);
    if (okm_bytes == 0 || okm_bytes > 255 * size || okm_bytes > secret_capacity(okm))
        return vlt_fail(VLT_LIMIT, "HKDF output size");
    static const uint8_t zeros[DIGEST_SIZE_MAX];
    uint8_t prk[DIGEST_SIZE_MAX];
    struct bytes input = bytes_of(secret_borrow(ikm), secret_size(ikm));
    vlt_result result = hmac_with_key(kind, salt.size ? salt.at : zeros,
                                      salt.size ? salt.size : size, &input, 1, prk);
    secret_release(ikm);
    secret_wipe(okm);
    if (vlt_is_ok(result))
        result = expand(kind, prk, purpose, secret_borrow_room(okm), okm_bytes);
    secret_cleanse(prk, sizeof prk);
    secret_release_sized(okm, okm_bytes);
    if (!vlt_is_ok(result))
        secret_wipe(okm);
    return result;
}

vlt_result kdf_concat(const struct secret *shared, struct bytes algorithm, struct bytes apu,
                      struct bytes apv, size_t key_bytes, struct secret *key) {
    enum { CONTEXT_MAX = 4096 };
    uint8_t context[CONTEXT_MAX], block[DIGEST_SHA256_SIZE];
    struct wire_writer w;
    wire_writer_init(&w, context, sizeof context);
    wire_put_bytes(&w, algorithm);
    wire_put_bytes(&w, apu);
    wire_put_bytes(&w, apv);
    wire_put_u32(&w, (uint32_t)key_bytes * 8);
    if (w.failed || key_bytes == 0 || key_bytes > secret_capacity(key) || key_bytes > 64)
        return vlt_fail(VLT_LIMIT, "Concat KDF input size");
    vlt_result result = vlt_ok();
    secret_wipe(key);
    uint8_t *out = secret_borrow_room(key);
    struct bytes z = bytes_of(secret_borrow(shared), secret_size(shared));
    for (uint8_t round = 1; (round - 1) * sizeof block < key_bytes && vlt_is_ok(result); round++) {
        uint8_t counter[4] = {0, 0, 0, round};
        struct bytes parts[] = {bytes_of(counter, 4), z, bytes_of(context, w.size)};
        result = digest_parts(DIGEST_SHA256, parts, 3, block);
        size_t done = (round - 1) * sizeof block;
        if (vlt_is_ok(result))
            memcpy(out + done, block,
                   key_bytes - done < sizeof block ? key_bytes - done : sizeof block);
    }
    secret_cleanse(block, sizeof block);
    secret_release(shared);
    secret_release_sized(key, key_bytes);
    if (!vlt_is_ok(result))
        secret_wipe(key);
    return result;
}
