// SPDX-License-Identifier: Apache-2.0
// Takes every carrier of a key out of the request, and finds our token in them.
// Nothing after this sees a token: neither variables nor the provider.
#include "forward/nginx/vault_module.h"

#define CONNECTIONS_MAX 4
#define CONNECTION_BYTES_MAX 256

typedef struct {
    vault_ctx_t *ctx;
    const vault_loc_conf_t *conf;
    bool is_foreign;  // a carrier held something that is not our token
    bool is_conflict; // two different values
    bool is_astray;   // the token stands in a query parameter that is no carrier
    unsigned proof_count;
    struct bytes connections[CONNECTIONS_MAX]; // they name what is for this hop only
    unsigned connection_count;
    bool is_crowded; // more of them, or longer ones, than an honest client sends
    ngx_list_t kept; // the other headers
} taking_t;

VLT_COLD static ngx_int_t deny(taking_t *t, unsigned status, const char *code,
                              const char *message) {
    vault_deny(t->ctx, status, code, message);
    return NGX_DECLINED;
}

static void offer(taking_t *t, struct bytes text) {
    struct ask *ask = &t->ctx->ask;
    if (text.size == 0)
        return;
    if (ask->token.size) {
        t->is_conflict = t->is_conflict || !bytes_equal(ask->token, text);
        return;
    }
    ask->token = text;
    if (!vault_key_knows(t->ctx) && !carrier_is_token(text))
        t->is_foreign = true;
}

static ngx_int_t offer_authorization(taking_t *t, struct bytes value) {
    struct bytes token;
    enum carrier_scheme scheme;
    if (value.size == 0)
        return NGX_OK;
    uint8_t *room = NULL;
    bool may_be_basic = value.size > 1 && (value.at[1] | 0x20) == 'a';
    if (may_be_basic && !(room = ngx_pnalloc(t->ctx->request->pool, value.size)))
        return NGX_ERROR;
    if (!vlt_is_ok(carrier_authorization(value, room, &token, &scheme))) {
        t->is_foreign = true;
        return NGX_OK;
    }
    if (scheme == CARRIER_DPOP)
        t->ctx->ask.scheme = scheme;
    offer(t, token.size ? token : BYTES_LITERAL(" "));
    return NGX_OK;
}

static bool profile_carries(const vault_loc_conf_t *conf, struct bytes header) {
    for (size_t i = 0; conf->profile && i < profile_carrier_count(conf->profile); i++) {
        struct profile_carrier carrier = profile_carrier_at(conf->profile, i);
        if (carrier.in == PROFILE_HEADER && bytes_equal_nocase(header, bytes_of_text(carrier.name)))
            return true;
    }
    return false;
}

// Sec-WebSocket-Protocol may carry a token among other elements: those stay.
static ngx_int_t keep_subprotocols(taking_t *t, ngx_table_elt_t *header) {
    for (size_t i = 0; t->conf->profile && i < profile_carrier_count(t->conf->profile); i++) {
        struct profile_carrier carrier = profile_carrier_at(t->conf->profile, i);
        if (carrier.in != PROFILE_SUBPROTOCOL)
            continue;
        struct bytes token;
        size_t size;
        uint8_t *left = ngx_pnalloc(t->ctx->request->pool, header->value.len + 1);
        if (!left)
            return NGX_ERROR;
        if (carrier_take_element(vault_bytes(header->value), carrier.name, left, &size, &token)) {
            offer(t, token);
            header->value = (ngx_str_t){size, left};
        }
    }
    if (!header->value.len)
        t->kept.last->nelts--; // the list may not be empty (RFC 6455 section 4.1)
    return NGX_OK;
}

// "h2c" would turn the connection to the provider into one on which the client
// sends further requests past the vault.
static bool is_other_upgrade(taking_t *t, struct bytes name, struct bytes value) {
    if (!bytes_equal_nocase(name, BYTES_LITERAL("upgrade")) ||
        bytes_equal_nocase(value, BYTES_LITERAL("websocket")))
        return false;
    t->ctx->request->headers_in.upgrade = NULL;
    return true;
}

static void note_connection(taking_t *t, struct bytes value) {
    if (bytes_equal_nocase(value, BYTES_LITERAL("keep-alive")) ||
        bytes_equal_nocase(value, BYTES_LITERAL("close")))
        return;
    if (t->connection_count == CONNECTIONS_MAX || value.size > CONNECTION_BYTES_MAX)
        t->is_crowded = true;
    else
        t->connections[t->connection_count++] = value;
}

// What a Connection header names (RFC 9110 section 7.6.1), but for what nginx
// itself and the scan of the body go by.
static bool is_named_away(const taking_t *t, struct bytes name) {
    if (bytes_begin_with(name, BYTES_LITERAL("content-")) ||
        bytes_equal_nocase(name, BYTES_LITERAL("upgrade")) ||
        bytes_equal_nocase(name, BYTES_LITERAL("connection")))
        return false;
    for (unsigned i = 0; i < t->connection_count; i++)
        if (carrier_list_has(t->connections[i], name))
            return true;
    return false;
}

// The list has one part: it was made large enough.
static void drop_named_away(taking_t *t) {
    ngx_table_elt_t *headers = t->kept.part.elts;
    ngx_uint_t count = 0;
    for (ngx_uint_t i = 0; i < t->kept.part.nelts; i++)
        if (!is_named_away(t, vault_bytes(headers[i].key)))
            headers[count++] = headers[i];
    t->kept.part.nelts = count;
}

static ngx_int_t take_header(taking_t *t, const ngx_table_elt_t *header) {
    struct bytes name = vault_bytes(header->key), value = vault_bytes(header->value);
    if (bytes_equal_nocase(name, BYTES_LITERAL("authorization")))
        return offer_authorization(t, value);
    if (carrier_is_well_known(name) || profile_carries(t->conf, name)) {
        offer(t, value);
        return NGX_OK;
    }
    if (bytes_equal_nocase(name, BYTES_LITERAL("dpop"))) {
        t->proof_count++;
        t->ctx->ask.proof = value;
    }
    if (carrier_is_stripped(name) || is_other_upgrade(t, name, value))
        return NGX_OK;
    ngx_table_elt_t *kept = ngx_list_push(&t->kept);
    if (!kept)
        return NGX_ERROR;
    *kept = *header;
    if (bytes_equal_nocase(name, BYTES_LITERAL("connection")))
        note_connection(t, value);
    if (bytes_equal_nocase(name, BYTES_LITERAL("sec-websocket-protocol")))
        return keep_subprotocols(t, kept);
    return NGX_OK;
}

static ngx_int_t take_headers(taking_t *t) {
    ngx_http_request_t *r = t->ctx->request;
    ngx_uint_t count = 1;
    for (const ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next)
        count += part->nelts;
    if (ngx_list_init(&t->kept, r->pool, count, sizeof(ngx_table_elt_t)) != NGX_OK)
        return NGX_ERROR;
    for (const ngx_list_part_t *part = &r->headers_in.headers.part; part; part = part->next)
        for (ngx_uint_t i = 0; i < part->nelts; i++)
            if (take_header(t, (const ngx_table_elt_t *)part->elts + i) != NGX_OK)
                return NGX_ERROR;
    if (t->connection_count)
        drop_named_away(t);
    // A list's last part may be the one inside of it, which moves with the copy.
    r->headers_in.headers = t->kept;
    if (t->kept.last == &t->kept.part)
        r->headers_in.headers.last = &r->headers_in.headers.part;
    r->headers_in.authorization = NULL;
    return NGX_OK;
}

// True when the value is the token that vault_mask covered.
static bool is_masked(const vault_ctx_t *ctx, struct bytes value) {
    if (!ctx->masked_token.len || value.size != ctx->masked_token.len)
        return false;
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] != '*')
            return false;
    return true;
}

static bool take_parameter(taking_t *t, const char *name) {
    struct bytes value;
    unsigned count;
    if (!carrier_in_query(vault_bytes(t->ctx->request->args), name, &value, &count))
        return false;
    if (count > 1)
        t->is_conflict = true;
    bool was_masked = is_masked(t->ctx, value);
    offer(t, was_masked ? vault_bytes(t->ctx->masked_token) : value);
    return was_masked;
}

static void take_query(taking_t *t) {
    bool was_masked = false;
    if (!t->conf->profile)
        was_masked = take_parameter(t, "key");
    for (size_t i = 0; t->conf->profile && i < profile_carrier_count(t->conf->profile); i++) {
        struct profile_carrier carrier = profile_carrier_at(t->conf->profile, i);
        if (carrier.in == PROFILE_QUERY && take_parameter(t, carrier.name))
            was_masked = true;
    }
    if (!t->ctx->masked_token.len || was_masked)
        return;
    if (bytes_equal(vault_bytes(t->ctx->masked_token), t->ctx->ask.token))
        t->is_astray = true; // it would go to the provider: no profile takes it out there
    else
        vault_unmask(t->ctx->request, t->ctx); // somebody else's parameter
}

ngx_int_t vault_take(vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    taking_t t = {.ctx = ctx, .conf = conf};
    if (take_headers(&t) != NGX_OK)
        return NGX_ERROR;
    take_query(&t);
    if (t.is_crowded)
        return deny(&t, NGX_HTTP_BAD_REQUEST, "crowded_connection",
                    "the request has too many Connection headers, or too long ones");
    if (t.is_conflict)
        return deny(&t, NGX_HTTP_BAD_REQUEST, "conflicting_tokens",
                    "the request carries two different keys");
    if (t.is_astray)
        return deny(&t, NGX_HTTP_BAD_REQUEST, "token_in_query",
                    "the token must not be in the query");
    if (t.is_foreign)
        return deny(&t, NGX_HTTP_UNAUTHORIZED, "not_a_vault_token",
                    "only tokens of the vault are accepted here, never a key of the provider");
    if (!ctx->ask.token.size)
        return deny(&t, NGX_HTTP_UNAUTHORIZED, "missing_token", "the request carries no token");
    if (t.proof_count > 1)
        return deny(&t, NGX_HTTP_BAD_REQUEST, "invalid_dpop_proof",
                    "the request carries more than one DPoP header");
    if (ctx->ask.proof.size > CARRIER_TOKEN_MAX || (t.proof_count && !ctx->ask.proof.size))
        return deny(&t, NGX_HTTP_BAD_REQUEST, "invalid_dpop_proof",
                    "the DPoP header is empty or too long");
    return NGX_OK;
}
