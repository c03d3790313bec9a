// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_key.h"

#include "libvault/store/record_json.h"

#define KEY_SEALED_MAX 256

static const char *const use_names[] = {NULL, "token", "checkpoint", "intake"};
static const char *const state_names[] = {NULL, "next", "active", "retired"};
#define NAME_COUNT 4

// Place of a member's text in a table of names that begins at 1; 0 when failed.
static unsigned read_choice(struct record_json *r, const char *member, const char *const *names,
                            const char *expected) {
    char text[16] = "";
    record_json_text(r, member, RECORD_REQUIRED, text, sizeof text);
    for (unsigned i = 1; i < NAME_COUNT; i++)
        if (strcmp(text, names[i]) == 0)
            return i;
    record_json_fail(r, member, expected);
    return 0;
}

static void read_jwk(struct record_json *r, struct record_key *key) {
    const json_t *jwk = record_json_object(r, "jwk", RECORD_REQUIRED);
    if (!jwk)
        return;
    if (json_object_get(jwk, "d") || json_object_get(jwk, "k"))
        record_json_fail(r, "jwk", "a public key");
    else if (!(key->jwk = json_deep_copy(jwk)))
        r->result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

vlt_result record_key_parse(struct bytes json, struct fault *fault, struct record_key *ret_key) {
    static const char *const members[] = {"kid",        "use",        "state", "jwk",
                                          "created_at", "retired_at", "keep_until", NULL};
    struct record_json r;
    json_t *root;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    struct record_key key = {0};
    record_json_text(&r, "kid", RECORD_REQUIRED, key.kid, sizeof key.kid);
    key.use = (enum record_key_use)read_choice(&r, "use", use_names,
                                               "\"token\", \"checkpoint\" or \"intake\"");
    key.state = (enum record_key_state)read_choice(&r, "state", state_names,
                                                   "\"next\", \"active\" or \"retired\"");
    read_jwk(&r, &key);
    record_json_number(&r, "created_at", RECORD_REQUIRED, 1, INT64_MAX, &key.created_at);
    record_json_number(&r, "retired_at", RECORD_OPTIONAL, 0, INT64_MAX, &key.retired_at);
    record_json_number(&r, "keep_until", RECORD_OPTIONAL, 0, INT64_MAX, &key.keep_until);
    json_decref(root);
    if (record_json_failed(&r)) {
        record_key_done(&key);
        return r.result;
    }
    *ret_key = key;
    return vlt_ok();
}

void record_key_done(struct record_key *key) {
    json_decref(key->jwk);
    *key = (struct record_key){0};
}

json_t *record_key_json(const struct record_key *key) {
    json_t *object = json_object();
    record_json_put_text(&object, "kid", key->kid);
    record_json_put_text(&object, "use", use_names[key->use]);
    record_json_put_text(&object, "state", state_names[key->state]);
    record_json_put(&object, "jwk", json_deep_copy(key->jwk));
    record_json_put_number(&object, "created_at", key->created_at);
    record_json_put_number(&object, "retired_at", key->retired_at);
    record_json_put_number(&object, "keep_until", key->keep_until);
    return object;
}

void record_key_secret_put(struct wire_writer *w, const struct record_key_secret *secret) {
    wire_put_u8(w, secret->algorithm);
    wire_put_u32(w, secret->data_key);
    wire_put_bytes(w, secret->sealed);
}

vlt_result record_key_secret_get(struct bytes value, struct record_key_secret *ret_secret) {
    struct wire_reader r;
    wire_reader_init(&r, value);
    struct record_key_secret secret = {.algorithm = wire_get_u8(&r)};
    secret.data_key = wire_get_u32(&r);
    secret.sealed = wire_get_bytes(&r, KEY_SEALED_MAX);
    VLT_TRY(wire_reader_end(&r));
    bool is_known =
        secret.algorithm == RECORD_KEY_PRIVATE || secret.algorithm == RECORD_KEY_IN_DEVICE;
    if (!is_known || secret.data_key == 0)
        return vlt_fail(VLT_MALFORMED, "a key is encrypted in a way we do not know");
    *ret_secret = secret;
    return vlt_ok();
}

void record_key_context(struct wire_writer *w, enum store_class class, struct bytes kid,
                        enum record_key_use use) {
    wire_put_text(w, "vaultd key 1");
    wire_put_u8(w, (uint8_t) class);
    wire_put_u8(w, (uint8_t)use);
    wire_put_bytes(w, kid);
}

void record_key_device_context(struct wire_writer *w, struct bytes kid) {
    wire_put_text(w, "vaultd key in device 1");
    wire_put_bytes(w, kid);
}
