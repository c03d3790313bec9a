// SPDX-License-Identifier: Apache-2.0
// What the vault decides on, apart from token and body.
#include "forward/nginx/vault_module.h"

#include <openssl/x509.h>

#include "forward/core/route.h"
#include "libvault/base/b64u.h"

static struct bytes without_query(ngx_str_t target) {
    struct bytes all = vault_bytes(target);
    return bytes_of(all.at, bytes_find(all, '?'));
}

// The path as ngx_http_proxy_create_request will write it. Should the two ever
// differ, vault_inject refuses: it compares with what was really written.
static ngx_int_t upstream_path(ngx_http_request_t *r, const vault_loc_conf_t *conf,
                               struct bytes *ret_path) {
    if (!conf->pass_uri.len && r->valid_unparsed_uri) {
        *ret_path = without_query(r->unparsed_uri);
        return NGX_OK;
    }
    size_t prefix = r->valid_location && conf->pass_uri.len ? conf->pass_location.len : 0;
    if (prefix > r->uri.len)
        return NGX_ERROR;
    u_char *rest = r->uri.data + prefix;
    size_t rest_size = r->uri.len - prefix;
    uintptr_t escapes =
        r->quoted_uri || r->internal ? ngx_escape_uri(NULL, rest, rest_size, NGX_ESCAPE_URI) : 0;
    size_t size = conf->pass_uri.len + rest_size + 2 * escapes;
    u_char *path = ngx_pnalloc(r->pool, size + 1);
    if (!path)
        return NGX_ERROR;
    u_char *at = path;
    if (conf->pass_uri.len)
        at = ngx_cpymem(at, conf->pass_uri.data, conf->pass_uri.len);
    if (escapes)
        ngx_escape_uri(at, rest, rest_size, NGX_ESCAPE_URI);
    else
        ngx_memcpy(at, rest, rest_size);
    *ret_path = bytes_of(path, size);
    return NGX_OK;
}

static ngx_int_t external_uri(ngx_http_request_t *r, const vault_loc_conf_t *conf,
                              struct bytes path, struct bytes *ret_uri) {
    if (!conf->origin.len)
        return NGX_OK;
    u_char *uri = ngx_pnalloc(r->pool, conf->origin.len + path.size);
    if (!uri)
        return NGX_ERROR;
    ngx_memcpy(ngx_cpymem(uri, conf->origin.data, conf->origin.len), path.at, path.size);
    *ret_uri = bytes_of(uri, conf->origin.len + path.size);
    return NGX_OK;
}

// RFC 8705: SHA-256 of the certificate with which the client proved itself in
// the handshake. Whether it is one that the token names is for the vault.
static ngx_int_t client_certificate(ngx_http_request_t *r, struct bytes *ret_digest) {
    ngx_connection_t *c = r->connection;
#if (NGX_HTTP_V2)
    if (r->stream)
        c = r->stream->connection->connection;
#endif
    X509 *certificate = c->ssl ? SSL_get1_peer_certificate(c->ssl->connection) : NULL;
    if (!certificate)
        return NGX_OK;
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    int done = X509_digest(certificate, EVP_sha256(), digest, &size);
    X509_free(certificate);
    char *text = ngx_pnalloc(r->pool, B64U_SIZE(EVP_MAX_MD_SIZE) + 1);
    if (!done || !text)
        return NGX_ERROR;
    b64u_encode_text(bytes_of(digest, size), text);
    *ret_digest = bytes_of_text(text);
    return NGX_OK;
}

// Nearly always the path for the upstream is what the client called, or its end: then
// it has been looked at.
static bool is_plain(struct bytes path, struct bytes called) {
    bool is_end = path.size && path.size <= called.size && path.at[0] == '/' &&
                  bytes_equal(path, bytes_from(called, called.size - path.size));
    return is_end || route_path_is_plain(path);
}

VLT_COLD static ngx_int_t deny_path(vault_ctx_t *ctx) {
    vault_deny(ctx, NGX_HTTP_BAD_REQUEST, "ambiguous_path",
               "the path can be read in more than one way");
    return NGX_DECLINED;
}

ngx_int_t vault_facts(vault_ctx_t *ctx, const vault_loc_conf_t *conf) {
    ngx_http_request_t *r = ctx->request;
    struct ask *ask = &ctx->ask;
    struct bytes called = without_query(r->unparsed_uri);
    if (!route_path_is_plain(called))
        return deny_path(ctx);
    if (upstream_path(r, conf, &ask->path) != NGX_OK ||
        external_uri(r, conf, called, &ask->uri) != NGX_OK ||
        client_certificate(r, &ask->client_certificate) != NGX_OK)
        return NGX_ERROR;
    if (!is_plain(ask->path, called))
        return deny_path(ctx);
    if (ask->proof.size && !ask->uri.size) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0, "vault: a DPoP proof needs vault_origin");
        vault_deny(ctx, NGX_HTTP_BAD_REQUEST, "invalid_dpop_proof",
                   "this location takes no DPoP proofs");
        return NGX_DECLINED;
    }
    ask->destination = vault_bytes(conf->host);
    ask->method = vault_bytes(r->method_name);
    ask->source = vault_bytes(r->connection->addr_text);
    return NGX_OK;
}
