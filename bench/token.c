// SPDX-License-Identifier: Apache-2.0
// bench_token: what the pieces of an issued token cost in one process, on one
// core: its payload by our writer and by libjwt, signing, verifying, reading a
// subject token. Prints microseconds, best of five rounds.
#include <event2/event.h>
#include <jwt.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "libvault/crypto/jws_headers.h"
#include "libvault/crypto/pkey.h"
#include "libvault/identity/dpop.h"
#include "libvault/identity/subject.h"
#include "libvault/token/token_sign.h"
#include "libvault/token/token_verify.h"

#define ROUNDS 5
#define ROUND_NS 60000000
#define NOW 1800000000
#define TENANT 1u

static struct {
    struct jwk *signer, *idp, *client;
    struct jwk_set ring;
    struct token_claims claims;
    struct buf out, token, subject, proof;
    uint8_t wire[12288];
    size_t wire_bytes;
    struct store *store;
    struct jwks_cache *cache;
    struct issuer_book *book;
    struct jws_headers *headers;
    char folder[64];
} b;

static void must(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "bench_token: %s\n", what);
    exit(1);
}
static void go(vlt_result result) { must(vlt_is_ok(result), result.reason); }

// ---- What is measured ----

static void payload_direct(void) {
    buf_clear(&b.out);
    go(token_claims_json(&b.claims, &b.out));
}

// The same members through libjwt; what it has no call for goes in as JSON.
static void payload_libjwt(void) {
    static const char nested[] =
        "{\"act\":{\"sub\":\"https://idp.example|agent-7\",\"sub_profile\":\"agent\"},"
        "\"authorization_details\":[{\"credential\":\"openai-prod\",\"methods\":[\"POST\"],"
        "\"models\":[\"gpt-*\"],\"paths\":[\"/v1/chat/completions\"],\"type\":\"credential_use\"}],"
        "\"cnf\":{\"jkt\":\"WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo\"},\"groups\":[\"eng\","
        "\"ops\"]}";
    static const char *const texts[][2] = {
        {"iss", "https://vault.example"}, {"aud", "https://vault.example"},
        {"sub", "https://idp.example|alice"}, {"sub_profile", "user"}, {"client_id", "agent-7"},
        {"tid", "default"}, {"jti", "0123456789abcdef012345"}, {"txn", "0123456789abcdef"},
        {"pol", "WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo"}};
    jwt_t *jwt = NULL;
    must(jwt_new(&jwt) == 0, "jwt_new");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        must(jwt_add_grant(jwt, texts[i][0], texts[i][1]) == 0, "jwt_add_grant");
    must(jwt_add_grant_int(jwt, "iat", NOW) == 0 && jwt_add_grant_int(jwt, "exp", NOW + 300) == 0 &&
             jwt_add_grants_json(jwt, nested) == 0, "jwt_add_grants_json");
    char *text = jwt_get_grants_json(jwt, NULL);
    must(text != NULL, "jwt_get_grants_json");
    free(text);
    jwt_free(jwt);
}

static void claims_wire(void) {
    struct token_claims back;
    go(token_claims_get(bytes_of(b.wire, b.wire_bytes), &back));
}

static void sign(void) {
    buf_clear(&b.out);
    go(token_sign(b.signer, &b.claims, &b.out));
}

static void verify(void) {
    const struct token_expectation expected = {
        .keys = &b.ring, .issuer_base = BYTES_LITERAL("https://vault.example"), .now_s = NOW + 1};
    struct token_verified verified;
    go(token_verify(buf_bytes(&b.token), &expected, &verified));
    token_verified_done(&verified);
}

static void subject(void) {
    const struct subject_expectation expected = {
        .book = b.book, .store = b.store, .tenant = TENANT, .now_s = NOW, .headers = b.headers};
    struct subject *who = NULL;
    struct jwks_entry *await = NULL;
    go(store_snapshot_begin(b.store));
    go(subject_verify(buf_bytes(&b.subject), &expected, &who, &await));
    store_snapshot_end(b.store);
    subject_free(who);
}

static void proof(void) {
    const struct dpop_expectation expected = {
        .method = BYTES_LITERAL("POST"),
        .uri = BYTES_LITERAL("https://vault.example/oauth2/token"),
        .now_s = NOW,
        .headers = b.headers};
    struct dpop_proof made;
    const char *reason = "";
    must(dpop_verify(buf_bytes(&b.proof), &expected, &made, &reason) == DPOP_VALID, "dpop_verify");
}

static const struct {
    const char *name;
    void (*run)(void);
} pieces[] = {{"payload, our writer", payload_direct},
              {"payload, libjwt", payload_libjwt},
              {"claims off the wire", claims_wire},
              {"token_sign (ES256)", sign},
              {"token_verify (ES256)", verify},
              {"subject_verify (RS256)", subject},
              {"dpop_verify (ES256)", proof}};

static int64_t now_ns(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

static double measure(void (*run)(void)) {
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        int64_t begin = now_ns(), end = begin, count = 0;
        for (; end - begin < ROUND_NS; count++, end = now_ns())
            run();
        double each = (double)(end - begin) / (double)count / 1000;
        best = each < best ? each : best;
    }
    return best;
}

// ---- What it is measured on ----

static struct jwk *key_of(EVP_PKEY *pkey, const char *kid) {
    struct jwk *key = NULL;
    must(pkey != NULL, "key generation");
    go(jwk_of_pkey(pkey, kid, &key));
    return key;
}
static struct jwk *key_p256(const char *kid) {
    EVP_PKEY *pkey = NULL;
    go(pkey_generate(PKEY_P256, &pkey));
    return key_of(pkey, kid);
}

static void make_claims(void) {
    b.claims = (struct token_claims){
        .issuer = BYTES_LITERAL("https://vault.example"),
        .audience = BYTES_LITERAL("https://vault.example"),
        .tenant = BYTES_LITERAL("default"),
        .id = BYTES_LITERAL("0123456789abcdef012345"),
        .principal = BYTES_LITERAL("https://idp.example|alice"),
        .client = BYTES_LITERAL("agent-7"),
        .actor_count = 1,
        .actors = {{BYTES_LITERAL("https://idp.example|agent-7"), TOKEN_AGENT}},
        .issued_at = NOW,
        .expires_at = NOW + 300,
        .correlation = BYTES_LITERAL("0123456789abcdef"),
        .policy_set = BYTES_LITERAL("WlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlo"),
        .group_count = 2,
        .groups = {BYTES_LITERAL("eng"), BYTES_LITERAL("ops")},
        .binding = TOKEN_BOUND_DPOP,
        .detail_count = 1,
        .details = {{.credential = BYTES_LITERAL("openai-prod"),
                     .methods = {1, {BYTES_LITERAL("POST")}},
                     .paths = {1, {BYTES_LITERAL("/v1/chat/completions")}},
                     .models = {1, {BYTES_LITERAL("gpt-*")}}}}};
    memset(b.claims.thumbprint, 0x5a, sizeof b.claims.thumbprint);
    struct wire_writer w;
    wire_writer_init(&w, b.wire, sizeof b.wire);
    token_claims_put(&w, &b.claims);
    b.wire_bytes = w.size;
}

static void make_tokens(void) {
    json_t *jwk = NULL;
    struct buf header;
    buf_init(&header, 1024);
    go(token_sign(b.signer, &b.claims, &b.token));
    go(jws_sign(
        b.idp, BYTES_LITERAL("{\"alg\":\"RS256\",\"kid\":\"r\"}"),
        BYTES_LITERAL("{\"iss\":\"https://"
                      "idp.example\",\"aud\":\"vault\",\"sub\":\"alice\",\"azp\":\"agent-7\","
                      "\"iat\":1799999990,\"exp\":1800003600,\"jti\":\"0123456789abcdef\","
                      "\"groups\":[\"eng\",\"ops\"],\"acr\":\"mfa\",\"amr\":[\"pwd\",\"otp\"]}"),
        &b.subject));
    go(jwk_export(b.client, NULL, NULL, &jwk));
    char *text = json_dumps(jwk, JSON_COMPACT);
    buf_put_format(&header, "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\",\"jwk\":%s}", text);
    go(jws_sign(b.client, buf_bytes(&header),
                BYTES_LITERAL("{\"jti\":\"0123456789abcdef\",\"htm\":\"POST\","
                              "\"htu\":\"https://vault.example/oauth2/token\",\"iat\":1800000000}"),
                &b.proof));
    free(text);
    json_decref(jwk);
    buf_done(&header);
}

static void make_store(struct event_base *base) {
    json_t *jwk = NULL;
    memcpy(b.folder, "/tmp/vault-bench-XXXXXX", sizeof "/tmp/vault-bench-XXXXXX");
    must(mkdtemp(b.folder) != NULL, "mkdtemp");
    go(store_open(b.folder, STORE_CREATE, NULL, &b.store));
    go(jwk_export(b.idp, NULL, "sig", &jwk));
    json_t *record =
        json_pack("{s:s, s:s, s:{s:[o]}, s:[s], s:[s], s:s, s:[{s:s,s:s}]}", "name", "idp",
                  "issuer", "https://idp.example", "jwks", "keys", jwk, "audiences", "vault",
                  "algorithms", "RS256", "kind", "user", "groups", "claim", "groups", "value", "*");
    char *text = json_dumps(record, JSON_COMPACT);
    const struct store_change change = {.tenant = TENANT,
                                        .class = STORE_ISSUER,
                                        .name = BYTES_LITERAL("idp"),
                                        .value = bytes_of_text(text)};
    uint64_t revision;
    size_t conflict;
    go(store_commit(b.store, &change, 1, &revision, &conflict));
    free(text);
    json_decref(record);
    go(jwks_cache_new(base, BYTES_LITERAL("none"), NULL, &b.cache));
    b.book = issuer_book_new(b.cache);
}

static void remove_store(void) {
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    char path[96];
    issuer_book_free(b.book);
    jwks_cache_free(b.cache);
    store_close(b.store);
    for (size_t i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", b.folder, names[i]);
        unlink(path);
    }
    rmdir(b.folder);
}

int main(void) {
    struct event_base *base = event_base_new();
    must(base != NULL, "event_base_new");
    must((b.headers = jws_headers_new()) != NULL, "jws_headers_new");
    go(secret_heap_open(1u << 20, NULL));
    buf_init(&b.out, 16384);
    buf_init(&b.token, 16384);
    buf_init(&b.subject, 16384);
    buf_init(&b.proof, 16384);
    b.signer = key_p256("k");
    b.client = key_p256(NULL);
    b.idp = key_of(EVP_RSA_gen(2048), "r");
    b.ring = (struct jwk_set){.count = 1, .keys = {b.signer}};
    make_claims();
    make_tokens();
    make_store(base);
    printf("token of %zu bytes\n%-26s %8s\n", b.token.size, "piece", "us");
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
        printf("%-26s %8.2f\n", pieces[i].name, measure(pieces[i].run));
    remove_store();
    jws_headers_free(b.headers);
    jwk_free(b.signer);
    jwk_free(b.client);
    jwk_free(b.idp);
    buf_done(&b.out);
    buf_done(&b.token);
    buf_done(&b.subject);
    buf_done(&b.proof);
    event_base_free(base);
    return 0;
}
