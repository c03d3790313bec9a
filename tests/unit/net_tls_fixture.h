// SPDX-License-Identifier: Apache-2.0
// For tests of TLS: certificates that are fresh for each run, a server with them, and a
// client's handshake. Included once by each test program.
#ifndef VLT_TESTS_UNIT_NET_TLS_FIXTURE_H
#define VLT_TESTS_UNIT_NET_TLS_FIXTURE_H

#include "tests/unit/net_fixture.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "vaultd/net/tls.h"

// ---- certificates, fresh for each run --------------------------------------

struct identity {
    EVP_PKEY *key;
    X509 *certificate;
    char chain_pem[4096], key_pem[4096];
};

static struct bytes pem_of(const char *text) { return bytes_of(text, strlen(text)); }

static void read_bio(BIO *bio, char text[4096]) {
    int size = BIO_read(bio, text, 4095);
    assert_true(size > 0);
    text[size] = 0;
    BIO_free(bio);
}

static void identity_init(struct identity *who, const char *name, const struct identity *issuer) {
    static long serial;
    who->key = EVP_EC_gen("P-256");
    X509 *c = who->certificate = X509_new();
    X509_set_version(c, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(c), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(c), -60);
    X509_gmtime_adj(X509_getm_notAfter(c), 3600);
    X509_set_pubkey(c, who->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(c, X509_get_subject_name(issuer ? issuer->certificate : c));
    X509_EXTENSION *ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
                                             issuer ? "CA:FALSE" : "critical,CA:TRUE");
    X509_add_ext(c, ca, -1);
    X509_EXTENSION_free(ca);
    assert_true(X509_sign(c, issuer ? issuer->key : who->key, EVP_sha256()) > 0);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_X509(bio, c);
    read_bio(bio, who->chain_pem);
    bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, who->key, NULL, NULL, 0, NULL, NULL);
    read_bio(bio, who->key_pem);
}

static void identity_done(struct identity *who) {
    X509_free(who->certificate);
    EVP_PKEY_free(who->key);
}

static struct identity authority, served, other, client_one, client_stranger;

static int make_identities(void **state) {
    identity_init(&authority, "authority", NULL);
    identity_init(&served, "localhost", NULL);
    identity_init(&other, "localhost", NULL);
    identity_init(&client_one, "forwarder", &authority);
    identity_init(&client_stranger, "stranger", NULL);
    return 0;
}

static int drop_identities(void **state) {
    struct identity *const all[] = {&authority, &served, &other, &client_one, &client_stranger};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        identity_done(all[i]);
    return 0;
}

// ---- server and client -----------------------------------------------------

static struct {
    struct http_peer peer;
    char server_name[64];
    unsigned calls, released;
} h;
static uint8_t secret[300000];
enum { PAGES = 80, PAGE_BYTES = 12000 }; // more than the kernel holds for who does not read

static void on_release(void *ctx) { h.released++; }

static void handle(struct http_exchange *x, void *ctx) {
    const struct http_request *r = http_exchange_request(x);
    h.calls++;
    h.peer = *http_exchange_peer(x);
    snprintf(h.server_name, sizeof h.server_name, "%s", h.peer.server_name);
    if (bytes_begin_with(r->path, BYTES_LITERAL("/page"))) {
        uint8_t page[PAGE_BYTES]; // begins with its name
        memset(page, '.', sizeof page);
        memcpy(page, r->path.at, r->path.size);
        http_exchange_reply(x, 200, NULL, 0, bytes_of(page, sizeof page));
    } else if (bytes_equal_text(r->path, "/secret"))
        http_exchange_reply_secret(x, 200, NULL, 0, secret, sizeof secret, on_release, NULL);
    else
        http_exchange_reply(x, 200, NULL, 0, r->body.size ? r->body : r->path);
}

static SSL_CTX *context_of(const struct identity *who, enum tls_client_certificates client,
                           bool required) {
    const struct tls_settings settings = {
        .chain_pem = pem_of(who->chain_pem), .key_pem = pem_of(who->key_pem), .client = client,
        .client_required = required, .client_ca_pem = pem_of(authority.chain_pem)};
    struct fault fault = {0};
    SSL_CTX *tls = NULL;
    if (!vlt_is_ok(tls_server_context(&settings, &fault, &tls)))
        fail_msg("%s", fault.text);
    return tls;
}

static void open_tls(struct fixture *f, enum tls_client_certificates client, bool required) {
    memset(&h, 0, sizeof h);
    struct http_server_settings s = fixture_settings(handle);
    s.limits.body_bytes = 1 << 20;
    s.tls = context_of(&served, client, required);
    fixture_open(f, &s);
    SSL_CTX_free(s.tls); // the server has its own reference
}

// True when the handshake came through. In TLS 1.3 a refused client certificate
// shows only at the first read.
static bool client_handshake(struct client *c, struct fixture *f, const struct identity *who,
                             int max_version, const char *alpn) {
    client_open(c, f);
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(tls, max_version);
    if (who) {
        SSL_CTX_use_certificate(tls, who->certificate);
        SSL_CTX_use_PrivateKey(tls, who->key);
    }
    c->ssl = SSL_new(tls);
    SSL_CTX_free(tls);
    char name[] = "vault.example";
    SSL_set_tlsext_host_name(c->ssl, name);
    SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (alpn)
        SSL_set_alpn_protos(c->ssl, (const unsigned char *)alpn, (unsigned)strlen(alpn));
    SSL_set_fd(c->ssl, c->fd);
    int result = -1;
    for (int64_t end = clock_elapsed_ms() + WAIT_MS; result != 1 && clock_elapsed_ms() < end;) {
        result = SSL_connect(c->ssl);
        int error = SSL_get_error(c->ssl, result);
        if (result != 1 && error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
            break;
        turn(f);
    }
    ERR_clear_error();
    return result == 1;
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

#endif
