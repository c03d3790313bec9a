// SPDX-License-Identifier: Apache-2.0
// A role's routes as one readable table. Paths are compared after
// normalisation; a segment `{name}` takes any one segment that is not empty.
#ifndef VLT_NET_HTTP_ROUTER_H
#define VLT_NET_HTTP_ROUTER_H

#include "libvault/http/http_path.h"
#include "vaultd/net/http_server.h"

#define HTTP_ROUTE_PARAMETERS_MAX 6
#define HTTP_ROUTE_PATH_MAX 1024
// A body sent to a path or method that is not there is read up to this, so that
// the answer is 404 or 405 and not 413.
#define HTTP_ROUTE_UNKNOWN_BODY_MAX 16384

struct http_parameters {
    size_t count;
    struct {
        struct bytes name, value; // value as in the normalised path
    } at[HTTP_ROUTE_PARAMETERS_MAX];
};
// Empty when the route has no such parameter.
struct bytes http_parameter(const struct http_parameters *parameters, const char *name);

// Parameters are valid during the call only: copy what an asynchronous answer needs.
typedef void http_route_handler(struct http_exchange *x,
                                const struct http_parameters *parameters, void *ctx);

struct http_route {
    enum http_method method; // a route for GET also serves HEAD
    const char *path;
    http_route_handler *handler;
    uint64_t body_bytes_max; // 0: no body is taken (413)
};

// In place of the route's handler for a request whose body is more than the route takes.
typedef void http_route_too_large(struct http_exchange *x, const struct http_route *route,
                                  const struct http_parameters *parameters, void *ctx);

struct http_router {
    const struct http_route *routes;
    size_t route_count;
    void *ctx; // of every handler
    http_route_too_large *too_large; // NULL: http_exchange_reply_too_large
};

// Finds and calls the handler, or replies 404, 405 with Allow, or 400 for a
// path that can not be normalised.
void http_router_dispatch(const struct http_router *router, struct http_exchange *x);
// For http_server_settings.body_max. Like the server, both from one thread of a process.
uint64_t http_router_body_max(const struct http_router *router, const struct http_request *head);
// For http_server_settings.too_large: finds the route and calls router->too_large, or
// refuses what no route takes.
void http_router_too_large(const struct http_router *router, struct http_exchange *x);
// settings.handler, too_large and body_max for a server whose ctx is a router.
void http_router_handler(struct http_exchange *x, void *router);
void http_router_too_large_handler(struct http_exchange *x, void *router);
uint64_t http_router_body_max_handler(const struct http_request *head, void *router);

#endif
