// SPDX-License-Identifier: Apache-2.0
// Refusals, in the shape that the provider's SDK understands, and what is added
// to every answer.
#include "forward/nginx/vault_module.h"

#include "forward/core/error_body.h"

ngx_http_output_header_filter_pt vault_next_header_filter;

void vault_deny(vault_ctx_t *ctx, unsigned status, const char *code, const char *message) {
    ctx->denial = (struct denial){.status = status,
                                  .type = bytes_of_text(error_type(status)),
                                  .code = bytes_of_text(code),
                                  .message = bytes_of_text(message)};
    ctx->state = VAULT_REFUSED;
}

ngx_int_t vault_header_add(ngx_http_request_t *r, struct bytes name, struct bytes value) {
    ngx_table_elt_t *header = ngx_list_push(&r->headers_out.headers);
    if (!header)
        return NGX_ERROR;
    *header = (ngx_table_elt_t){.hash = 1, .key = vault_str(name), .value = vault_str(value)};
    return NGX_OK;
}

static bool denial_has(const struct denial *denial, struct bytes name) {
    for (size_t i = 0; i < denial->header_count; i++)
        if (bytes_equal_nocase(denial->headers[i].name, name))
            return true;
    return false;
}

// SDKs repeat 429 and 5xx by themselves and honour these two.
static ngx_int_t add_retry_advice(ngx_http_request_t *r, const struct denial *denial) {
    static const struct bytes retry_after = {(const uint8_t *)"retry-after", 11},
                              should_retry = {(const uint8_t *)"x-should-retry", 14};
    if (denial_has(denial, retry_after) || denial_has(denial, should_retry))
        return NGX_OK;
    if (denial->status >= 500)
        return vault_header_add(r, retry_after, BYTES_LITERAL("1"));
    return vault_header_add(r, should_retry, BYTES_LITERAL("false"));
}

static ngx_int_t add_headers(ngx_http_request_t *r, const struct denial *denial) {
    static const struct bytes challenge = {(const uint8_t *)"www-authenticate", 16};
    for (size_t i = 0; i < denial->header_count; i++)
        if (vault_header_add(r, denial->headers[i].name, denial->headers[i].value) != NGX_OK)
            return NGX_ERROR;
    if (denial->status == 401 && !denial_has(denial, challenge) &&
        vault_header_add(r, challenge, BYTES_LITERAL("Bearer error=\"invalid_token\"")) != NGX_OK)
        return NGX_ERROR;
    if (vault_header_add(r, BYTES_LITERAL("cache-control"), BYTES_LITERAL("no-store")) != NGX_OK)
        return NGX_ERROR;
    return add_retry_advice(r, denial);
}

static ngx_buf_t *body_new(ngx_http_request_t *r, const vault_loc_conf_t *conf,
                           const struct denial *denial) {
    ngx_buf_t *body = ngx_create_temp_buf(r->pool, ERROR_BODY_MAX);
    struct wire_writer w;
    if (!body)
        return NULL;
    wire_writer_init(&w, body->pos, ERROR_BODY_MAX);
    error_body_put(&w, conf->profile ? profile_errors(conf->profile) : PROFILE_ERRORS_OPENAI,
                   denial->status, denial->type, denial->code, denial->message);
    if (w.failed)
        return NULL;
    body->last = body->pos + w.size;
    body->last_buf = 1;
    body->last_in_chain = 1;
    return body;
}

static ngx_int_t send_refusal(ngx_http_request_t *r, const vault_loc_conf_t *conf,
                              const struct denial *denial) {
    static const ngx_str_t type = ngx_string("application/json");
    ngx_int_t rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK)
        return rc;
    ngx_buf_t *body = body_new(r, conf, denial);
    if (!body || add_headers(r, denial) != NGX_OK)
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    r->headers_out.status = denial->status;
    r->headers_out.content_type = type;
    r->headers_out.content_type_len = type.len;
    r->headers_out.content_length_n = body->last - body->pos;
    rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only)
        return rc;
    ngx_chain_t out = {.buf = body};
    return ngx_http_output_filter(r, &out);
}

ngx_int_t vault_refuse(vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    ngx_http_request_t *r = ctx->request;
    ngx_str_t code = vault_str(ctx->denial.code);
    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0, "vault: refused with %ui, %V",
                  (ngx_uint_t)ctx->denial.status, &code);
    ngx_http_finalize_request(r, send_refusal(r, conf, &ctx->denial));
    return NGX_DONE; // the request may be gone
}

// So that a person can find the request in both logs and in the vault's audit.
ngx_int_t vault_header_filter(ngx_http_request_t *r) {
    const vault_ctx_t *ctx = vault_ctx(r);
    if (r != r->main || !ctx)
        return vault_next_header_filter(r);
    const struct bytes id = ctx->ask.request_id, correlation = ctx->answer.txn;
    if (id.size && vault_header_add(r, BYTES_LITERAL("x-vault-request-id"), id) != NGX_OK)
        return NGX_ERROR;
    // An answer from the cache was decided for an earlier request.
    if (correlation.size && !bytes_equal(correlation, id) &&
        vault_header_add(r, BYTES_LITERAL("x-vault-correlation-id"), correlation) != NGX_OK)
        return NGX_ERROR;
    return vault_next_header_filter(r);
}
