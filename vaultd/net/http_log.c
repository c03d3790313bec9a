// SPDX-License-Identifier: Apache-2.0
// What the level "debug" says of each request: nothing that a client sent but its method
// and the id that stands in the audit log and in the answer, too.
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>

#include "vaultd/log/log.h"
#include "vaultd/net/http_connection.h"

static struct bytes said(const struct http_fields *headers, const char *name) {
    struct bytes value = bytes_of(NULL, 0);
    (void)http_header_find(headers, name, &value);
    return value;
}

void connection_log_answer(struct http_connection *c, unsigned status,
                           const struct http_header *headers, size_t header_count) {
    struct http_exchange *x = &c->exchange;
    const struct http_fields all = {headers, header_count};
    if (!log_shows(LOG_LEVEL_DEBUG))
        return;
    if (!x->begun_ms) {
        log_debug("%s sent no request that can be read: %u", c->peer.address, status);
        return;
    }
    struct bytes id = said(&all, "x-request-id"), entry = said(&all, "vault-audit-entry");
    log_debug("%s %s from %s: %u in %lld ms%s%.*s%s%.*s",
              http_method_text(c->reader.request.method), x->route ? x->route : "(no route)",
              c->peer.address, status, (long long)(clock_elapsed_ms() - x->begun_ms),
              id.size ? ", request " : "", (int)id.size, (const char *)id.at,
              entry.size ? ", audit entry " : "", (int)entry.size, (const char *)entry.at);
    x->begun_ms = 0; // what comes next may not be a request
}

void connection_log_no_tls(struct http_connection *c) {
    if (!log_shows(LOG_LEVEL_DEBUG))
        return;
    const char *why = ERR_reason_error_string(bufferevent_get_openssl_error(c->bev));
    log_debug("no TLS with %s: %s", c->peer.address, why ? why : "it ended the connection");
}
