// SPDX-License-Identifier: Apache-2.0
// A provider that repeats what it was sent: the credential is covered in its answer, in the
// headers and in the body as it passes. What could be the beginning of one waits for the next
// piece, everything else does not.
#include "forward/nginx/vault_module.h"

struct vault_echo_s {
    struct echo_scan scan;
    ngx_chain_t *free, *busy; // buffers for what was held back
    ngx_buf_t flush;          // see sign_buf
    size_t head_size;         // of the answer's head, so far
    unsigned was_told : 1;
};

static ngx_http_output_header_filter_pt next_header_filter;
static ngx_http_output_body_filter_pt next_body_filter;

// ---- Before the request goes to the provider ----

static u_char *room_for(vault_ctx_t *ctx, size_t size) {
    u_char *room = ngx_pnalloc(ctx->request->pool, size);
    return room && vault_wipe_later(ctx, room, size) == NGX_OK ? room : NULL;
}

static ngx_int_t add_secrets(vault_ctx_t *ctx) {
    const struct answer *answer = &ctx->answer;
    size_t size = 0;
    for (size_t i = 0; i < answer->inject_count; i++)
        size += echo_forms_room(answer->inject[i].secret);
    if (!size) {
        ngx_log_error(NGX_LOG_ERR, ctx->request->connection->log, 0,
                      "vault: the redeemer does not say which part of a header is secret: it is "
                      "older than vault_cover_echoes");
        return NGX_ERROR;
    }
    u_char *room = room_for(ctx, size);
    for (size_t i = 0; room && i < answer->inject_count; i++) {
        echo_scan_add(&ctx->echo->scan, answer->inject[i].secret, room);
        room += echo_forms_room(answer->inject[i].secret);
    }
    return room ? NGX_OK : NGX_ERROR;
}

ngx_int_t vault_echo_begin(vault_ctx_t *ctx) {
    ctx->echo = ngx_pcalloc(ctx->request->pool, sizeof *ctx->echo);
    if (!ctx->echo || add_secrets(ctx) != NGX_OK)
        return NGX_ERROR;
    if (!ctx->echo->scan.count)
        return NGX_OK; // too short to be looked for
    u_char *room = room_for(ctx, echo_stream_room(&ctx->echo->scan));
    if (!room)
        return NGX_ERROR;
    echo_scan_begin(&ctx->echo->scan, room);
    return NGX_OK;
}

// ---- The head of the answer ----

// We did not offer any encoding, nor does nginx.
static bool is_encoded(const ngx_table_elt_t *field) {
    const struct bytes name = vault_bytes(field->key), value = vault_bytes(field->value);
    if (bytes_equal_nocase(name, BYTES_LITERAL("content-encoding")))
        return !bytes_equal_nocase(value, BYTES_LITERAL("identity"));
    return bytes_equal_nocase(name, BYTES_LITERAL("transfer-encoding")) &&
           !bytes_equal_nocase(value, BYTES_LITERAL("chunked"));
}

// RFC 9110 section 5.3: there may be several fields of a name.
bool vault_echo_is_readable(const vault_ctx_t *ctx) {
    const ngx_list_part_t *part = &ctx->request->upstream->headers_in.headers.part;
    for (; part; part = part->next) {
        const ngx_table_elt_t *fields = part->elts;
        for (ngx_uint_t i = 0; i < part->nelts; i++)
            if (is_encoded(&fields[i]))
                return false;
    }
    return true;
}

static void tell(const ngx_http_request_t *r, const vault_ctx_t *ctx) {
    ngx_str_t name = vault_str(ctx->answer.credential);
    if (ctx->echo->was_told || !ctx->echo->scan.covered)
        return;
    ctx->echo->was_told = 1;
    ngx_log_error(NGX_LOG_CRIT, r->connection->log, 0,
                  "vault: the upstream's answer held the credential \"%V\": it was covered. Do not "
                  "let the vault send it to addresses that repeat what they get",
                  &name);
}

// As the provider sent it, before nginx makes anything of it: a head that it refuses or that never
// ends stands in variables all the same, and in its log; of one that it takes, it keeps a header
// for a page of its own (proxy_intercept_errors) and forgets our context.
void vault_echo_cover_head(vault_ctx_t *ctx) {
    const ngx_buf_t *head = &ctx->request->upstream->buffer; // never moved while it is read
    struct vault_echo_s *echo = ctx->echo;
    size_t size = (size_t)(head->last - head->start);
    size_t from = echo->head_size - ngx_min(echo->head_size, echo->scan.longest);
    if (!echo->scan.count)
        return;
    echo_cover(&echo->scan, head->start + from, size - from);
    echo->head_size = size;
    tell(ctx->request, ctx);
}

static bool is_scanned(const ngx_http_request_t *r, const vault_ctx_t *ctx) {
    return r == r->main && ctx && ctx->echo && ctx->is_spliced && ctx->echo->scan.count;
}

static ngx_int_t header_filter(ngx_http_request_t *r) {
    const vault_ctx_t *ctx = vault_ctx(r);
    if (!is_scanned(r, ctx))
        return next_header_filter(r);
    r->filter_need_in_memory = 1;
    r->filter_need_temporary = 1; // to be written to
    r->allow_ranges = 0;          // two halves would not be recognised
    return next_header_filter(r);
}

// ---- The body ----

static void append(ngx_chain_t ***last, ngx_chain_t *link) {
    link->next = NULL;
    **last = link;
    *last = &link->next;
}

static ngx_int_t append_buf(ngx_http_request_t *r, ngx_chain_t ***last, ngx_buf_t *buf) {
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    if (!link)
        return NGX_ERROR;
    link->buf = buf;
    append(last, link);
    return NGX_OK;
}

#define OWN ((ngx_buf_tag_t)&ngx_http_vault_module)

// In a buffer of ours, which has room for all that is ever held back.
static ngx_int_t append_text(ngx_http_request_t *r, struct vault_echo_s *echo,
                             ngx_chain_t ***last, struct bytes text) {
    ngx_chain_t *link = ngx_chain_get_free_buf(r->pool, &echo->free);
    if (!link)
        return NGX_ERROR;
    ngx_buf_t *buf = link->buf;
    if (!buf->start) {
        buf->start = ngx_palloc(r->pool, echo->scan.longest);
        if (!buf->start)
            return NGX_ERROR;
        buf->end = buf->start + echo->scan.longest;
        buf->temporary = 1;
        buf->tag = OWN;
    }
    buf->pos = buf->start;
    buf->last = ngx_cpymem(buf->start, text.at, text.size);
    append(last, link);
    return NGX_OK;
}

// In place of one of which nothing is left, but that says something. What says no more than
// "flush" comes with each piece of a stream: it is always the same one, which nobody changes.
static ngx_buf_t *sign_buf(ngx_http_request_t *r, struct vault_echo_s *echo,
                           const ngx_buf_t *from) {
    bool is_flush = !from->sync && !from->last_buf;
    ngx_buf_t *buf = is_flush ? &echo->flush : ngx_calloc_buf(r->pool);
    if (!buf)
        return NULL;
    buf->flush = from->flush;
    if (is_flush)
        return buf;
    buf->sync = from->sync;
    buf->last_buf = from->last_buf;
    buf->last_in_chain = from->last_in_chain;
    return buf;
}

static bool is_sign(const ngx_buf_t *buf) {
    return buf->flush || buf->sync || buf->last_buf;
}

// Of a piece that is held back whole: what was held back before it goes out in its buffer, not
// in one of ours. So a client that does not read holds up the provider, however small the pieces
// are, and what the buffer says (flush, recycled) holds for these bytes.
static size_t feed_buf(struct vault_echo_s *echo, ngx_buf_t *buf, struct bytes *ret_before) {
    size_t size, all = (size_t)(buf->last - buf->pos);
    echo_feed(&echo->scan, buf->pos, all, buf->last_buf, ret_before, &size);
    if (size == 0) {
        size = ngx_min(ret_before->size, all);
        ret_before->size -= size;
        if (size)
            memcpy(buf->pos, ret_before->at + ret_before->size, size);
    }
    buf->in_file = 0; // else it would be sent from there
    buf->last = buf->pos + size;
    return size;
}

static ngx_int_t pass(ngx_http_request_t *r, struct vault_echo_s *echo, ngx_buf_t *buf,
                      ngx_chain_t ***last) {
    struct bytes before = {0};
    size_t size = 0;
    bool has_bytes = ngx_buf_in_memory(buf);
    if (!has_bytes && buf->in_file)
        return NGX_ERROR; // it was to be read
    if (has_bytes) {
        size = feed_buf(echo, buf, &before);
    } else if (buf->last_buf) {
        echo_feed(&echo->scan, NULL, 0, true, &before, &size);
    }
    if (before.size && append_text(r, echo, last, before) != NGX_OK)
        return NGX_ERROR;
    if (has_bytes && !size) {
        if (!is_sign(buf))
            return NGX_OK;
        buf = sign_buf(r, echo, buf);
    }
    return buf ? append_buf(r, last, buf) : NGX_ERROR;
}

// The links were copied by whoever keeps buffers; those that are not ours may be used again
// by their owner as soon as they are sent.
static void take_back(ngx_http_request_t *r, struct vault_echo_s *echo, ngx_chain_t *out) {
    ngx_chain_t **last = &echo->busy, *next;
    while (*last)
        last = &(*last)->next;
    for (; out; out = next) {
        next = out->next;
        if (out->buf->tag == OWN) {
            append(&last, out);
        } else { // two statements
            ngx_free_chain(r->pool, out);
        }
    }
    while (echo->busy && ngx_buf_size(echo->busy->buf) == 0) {
        ngx_chain_t *link = echo->busy;
        echo->busy = link->next;
        link->next = echo->free;
        echo->free = link;
    }
}

static ngx_int_t body_filter(ngx_http_request_t *r, ngx_chain_t *in) {
    const vault_ctx_t *ctx = vault_ctx(r);
    ngx_chain_t *out = NULL, **last = &out;
    if (!is_scanned(r, ctx))
        return next_body_filter(r, in);
    for (ngx_chain_t *link = in; link; link = link->next)
        if (pass(r, ctx->echo, link->buf, &last) != NGX_OK)
            return NGX_ERROR;
    tell(r, ctx);
    if (in && !out && !r->out)
        return NGX_OK; // all of it is held back, and nothing waits
    ngx_int_t rc = next_body_filter(r, out);
    take_back(r, ctx->echo, out);
    return rc;
}

// ---- Configuration ----

uint64_t vault_echo_count(const vault_ctx_t *ctx) {
    return ctx->echo ? ctx->echo->scan.covered : 0;
}

void vault_echo_install(void) {
    next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = header_filter;
    next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = body_filter;
}

// Compressed, or a part of it, an answer could not be read.
void vault_echo_prepare(vault_loc_conf_t *conf) {
    if (!conf->cover_echoes)
        return;
    head_strip_header(&conf->strip, BYTES_LITERAL("accept-encoding"));
    head_strip_header(&conf->strip, BYTES_LITERAL("range"));
    head_strip_header(&conf->strip, BYTES_LITERAL("if-range"));
}
