// SPDX-License-Identifier: Apache-2.0
// bench_crypto: what one operation costs in-process, on one core, with keys
// parsed once. Prints nanoseconds, best of five rounds. The line "floor of an
// issue" is the denominator of the issuing ratio in bench/README.md. With
// `--adopt`, OpenSSL works inside the secret heap, as in the keeper.
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "libvault/crypto/aead.h"
#include "libvault/crypto/crypto.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"

#define ROUNDS 5
#define ROUND_NS 40000000
#define CONTENT 200

static struct {
    struct jwk *rsa, *p256, *ed;
    struct jws_parts rs256, es256;
    struct buf rs256_token, es256_token, out;
    struct xaes_key *xaes;
    struct hmac_key *hmac;
    struct secret *content, *opened;
    uint8_t sealed[XAES_SEALED_SIZE(CONTENT)];
    struct jwe_intake_fields intake;
} b;

static const struct bytes payload = BYTES_LITERAL(
    "{\"aud\":\"vault\",\"exp\":1800000000,\"iat\":1799999700,\"iss\":\"https://issuer.example\","
    "\"jti\":\"0123456789abcdef\",\"sub\":\"workload:build-42\"}");

static void must(vlt_result result) {
    if (vlt_is_ok(result))
        return;
    fprintf(stderr, "bench_crypto: %s\n", result.reason);
    exit(1);
}

static void verify_rs256(void) { must(jws_verify(&b.rs256, JWS_BIT(JWS_RS256), b.rsa)); }
static void verify_es256(void) { must(jws_verify(&b.es256, JWS_BIT(JWS_ES256), b.p256)); }
static void sign_es256(void) {
    buf_clear(&b.out);
    must(jws_sign(b.p256, BYTES_LITERAL("{\"alg\":\"ES256\"}"), payload, &b.out));
}
static void split_verify_rs256(void) {
    struct jws_parts parts;
    must(jws_split(buf_bytes(&b.rs256_token), 0, &parts));
    must(jws_verify(&parts, JWS_BIT(JWS_RS256), b.rsa));
    jws_parts_done(&parts);
}
static void issue_floor(void) {
    verify_rs256();
    sign_es256();
}
static void split_es256(void) {
    struct jws_parts parts;
    must(jws_split(buf_bytes(&b.es256_token), 0, &parts));
    jws_parts_done(&parts);
}
static void sign_ed25519(void) {
    uint8_t signature[JWS_SIGNATURE_MAX];
    size_t size;
    must(jws_sign_raw(b.ed, payload, signature, &size));
}
static void xaes_seal_200(void) { must(xaes_seal_fresh(b.xaes, payload, b.content, b.sealed)); }
static void xaes_open_200(void) {
    must(xaes_open_fresh(b.xaes, payload, bytes_of(b.sealed, sizeof b.sealed), b.opened));
}
static void sha256_400(void) {
    static const uint8_t input[400];
    uint8_t digest[DIGEST_SHA256_SIZE];
    must(digest_sha256(bytes_of(input, sizeof input), digest));
}
static void hmac_400(void) {
    static const uint8_t input[400];
    uint8_t mac[DIGEST_SHA256_SIZE];
    must(hmac_sha256(b.hmac, bytes_of(input, sizeof input), mac));
}
static void thumbprint(void) {
    uint8_t digest[JWK_THUMBPRINT_SIZE];
    must(jwk_thumbprint(b.p256, digest));
}
static void intake_open(void) { must(jwe_intake_open(b.p256->pkey, &b.intake, b.opened)); }
static void secret_life(void) {
    struct secret *secret = secret_new(CONTENT);
    if (!secret)
        exit(1);
    secret_free(secret);
}

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void measure(const char *name, void (*act)(void)) {
    double best = 1e18;
    act();
    for (int round = 0; round < ROUNDS; round++) {
        unsigned count = 0;
        double start = now_ns(), spent = 0;
        for (; spent < ROUND_NS; spent = now_ns() - start)
            for (int i = 0; i < 16; i++, count++)
                act();
        if (spent / count < best)
            best = spent / count;
    }
    printf("%-34s %9.0f ns %10.0f /s\n", name, best, 1e9 / best);
}

static void prepare_tokens(void) {
    EVP_PKEY *p256 = NULL, *ed = NULL;
    must(pkey_generate(PKEY_P256, &p256));
    must(pkey_generate(PKEY_ED25519, &ed));
    must(jwk_of_pkey(EVP_RSA_gen(2048), "r", &b.rsa));
    must(jwk_of_pkey(p256, "p", &b.p256));
    must(jwk_of_pkey(ed, "e", &b.ed));
    buf_init(&b.rs256_token, JWS_MAX_BYTES);
    buf_init(&b.es256_token, JWS_MAX_BYTES);
    buf_init(&b.out, JWS_MAX_BYTES);
    must(jws_sign(b.rsa, BYTES_LITERAL("{\"alg\":\"RS256\",\"kid\":\"r\"}"), payload,
                  &b.rs256_token));
    must(jws_sign(b.p256, BYTES_LITERAL("{\"alg\":\"ES256\",\"kid\":\"p\"}"), payload,
                  &b.es256_token));
    must(jws_split(buf_bytes(&b.rs256_token), 0, &b.rs256));
    must(jws_split(buf_bytes(&b.es256_token), 0, &b.es256));
}

static void prepare_secrets(void) {
    struct secret *key = secret_new(XAES_KEY_SIZE);
    b.content = secret_new(CONTENT);
    b.opened = secret_new(JWE_INTAKE_PLAINTEXT_MAX);
    must(secret_set_random(key, XAES_KEY_SIZE));
    must(secret_set_random(b.content, CONTENT));
    must(xaes_key_new(key, &b.xaes));
    must(hmac_key_new(DIGEST_SHA256, key, &b.hmac));
    secret_free(key);
    buf_clear(&b.out);
    must(jwe_intake_seal(b.p256, b.content, &b.out));
    must(jwe_intake_split(buf_bytes(&b.out), &b.intake));
}

int main(int argc, char **argv) {
    struct fault fault = {0};
    vlt_result opened = secret_heap_open(8u << 20, &fault);
    if (!vlt_is_ok(opened)) {
        fprintf(stderr, "bench_crypto: %s\n", fault_or_reason(&fault, opened));
        return 1;
    }
    if (argc == 2 && strcmp(argv[1], "--adopt") == 0)
        must(secret_heap_adopt_openssl());
    must(crypto_open());
    prepare_tokens();
    prepare_secrets();
    printf("secret memory: %s\n", secret_heap_kind_text());
    measure("RS256 verify", verify_rs256);
    measure("RS256 split, header, verify", split_verify_rs256);
    measure("ES256 sign a token", sign_es256);
    measure("floor of an issue: RS256 + ES256", issue_floor);
    measure("ES256 verify", verify_es256);
    measure("ES256 split and header", split_es256);
    measure("Ed25519 sign", sign_ed25519);
    measure("XAES-256-GCM seal 200 B", xaes_seal_200);
    measure("XAES-256-GCM open 200 B", xaes_open_200);
    measure("SHA-256 400 B", sha256_400);
    measure("HMAC-SHA-256 400 B", hmac_400);
    measure("JWK thumbprint P-256", thumbprint);
    measure("intake JWE open 200 B", intake_open);
    measure("secret new and free 200 B", secret_life);
    return 0;
}
