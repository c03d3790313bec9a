// SPDX-License-Identifier: Apache-2.0
// What clients and verifiers discover: RFC 8414 metadata (also at the place of
// OpenID Connect), the JWKS, and whether we live and could issue.
#include "libvault/base/jsontext.h"
#include "libvault/store/record_tenant.h"
#include "libvault/token/claims.h"
#include "vaultd/broker/broker.h"
#include "vaultd/view/serving.h"

static void reply_cacheable(struct http_exchange *x, const json_t *document, const char *media,
                            const char *cache) {
    const struct http_header headers[] = {HTTP_HEADER("content-type", bytes_of_text(media)),
                                          HTTP_HEADER("cache-control", bytes_of_text(cache))};
    struct buf body;
    buf_init(&body, 262144);
    if (document && vlt_is_ok(jsontext_canonical(document, &body)))
        http_exchange_reply(x, 200, headers, 2, buf_bytes(&body));
    else
        http_exchange_reply_problem(
            x, &(struct http_problem){.status = 503,
                                      .detail = "the document can not be made at the moment"});
    buf_done(&body);
}

static json_t *endpoint(const char *issuer, const char *path) {
    return json_sprintf("%s%s", issuer, path);
}

static json_t *metadata(const char *issuer) {
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:[s], s:[s], s:[s], s:[s], s:[], s:[s,s,s,s,s], s:b, s:[s]}",
        "issuer", issuer, "token_endpoint", endpoint(issuer, "/oauth2/token"),
        "introspection_endpoint", endpoint(issuer, "/oauth2/introspect"), "revocation_endpoint",
        endpoint(issuer, "/oauth2/revoke"), "jwks_uri", endpoint(issuer, "/oauth2/jwks"),
        "grant_types_supported", "urn:ietf:params:oauth:grant-type:token-exchange",
        "token_endpoint_auth_methods_supported", "none",
        "revocation_endpoint_auth_methods_supported", "none",
        "authorization_details_types_supported", "credential_use", "response_types_supported",
        "dpop_signing_alg_values_supported", "ES256", "ES384", "RS256", "PS256", "EdDSA",
        "tls_client_certificate_bound_access_tokens", 1,
        "access_token_signing_alg_values_supported", "ES256");
}

static bool tenant_is_there(struct broker *broker, struct bytes name) {
    struct record_tenant tenant;
    if (!vlt_is_ok(broker_snapshot(broker)))
        return false;
    bool is_there = vlt_is_ok(broker_tenant(broker, name, &tenant));
    store_snapshot_end(broker->store);
    return is_there;
}

static void reply_absent(struct http_exchange *x) {
    http_exchange_reply_problem(
        x, &(struct http_problem){.status = 404,
                                  .detail = "there is no authorization server at this path"});
}

void op_metadata(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct broker *broker = ctx;
    char issuer[TOKEN_ISSUER_SIZE];
    struct bytes tenant = broker_tenant_name(parameters);
    if (!tenant_is_there(broker, tenant) ||
        !token_issuer_text(bytes_of_text(broker->issuer), tenant, issuer)) {
        reply_absent(x);
        return;
    }
    json_t *document = metadata(issuer);
    reply_cacheable(x, document, HTTP_JSON_MEDIA, "public, max-age=300");
    json_decref(document);
}

void op_authzen_metadata(struct http_exchange *x, const struct http_parameters *parameters,
                         void *ctx) {
    struct broker *broker = ctx;
    char issuer[TOKEN_ISSUER_SIZE];
    struct bytes tenant = broker_tenant_name(parameters);
    if (!tenant_is_there(broker, tenant) ||
        !token_issuer_text(bytes_of_text(broker->issuer), tenant, issuer)) {
        reply_absent(x);
        return;
    }
    json_t *document =
        json_pack("{s:s, s:o, s:o}", "policy_decision_point", issuer, "access_evaluation_endpoint",
                  endpoint(issuer, "/access/v1/evaluation"), "access_evaluations_endpoint",
                  endpoint(issuer, "/access/v1/evaluations"));
    reply_cacheable(x, document, HTTP_JSON_MEDIA, "public, max-age=300");
    json_decref(document);
}

void op_jwks(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct broker *broker = ctx;
    if (!tenant_is_there(broker, broker_tenant_name(parameters)) ||
        !vlt_is_ok(broker_snapshot(broker))) {
        reply_absent(x);
        return;
    }
    vlt_result result = signing_keys_load(&broker->keys, broker->store);
    store_snapshot_end(broker->store);
    reply_cacheable(x, vlt_is_ok(result) ? broker->keys.document : NULL, "application/jwk-set+json",
                    "public, max-age=300");
}

void op_health(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, BYTES_LITERAL("{\"status\":\"alive\"}"));
}

// Anybody may ask: why it does not serve is told to administrators.
static void serving(vlt_result result, void *context) {
    struct http_exchange *x = context;
    if (vlt_is_ok(result))
        http_exchange_reply_typed(x, 200, HTTP_JSON_MEDIA, BYTES_LITERAL("{\"status\":\"ready\"}"));
    else
        http_exchange_reply_problem(
            x, &(struct http_problem){.status = 503,
                                      .detail = "the vault is sealed or not initialised, its audit "
                                                "log can not be written, or one of its processes "
                                                "is starting"});
}

void op_ready(struct http_exchange *x, const struct http_parameters *parameters, void *ctx) {
    struct broker *broker = ctx;
    vlt_result result = broker_snapshot(broker);
    if (vlt_is_ok(result)) {
        result = signing_keys_load(&broker->keys, broker->store);
        store_snapshot_end(broker->store);
    }
    if (vlt_is_ok(result))
        serving_ask(broker->keeper, broker->auditor, serving, x);
    else
        serving(result, x);
}
