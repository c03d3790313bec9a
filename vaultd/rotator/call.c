// SPDX-License-Identifier: Apache-2.0
#include "vaultd/rotator/call.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/recipe/sigv4.h"
#include "libvault/transfer/transfer.h"
#include "libvault/transfer/transfer_loop.h"

#define CONNECT_TIMEOUT_MS 5000L
#define HEADER_MAX (RECIPE_VALUE_MAX + 128)
#define URL_MAX 5120

struct call {
    struct transfer_loop *loop;
    struct buf roots;
    long timeout_ms;
    // The call that is under way; easy NULL: none.
    CURL *easy;
    struct curl_slist *headers;
    struct secret *body, *answer; // answer: the body of a call that is over
    struct secret *header;        // room to write one
    struct buf sent;              // body of the request
    char error[CURL_ERROR_SIZE];
    call_done_fn *done;
    void *context;
};

// ---- libcurl's memory ----

static void *(*heap_malloc)(size_t);
static void *(*heap_realloc)(void *, size_t);
static void (*heap_free)(void *);

static void take_heap(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t),
                      void (*free_fn)(void *)) {
    heap_malloc = malloc_fn;
    heap_realloc = realloc_fn;
    heap_free = free_fn;
}

static void *heap_calloc(size_t count, size_t size) {
    size_t all = 0;
    void *at = __builtin_mul_overflow(count, size, &all) ? NULL : heap_malloc(all);
    if (at)
        memset(at, 0, all);
    return at;
}

static char *heap_strdup(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = heap_malloc(size);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

// ---- What curl tells us while it reads ----

static size_t on_body(char *at, size_t size, size_t count, void *context) {
    struct call *call = context;
    size_t have = secret_size(call->body), more = size * count;
    if (more > secret_capacity(call->body) - have)
        return 0; // ends the transfer
    uint8_t *room = secret_borrow_room(call->body);
    memcpy(room + have, at, more);
    secret_release_sized(call->body, have + more);
    return more;
}

// ---- The end of a call ----

static void call_end(struct call *call) {
    if (!call->easy)
        return;
    transfer_loop_remove(call->loop, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    buf_done(&call->sent);
    secret_wipe(call->body);
    secret_wipe(call->header);
    call->easy = NULL;
    call->headers = NULL;
}

static void on_over(CURL *easy, CURLcode code, void *context) {
    struct call *call = context; // there is one call at a time
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        snprintf(why, sizeof why, "%s",
                 call->error[0] ? call->error : curl_easy_strerror(code));
        status = 0;
    }
    struct secret *answer = call->body;
    call->body = call->answer;
    call->answer = answer;
    call_end(call); // `done` may begin another
    struct bytes body = bytes_of(secret_borrow(answer), secret_size(answer));
    call->done(status < 0 ? 0 : (unsigned)status, body, why, call->context);
    secret_release(answer);
    secret_wipe(answer);
}

// ---- Life ----

vlt_result call_new(struct event_base *base, struct call **ret_call) {
    secret_heap_adopt(take_heap);
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, heap_malloc, heap_free, heap_realloc, heap_strdup,
                             heap_calloc) != CURLE_OK)
        return vlt_fail(VLT_UNAVAILABLE, "libcurl does not start");
    struct call *call = calloc(1, sizeof *call);
    if (!call)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    buf_init(&call->roots, 64u << 10);
    call->body = secret_new(RECIPE_ANSWER_MAX);
    call->answer = secret_new(RECIPE_ANSWER_MAX);
    call->header = secret_new(HEADER_MAX);
    vlt_result result = call->body && call->answer && call->header
                            ? transfer_loop_new(base, on_over, call, &call->loop)
                            : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        call_free(call);
        return result;
    }
    *ret_call = call;
    return vlt_ok();
}

void call_free(struct call *call) {
    if (!call)
        return;
    call_end(call);
    transfer_loop_free(call->loop);
    secret_free(call->body);
    secret_free(call->answer);
    secret_free(call->header);
    buf_done(&call->roots);
    free(call);
}

vlt_result call_configure(struct call *call, struct bytes ca_pem, unsigned timeout_ms) {
    buf_clear(&call->roots);
    buf_put(&call->roots, ca_pem);
    call->timeout_ms = (long)timeout_ms;
    return buf_failed(&call->roots) ? vlt_fail(VLT_LIMIT, "too many roots") : vlt_ok();
}

// ---- A request ----

static bool add_header(struct call *call, const char *name, const char *prefix,
                       struct bytes value) {
    size_t name_size = strlen(name), prefix_size = strlen(prefix);
    if (name_size + prefix_size + value.size + 3 > secret_capacity(call->header))
        return false;
    // A value with a line end would be two headers.
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] < 0x20 || value.at[i] == 0x7f)
            return false;
    char *at = (char *)secret_borrow_room(call->header);
    size_t size = (size_t)snprintf(at, secret_capacity(call->header), "%s: %s", name, prefix);
    memcpy(at + size, value.at, value.size);
    at[size + value.size] = 0;
    struct curl_slist *grown = curl_slist_append(call->headers, at);
    secret_release_sized(call->header, size + value.size);
    secret_wipe(call->header);
    if (grown)
        call->headers = grown;
    return grown != NULL;
}

static vlt_result sign(struct call *call, const struct recipe_request *request,
                       struct bytes value) {
    const struct sigv4_request parts = {.method = request->method,
                                        .host = request->host,
                                        .content_type = request->content_type,
                                        .target = buf_bytes(&request->target),
                                        .body = buf_bytes(&request->body),
                                        .region = request->region,
                                        .service = request->service,
                                        .now_s = clock_now_s()};
    struct sigv4_headers headers;
    VLT_TRY(sigv4_sign(&parts, value, &headers));
    struct bytes session = bytes_of_text(headers.security_token);
    bool is_set = add_header(call, "x-amz-date", "", bytes_of_text(headers.date)) &&
                  add_header(call, "authorization", "", bytes_of_text(headers.authorization)) &&
                  (!session.size || add_header(call, "x-amz-security-token", "", session));
    secret_cleanse(&headers, sizeof headers);
    return is_set ? vlt_ok() : vlt_fail(VLT_LIMIT, "a header is too long");
}

static vlt_result add_headers(struct call *call, const struct recipe_request *request,
                              const struct secret *secret) {
    struct bytes value = bytes_of(secret_borrow(secret), secret_size(secret));
    vlt_result result =
        request->auth == RECIPE_AUTH_SIGV4 ? sign(call, request, value)
        : add_header(call, request->header, request->prefix, value)
            ? vlt_ok()
            : vlt_fail(VLT_MALFORMED, "the credential does not fit into a header");
    secret_release(secret);
    if (vlt_is_ok(result) && request->content_type[0] &&
        !add_header(call, "content-type", "", bytes_of_text(request->content_type)))
        result = vlt_fail(VLT_LIMIT, "a header is too long");
    return result;
}

static bool set_bounds(struct call *call) {
    const struct transfer_limits limits = {CONNECT_TIMEOUT_MS, call->timeout_ms};
    CURL *easy = call->easy;
    return transfer_bound(easy, &limits) && transfer_isolate(easy) &&
           (!call->roots.size || transfer_trust(easy, buf_bytes(&call->roots))) &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK;
}

static bool set_request(struct call *call, const struct recipe_request *request) {
    char url[URL_MAX];
    CURL *easy = call->easy;
    bool has_body = request->body.size || strcmp(request->method, "POST") == 0;
    int size = snprintf(url, sizeof url, "https://%s%.*s", request->host,
                        (int)request->target.size, (const char *)request->target.at);
    buf_put(&call->sent, buf_bytes(&request->body));
    if (size < 0 || (size_t)size >= sizeof url || buf_failed(&call->sent))
        return false;
    if (has_body &&
        (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)call->sent.size) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                          call->sent.size ? (const char *)call->sent.at : "") != CURLE_OK))
        return false;
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers) == CURLE_OK;
}

vlt_result call_begin(struct call *call, const struct recipe_request *request,
                      const struct secret *value, call_done_fn *done, void *context) {
    if (call->easy)
        return vlt_fail(VLT_BUG, "a call is under way");
    buf_init(&call->sent, 16384);
    call->error[0] = 0;
    call->done = done;
    call->context = context;
    call->easy = curl_easy_init();
    if (!call->easy)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = add_headers(call, request, value);
    if (vlt_is_ok(result) && !(set_bounds(call) && set_request(call, request)))
        result = vlt_fail(VLT_UNAVAILABLE, "libcurl refuses the URL or an option");
    if (vlt_is_ok(result))
        result = transfer_loop_add(call->loop, call->easy);
    if (!vlt_is_ok(result))
        call_end(call);
    return result;
}
