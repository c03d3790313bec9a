// SPDX-License-Identifier: Apache-2.0
// One HTTP connection over libcurl, for this library only: no redirects, no
// other protocols, bounded answers, TLS 1.3 with the server's name verified.
#ifndef VLT_CLIENT_CLIENT_HTTP_H
#define VLT_CLIENT_CLIENT_HTTP_H

#include "libvault/client/vault.h"

#define CLIENT_URL_MAX 1024

struct client_http;

struct client_header {
    const char *name, *value;
};
struct client_request {
    const char *method, *target; // path with query
    const char *media_type;      // of the body; NULL: none is sent
    struct bytes body;
    const struct client_header *headers;
    size_t header_count;
};
struct client_answer {
    unsigned status;
    struct buf body;
    char etag[64], dpop_nonce[256]; // empty when absent
};

vlt_result client_http_open(const struct vault_settings *settings, struct fault *fault,
                            struct client_http **ret_http) VLT_MUST_USE;
void client_http_close(struct client_http *http);
// "https://vault.example:8443"; for unix sockets "http://vaultd".
const char *client_http_origin(const struct client_http *http);
// Any status is a success here. The caller calls client_answer_done whatever the
// result. VLT_UNAVAILABLE: no answer; the fault says what to check.
vlt_result client_http_send(struct client_http *http, const struct client_request *request,
                            struct fault *fault, struct client_answer *ret_answer) VLT_MUST_USE;
void client_answer_done(struct client_answer *answer); // wipes the body

#endif
