// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/system_seal.h"

#define RECORD_VERSION_1 1
#define PURPOSE_MAX 64

static vlt_result put_context(struct wire_writer *w, const char *purpose) {
    wire_put_text(w, "vaultd system record 1");
    wire_put_text(w, purpose);
    return w->failed ? vlt_fail(VLT_BUG, "the purpose of a record is too long") : vlt_ok();
}

vlt_result system_seal(const struct system_keys *keys, const char *purpose, struct bytes plain,
                       uint8_t *room, size_t *ret_size) {
    uint8_t context[PURPOSE_MAX + 32];
    struct wire_writer w;
    wire_writer_init(&w, context, sizeof context);
    VLT_TRY(put_context(&w, purpose));
    const struct xaes_key *key = system_datakey(keys, keys->active_datakey);
    if (!key || plain.size > SYSTEM_RECORD_PLAIN_MAX)
        return vlt_fail(VLT_BUG, "a record of the vault can not be encrypted");
    struct secret *content = secret_new(plain.size);
    if (!content)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = secret_set(content, plain.at, plain.size);
    struct wire_writer out;
    wire_writer_init(&out, room, SYSTEM_RECORD_MAX);
    wire_put_u8(&out, RECORD_VERSION_1);
    wire_put_u32(&out, keys->active_datakey);
    uint8_t *sealed = wire_put_room(&out, XAES_SEALED_SIZE(plain.size));
    if (vlt_is_ok(result))
        result = xaes_seal_fresh(key, bytes_of(context, w.size), content, sealed);
    secret_free(content);
    VLT_TRY(result);
    *ret_size = out.size;
    return vlt_ok();
}

vlt_result system_unseal(const struct system_keys *keys, const char *purpose, struct bytes record,
                         struct secret *plain) {
    uint8_t context[PURPOSE_MAX + 32];
    struct wire_writer w;
    wire_writer_init(&w, context, sizeof context);
    VLT_TRY(put_context(&w, purpose));
    struct wire_reader r;
    wire_reader_init(&r, record);
    uint8_t version = wire_get_u8(&r);
    uint32_t number = wire_get_u32(&r);
    struct bytes sealed = wire_get_bytes(&r, XAES_SEALED_SIZE(SYSTEM_RECORD_PLAIN_MAX));
    if (version > RECORD_VERSION_1)
        return vlt_fail(VLT_CONFLICT, "a record of the vault was written by a newer version: "
                                      "install it again");
    if (!vlt_is_ok(wire_reader_end(&r)) || version == 0)
        return vlt_fail(VLT_CRYPTO, "a record of the vault is damaged");
    const struct xaes_key *key = system_datakey(keys, number);
    if (!key)
        return vlt_fail(VLT_CRYPTO, "a record of the vault names a data key that is not there");
    return xaes_open_fresh(key, bytes_of(context, w.size), sealed, plain);
}

uint32_t system_seal_number(struct bytes record) {
    struct wire_reader r;
    wire_reader_init(&r, record);
    uint8_t version = wire_get_u8(&r);
    uint32_t number = wire_get_u32(&r);
    return r.failed || version != RECORD_VERSION_1 ? 0 : number;
}
