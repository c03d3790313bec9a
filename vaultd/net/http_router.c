// SPDX-License-Identifier: Apache-2.0
#include "vaultd/net/http_router.h"

#include <stdio.h>

struct bytes http_parameter(const struct http_parameters *parameters, const char *name) {
    for (size_t i = 0; i < parameters->count; i++)
        if (bytes_equal_text(parameters->at[i].name, name))
            return parameters->at[i].value;
    return bytes_of(NULL, 0);
}

static struct bytes take_segment(struct bytes *path) {
    size_t size = bytes_find(*path, '/');
    struct bytes segment = bytes_of(path->at, size);
    *path = bytes_from(*path, size + 1);
    return segment;
}

// Both begin with '/' and are compared segment by segment.
static bool path_matches(const char *pattern_text, struct bytes path,
                         struct http_parameters *parameters) {
    struct bytes pattern = bytes_from(bytes_of_text(pattern_text), 1);
    bool pattern_ends_open = pattern.size && pattern.at[pattern.size - 1] == '/';
    bool path_ends_open = path.size > 1 && path.at[path.size - 1] == '/';
    path = bytes_from(path, 1);
    parameters->count = 0;
    if (pattern_ends_open != path_ends_open)
        return false;
    while (pattern.size && path.size) {
        struct bytes wanted = take_segment(&pattern), segment = take_segment(&path);
        bool takes_any = wanted.size > 2 && wanted.at[0] == '{';
        if (!takes_any && !bytes_equal(wanted, segment))
            return false;
        if (!takes_any)
            continue;
        if (!segment.size || parameters->count == HTTP_ROUTE_PARAMETERS_MAX)
            return false;
        parameters->at[parameters->count].name = bytes_of(wanted.at + 1, wanted.size - 2);
        parameters->at[parameters->count++].value = segment;
    }
    return !pattern.size && !path.size;
}

static bool method_matches(const struct http_route *route, enum http_method method) {
    return route->method == method || (route->method == HTTP_GET && method == HTTP_HEAD);
}

// The route, or NULL; *ret_allowed has a bit for each method that the path has.
static const struct http_route *find_route(const struct http_router *router,
                                           enum http_method method, struct bytes path,
                                           struct http_parameters *parameters,
                                           unsigned *ret_allowed) {
    *ret_allowed = 0;
    for (size_t i = 0; i < router->route_count; i++) {
        const struct http_route *route = &router->routes[i];
        if (!path_matches(route->path, path, parameters))
            continue;
        if (method_matches(route, method))
            return route;
        *ret_allowed |= 1u << route->method;
    }
    return NULL;
}

static void reply_method_not_allowed(struct http_exchange *x, unsigned allowed) {
    char allow[96];
    size_t size = 0;
    allow[0] = 0;
    for (unsigned m = HTTP_GET; m < HTTP_METHOD_COUNT; m++) {
        bool listed = allowed & 1u << m || (m == HTTP_HEAD && allowed & 1u << HTTP_GET);
        if (listed && size < sizeof allow)
            size += (size_t)snprintf(allow + size, sizeof allow - size, "%s%s", size ? ", " : "",
                                     http_method_text((enum http_method)m));
    }
    struct buf body;
    buf_init(&body, 1024);
    http_problem_write(
        &(struct http_problem){.status = 405, .detail = "this path has other methods"}, &body);
    const struct http_header headers[] = {
        HTTP_HEADER("Allow", bytes_of_text(allow)),
        HTTP_HEADER("Content-Type", BYTES_LITERAL(HTTP_PROBLEM_MEDIA)),
        HTTP_HEADER("Cache-Control", BYTES_LITERAL("no-store"))};
    http_exchange_reply(x, 405, headers, 3, buf_bytes(&body));
    buf_done(&body);
}

void http_router_dispatch(const struct http_router *router, struct http_exchange *x) {
    const struct http_request *request = http_exchange_request(x);
    static uint8_t normal[HTTP_ROUTE_PATH_MAX]; // one loop, one thread: zeroed once
    struct bytes path;
    if (!vlt_is_ok(http_path_normalise(request->path, normal, sizeof normal, &path))) {
        http_exchange_reply_problem(x, &(struct http_problem){
            .status = 400, .detail = "the path has no single normal form or is too long"});
        return;
    }
    struct http_parameters parameters;
    unsigned allowed;
    const struct http_route *route =
        find_route(router, request->method, path, &parameters, &allowed);
    http_exchange_set_route(x, route ? route->path : NULL);
    if (!route && !allowed)
        http_exchange_reply_problem(x, &(struct http_problem){.status = 404});
    else if (!route)
        reply_method_not_allowed(x, allowed);
    else
        route->handler(x, &parameters, router->ctx);
}

uint64_t http_router_body_max(const struct http_router *router, const struct http_request *head) {
    static uint8_t normal[HTTP_ROUTE_PATH_MAX];
    struct bytes path;
    struct http_parameters parameters;
    unsigned allowed;
    if (!vlt_is_ok(http_path_normalise(head->path, normal, sizeof normal, &path)))
        return HTTP_ROUTE_UNKNOWN_BODY_MAX; // the answer is 400
    const struct http_route *route = find_route(router, head->method, path, &parameters, &allowed);
    return route ? route->body_bytes_max : HTTP_ROUTE_UNKNOWN_BODY_MAX;
}

void http_router_too_large(const struct http_router *router, struct http_exchange *x) {
    const struct http_request *request = http_exchange_request(x);
    static uint8_t normal[HTTP_ROUTE_PATH_MAX];
    struct bytes path;
    struct http_parameters parameters;
    unsigned allowed;
    const struct http_route *route = NULL;
    if (router->too_large &&
        vlt_is_ok(http_path_normalise(request->path, normal, sizeof normal, &path)))
        route = find_route(router, request->method, path, &parameters, &allowed);
    http_exchange_set_route(x, route ? route->path : NULL);
    if (route)
        router->too_large(x, route, &parameters, router->ctx);
    else
        http_exchange_reply_too_large(x);
}

void http_router_handler(struct http_exchange *x, void *router) { http_router_dispatch(router, x); }

void http_router_too_large_handler(struct http_exchange *x, void *router) {
    http_router_too_large(router, x);
}

uint64_t http_router_body_max_handler(const struct http_request *head, void *router) {
    return http_router_body_max(router, head);
}
