// SPDX-License-Identifier: Apache-2.0
// An identity provider for tests: keys, tokens, and a store with its record.
// Included by test_identity*.c and broker_fixture.h only.
#ifndef VLT_TESTS_UNIT_IDENTITY_FIXTURE_H
#define VLT_TESTS_UNIT_IDENTITY_FIXTURE_H

#include <event2/event.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "libvault/identity/subject.h"
#include "tests/unit/check.h"

#define IDP "https://idp.example"
#define TENANT 7u

static inline struct jwk *idp_key(EVP_PKEY *pkey, const char *kid) {
    struct jwk *key = NULL;
    assert_non_null(pkey);
    assert_true(vlt_is_ok(jwk_of_pkey(pkey, kid, &key)));
    return key;
}
static inline struct jwk *idp_key_p256(const char *kid) {
    EVP_PKEY *pkey = NULL;
    assert_true(vlt_is_ok(pkey_generate(PKEY_P256, &pkey)));
    return idp_key(pkey, kid);
}

// {"keys":[…]} of the public halves; the caller owns it.
static inline json_t *idp_jwks(struct jwk *const *keys, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *object = NULL;
        assert_true(vlt_is_ok(jwk_export(keys[i], NULL, "sig", &object)));
        json_array_append_new(list, object);
    }
    return json_pack("{s:o}", "keys", list);
}

// Header of this key with this typ (NULL: none), then the payload. The caller
// frees the text.
static inline char *idp_sign(struct jwk *key, const char *typ, const char *payload) {
    struct buf out, header;
    buf_init(&out, 65536);
    buf_init(&header, 1024);
    buf_put_format(&header, "{\"alg\":\"%s\"", jws_alg_name(jws_signing_alg(key)));
    if (key->has_kid)
        buf_put_format(&header, ",\"kid\":\"%s\"", key->kid);
    if (typ)
        buf_put_format(&header, ",\"typ\":\"%s\"", typ);
    buf_put_text(&header, "}");
    assert_true(vlt_is_ok(jws_sign(key, buf_bytes(&header), bytes_of_text(payload), &out)));
    char *text = strdup(buf_text(&out));
    buf_done(&out);
    buf_done(&header);
    return text;
}

static inline void idp_commit(struct store *store, uint32_t tenant, enum store_class class,
                              const char *name, json_t *record) {
    char *text = json_dumps(record, JSON_COMPACT);
    const struct store_change change = {.tenant = tenant,
                                        .class = class,
                                        .name = bytes_of_text(name),
                                        .value = bytes_of_text(text),
                                        .expected_revision = STORE_ANY_REVISION};
    uint64_t revision;
    size_t conflict;
    assert_true(vlt_is_ok(store_commit(store, &change, 1, &revision, &conflict)));
    free(text);
    json_decref(record);
}

static inline void idp_folder(char folder[64]) {
    memcpy(folder, "/tmp/vault-test-XXXXXX", sizeof "/tmp/vault-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}
static inline void idp_folder_remove(const char *folder) {
    static const char *const names[] = {"data.mdb", "lock.mdb", "broker.sock"};
    char path[128];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

#endif
