// SPDX-License-Identifier: Apache-2.0
// Finds the model in the path or, while it arrives, in the body; and there what limits the
// tokens that the request may have produced.
#include "forward/nginx/vault_module.h"

#include "forward/core/route.h"
#include "forward/core/token_peek.h"

ngx_http_request_body_filter_pt vault_next_body_filter;

static bool model_in_path(vault_ctx_t *ctx, const struct profile *profile) {
    for (size_t i = 0; profile && i < profile_model_count(profile); i++) {
        struct profile_model_place place = profile_model_at(profile, i);
        if (place.in_path && route_model(place.text, ctx->ask.path, &ctx->ask.model))
            return true;
    }
    return false;
}

// NULL: the profile has no model in the body.
static const char *body_member(const struct profile *profile) {
    if (!profile)
        return "model";
    for (size_t i = 0; i < profile_model_count(profile); i++) {
        struct profile_model_place place = profile_model_at(profile, i);
        if (!place.in_path)
            return place.text;
    }
    return NULL;
}

static bool is_json(struct bytes type) {
    type.size = bytes_find(type, ';');
    while (type.size && (type.at[type.size - 1] == ' ' || type.at[type.size - 1] == '\t'))
        type.size--;
    return bytes_equal_nocase(type, BYTES_LITERAL("application/json")) ||
           bytes_equal_nocase(type, BYTES_LITERAL("text/json")) ||
           (type.size > 5 &&
            bytes_equal_nocase(bytes_from(type, type.size - 5), BYTES_LITERAL("+json")));
}

typedef struct {
    unsigned type_count;
    bool is_json, is_encoded;
} content_t;

// nginx keeps the first Content-Type and forwards all of them.
static content_t content_of(const ngx_http_request_t *r) {
    content_t content = {0};
    for (const ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next)
        for (ngx_uint_t i = 0; i < part->nelts; i++) {
            const ngx_table_elt_t *header = (const ngx_table_elt_t *)part->elts + i;
            struct bytes name = vault_bytes(header->key), value = vault_bytes(header->value);
            if (bytes_equal_nocase(name, BYTES_LITERAL("content-type"))) {
                content.type_count++;
                content.is_json = is_json(value);
            } else if (bytes_equal_nocase(name, BYTES_LITERAL("content-encoding")) &&
                       !bytes_equal_nocase(value, BYTES_LITERAL("identity"))) {
                content.is_encoded = true;
            }
        }
    return content;
}

static void body_arrived(ngx_http_request_t *r) {
    vault_ctx_t *ctx = vault_ctx(r);
    if (ctx->look.kind == BODY_IS_ODD_JSON)
        ctx->scan_result = vlt_fail(VLT_MALFORMED, "the body is JSON in another encoding");
    else if (ctx->look.kind == BODY_IS_JSON && vlt_is_ok(ctx->scan_result))
        ctx->scan_result = model_scan_end(ctx->scan);
    if (!ctx->ask.model.size) // the path comes first
        ctx->ask.model = model_scan_model(ctx->scan);
    ctx->ask.max_tokens = model_scan_max_tokens(ctx->scan);
    ctx->ask.tool = model_scan_tool(ctx->scan);
    ctx->state = VAULT_READY;
    r->preserve_body = 1;
    r->write_event_handler = ngx_http_core_run_phases;
    if (!ctx->in_handler)
        ngx_http_core_run_phases(r);
}

// What is looked for in the body.
typedef struct {
    const char *member; // of the model, or NULL
    bool has_tool;
    const struct profile_limit *limit; // or NULL
} wanted_t;

static ngx_int_t body_read(vault_ctx_t *ctx, bool is_json, const wanted_t *wanted) {
    ngx_http_request_t *r = ctx->request;
    ctx->scan = ngx_palloc(r->pool, sizeof *ctx->scan);
    if (!ctx->scan)
        return NGX_ERROR;
    model_scan_init(ctx->scan, wanted->member, wanted->has_tool);
    model_scan_count(ctx->scan, wanted->limit);
    body_look_init(&ctx->look);
    // To an MCP server nothing else is sent, and what a lenient parser reads as JSON behind
    // a comment, say, would be a call that nobody sees.
    if (is_json || wanted->has_tool)
        ctx->look.kind = BODY_IS_JSON;
    ctx->scan_result = vlt_ok();
    ctx->state = VAULT_READING;
    ctx->in_handler = 1;
    ngx_int_t rc = ngx_http_read_client_request_body(r, body_arrived);
    ctx->in_handler = 0;
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE)
        return rc;
    // Reading took a reference, which is given back.
    if (ctx->state == VAULT_READY) { // the body came with the head
        r->main->count--;
        return NGX_OK;
    }
    ngx_http_finalize_request(r, NGX_DONE);
    return NGX_DONE;
}

// A body is not read only to find a limit that the token does not have.
static wanted_t wanted_of(const vault_ctx_t *ctx, const vault_loc_conf_t *conf,
                          bool has_path_model) {
    wanted_t wanted = {0};
    if (!has_path_model) {
        wanted.member = body_member(conf->profile);
        wanted.has_tool = conf->profile && profile_has_tool(conf->profile);
    }
    const struct profile_limit *limit =
        conf->profile ? profile_limit_find(conf->profile, ctx->ask.path) : NULL;
    if (limit && (wanted.member || wanted.has_tool || conf->max_tokens == VAULT_MAX_TOKENS_ON ||
                  token_peek_has_limit(ctx->ask.token)))
        wanted.limit = limit;
    return wanted;
}

ngx_int_t vault_model_find(vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    const ngx_http_request_t *r = ctx->request;
    if (conf->model == VAULT_MODEL_OFF)
        return NGX_OK;
    bool has_path_model = model_in_path(ctx, conf->profile);
    if (conf->model == VAULT_MODEL_PATH ||
        (r->headers_in.content_length_n <= 0 && !r->headers_in.chunked))
        return NGX_OK;
    const wanted_t wanted = wanted_of(ctx, conf, has_path_model);
    if (!wanted.member && !wanted.has_tool && !wanted.limit)
        return NGX_OK;
    content_t content = content_of(r);
    if (content.is_encoded) {
        vault_deny(ctx, NGX_HTTP_UNSUPPORTED_MEDIA_TYPE, "encoded_body",
                   "compressed bodies are not accepted here");
        return NGX_DECLINED;
    }
    if (content.type_count > 1) {
        vault_deny(ctx, NGX_HTTP_BAD_REQUEST, "conflicting_content_type",
                   "the request has two content types");
        return NGX_DECLINED;
    }
    // What calls itself something else may be JSON nevertheless. Where it is not,
    // it has no model and no limit that we could find: the vault refuses it where the
    // token demands one.
    return body_read(ctx, content.is_json, &wanted);
}

static void piece_scan(vault_ctx_t *ctx, struct bytes piece) {
    piece = bytes_from(piece, body_look_take(&ctx->look, piece));
    if (ctx->look.kind == BODY_IS_JSON && vlt_is_ok(ctx->scan_result))
        ctx->scan_result = model_scan_feed(ctx->scan, piece);
}

// Piece by piece as it comes from the client, so that a body that nginx writes
// to disk is not read back, and a large one does not hold the worker up.
ngx_int_t vault_body_filter(ngx_http_request_t *r, ngx_chain_t *in) {
    vault_ctx_t *ctx = vault_ctx(r);
    if (ctx && ctx->state == VAULT_READING)
        for (const ngx_chain_t *link = in; link; link = link->next)
            if (ngx_buf_in_memory(link->buf))
                piece_scan(ctx,
                           bytes_of(link->buf->pos, (size_t)(link->buf->last - link->buf->pos)));
    return vault_next_body_filter(r, in);
}
