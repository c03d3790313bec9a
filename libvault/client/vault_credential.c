// SPDX-License-Identifier: Apache-2.0
#include "libvault/client/vault_members.h"
#include "libvault/crypto/jwe.h"

static vlt_result intake_key_fetch(struct vault *vault, struct fault *fault,
                                   struct jwk **ret_key) {
    json_t *body = NULL;
    const struct vault_call call = {.method = "GET", .path = "/v1/intake-key"};
    VLT_TRY(vault_call(vault, &call, fault, &body, NULL));
    vlt_result result = jwk_parse_json(body, 0, fault, ret_key);
    if (!vlt_is_ok(result))
        result = fault_set(fault, VLT_CRYPTO, "bad intake key",
                           "the vault's intake key is not usable (%s): the value was not sent",
                           result.reason);
    json_decref(body);
    return result;
}

static bool body_set_text(json_t *body, const char *name, const char *text) {
    return !text || json_object_set_new(body, name, json_string(text)) == 0;
}

static bool body_set_copy(json_t *body, const char *name, const json_t *value) {
    return !value || json_object_set_new(body, name, json_deep_copy(value)) == 0;
}

static json_t *body_of(const struct vault_credential *credential,
                       enum vault_credential_change change, const char *jwe) {
    json_t *body = json_object();
    if (body && body_set_text(body, "profile", credential->profile) &&
        body_set_copy(body, "hosts", credential->hosts) &&
        body_set_copy(body, "parameters", credential->parameters) &&
        body_set_text(body, "description", credential->description) &&
        body_set_text(body, "jwe", jwe) &&
        (change != VAULT_CREDENTIAL_ROTATE ||
         json_object_set_new(body, "grace_s", json_integer(credential->grace_s)) == 0))
        return body;
    json_decref(body);
    return NULL;
}

vlt_result vault_credential_put(struct vault *vault, enum vault_credential_change change,
                                const struct vault_credential *credential,
                                const struct secret *value, struct fault *fault,
                                json_t **ret_body) {
    struct jwk *key = NULL;
    json_t *body = NULL;
    struct buf jwe, path;
    buf_init(&jwe, JWE_INTAKE_MAX_BYTES);
    buf_init(&path, 1024);
    vlt_result result = intake_key_fetch(vault, fault, &key);
    if (!vlt_is_ok(result))
        goto out;
    result = jwe_intake_seal(key, value, &jwe);
    if (!vlt_is_ok(result))
        goto out;
    buf_put_text(&path, "/v1/tenants/");
    vault_put_segment(&path, credential->tenant);
    buf_put_text(&path, "/credentials/");
    vault_put_segment(&path, credential->name);
    if (change == VAULT_CREDENTIAL_ROTATE)
        buf_put_text(&path, "/rotate");
    else if (change == VAULT_CREDENTIAL_STAGE)
        buf_put_text(&path, "/stage");
    const char *jwe_text = buf_text(&jwe);
    body = jwe_text ? body_of(credential, change, jwe_text) : NULL;
    if (!body || !buf_text(&path)) {
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
        goto out;
    }
    const struct vault_call call = {.method = "POST",
                                    .path = buf_text(&path),
                                    .body = body,
                                    .expected_revision = credential->expected_revision};
    result = vault_call(vault, &call, fault, ret_body, NULL);
out:
    json_decref(body);
    jwk_free(key);
    buf_done(&jwe);
    buf_done(&path);
    return result;
}
