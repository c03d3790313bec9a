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

struct caller {
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
    struct caller *caller = context;
    size_t have = secret_size(caller->body), more = size * count;
    if (more > secret_capacity(caller->body) - have)
        return 0; // ends the transfer
    uint8_t *room = secret_borrow_room(caller->body);
    memcpy(room + have, at, more);
    secret_release_sized(caller->body, have + more);
    return more;
}

// ---- The end of a call ----

static void call_end(struct caller *caller) {
    if (!caller->easy)
        return;
    transfer_loop_remove(caller->loop, caller->easy);
    curl_easy_cleanup(caller->easy);
    curl_slist_free_all(caller->headers);
    buf_done(&caller->sent);
    secret_wipe(caller->body);
    secret_wipe(caller->header);
    caller->easy = NULL;
    caller->headers = NULL;
}

static void on_over(CURL *easy, CURLcode code, void *context) {
    struct caller *caller = context; // there is one call at a time
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK) {
        snprintf(why, sizeof why, "%s",
                 caller->error[0] ? caller->error : curl_easy_strerror(code));
        status = 0;
    }
    struct secret *answer = caller->body;
    caller->body = caller->answer;
    caller->answer = answer;
    call_end(caller); // `done` may begin another
    struct bytes body = bytes_of(secret_borrow(answer), secret_size(answer));
    caller->done(status < 0 ? 0 : (unsigned)status, body, why, caller->context);
    secret_release(answer);
    secret_wipe(answer);
}

// ---- Life ----

vlt_result caller_new(struct event_base *base, struct caller **ret_caller) {
    secret_heap_adopt(take_heap);
    if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, heap_malloc, heap_free, heap_realloc, heap_strdup,
                             heap_calloc) != CURLE_OK)
        return vlt_fail(VLT_UNAVAILABLE, "libcurl does not start");
    struct caller *caller = calloc(1, sizeof *caller);
    if (!caller)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    buf_init(&caller->roots, 64u << 10);
    caller->body = secret_new(RECIPE_ANSWER_MAX);
    caller->answer = secret_new(RECIPE_ANSWER_MAX);
    caller->header = secret_new(HEADER_MAX);
    vlt_result result = caller->body && caller->answer && caller->header
                            ? transfer_loop_new(base, on_over, caller, &caller->loop)
                            : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        caller_free(caller);
        return result;
    }
    *ret_caller = caller;
    return vlt_ok();
}

void caller_free(struct caller *caller) {
    if (!caller)
        return;
    call_end(caller);
    transfer_loop_free(caller->loop);
    secret_free(caller->body);
    secret_free(caller->answer);
    secret_free(caller->header);
    buf_done(&caller->roots);
    free(caller);
}

vlt_result caller_configure(struct caller *caller, struct bytes ca_pem, unsigned timeout_ms) {
    buf_clear(&caller->roots);
    buf_put(&caller->roots, ca_pem);
    caller->timeout_ms = (long)timeout_ms;
    return buf_failed(&caller->roots) ? vlt_fail(VLT_LIMIT, "too many roots") : vlt_ok();
}

// ---- A request ----

static bool add_header(struct caller *caller, const char *name, const char *prefix,
                       struct bytes value) {
    size_t name_size = strlen(name), prefix_size = strlen(prefix);
    if (name_size + prefix_size + value.size + 3 > secret_capacity(caller->header))
        return false;
    // A value with a line end would be two headers.
    for (size_t i = 0; i < value.size; i++)
        if (value.at[i] < 0x20 || value.at[i] == 0x7f)
            return false;
    char *at = (char *)secret_borrow_room(caller->header);
    size_t size = (size_t)snprintf(at, secret_capacity(caller->header), "%s: %s", name, prefix);
    memcpy(at + size, value.at, value.size);
    at[size + value.size] = 0;
    struct curl_slist *grown = curl_slist_append(caller->headers, at);
    secret_release_sized(caller->header, size + value.size);
    secret_wipe(caller->header);
    if (grown)
        caller->headers = grown;
    return grown != NULL;
}

static vlt_result sign(struct caller *caller, const struct recipe_request *request,
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
    bool is_set = add_header(caller, "x-amz-date", "", bytes_of_text(headers.date)) &&
                  add_header(caller, "authorization", "", bytes_of_text(headers.authorization)) &&
                  (!session.size || add_header(caller, "x-amz-security-token", "", session));
    secret_cleanse(&headers, sizeof headers);
    return is_set ? vlt_ok() : vlt_fail(VLT_LIMIT, "a header is too long");
}

static vlt_result add_headers(struct caller *caller, const struct recipe_request *request,
                              const struct secret *secret) {
    struct bytes value = bytes_of(secret_borrow(secret), secret_size(secret));
    vlt_result result =
        request->auth == RECIPE_AUTH_SIGV4 ? sign(caller, request, value)
        : add_header(caller, request->header, request->prefix, value)
            ? vlt_ok()
            : vlt_fail(VLT_MALFORMED, "the credential does not fit into a header");
    secret_release(secret);
    if (vlt_is_ok(result) && request->content_type[0] &&
        !add_header(caller, "content-type", "", bytes_of_text(request->content_type)))
        result = vlt_fail(VLT_LIMIT, "a header is too long");
    return result;
}

static bool set_bounds(struct caller *caller) {
    const struct transfer_limits limits = {CONNECT_TIMEOUT_MS, caller->timeout_ms};
    CURL *easy = caller->easy;
    return transfer_bound(easy, &limits) && transfer_isolate(easy) &&
           (!caller->roots.size || transfer_trust(easy, buf_bytes(&caller->roots))) &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, caller->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, caller) == CURLE_OK;
}

static bool set_request(struct caller *caller, const struct recipe_request *request) {
    char url[URL_MAX];
    CURL *easy = caller->easy;
    bool has_body = request->body.size || strcmp(request->method, "POST") == 0;
    int size = snprintf(url, sizeof url, "https://%s%.*s", request->host,
                        (int)request->target.size, (const char *)request->target.at);
    buf_put(&caller->sent, buf_bytes(&request->body));
    if (size < 0 || (size_t)size >= sizeof url || buf_failed(&caller->sent))
        return false;
    if (has_body &&
        (curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)caller->sent.size) != CURLE_OK ||
         curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                          caller->sent.size ? (const char *)caller->sent.at : "") != CURLE_OK))
        return false;
    return curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, caller->headers) == CURLE_OK;
}

vlt_result call_begin(struct caller *caller, const struct recipe_request *request,
                      const struct secret *value, call_done_fn *done, void *context) {
    if (caller->easy)
        return vlt_fail(VLT_BUG, "a call is under way");
    buf_init(&caller->sent, 16384);
    caller->error[0] = 0;
    caller->done = done;
    caller->context = context;
    caller->easy = curl_easy_init();
    if (!caller->easy)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = add_headers(caller, request, value);
    if (vlt_is_ok(result) && !(set_bounds(caller) && set_request(caller, request)))
        result = vlt_fail(VLT_UNAVAILABLE, "libcurl refuses the URL or an option");
    if (vlt_is_ok(result))
        result = transfer_loop_add(caller->loop, caller->easy);
    if (!vlt_is_ok(result))
        call_end(caller);
    return result;
}
