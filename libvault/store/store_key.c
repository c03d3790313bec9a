// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/store_env.h"

bool store_class_is_plain(enum store_class class) {
    // The rest is ciphertext, or bound to ciphertext, or decides about keys: only
    // the keeper's own operations write it.
    switch (class) {
    case STORE_ISSUER:
    case STORE_POLICY_TEXT:
    case STORE_POLICY_SET:
    case STORE_FORWARDER:
    case STORE_TENANT:
    case STORE_ROTATION_PLAN:
        return true;
    default:
        return false;
    }
}

vlt_result store_key_build(uint32_t tenant, enum store_class class, struct bytes name,
                           struct store_key *ret_key) {
    if (name.size > STORE_NAME_MAX)
        return vlt_fail(VLT_LIMIT, "the name of a record is too long");
    struct wire_writer w;
    wire_writer_init(&w, ret_key->at, sizeof ret_key->at);
    wire_put_u32(&w, tenant);
    wire_put_u8(&w, (uint8_t) class);
    wire_put_raw(&w, name);
    ret_key->size = w.size;
    return vlt_ok();
}

vlt_result store_value_split(MDB_val value, struct bytes *ret_body, uint64_t *ret_revision) {
    struct wire_reader r;
    wire_reader_init(&r, bytes_of(value.mv_data, value.mv_size));
    uint8_t format = wire_get_u8(&r);
    uint64_t revision = wire_get_u64(&r);
    if (r.failed || format == 0)
        return vlt_fail(VLT_MALFORMED, "a stored record is damaged");
    if (format > STORE_VALUE_FORMAT)
        return vlt_fail(VLT_CONFLICT, "a stored record was written by a newer version: install it "
                                      "again");
    *ret_body = bytes_from(bytes_of(value.mv_data, value.mv_size), STORE_VALUE_HEADER_SIZE);
    if (ret_revision)
        *ret_revision = revision;
    return vlt_ok();
}

void store_change_put(struct wire_writer *w, const struct store_change *change) {
    wire_put_u32(w, change->tenant);
    wire_put_u8(w, (uint8_t)change->class);
    wire_put_bytes(w, change->name);
    wire_put_u8(w, change->remove);
    wire_put_bytes(w, change->remove ? bytes_of(NULL, 0) : change->value);
    wire_put_u64(w, change->expected_revision);
}

void store_change_get(struct wire_reader *r, struct store_change *ret_change) {
    struct store_change change = {0};
    change.tenant = wire_get_u32(r);
    change.class = (enum store_class)wire_get_u8(r);
    change.name = wire_get_bytes(r, STORE_NAME_MAX);
    uint8_t remove = wire_get_u8(r);
    change.value = wire_get_bytes(r, STORE_VALUE_MAX);
    change.expected_revision = wire_get_u64(r);
    change.remove = remove == 1;
    // One change has one spelling: a flag is 0 or 1, a removal carries no value.
    if (remove > 1 || (remove == 1 && change.value.size > 0))
        r->failed = true;
    *ret_change = change;
}
