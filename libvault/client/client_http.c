// SPDX-License-Identifier: Apache-2.0
#include "libvault/client/client_http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#define SEND_TIMEOUT_MS 30000
#define UNIX_PREFIX "unix:"
#define HTTPS_PREFIX "https://"

struct client_http {
    CURL *curl;
    char origin[CLIENT_URL_MAX];
    char unix_path[108]; // sockaddr_un's limit; empty: TLS
    char *ca_file, *bearer;
    char curl_error[CURL_ERROR_SIZE];
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static void curl_begin(void) { curl_global_init(CURL_GLOBAL_DEFAULT); }

static vlt_result server_take(struct client_http *http, const char *server, struct fault *fault) {
    if (!strncmp(server, UNIX_PREFIX, strlen(UNIX_PREFIX))) {
        const char *path = server + strlen(UNIX_PREFIX);
        if (path[0] != '/' || strlen(path) >= sizeof http->unix_path)
            return fault_set(fault, VLT_MALFORMED, "bad server",
                             "%s: the path of a unix socket is absolute and below %zu characters",
                             server, sizeof http->unix_path);
        snprintf(http->unix_path, sizeof http->unix_path, "%s", path);
        snprintf(http->origin, sizeof http->origin, "http://vaultd");
        return vlt_ok();
    }
    size_t prefix = strlen(HTTPS_PREFIX), size = strlen(server);
    while (size > prefix && server[size - 1] == '/')
        size--;
    if (size <= prefix || strncmp(server, HTTPS_PREFIX, prefix) || size >= sizeof http->origin ||
        strcspn(server, "?#@ ") < size)
        return fault_set(fault, VLT_MALFORMED, "bad server",
                         "%s: give unix:/path/to/socket or https://host[:port]", server);
    snprintf(http->origin, sizeof http->origin, "%.*s", (int)size, server);
    return vlt_ok();
}

// RFC 6750 section 2.1. A line end would begin another header.
static bool is_token(const char *bearer) {
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=";
    return bearer[strspn(bearer, letters)] == 0;
}

// What the settings say, checked and kept.
static vlt_result settings_take(struct client_http *http, const struct vault_settings *settings,
                                struct fault *fault) {
    VLT_TRY(server_take(http, settings->server, fault));
    bool needs_roots = settings->ca_file && !http->unix_path[0];
    if (needs_roots && access(settings->ca_file, R_OK) != 0)
        return fault_set(fault, VLT_MALFORMED, "roots not readable",
                         "the roots in %s can not be read: %s", settings->ca_file,
                         strerror(errno));
    if (settings->bearer && !is_token(settings->bearer))
        return fault_set(fault, VLT_MALFORMED, "not a token",
                         "the bearer token holds a space, a line end or another character that "
                         "no token has");
    if ((settings->ca_file && !(http->ca_file = strdup(settings->ca_file))) ||
        (settings->bearer && !(http->bearer = strdup(settings->bearer))))
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    return vlt_ok();
}

static void curl_set(struct client_http *http, unsigned timeout_ms) {
    curl_easy_setopt(http->curl, CURLOPT_ERRORBUFFER, http->curl_error);
    curl_easy_setopt(http->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(http->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(http->curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_3);
    curl_easy_setopt(http->curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(http->curl, CURLOPT_PROTOCOLS_STR, http->unix_path[0] ? "http" : "https");
    curl_easy_setopt(http->curl, CURLOPT_TIMEOUT_MS,
                     (long)(timeout_ms ? timeout_ms : SEND_TIMEOUT_MS));
    if (http->unix_path[0]) {
        curl_easy_setopt(http->curl, CURLOPT_UNIX_SOCKET_PATH, http->unix_path);
        curl_easy_setopt(http->curl, CURLOPT_PROXY, "");
    }
    if (http->ca_file) {
        curl_easy_setopt(http->curl, CURLOPT_CAINFO, http->ca_file);
        curl_easy_setopt(http->curl, CURLOPT_CAPATH, NULL);
    }
}

vlt_result client_http_open(const struct vault_settings *settings, struct fault *fault,
                            struct client_http **ret_http) {
    pthread_once(&curl_once, curl_begin);
    struct client_http *http = calloc(1, sizeof *http);
    if (!http)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = settings_take(http, settings, fault);
    if (vlt_is_ok(result) && !(http->curl = curl_easy_init()))
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!vlt_is_ok(result)) {
        client_http_close(http);
        return result;
    }
    curl_set(http, settings->timeout_ms);
    *ret_http = http;
    return vlt_ok();
}

void client_http_close(struct client_http *http) {
    if (!http)
        return;
    if (http->curl)
        curl_easy_cleanup(http->curl);
    if (http->bearer)
        secret_cleanse(http->bearer, strlen(http->bearer));
    free(http->bearer);
    free(http->ca_file);
    free(http);
}

const char *client_http_origin(const struct client_http *http) { return http->origin; }

void client_answer_done(struct client_answer *answer) {
    if (answer->body.at)
        secret_cleanse(answer->body.at, answer->body.size);
    buf_done(&answer->body);
}

static size_t body_take(char *at, size_t size, size_t count, void *context) {
    struct client_answer *answer = context;
    buf_put(&answer->body, bytes_of(at, size * count));
    return buf_failed(&answer->body) ? 0 : size * count; // 0 makes curl stop
}

static void header_take(struct bytes line, const char *name, char *text, size_t capacity) {
    size_t size = strlen(name);
    if (line.size <= size || strncasecmp((const char *)line.at, name, size) || line.at[size] != ':')
        return;
    struct bytes value = bytes_from(line, size + 1);
    while (value.size && (value.at[0] == ' ' || value.at[0] == '\t'))
        value = bytes_from(value, 1);
    while (value.size && value.at[value.size - 1] <= ' ')
        value.size--;
    if (!bytes_to_text(value, text, capacity))
        text[0] = 0; // longer than any of ours: as if absent
}

static size_t headers_take(char *at, size_t size, size_t count, void *context) {
    struct client_answer *answer = context;
    struct bytes line = bytes_of(at, size * count);
    header_take(line, "etag", answer->etag, sizeof answer->etag);
    header_take(line, "dpop-nonce", answer->dpop_nonce, sizeof answer->dpop_nonce);
    return line.size;
}

static bool headers_put(struct curl_slist **list, const char *name, const char *value) {
    struct buf line;
    buf_init(&line, 32768);
    buf_put_format(&line, "%s: %s", name, value);
    const char *text = buf_text(&line);
    struct curl_slist *longer = text ? curl_slist_append(*list, text) : NULL;
    if (text)
        secret_cleanse(line.at, line.size);
    buf_done(&line);
    if (longer)
        *list = longer;
    return longer != NULL;
}

static bool headers_of(const struct client_http *http, const struct client_request *request,
                       struct curl_slist **ret_list) {
    struct buf bearer;
    buf_init(&bearer, 32768);
    bool fits =
        headers_put(ret_list, "Accept", "application/json, application/problem+json") &&
        headers_put(ret_list, "Expect", "") &&
        (!request->media_type || headers_put(ret_list, "Content-Type", request->media_type));
    if (http->bearer) {
        buf_put_format(&bearer, "Bearer %s", http->bearer);
        const char *text = buf_text(&bearer);
        fits = fits && text && headers_put(ret_list, "Authorization", text);
        if (text)
            secret_cleanse(bearer.at, bearer.size);
    }
    buf_done(&bearer);
    for (size_t i = 0; i < request->header_count; i++)
        fits = fits && headers_put(ret_list, request->headers[i].name, request->headers[i].value);
    return fits;
}

// What a person can do about a connection that did not come up.
static vlt_result connection_fault(const struct client_http *http, CURLcode code,
                                   struct fault *fault) {
    long os_errno = 0;
    curl_easy_getinfo(http->curl, CURLINFO_OS_ERRNO, &os_errno);
    const char *why = http->curl_error[0] ? http->curl_error : curl_easy_strerror(code);
    if (http->unix_path[0] && os_errno == EACCES)
        return fault_set(fault, VLT_DENIED, "no permission for the socket",
                         "no permission to open %s: run this as root or as a user that the socket "
                         "admits", http->unix_path);
    if (http->unix_path[0] && (os_errno == ENOENT || os_errno == ECONNREFUSED))
        return fault_set(fault, VLT_UNAVAILABLE, "nobody listens",
                         "nobody listens at %s: start vaultd, or name the right address",
                         http->unix_path);
    if (code == CURLE_SSL_CACERT_BADFILE)
        return fault_set(fault, VLT_MALFORMED, "roots not usable",
                         "the roots in %s are not usable: that file must hold certificates in PEM",
                         http->ca_file ? http->ca_file : "the system's file");
    if (code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY)
        return fault_set(fault, VLT_UNAVAILABLE, "not HTTP",
                         "what answers at %s does not speak HTTP: is this a vault?",
                         http->unix_path[0] ? http->unix_path : http->origin);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return fault_set(fault, VLT_UNAVAILABLE, "certificate not trusted",
                         "the certificate of %s is not trusted (%s): name its root with --ca",
                         http->origin, why);
    if (code == CURLE_WRITE_ERROR)
        return fault_set(fault, VLT_LIMIT, "answer too large",
                         "the answer of %s is larger than %u MiB", http->origin,
                         VAULT_ANSWER_MAX_BYTES >> 20);
    return fault_set(fault, VLT_UNAVAILABLE, "no answer", "no answer from %s: %s",
                     http->unix_path[0] ? http->unix_path : http->origin, why);
}

vlt_result client_http_send(struct client_http *http, const struct client_request *request,
                            struct fault *fault, struct client_answer *ret_answer) {
    *ret_answer = (struct client_answer){0};
    buf_init(&ret_answer->body, VAULT_ANSWER_MAX_BYTES);
    struct curl_slist *headers = NULL;
    struct buf url;
    buf_init(&url, 16384);
    buf_put_text(&url, http->origin);
    buf_put_text(&url, request->target);
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (!buf_text(&url) || !headers_of(http, request, &headers))
        goto out;
    http->curl_error[0] = 0;
    curl_easy_setopt(http->curl, CURLOPT_URL, buf_text(&url));
    curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(http->curl, CURLOPT_HTTPHEADER, headers);
    if (request->media_type) {
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.size);
        curl_easy_setopt(http->curl, CURLOPT_POSTFIELDS,
                         request->body.size ? (const char *)request->body.at : "");
    } else {
        curl_easy_setopt(http->curl, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(http->curl, CURLOPT_CUSTOMREQUEST, request->method);
    curl_easy_setopt(http->curl, CURLOPT_WRITEFUNCTION, body_take);
    curl_easy_setopt(http->curl, CURLOPT_WRITEDATA, ret_answer);
    curl_easy_setopt(http->curl, CURLOPT_HEADERFUNCTION, headers_take);
    curl_easy_setopt(http->curl, CURLOPT_HEADERDATA, ret_answer);
    CURLcode code = curl_easy_perform(http->curl);
    if (code != CURLE_OK) {
        result = connection_fault(http, code, fault);
        goto out;
    }
    long status = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    ret_answer->status = (unsigned)status;
    result = vlt_ok();
out:
    curl_slist_free_all(headers);
    buf_done(&url);
    return result;
}
