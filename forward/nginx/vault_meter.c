// SPDX-License-Identifier: Apache-2.0
// Reads in the provider's answer how many tokens it cost, while it passes on to the client: for
// the access log. The answer is neither held back nor changed; what can not be read (another
// type, compressed) is passed on unread.
#include "forward/nginx/vault_module.h"

static ngx_http_output_header_filter_pt next_header_filter;
static ngx_http_output_body_filter_pt next_body_filter;

// RFC 6839: what ends in +json is JSON.
static bool is_json(struct bytes type) {
    const struct bytes suffix = BYTES_LITERAL("+json");
    return bytes_equal_nocase(type, BYTES_LITERAL("application/json")) ||
           (type.size > suffix.size &&
            bytes_equal_nocase(bytes_from(type, type.size - suffix.size), suffix));
}

// Without parameters.
static struct bytes media_type(const ngx_http_request_t *r) {
    struct bytes type = vault_bytes(r->headers_out.content_type);
    type.size = bytes_find(type, ';');
    while (type.size && (type.at[type.size - 1] == ' ' || type.at[type.size - 1] == '\t'))
        type.size--;
    return type;
}

static bool is_encoded(const ngx_http_request_t *r) {
    const ngx_table_elt_t *encoding = r->headers_out.content_encoding;
    return encoding && encoding->value.len &&
           !bytes_equal_nocase(vault_bytes(encoding->value), BYTES_LITERAL("identity"));
}

// Is this the provider's answer to what was granted, and one that can be read?
static bool is_metered(const ngx_http_request_t *r, const vault_ctx_t *ctx) {
    return ctx && ctx->state == VAULT_GRANTED && ctx->is_spliced && r->upstream &&
           r->headers_out.status >= NGX_HTTP_OK &&
           r->headers_out.status < NGX_HTTP_SPECIAL_RESPONSE && !is_encoded(r);
}

static ngx_int_t header_filter(ngx_http_request_t *r) {
    const vault_loc_conf_t *conf = ngx_http_get_module_loc_conf(r, ngx_http_vault_module);
    vault_ctx_t *ctx = vault_ctx(r);
    if (r != r->main || !conf->redeem || !conf->meter || !is_metered(r, ctx))
        return next_header_filter(r);
    struct bytes type = media_type(r);
    bool is_events = bytes_equal_nocase(type, BYTES_LITERAL("text/event-stream"));
    if (!is_events && !is_json(type))
        return next_header_filter(r);
    ctx->meter = ngx_palloc(r->pool, sizeof *ctx->meter);
    if (!ctx->meter)
        return NGX_ERROR;
    usage_scan_init(ctx->meter, profile_usage(conf->profile), is_events);
    r->filter_need_in_memory = 1; // what a slow client made nginx put into a file is read back
    return next_header_filter(r);
}

// Before the next filter sees it: that one may move on what is left of a buffer.
static ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in) {
    vault_ctx_t *ctx = vault_ctx(r);
    if (r == r->main && ctx && ctx->meter)
        for (const ngx_chain_t *link = in; link; link = link->next)
            if (ngx_buf_in_memory(link->buf))
                usage_scan_feed(ctx->meter, bytes_of(link->buf->pos,
                                                     (size_t)(link->buf->last - link->buf->pos)));
    return next_body_filter(r, in);
}

void vault_meter_install(void) {
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}

bool vault_meter_prepare(vault_loc_conf_t *conf) {
    if (!conf->meter)
        return true;
    if (!conf->profile || !profile_usage(conf->profile))
        return false;
    head_strip_header(&conf->strip, BYTES_LITERAL("accept-encoding"));
    return true;
}
