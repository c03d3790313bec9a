// SPDX-License-Identifier: Apache-2.0
// Key agreement with JWKs, in Wycheproof's two schemas: the content key that
// ECDH-ES derives (RFC 7518 section 4.6) must be the one of the published secret.
#include <stdlib.h>

#include "libvault/crypto/jwe_steps.h"
#include "libvault/crypto/kdf.h"
#include "tests/vectors/jose.h"

#define KEY_BYTES 32

static const struct bytes algorithm = BYTES_LITERAL("A256GCM"), no_party = {0};

bool jose_is_agreement(const json_t *group) {
    const char *type = wycheproof_text(group, "type");
    return strcmp(type, "XdhJwkComp") == 0 || strcmp(type, "EcdhWebcryptoTest") == 0;
}

// The public key comes as "epk" of a stranger, the private one as our own.
static vlt_result read_keys(const json_t *test, struct jwk **own, struct jwk **peer) {
    VLT_TRY(jose_key(json_object_get(test, "private"), JOSE_ALLOW_ALL, own));
    VLT_TRY(jose_key(json_object_get(test, "public"), 0, peer));
    return (*own)->is_private && (*own)->curve == (*peer)->curve && (*own)->pkey
               ? vlt_ok()
               : vlt_fail(VLT_CRYPTO, "keys of two curves");
}

static vlt_result agree(const json_t *test, struct secret *agreed) {
    struct jwk *own = NULL, *peer = NULL;
    vlt_result result = read_keys(test, &own, &peer);
    if (vlt_is_ok(result))
        result = jwe_agree(own->pkey, peer->pkey, algorithm, no_party, no_party, KEY_BYTES, agreed);
    jwk_free(own);
    jwk_free(peer);
    return result;
}

static bool is_that_of(const json_t *test, const struct secret *agreed) {
    struct secret *shared = wycheproof_secret(test, "shared"), *expected = secret_new(KEY_BYTES);
    if (!expected)
        abort();
    bool same = vlt_is_ok(kdf_concat(shared, algorithm, no_party, no_party, KEY_BYTES, expected)) &&
                secret_equal(bytes_of(secret_borrow(agreed), secret_size(agreed)),
                             bytes_of(secret_borrow(expected), secret_size(expected)));
    secret_release(agreed);
    secret_release(expected);
    secret_free(shared);
    secret_free(expected);
    return same;
}

static void run(const struct wycheproof_case *c, void *no_context) {
    struct secret *agreed = secret_new(KEY_BYTES);
    if (!agreed)
        abort();
    vlt_result result = agree(c->test, agreed);
    if (jose_is_by_design(result) && strcmp(c->result, "valid") == 0)
        vectors_skip(c->path, 1, "%s: refused: %s", c->what, result.reason);
    else
        vectors_judge(c->path, c->what, c->result,
                      vlt_is_ok(result) && is_that_of(c->test, agreed));
    secret_free(agreed);
}

void jose_agreement_group(const char *path, const json_t *file, json_t *group) {
    static const char *const hex_members[] = {"shared", NULL};
    wycheproof_each_test(path, file, group, hex_members, run, NULL);
}
