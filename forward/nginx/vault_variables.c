// SPDX-License-Identifier: Apache-2.0
// What an access log may say about a decision. None of these is a secret.
#include "forward/nginx/vault_module.h"

typedef struct bytes (*fact_t)(const vault_ctx_t *ctx);

static struct bytes decision(const vault_ctx_t *ctx) {
    switch (ctx->state) {
    case VAULT_GRANTED:
        return ctx->is_from_cache ? BYTES_LITERAL("cached") : BYTES_LITERAL("granted");
    case VAULT_REFUSED:
        return BYTES_LITERAL("refused");
    case VAULT_CUT:
        return BYTES_LITERAL("cut");
    default:
        return bytes_of(NULL, 0);
    }
}

static struct bytes code(const vault_ctx_t *ctx) {
    return ctx->denial.code;
}
static struct bytes credential(const vault_ctx_t *ctx) {
    return ctx->answer.credential;
}
static struct bytes txn(const vault_ctx_t *ctx) {
    return ctx->answer.txn;
}
static struct bytes model(const vault_ctx_t *ctx) {
    return ctx->ask.model;
}
static struct bytes tool(const vault_ctx_t *ctx) {
    return ctx->ask.tool;
}

static struct bytes number(const vault_ctx_t *ctx, uint64_t value) {
    char *digits = ngx_pnalloc(ctx->request->pool, NGX_INT64_LEN);
    return digits ? bytes_of_number(value, digits) : bytes_of(NULL, 0);
}

static struct bytes max_tokens(const vault_ctx_t *ctx) {
    return ctx->ask.max_tokens ? number(ctx, ctx->ask.max_tokens) : bytes_of(NULL, 0);
}

static struct bytes input_tokens(const vault_ctx_t *ctx) {
    uint64_t tokens;
    bool is_said = ctx->meter && usage_scan_input(ctx->meter, &tokens);
    return is_said ? number(ctx, tokens) : bytes_of(NULL, 0);
}

static struct bytes output_tokens(const vault_ctx_t *ctx) {
    uint64_t tokens;
    bool is_said = ctx->meter && usage_scan_output(ctx->meter, &tokens);
    return is_said ? number(ctx, tokens) : bytes_of(NULL, 0);
}

static struct bytes covered(const vault_ctx_t *ctx) {
    uint64_t count = vault_echo_count(ctx);
    return count ? number(ctx, count) : bytes_of(NULL, 0);
}

static const fact_t facts[] = {decision, code,       credential,   txn,          model,
                               tool,     max_tokens, input_tokens, output_tokens, covered};
static ngx_str_t names[] = {ngx_string("vault_decision"),   ngx_string("vault_code"),
                            ngx_string("vault_credential"), ngx_string("vault_txn"),
                            ngx_string("vault_model"),      ngx_string("vault_tool"),
                            ngx_string("vault_max_tokens"), ngx_string("vault_input_tokens"),
                            ngx_string("vault_output_tokens"), ngx_string("vault_covered")};

static ngx_int_t get(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t index) {
    const vault_ctx_t *ctx = vault_ctx(r->main);
    struct bytes fact = ctx ? facts[index](ctx) : bytes_of(NULL, 0);
    value->not_found = fact.size == 0;
    value->valid = fact.size > 0;
    value->len = (unsigned)fact.size & 0xfffffff;
    value->data = (u_char *)(uintptr_t)fact.at;
    return NGX_OK;
}

ngx_int_t vault_variables_add(ngx_conf_t *cf) {
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        ngx_http_variable_t *variable =
            ngx_http_add_variable(cf, &names[i], NGX_HTTP_VAR_NOCACHEABLE);
        if (!variable)
            return NGX_ERROR;
        variable->get_handler = get;
        variable->data = i;
    }
    return NGX_OK;
}
