// SPDX-License-Identifier: Apache-2.0
#include "libvault/transfer/transfer.h"

bool transfer_bound(CURL *easy, const struct transfer_limits *limits) {
    return curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, limits->connect_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, limits->whole_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "vaultd") == CURLE_OK;
}

bool transfer_trust(CURL *easy, struct bytes roots_pem) {
    // The blob's member is not const; libcurl copies it.
    struct curl_blob roots = {(void *)(uintptr_t)roots_pem.at, roots_pem.size, CURL_BLOB_COPY};
    return curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAINFO_BLOB, &roots) == CURLE_OK;
}

bool transfer_isolate(CURL *easy) {
    return curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L) == CURLE_OK;
}

// ---- Calls that are over ----

static transfer_told_fn *told_of_each;

void transfer_watch(transfer_told_fn *told) { told_of_each = told; }

void transfer_tell(CURL *easy, CURLcode code) {
    if (told_of_each)
        told_of_each(easy, code);
}

struct bytes transfer_host(const char *url) {
    const char *scheme_end = strstr(url, "://");
    if (!scheme_end)
        return bytes_of(NULL, 0);
    struct bytes host = bytes_of(scheme_end + 3, strcspn(scheme_end + 3, "/?#"));
    for (size_t at; (at = bytes_find(host, '@')) < host.size;) // a name and a password
        host = bytes_from(host, at + 1);
    return host;
}

void transfer_facts(CURL *easy, CURLcode code, struct transfer_facts *ret_facts) {
    const char *method = NULL, *url = NULL;
    curl_off_t took_us = 0;
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_METHOD, &method);
    curl_easy_getinfo(easy, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &took_us);
    *ret_facts = (struct transfer_facts){.method = method ? method : "",
                                         .host = transfer_host(url ? url : ""),
                                         .status = code == CURLE_OK ? (unsigned)status : 0,
                                         .error = code == CURLE_OK ? "" : curl_easy_strerror(code),
                                         .took_ms = took_us / 1000};
}
