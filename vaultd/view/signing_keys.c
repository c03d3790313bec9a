// SPDX-License-Identifier: Apache-2.0
#include "vaultd/view/signing_keys.h"

#include "libvault/base/jsontext.h"

static bool add_key(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    json_t *root = NULL, *keys = context;
    if (vlt_is_ok(jsontext_parse(value, &jsontext_document_limits, NULL, &root))) {
        json_t *jwk = json_object_get(root, "jwk");
        // The checkpoint key (Ed25519) is published by the audit log, not here.
        const char *kty = json_string_value(json_object_get(jwk, "kty"));
        if (kty && strcmp(kty, "EC") == 0)
            json_array_append(keys, jwk);
        json_decref(root);
    }
    return true;
}

vlt_result signing_keys_load(struct signing_keys *keys, struct store *store) {
    if (keys->set && !keys->is_stale)
        return vlt_ok();
    json_t *array = json_array();
    json_t *document = array ? json_pack("{s:o}", "keys", array) : NULL;
    if (!document)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    struct jwk_set *set = NULL;
    vlt_result result = store_each(store, STORE_SYSTEM_TENANT, STORE_SIGNING_KEY, bytes_of(NULL, 0),
                                   bytes_of(NULL, 0), add_key, array);
    if (vlt_is_ok(result) && json_array_size(array) == 0)
        result = vlt_fail(VLT_NOT_FOUND, "the vault has no signing key yet");
    if (vlt_is_ok(result))
        result = jwk_set_parse_json(document, 0, NULL, &set);
    if (!vlt_is_ok(result)) {
        json_decref(document);
        return result;
    }
    signing_keys_done(keys);
    *keys = (struct signing_keys){.set = set, .document = document};
    return vlt_ok();
}

void signing_keys_done(struct signing_keys *keys) {
    jwk_set_free(keys->set);
    json_decref(keys->document);
    *keys = (struct signing_keys){0};
}
