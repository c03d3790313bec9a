// SPDX-License-Identifier: Apache-2.0
#include "libvault/recipe/sigv4.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libvault/base/hex.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"

#define SECRET_MAX 256
#define CANONICAL_MAX 16384
#define HEX_SIZE (2 * DIGEST_SHA256_SIZE + 1)

struct signing {
    const struct sigv4_request *request;
    const char *key_id, *key, *token;
    char date[17], day[9], scope[160];
};

static vlt_result hash_hex(struct bytes bytes, char hex[HEX_SIZE]) {
    uint8_t digest[DIGEST_SHA256_SIZE];
    VLT_TRY(digest_sha256(bytes, digest));
    hex_encode(bytes_of(digest, sizeof digest), hex);
    return vlt_ok();
}

static const char *signed_headers(const struct signing *s) {
    bool has_body = s->request->content_type[0] != 0;
    if (has_body)
        return s->token ? "content-type;host;x-amz-date;x-amz-security-token"
                        : "content-type;host;x-amz-date";
    return s->token ? "host;x-amz-date;x-amz-security-token" : "host;x-amz-date";
}

static vlt_result canonical_hash(const struct signing *s, char hex[HEX_SIZE]) {
    const struct sigv4_request *request = s->request;
    size_t path = bytes_find(request->target, '?');
    struct buf text;
    char body[HEX_SIZE];
    VLT_TRY(hash_hex(request->body, body));
    buf_init(&text, CANONICAL_MAX);
    buf_put_format(&text, "%s\n", request->method);
    buf_put(&text, bytes_of(request->target.at, path));
    buf_put_byte(&text, '\n');
    if (path < request->target.size)
        buf_put(&text, bytes_from(request->target, path + 1));
    buf_put_byte(&text, '\n');
    if (request->content_type[0])
        buf_put_format(&text, "content-type:%s\n", request->content_type);
    buf_put_format(&text, "host:%s\nx-amz-date:%s\n", request->host, s->date);
    if (s->token)
        buf_put_format(&text, "x-amz-security-token:%s\n", s->token);
    buf_put_format(&text, "\n%s\n%s", signed_headers(s), body);
    vlt_result result = buf_failed(&text) ? vlt_fail(VLT_LIMIT, "a request is too long to sign")
                                          : hash_hex(buf_bytes(&text), hex);
    if (text.at)
        secret_cleanse(text.at, text.size);
    buf_done(&text);
    return result;
}

// "AWS4" and the key, then date, region, service and a constant, each the key of
// the next.
static vlt_result derive(const struct signing *s, uint8_t key[DIGEST_SHA256_SIZE]) {
    char first[SECRET_MAX + 5];
    const struct bytes parts[] = {bytes_of_text(s->day), bytes_of_text(s->request->region),
                                  bytes_of_text(s->request->service),
                                  BYTES_LITERAL("aws4_request")};
    int size = snprintf(first, sizeof first, "AWS4%s", s->key);
    vlt_result result = size < 0 || (size_t)size >= sizeof first
                            ? vlt_fail(VLT_MALFORMED, "the secret access key is too long")
                            : hmac_sha256_once((const uint8_t *)first, (size_t)size, parts[0], key);
    for (size_t i = 1; i < 4 && vlt_is_ok(result); i++) {
        uint8_t next[DIGEST_SHA256_SIZE];
        result = hmac_sha256_once(key, DIGEST_SHA256_SIZE, parts[i], next);
        memcpy(key, next, sizeof next);
        secret_cleanse(next, sizeof next);
    }
    secret_cleanse(first, sizeof first);
    return result;
}

static vlt_result sign(const struct signing *s, struct sigv4_headers *headers) {
    char canonical[HEX_SIZE], signature[HEX_SIZE], text[512];
    uint8_t key[DIGEST_SHA256_SIZE], mac[DIGEST_SHA256_SIZE];
    VLT_TRY(canonical_hash(s, canonical));
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", s->date, s->scope, canonical);
    vlt_result result = derive(s, key);
    if (vlt_is_ok(result))
        result = hmac_sha256_once(key, sizeof key, bytes_of_text(text), mac);
    secret_cleanse(key, sizeof key);
    VLT_TRY(result);
    hex_encode(bytes_of(mac, sizeof mac), signature);
    memcpy(headers->date, s->date, sizeof headers->date);
    headers->security_token[0] = 0;
    if (s->token && !bytes_to_text(bytes_of_text(s->token), headers->security_token,
                                   sizeof headers->security_token))
        return vlt_fail(VLT_MALFORMED, "the session token is too long");
    int size = snprintf(headers->authorization, sizeof headers->authorization,
                        "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
                        s->key_id, s->scope, signed_headers(s), signature);
    return size > 0 && (size_t)size < sizeof headers->authorization
               ? vlt_ok()
               : vlt_fail(VLT_MALFORMED, "the access key id is too long");
}

static vlt_result set_date(struct signing *s) {
    struct tm tm;
    time_t now = (time_t)s->request->now_s;
    if (!gmtime_r(&now, &tm) || !strftime(s->date, sizeof s->date, "%Y%m%dT%H%M%SZ", &tm))
        return vlt_fail(VLT_BUG, "a time that has no date");
    memcpy(s->day, s->date, 8);
    snprintf(s->scope, sizeof s->scope, "%s/%s/%s/aws4_request", s->day, s->request->region,
             s->request->service);
    return vlt_ok();
}

vlt_result sigv4_sign(const struct sigv4_request *request, struct bytes value,
                      struct sigv4_headers *ret_headers) {
    struct signing s = {.request = request};
    json_t *root = NULL;
    VLT_TRY(jsontext_parse(value, &jsontext_token_limits, NULL, &root));
    s.key_id = json_string_value(json_object_get(root, "AccessKeyId"));
    s.key = json_string_value(json_object_get(root, "SecretAccessKey"));
    s.token = json_string_value(json_object_get(root, "SessionToken"));
    vlt_result result = s.key_id && s.key
                            ? set_date(&s)
                            : vlt_fail(VLT_MALFORMED,
                                       "the credential is no JSON object with AccessKeyId and "
                                       "SecretAccessKey");
    if (vlt_is_ok(result))
        result = sign(&s, ret_headers);
    json_decref(root);
    return result;
}
