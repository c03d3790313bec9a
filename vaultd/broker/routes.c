// SPDX-License-Identifier: Apache-2.0
// Every path of the broker. /t/{tenant}/… is the same for another tenant than
// "default"; its metadata stands where RFC 8414 section 3.1 puts it.
#include "vaultd/broker/broker.h"

#define FORM_MAX_BYTES 65536
#define EVALUATION_MAX_BYTES 16384 // what jsontext_token_limits takes

const struct http_route broker_routes[] = {
    {HTTP_POST, "/oauth2/token", op_token, FORM_MAX_BYTES},
    {HTTP_POST, "/oauth2/introspect", op_introspect, FORM_MAX_BYTES},
    {HTTP_POST, "/oauth2/revoke", op_revoke, FORM_MAX_BYTES},
    {HTTP_GET, "/oauth2/jwks", op_jwks, 0},
    {HTTP_GET, "/.well-known/oauth-authorization-server", op_metadata, 0},
    {HTTP_GET, "/.well-known/openid-configuration", op_metadata, 0},
    {HTTP_GET, "/.well-known/authzen-configuration", op_authzen_metadata, 0},
    {HTTP_POST, "/access/v1/evaluation", op_evaluation, EVALUATION_MAX_BYTES},
    {HTTP_POST, "/access/v1/evaluations", op_evaluations, EVALUATION_MAX_BYTES},
    {HTTP_POST, "/t/{tenant}/oauth2/token", op_token, FORM_MAX_BYTES},
    {HTTP_POST, "/t/{tenant}/oauth2/introspect", op_introspect, FORM_MAX_BYTES},
    {HTTP_POST, "/t/{tenant}/oauth2/revoke", op_revoke, FORM_MAX_BYTES},
    {HTTP_GET, "/t/{tenant}/oauth2/jwks", op_jwks, 0},
    {HTTP_GET, "/.well-known/oauth-authorization-server/t/{tenant}", op_metadata, 0},
    {HTTP_GET, "/t/{tenant}/.well-known/openid-configuration", op_metadata, 0},
    {HTTP_GET, "/.well-known/authzen-configuration/t/{tenant}", op_authzen_metadata, 0},
    {HTTP_POST, "/t/{tenant}/access/v1/evaluation", op_evaluation, EVALUATION_MAX_BYTES},
    {HTTP_POST, "/t/{tenant}/access/v1/evaluations", op_evaluations, EVALUATION_MAX_BYTES},
    {HTTP_GET, "/v1/health", op_health, 0},
    {HTTP_GET, "/v1/ready", op_ready, 0},
};
const size_t broker_route_count = sizeof broker_routes / sizeof *broker_routes;

struct bytes broker_tenant_name(const struct http_parameters *parameters) {
    struct bytes name = http_parameter(parameters, "tenant");
    return name.size ? name : BYTES_LITERAL("default");
}
