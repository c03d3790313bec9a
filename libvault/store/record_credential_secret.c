// SPDX-License-Identifier: Apache-2.0
// The binary halves of a credential: its state and its ciphertext.
#include "libvault/store/record_credential.h"

#define SECRET_LIST_MAX 4096
#define SECRET_NONCE_SIZE 24
#define SECRET_ALGORITHM_XAES 1

void record_credential_state_put(struct wire_writer *w,
                                 const struct record_credential_state *state) {
    wire_put_u8(w, state->status);
    wire_put_u32(w, state->version);
    wire_put_u32(w, state->previous_version);
    wire_put_u64(w, state->previous_until);
    wire_put_u64(w, state->created_at);
}

vlt_result record_credential_state_get(struct bytes value,
                                       struct record_credential_state *ret_state) {
    struct wire_reader r;
    wire_reader_init(&r, value);
    struct record_credential_state state = {.status = wire_get_u8(&r)};
    state.version = wire_get_u32(&r);
    state.previous_version = wire_get_u32(&r);
    state.previous_until = wire_get_u64(&r);
    if (r.next < r.size)
        state.created_at = wire_get_u64(&r);
    VLT_TRY(wire_reader_end(&r));
    if (state.status < RECORD_CREDENTIAL_ACTIVE || state.status > RECORD_CREDENTIAL_DELETED ||
        state.version == 0)
        return vlt_fail(VLT_MALFORMED, "the state of a credential is damaged");
    *ret_state = state;
    return vlt_ok();
}

void record_credential_secret_put(struct wire_writer *w,
                                  const struct record_credential_secret *secret) {
    wire_put_u8(w, secret->algorithm);
    wire_put_u32(w, secret->data_key);
    wire_put_bytes(w, secret->profile);
    wire_put_bytes(w, secret->hosts);
    wire_put_bytes(w, secret->parameters);
    wire_put_raw(w, secret->nonce);
    wire_put_bytes(w, secret->ciphertext);
}

vlt_result record_credential_secret_get(struct bytes value,
                                        struct record_credential_secret *ret_secret) {
    struct wire_reader r;
    wire_reader_init(&r, value);
    struct record_credential_secret secret = {.algorithm = wire_get_u8(&r)};
    secret.data_key = wire_get_u32(&r);
    secret.profile = wire_get_bytes(&r, RECORD_NAME_MAX);
    secret.hosts = wire_get_bytes(&r, SECRET_LIST_MAX);
    secret.parameters = wire_get_bytes(&r, SECRET_LIST_MAX);
    secret.nonce = wire_get_raw(&r, SECRET_NONCE_SIZE);
    secret.ciphertext = wire_get_bytes(&r, STORE_VALUE_MAX);
    VLT_TRY(wire_reader_end(&r));
    if (secret.algorithm != SECRET_ALGORITHM_XAES || secret.data_key == 0)
        return vlt_fail(VLT_MALFORMED, "a credential is encrypted in a way we do not know");
    *ret_secret = secret;
    return vlt_ok();
}

void record_credential_context(struct wire_writer *w, uint32_t tenant, struct bytes name,
                               uint32_t version, const struct record_credential_secret *secret) {
    wire_put_text(w, "vaultd credential 1");
    wire_put_u32(w, tenant);
    wire_put_bytes(w, name);
    wire_put_u32(w, version);
    wire_put_u8(w, secret->algorithm);
    wire_put_u32(w, secret->data_key);
    wire_put_bytes(w, secret->profile);
    wire_put_bytes(w, secret->hosts);
    wire_put_bytes(w, secret->parameters);
}

struct bytes record_credential_secret_name(struct bytes name, uint32_t version, uint8_t *room) {
    struct wire_writer w;
    wire_writer_init(&w, room, RECORD_SECRET_NAME_MAX);
    wire_put_raw(&w, name);
    wire_put_u8(&w, 0);
    wire_put_u32(&w, version);
    // A name that is too long gives an empty key, which no secret has.
    return bytes_of(room, w.failed ? 0 : w.size);
}
