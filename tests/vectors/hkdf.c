// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "libvault/crypto/kdf.h"
#include "tests/vectors/wycheproof.h"

#define OKM_MAX (255 * DIGEST_SIZE_MAX + 4096)

static bool kind_of(const char *algorithm, enum digest_kind *ret_kind) {
    static const char *const names[][DIGEST_KIND_COUNT] = {
        {"HKDF-SHA-256", "HKDF-SHA-384", "HKDF-SHA-512"},
        {"HMACSHA256", "HMACSHA384", "HMACSHA512"}};
    for (int i = 0; i < 2; i++)
        for (int kind = 0; kind < DIGEST_KIND_COUNT; kind++)
            if (strcmp(algorithm, names[i][kind]) == 0) {
                *ret_kind = (enum digest_kind)kind;
                return true;
            }
    return false;
}

static void run_hkdf(const struct wycheproof_case *c, void *kind) {
    struct buf octets;
    buf_init(&octets, 8 << 20);
    wycheproof_hex(c->test, "salt", &octets);
    size_t salt_bytes = octets.size;
    wycheproof_hex(c->test, "info", &octets);
    size_t purpose_end = octets.size;
    wycheproof_hex(c->test, "okm", &octets);
    struct bytes okm = bytes_from(buf_bytes(&octets), purpose_end);
    struct secret *ikm = wycheproof_secret(c->test, "ikm"), *made = secret_new(OKM_MAX);
    if (!made)
        abort();
    vlt_result result = kdf_hkdf(*(enum digest_kind *)kind, ikm,
                                 wycheproof_slice(&octets, 0, salt_bytes),
                                 wycheproof_slice(&octets, salt_bytes, purpose_end),
                                 (size_t)wycheproof_number(c->test, "size"), made);
    bool accepted = vlt_is_ok(result) &&
                    secret_equal(bytes_of(secret_borrow(made), secret_size(made)), okm);
    secret_release(made);
    vectors_judge(c->path, c->what, c->result, accepted);
    secret_free(ikm);
    secret_free(made);
    buf_done(&octets);
}

static void run_mac(const struct wycheproof_case *c, void *kind) {
    struct buf message, tag;
    buf_init(&message, 8 << 20);
    buf_init(&tag, 8 << 20);
    wycheproof_hex(c->test, "msg", &message);
    wycheproof_hex(c->test, "tag", &tag);
    struct secret *secret = wycheproof_secret(c->test, "key");
    struct hmac_key *key = NULL;
    struct bytes parts[] = {buf_bytes(&message)};
    uint8_t mac[DIGEST_SIZE_MAX];
    size_t kept = (size_t)wycheproof_number(c->group, "tagSize") / 8; // some are truncated
    bool accepted = vlt_is_ok(hmac_key_new(*(enum digest_kind *)kind, secret, &key)) &&
                    vlt_is_ok(hmac_parts(key, parts, 1, mac)) && kept <= sizeof mac &&
                    secret_equal(bytes_of(mac, kept), buf_bytes(&tag));
    vectors_judge(c->path, c->what, c->result, accepted);
    hmac_key_free(key);
    secret_free(secret);
    buf_done(&message);
    buf_done(&tag);
}

static void run_group(const char *path, const json_t *file, json_t *group) {
    static const char *const hkdf[] = {"ikm", "salt", "info", "okm", NULL},
                             *const mac[] = {"key", "msg", "tag", NULL};
    enum digest_kind kind;
    const char *type = wycheproof_text(group, "type");
    bool is_hkdf = strcmp(type, "HkdfTest") == 0;
    if (!kind_of(wycheproof_text(file, "algorithm"), &kind) ||
        (!is_hkdf && strcmp(type, "MacTest") != 0))
        wycheproof_skip(path, file, group);
    else
        wycheproof_each_test(path, file, group, is_hkdf ? hkdf : mac, is_hkdf ? run_hkdf : run_mac,
                             &kind);
}

static void visit(const char *path, struct bytes content) {
    wycheproof_visit(path, content, run_group);
}

void vectors_hkdf(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
