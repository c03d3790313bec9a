// SPDX-License-Identifier: Apache-2.0
// A token in the query would be written to the access log, and to the error log
// by a refusal that comes before us (413). So it is covered with asterisks as
// soon as the request is read, and uncovered where the vault is not concerned.
#include "forward/nginx/vault_module.h"

static void cover(ngx_str_t where, struct bytes token, u_char filler) {
    for (u_char *at = where.data, *end = where.data + where.len; at + token.size <= end; at++)
        if (!ngx_memcmp(at, token.at, token.size)) {
            ngx_memset(at, filler, token.size);
            return;
        }
}

static bool token_in_query(ngx_str_t query, struct bytes *ret_token) {
    for (struct bytes rest = vault_bytes(query); rest.size;) {
        size_t end = bytes_find(rest, '&');
        struct bytes parameter = bytes_of(rest.at, end);
        struct bytes value = bytes_from(parameter, bytes_find(parameter, '=') + 1);
        rest = bytes_from(rest, end + 1);
        if (carrier_is_token(value)) {
            *ret_token = value;
            return true;
        }
    }
    return false;
}

ngx_int_t vault_mask(ngx_http_request_t *r) {
    struct bytes token;
    if (r != r->main || !r->args.len || !token_in_query(r->args, &token))
        return NGX_DECLINED;
    vault_ctx_t *ctx = vault_ctx_new(r);
    u_char *copy = ngx_pnalloc(r->pool, token.size);
    if (!ctx || !copy)
        return NGX_ERROR;
    ngx_memcpy(copy, token.at, token.size);
    ctx->masked_token = (ngx_str_t){token.size, copy};
    // The three may or may not be the same bytes (HTTP/1 and HTTP/2 differ).
    cover(r->args, vault_bytes(ctx->masked_token), '*');
    cover(r->unparsed_uri, vault_bytes(ctx->masked_token), '*');
    cover(r->request_line, vault_bytes(ctx->masked_token), '*');
    return NGX_DECLINED;
}

static void uncover(ngx_str_t where, ngx_str_t token) {
    u_char *end = where.data + where.len;
    for (u_char *at = where.data; at + token.len <= end; at++) {
        size_t stars = 0;
        while (stars < token.len && at[stars] == '*')
            stars++;
        if (stars == token.len) {
            ngx_memcpy(at, token.data, token.len);
            return;
        }
        at += stars;
    }
}

void vault_unmask(ngx_http_request_t *r, vault_ctx_t *ctx) {
    uncover(r->args, ctx->masked_token);
    uncover(r->unparsed_uri, ctx->masked_token);
    uncover(r->request_line, ctx->masked_token);
    ctx->masked_token.len = 0;
}
