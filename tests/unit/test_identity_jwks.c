// SPDX-License-Identifier: Apache-2.0
// libvault/identity: key sets fetched over verified TLS from a server of our own
// in the same loop.
#include "tests/unit/identity_fixture.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include "vaultd/net/http_router.h"
#include "vaultd/net/tls.h"

struct world {
    struct event_base *base;
    struct http_server *server;
    char origin[64];
    char certificate[4096], key[4096];
    struct jwk *first, *second;
    bool serves_second;
    bool is_broken;
    unsigned asked; // documents and key sets
    unsigned ended; // waits
};
static struct world world;

// ---- The issuer ----

static void reply_json(struct http_exchange *x, json_t *document, const char *cache) {
    char *text = json_dumps(document, JSON_COMPACT);
    const struct http_header headers[] = {
        HTTP_HEADER("Content-Type", BYTES_LITERAL("application/json")),
        HTTP_HEADER("Cache-Control", bytes_of_text(cache))};
    world.asked++;
    http_exchange_reply(x, world.is_broken ? 500 : 200, headers, 2, bytes_of_text(text));
    json_decref(document);
    free(text);
}
static void serve_discovery(struct http_exchange *x, const struct http_parameters *p, void *ctx) {
    reply_json(x,
               json_pack("{s:s, s:o}", "issuer", IDP, "jwks_uri",
                         json_sprintf("%s/keys", world.origin)),
               "max-age=60");
}
static void serve_keys(struct http_exchange *x, const struct http_parameters *p, void *ctx) {
    struct jwk *const keys[] = {world.first, world.second};
    reply_json(x, idp_jwks(keys, world.serves_second ? 2 : 1), "max-age=3600");
}
static void serve_redirect(struct http_exchange *x, const struct http_parameters *p, void *ctx) {
    char where[96];
    snprintf(where, sizeof where, "%s/keys", world.origin);
    const struct http_header headers[] = {HTTP_HEADER("Location", bytes_of_text(where))};
    world.asked++;
    http_exchange_reply(x, 302, headers, 1, BYTES_LITERAL("{}"));
}
static void serve_too_much(struct http_exchange *x, const struct http_parameters *p, void *ctx) {
    size_t size = JWKS_MAX_BYTES + 1;
    char *text = malloc(size);
    memset(text, ' ', size);
    http_exchange_reply_typed(x, 200, "application/json", bytes_of(text, size));
    free(text);
}

static const struct http_route routes[] = {{HTTP_GET, "/discovery", serve_discovery, 0},
                                           {HTTP_GET, "/keys", serve_keys, 0},
                                           {HTTP_GET, "/redirect", serve_redirect, 0},
                                           {HTTP_GET, "/much", serve_too_much, 0}};
static struct http_router router = {routes, 4, NULL, NULL};

static void write_pem(BIO *bio, char text[4096]) {
    int size = BIO_read(bio, text, 4095);
    assert_true(size > 0);
    text[size] = 0;
    BIO_free(bio);
}

static void make_certificate(void) {
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *c = X509_new();
    X509_set_version(c, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c), 1);
    X509_gmtime_adj(X509_getm_notBefore(c), -60);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                               (const unsigned char *)"issuer", -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(c));
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(c, san, -1);
    X509_EXTENSION_free(san);
    assert_true(X509_sign(c, key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, c);
    write_pem(bio, world.certificate);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    write_pem(bio, world.key);
    X509_free(c);
    EVP_PKEY_free(key);
}

static void listen_tls(void) {
    struct http_server_settings settings = http_server_settings_default;
    const struct tls_settings tls = {.chain_pem = bytes_of_text(world.certificate),
                                     .key_pem = bytes_of_text(world.key)};
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    assert_true(vlt_is_ok(tls_server_context(&tls, NULL, &settings.tls)));
    settings.handler = http_router_handler;
    settings.ctx = &router;
    world.server = http_server_new(world.base, &settings);
    SSL_CTX_free(settings.tls);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    assert_true(vlt_is_ok(http_server_listen_fd(world.server, fd, true, NULL)));
    snprintf(world.origin, sizeof world.origin, "https://127.0.0.1:%d", ntohs(address.sin_port));
}

static int open_all(void **state) {
    assert_true(vlt_is_ok(secret_heap_open(1u << 20, NULL)));
    world.base = event_base_new();
    world.first = idp_key_p256("one");
    world.second = idp_key_p256("two");
    make_certificate();
    listen_tls();
    return 0;
}
static int close_all(void **state) {
    http_server_free(world.server);
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    event_base_free(world.base);
    jwk_free(world.first);
    jwk_free(world.second);
    return 0;
}

// ---- Waiting ----

static void on_done(void *context) { world.ended++; }

static struct jwks_cache *open_cache(const char *roots) {
    struct jwks_cache *cache = NULL;
    world.asked = world.ended = 0;
    world.serves_second = world.is_broken = false;
    assert_true(vlt_is_ok(jwks_cache_new(world.base, bytes_of_text(roots), NULL, &cache)));
    return cache;
}

static struct jwks_entry *hold(struct jwks_cache *cache, const char *path, const char *issuer) {
    char url[128];
    struct jwks_entry *entry = NULL;
    snprintf(url, sizeof url, "%s%s", world.origin, path);
    assert_true(vlt_is_ok(jwks_entry_hold(cache, url, issuer, &entry)));
    return entry;
}

static void wait_for(struct jwks_entry *entry) {
    unsigned before = world.ended;
    int64_t until_ms = clock_elapsed_ms() + 60000;
    assert_true(vlt_is_ok(jwks_entry_await(entry, on_done, NULL)));
    while (world.ended == before && clock_elapsed_ms() < until_ms) {
        const struct timeval tick = {0, 50000};
        event_base_loopexit(world.base, &tick);
        event_base_loop(world.base, EVLOOP_ONCE);
    }
    assert_true(world.ended > before);
}

// ---- Cases ----

static void test_jwks_accepts_discovery_then_keys(void **state) {
    struct jwks_cache *cache = open_cache(world.certificate);
    struct jwks_entry *entry = hold(cache, "/discovery", IDP);
    assert_null(jwks_entry_find(entry, BYTES_LITERAL("one")));
    assert_int_equal(jwks_entry_generation(entry), 0);
    wait_for(entry);
    assert_string_equal(jwks_entry_fault(entry), "");
    assert_non_null(jwks_entry_find(entry, BYTES_LITERAL("one")));
    assert_null(jwks_entry_find(entry, BYTES_LITERAL("two")));
    assert_int_equal(world.asked, 2);
    // The same issuer at the same URL is the same entry.
    struct jwks_entry *again = hold(cache, "/discovery", IDP);
    assert_ptr_equal(again, entry);
    jwks_entry_release(again);
    jwks_entry_release(entry);
    jwks_cache_free(cache);
}

static void test_jwks_accepts_key_set_url_and_shares_a_fetch(void **state) {
    struct jwks_cache *cache = open_cache(world.certificate);
    struct jwks_entry *entry = hold(cache, "/keys", IDP);
    assert_true(vlt_is_ok(jwks_entry_await(entry, on_done, NULL)));
    wait_for(entry);
    assert_int_equal(world.ended, 2);
    assert_int_equal(world.asked, 1);
    assert_non_null(jwks_entry_find(entry, BYTES_LITERAL("")));
    jwks_cache_free(cache);
}

static void test_jwks_rejects_refetch_within_a_minute(void **state) {
    struct jwks_cache *cache = open_cache(world.certificate);
    struct jwks_entry *entry = hold(cache, "/keys", IDP);
    wait_for(entry);
    world.serves_second = true;
    assert_null(jwks_entry_find(entry, BYTES_LITERAL("two")));
    assert_int_equal(jwks_entry_await(entry, on_done, NULL).class, VLT_UNAVAILABLE);
    assert_int_equal(world.asked, 1);
    jwks_cache_free(cache);
}

static void test_jwks_rejects_unknown_root_and_wrong_name(void **state) {
    char *known = strdup(world.certificate);
    char *name = strdup(world.origin);
    struct jwks_cache *cache = NULL;
    make_certificate(); // another key: the server's certificate is not in these roots
    cache = open_cache(world.certificate);
    struct jwks_entry *entry = hold(cache, "/keys", IDP);
    wait_for(entry);
    assert_null(jwks_entry_find(entry, BYTES_LITERAL("one")));
    assert_string_not_equal(jwks_entry_fault(entry), "");
    assert_int_equal(world.asked, 0);
    jwks_cache_free(cache);
    memcpy(world.certificate, known, strlen(known) + 1);
    cache = open_cache(world.certificate);
    char port[8];
    snprintf(port, sizeof port, "%s", strrchr(name, ':') + 1);
    snprintf(world.origin, sizeof world.origin, "https://localhost:%s", port);
    entry = hold(cache, "/keys", IDP); // the certificate is for 127.0.0.1
    wait_for(entry);
    assert_null(jwks_entry_find(entry, BYTES_LITERAL("one")));
    assert_int_equal(world.asked, 0);
    jwks_cache_free(cache);
    memcpy(world.origin, name, strlen(name) + 1);
    free(known);
    free(name);
}

static void test_jwks_rejects_redirect_size_status_and_other_issuer(void **state) {
    struct jwks_cache *cache = open_cache(world.certificate);
    static const char *const paths[] = {"/redirect", "/much", "/absent"};
    for (size_t i = 0; i < 3; i++) {
        struct jwks_entry *entry = hold(cache, paths[i], IDP);
        wait_for(entry);
        assert_int_equal(jwks_entry_generation(entry), 0);
        assert_string_not_equal(jwks_entry_fault(entry), "");
    }
    assert_int_equal(world.asked, 1); // the redirect was not followed
    struct jwks_entry *other = hold(cache, "/discovery", IDP ".evil");
    wait_for(other);
    assert_int_equal(jwks_entry_generation(other), 0);
    assert_int_equal(world.asked, 2);
    jwks_cache_free(cache);
}

static unsigned told;
static char told_fault[200];
static void on_health(const char *issuer, const char *url, const char *fault, void *context) {
    assert_string_equal(issuer, IDP);
    assert_non_null(strstr(url, "/keys"));
    assert_ptr_equal(context, &told);
    told++;
    snprintf(told_fault, sizeof told_fault, "%s", fault);
}

static void test_jwks_rejects_an_issuer_without_keys_as_unavailable(void **state) {
    struct jwks_cache *cache = open_cache(world.certificate);
    struct fault fault = {0};
    struct jwks_entry *entry = hold(cache, "/keys", IDP);
    told = 0;
    jwks_cache_watch(cache, on_health, &told);
    world.is_broken = true;
    wait_for(entry);
    assert_int_equal(told, 1);
    assert_non_null(strstr(told_fault, "status 500"));
    assert_int_equal(jwks_entry_refuse(entry, &fault).class, VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, "status 500"));
    jwks_cache_free(cache);

    cache = open_cache(world.certificate);
    entry = hold(cache, "/keys", IDP);
    jwks_cache_watch(cache, on_health, &told);
    wait_for(entry);
    assert_int_equal(told, 1); // nothing changed: it was never broken
    assert_int_equal(jwks_entry_refuse(entry, &fault).class, VLT_DENIED);
    assert_non_null(strstr(fault.text, "no such key"));
    jwks_cache_free(cache);
}

static void test_jwks_survives_a_broken_issuer_and_its_end(void **state) {
    struct jwks_cache *cache = open_cache(world.certificate);
    struct jwks_entry *entry = hold(cache, "/keys", IDP);
    world.is_broken = true;
    wait_for(entry);
    assert_null(jwks_entry_find(entry, BYTES_LITERAL("one")));
    // Freed while a fetch is on its way: its waiter is dropped.
    struct jwks_entry *late = hold(cache, "/discovery", IDP);
    assert_true(vlt_is_ok(jwks_entry_await(late, on_done, NULL)));
    unsigned ended = world.ended;
    jwks_cache_free(cache);
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    assert_int_equal(world.ended, ended);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwks_accepts_discovery_then_keys),
        cmocka_unit_test(test_jwks_accepts_key_set_url_and_shares_a_fetch),
        cmocka_unit_test(test_jwks_rejects_refetch_within_a_minute),
        cmocka_unit_test(test_jwks_rejects_unknown_root_and_wrong_name),
        cmocka_unit_test(test_jwks_rejects_redirect_size_status_and_other_issuer),
        cmocka_unit_test(test_jwks_rejects_an_issuer_without_keys_as_unavailable),
        cmocka_unit_test(test_jwks_survives_a_broken_issuer_and_its_end),
    };
    return cmocka_run_group_tests_name("identity_jwks", tests, open_all, close_all);
}
