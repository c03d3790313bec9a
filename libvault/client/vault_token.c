// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/client/vault_members.h"

#define TOKEN_PATH "/oauth2/token"
#define REVOKE_PATH "/oauth2/revoke"
#define TARGET_SIZE 256
#define GRANT_TYPE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TYPE_JWT "urn:ietf:params:oauth:token-type:jwt"
#define TYPE_ACCESS_TOKEN "urn:ietf:params:oauth:token-type:access_token"
#define FORM_MAX_BYTES (128u << 10)

static void form_wipe(struct buf *form) {
    if (form->at)
        secret_cleanse(form->at, form->size);
    buf_done(form);
}

// The broker's paths of a tenant: "default" has the plain ones.
static vlt_result target_of(const char *tenant, const char *path, char target[TARGET_SIZE]) {
    struct buf out;
    buf_init(&out, TARGET_SIZE - 1);
    if (tenant && strcmp(tenant, "default")) {
        buf_put_text(&out, "/t/");
        vault_put_segment(&out, tenant);
    }
    buf_put_text(&out, path);
    bool fits = bytes_to_text(buf_bytes(&out), target, TARGET_SIZE) && !buf_failed(&out);
    buf_done(&out);
    return fits ? vlt_ok() : vlt_fail(VLT_LIMIT, "the tenant's name is too long");
}

static bool refused_with(const struct vault *broker, const char *code) {
    const char *error = json_string_value(json_object_get(broker->problem, "error"));
    return error && strcmp(error, code) == 0;
}

// Sends a form with a fresh proof; once more when the broker asks for a nonce.
static vlt_result form_send(struct vault *broker, const char *target, const struct buf *form,
                            const struct vault_key *key, struct fault *fault, json_t **ret_body) {
    char url[CLIENT_URL_MAX + TARGET_SIZE];
    snprintf(url, sizeof url, "%s%s", client_http_origin(broker->http), target);
    for (int attempt = 0;; attempt++) {
        struct buf proof;
        buf_init(&proof, 8192);
        vlt_result result = vlt_ok();
        if (key) {
            const struct vault_proof wanted = {
                .method = "POST",
                .url = url,
                .nonce = broker->dpop_nonce[0] ? broker->dpop_nonce : NULL};
            result = vault_key_prove(key, &wanted, &proof);
        }
        const struct client_header header = {"DPoP", buf_text(&proof)};
        const struct client_request request = {
            .method = "POST",
            .target = target,
            .media_type = "application/x-www-form-urlencoded",
            .body = buf_bytes(form),
            .headers = &header,
            .header_count = key ? 1 : 0,
        };
        if (vlt_is_ok(result))
            result = vault_send(broker, &request, fault, ret_body, NULL);
        buf_done(&proof);
        if (!vlt_is_ok(result) && refused_with(broker, "invalid_dpop_proof"))
            return fault_set(fault, result.class, result.reason,
                             "the broker refuses the proof that was made for %s: is that, but "
                             "for its path, the issuer in vaultd.conf to the letter, and is the "
                             "clock of this machine right?",
                             url);
        if (vlt_is_ok(result) || attempt > 0 || !key || !refused_with(broker, "use_dpop_nonce"))
            return result;
    }
}

static vlt_result form_make(const struct vault_token_request *request, struct buf *form) {
    vault_put_parameter(form, "grant_type", GRANT_TYPE);
    vault_put_parameter(form, "subject_token", request->subject_token);
    vault_put_parameter(form, "subject_token_type",
                        request->subject_token_type ? request->subject_token_type : TYPE_JWT);
    if (request->actor_token) {
        vault_put_parameter(form, "actor_token", request->actor_token);
        vault_put_parameter(form, "actor_token_type",
                            request->actor_token_type ? request->actor_token_type : TYPE_JWT);
    }
    vault_put_parameter(form, "requested_token_type", TYPE_ACCESS_TOKEN);
    char *details = json_dumps(request->details, JSON_COMPACT);
    if (details)
        vault_put_parameter(form, "authorization_details", details);
    bool fits = details && !buf_failed(form);
    free(details);
    return fits ? vlt_ok() : vlt_fail(VLT_LIMIT, "the tokens are too long");
}

static vlt_result token_take(json_t *body, const struct vault_key *key, struct fault *fault,
                             struct vault_token *ret_token) {
    const char *text = json_string_value(json_object_get(body, "access_token"));
    const char *type = json_string_value(json_object_get(body, "token_type"));
    json_int_t lifetime_s = json_integer_value(json_object_get(body, "expires_in"));
    if (!text || !type || lifetime_s <= 0)
        return fault_set(fault, VLT_BUG, "not a token answer",
                         "the broker's answer has no access_token, token_type or expires_in");
    bool is_bound = strcmp(type, "DPoP") == 0;
    if (is_bound != (key != NULL)) // a bearer token although we asked for a bound one
        return fault_set(fault, VLT_CRYPTO, "binding not kept",
                         "the broker answered with a token of type %.20s that was not asked for",
                         type);
    char *copy = strdup(text);
    if (!copy)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    json_object_del(body, "access_token");
    *ret_token = (struct vault_token){.text = copy,
                                      .is_bound = is_bound,
                                      .lifetime_s = (uint64_t)lifetime_s,
                                      .answer = json_incref(body)};
    return vlt_ok();
}

vlt_result vault_token_get(struct vault *broker, const struct vault_token_request *request,
                           struct fault *fault, struct vault_token *ret_token) {
    struct buf form;
    buf_init(&form, FORM_MAX_BYTES);
    json_t *body = NULL;
    char target[TARGET_SIZE];
    vlt_result result = target_of(request->tenant, TOKEN_PATH, target);
    if (vlt_is_ok(result))
        result = form_make(request, &form);
    if (vlt_is_ok(result))
        result = form_send(broker, target, &form, request->key, fault, &body);
    if (vlt_is_ok(result))
        result = token_take(body, request->key, fault, ret_token);
    json_decref(body);
    form_wipe(&form);
    return result;
}

void vault_token_done(struct vault_token *token) {
    if (token->text)
        secret_cleanse(token->text, strlen(token->text));
    free(token->text);
    json_decref(token->answer);
    *token = (struct vault_token){0};
}

vlt_result vault_token_revoke(struct vault *broker, const char *tenant, const char *token,
                              const struct vault_key *key, struct fault *fault) {
    struct buf form;
    buf_init(&form, FORM_MAX_BYTES);
    vault_put_parameter(&form, "token", token);
    vault_put_parameter(&form, "token_type_hint", "access_token");
    char target[TARGET_SIZE];
    vlt_result result = target_of(tenant, REVOKE_PATH, target);
    if (vlt_is_ok(result) && buf_failed(&form))
        result = vlt_fail(VLT_LIMIT, "the token is too long");
    if (vlt_is_ok(result))
        result = form_send(broker, target, &form, key, fault, NULL);
    form_wipe(&form);
    return result;
}
