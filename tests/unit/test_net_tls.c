// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/net_tls_fixture.h"

static void tls_accepts_and_tells_the_peer(void **state) {
    struct fixture f;
    struct client c;
    open_tls(&f, TLS_CLIENT_PINNED, false);
    assert_true(client_handshake(&c, &f, &client_stranger, TLS1_3_VERSION, "\x02h2\x08http/1.1"));
    client_send(&c, GET("/x"));
    assert_true(client_sees(&c, "\r\n\r\n/x"));
    uint8_t expected[32];
    unsigned size = sizeof expected;
    X509_digest(client_stranger.certificate, EVP_sha256(), expected, &size);
    assert_true(h.peer.is_tls && h.peer.has_certificate && !h.peer.is_unix);
    assert_memory_equal(h.peer.thumbprint, expected, sizeof expected);
    assert_int_equal(X509_cmp(h.peer.certificate, client_stranger.certificate), 0);
    assert_string_equal(h.server_name, "vault.example");
    const unsigned char *protocol;
    unsigned protocol_size;
    SSL_get0_alpn_selected(c.ssl, &protocol, &protocol_size);
    assert_int_equal(protocol_size, 8);
    assert_memory_equal(protocol, "http/1.1", 8);
    assert_int_equal(SSL_version(c.ssl), TLS1_3_VERSION);
    assert_int_equal(SSL_SESSION_has_ticket(SSL_get_session(c.ssl)), 0);
    client_close(&c);
    // Without a certificate: served, and known to have none.
    assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
    client_send(&c, GET("/y") GET("/z"));
    assert_true(client_sees(&c, "/z"));
    assert_false(h.peer.has_certificate);
    assert_null(h.peer.certificate);
    client_close(&c);
    fixture_close(&f);
}

static void tls_rejects_certificates_out_of_their_time(void **state) {
    static const struct {
        long from_s, to_s;
        bool is_current;
    } times[] = {{-60, 3600, true}, {-7200, -60, false}, {60, 3600, false}};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        struct identity visitor;
        struct fixture f;
        struct client c;
        identity_init(&visitor, "visitor", NULL);
        X509_gmtime_adj(X509_getm_notBefore(visitor.certificate), times[i].from_s);
        X509_gmtime_adj(X509_getm_notAfter(visitor.certificate), times[i].to_s);
        assert_true(X509_sign(visitor.certificate, visitor.key, EVP_sha256()) > 0);
        open_tls(&f, TLS_CLIENT_PINNED, false);
        client_handshake(&c, &f, &visitor, TLS1_3_VERSION, NULL);
        client_send(&c, GET("/x"));
        assert_int_equal(client_sees(&c, "/x"), times[i].is_current);
        client_close(&c);
        fixture_close(&f);
        identity_done(&visitor);
    }
}

static void tls_rejects(void **state) {
    struct fixture f;
    struct client c;
    open_tls(&f, TLS_CLIENT_CA, true);
    assert_false(client_handshake(&c, &f, &client_one, TLS1_2_VERSION, NULL));
    client_close(&c);
    assert_false(client_handshake(&c, &f, &client_one, TLS1_3_VERSION, "\x02h2"));
    client_close(&c);
    static const struct identity *const refused[] = {NULL, &client_stranger, &client_one};
    for (size_t i = 0; i < 3; i++) {
        client_handshake(&c, &f, refused[i], TLS1_3_VERSION, NULL);
        client_send(&c, GET("/x"));
        assert_int_equal(client_sees(&c, "\r\n\r\n/x"), i == 2);
        client_close(&c);
    }
    assert_int_equal(h.calls, 1);
    // Plain text, and a client that says nothing.
    client_open(&c, &f);
    client_send(&c, GET("/x"));
    assert_true(client_is_closed(&c));
    client_close(&c);
    spend(&f, 20);
    struct http_server_counters counters = counters_of(&f);
    assert_int_equal(counters.tls_failures, 5);
    assert_int_equal(counters.connections_now, 0);
    fixture_close(&f);
}

static void tls_accepts_large_bodies_both_ways(void **state) {
    struct fixture f;
    struct client c;
    open_tls(&f, TLS_CLIENT_NONE, false);
    assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
    char *body = malloc(300001);
    body[300000] = 0;
    for (size_t i = 0; i < 300000; i++)
        body[i] = (char)('a' + i % 26);
    memcpy(body + 299993, "THE END", 7);
    client_send(&c, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n");
    client_send(&c, body);
    assert_true(client_sees(&c, "THE END"));
    assert_memory_equal(c.in + c.size - 300000, body, 300000);
    client_forget(&c);
    memset(secret, 's', sizeof secret - 3);
    memcpy(secret + sizeof secret - 3, "END", 3);
    client_send(&c, GET("/secret"));
    assert_true(client_sees(&c, "sssEND"));
    assert_int_equal(h.released, 1);
    free(body);
    client_close(&c);
    fixture_close(&f);
}

// What the client has written, in pieces of that size. The server runs only between them
// when `turns`; else all of it lies there when it reads.
static void send_pieces(struct client *c, size_t piece, bool turns) {
    char text[16384];
    int size = BIO_read(SSL_get_wbio(c->ssl), text, sizeof text);
    for (size_t at = 0; size > 0 && at < (size_t)size; at += piece) {
        size_t left = (size_t)size - at;
        assert_true(send(c->fd, text + at, left < piece ? left : piece, MSG_NOSIGNAL) > 0);
        if (turns)
            turn(c->f);
    }
}

static void client_open_pieces(struct client *c, struct fixture *f, size_t piece) {
    client_open(c, f);
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    c->ssl = SSL_new(tls);
    SSL_CTX_free(tls);
    SSL_set_bio(c->ssl, BIO_new_socket(c->fd, BIO_NOCLOSE), BIO_new(BIO_s_mem()));
    int64_t end = clock_elapsed_ms() + WAIT_MS;
    while (SSL_connect(c->ssl) != 1 && clock_elapsed_ms() < end) {
        send_pieces(c, piece, true);
        turn(f);
    }
}

// A record behind another one, behind the end of the handshake or before the goodbye does
// not wait for more, however they arrive.
static void tls_survives_records_in_any_pieces(void **state) {
    static const size_t pieces[] = {1, 5, 6, 21, 100, 16384};
    for (size_t i = 0; i < 2 * sizeof pieces / sizeof *pieces; i++) {
        struct fixture f;
        struct client c;
        size_t piece = pieces[i / 2];
        open_tls(&f, TLS_CLIENT_NONE, false);
        client_open_pieces(&c, &f, piece);
        client_send(&c, GET("/first")); // goes with the end of the handshake
        client_send(&c, "GET /sec");
        client_send(&c, "ond HTTP/1.1\r\nHost: a\r\n\r\n" GET("/third"));
        send_pieces(&c, piece, i % 2);
        assert_true(client_sees(&c, "/first") && client_sees(&c, "/second"));
        assert_true(client_sees(&c, "/third"));
        client_send(&c, GET("/last"));
        SSL_shutdown(c.ssl);
        send_pieces(&c, piece, i % 2);
        assert_true(client_sees(&c, "/last"));
        assert_true(client_is_closed(&c));
        client_close(&c);
        fixture_close(&f);
    }
}

// A goodbye that arrives while the answer is on its way out ends what the client says,
// not what it is told.
static void tls_accepts_goodbye_before_the_answer(void **state) {
    struct fixture f;
    struct client c;
    open_tls(&f, TLS_CLIENT_NONE, false);
    assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
    memset(secret, 's', sizeof secret - 3);
    memcpy(secret + sizeof secret - 3, "END", 3);
    client_send(&c, GET("/secret"));
    SSL_shutdown(c.ssl);
    assert_true(client_sees(&c, "sssEND"));
    assert_int_equal(h.released, 1);
    assert_true(client_is_closed(&c));
    client_close(&c);
    fixture_close(&f);
}

static void ask_for_pages(struct client *c) {
    char request[64];
    for (int i = 0; i < PAGES; i++) {
        snprintf(request, sizeof request, "GET /page%02d HTTP/1.1\r\nHost: a\r\n\r\n", i);
        client_send(c, request);
    }
}

// The record that the socket does not take at once is written again later, whole
// and in its place.
static void tls_survives_client_that_does_not_read(void **state) {
    struct fixture f;
    struct client c;
    char last[16], name[16];
    open_tls(&f, TLS_CLIENT_NONE, false);
    assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
    ask_for_pages(&c);
    spend(&f, 50);
    assert_in_range(h.calls, 1, PAGES - 1);
    snprintf(last, sizeof last, "/page%02d", PAGES - 1);
    assert_true(client_sees(&c, last));
    char *at = c.in;
    for (int i = 0; i < PAGES; i++) {
        snprintf(name, sizeof name, "\r\n\r\n/page%02d.", i);
        at = strstr(at, name);
        assert_non_null(at);
        assert_true(i == PAGES - 1 || strspn(at + strlen(name), ".") == PAGE_BYTES - 8);
    }
    // And once it has read, the connection is as good as before.
    client_forget(&c);
    client_send(&c, GET("/after"));
    assert_true(client_sees(&c, "\r\n\r\n/after"));
    client_close(&c);
    // One that never reads at all, and goes.
    assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
    ask_for_pages(&c);
    spend(&f, 50);
    client_close(&c);
    spend(&f, 50);
    assert_int_equal(counters_of(&f).connections_now, 0);
    fixture_close(&f);
}

static void tls_survives_reload(void **state) {
    struct fixture f;
    struct client before, after;
    open_tls(&f, TLS_CLIENT_NONE, false);
    assert_true(client_handshake(&before, &f, NULL, TLS1_3_VERSION, NULL));
    SSL_CTX *next = context_of(&other, TLS_CLIENT_NONE, false);
    http_server_set_tls(f.server, next);
    SSL_CTX_free(next);
    client_send(&before, GET("/old"));
    assert_true(client_sees(&before, "/old"));
    assert_true(client_handshake(&after, &f, NULL, TLS1_3_VERSION, NULL));
    client_send(&after, GET("/new"));
    assert_true(client_sees(&after, "/new"));
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(before.ssl), served.certificate), 0);
    assert_int_equal(X509_cmp(SSL_get0_peer_certificate(after.ssl), other.certificate), 0);
    client_close(&before);
    client_close(&after);
    fixture_close(&f);
}

static void tls_survives_disconnects(void **state) {
    struct fixture f;
    struct client c;
    open_tls(&f, TLS_CLIENT_NONE, false);
    for (unsigned how = 0; how < 4; how++) {
        assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
        client_send(&c, GET("/secret") GET("/secret") GET("/secret") GET("/secret"));
        spend(&f, 10);
        const struct linger hard = {1, 0};
        if (how & 1)
            setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        if (how & 2)
            SSL_shutdown(c.ssl);
        client_close(&c);
        spend(&f, 10);
    }
    spend(&f, 50);
    assert_int_equal(counters_of(&f).connections_now, 0);
    assert_int_equal(h.released, h.calls);
    fixture_close(&f);
}

static void tls_rejects_silent_handshakes(void **state) {
    memset(&h, 0, sizeof h);
    struct http_server_settings s = fixture_settings(handle);
    s.tls = context_of(&served, TLS_CLIENT_NONE, false);
    s.request_ms = 150;
    struct fixture f;
    struct client c;
    fixture_open(&f, &s);
    SSL_CTX_free(s.tls);
    client_open(&c, &f);
    assert_true(client_is_closed(&c));
    assert_int_equal(counters_of(&f).timeouts, 1);
    client_close(&c);
    fixture_close(&f);
}

// Each place is held by a handshake that does not come, or stops half way. False: all this
// took so long that they were slow before they should be.
static bool silent_handshakes_make_room(void) {
    memset(&h, 0, sizeof h);
    struct http_server_settings s = fixture_settings(handle);
    s.tls = context_of(&served, TLS_CLIENT_NONE, false);
    s.connections_max = 2;
    struct fixture f;
    struct client silent, half, c;
    fixture_open(&f, &s);
    SSL_CTX_free(s.tls);
    int64_t begin = clock_elapsed_ms();
    client_open(&silent, &f);
    client_open(&half, &f);
    client_send(&half, "\x16\x03\x01\x02");
    spend(&f, 20);
    bool is_refused = !client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL);
    bool is_in_time = clock_elapsed_ms() - begin < 1000;
    client_close(&c);
    if (is_in_time) {
        assert_true(is_refused);
        spend(&f, 1600);
        spend(&f, 300); // the server has looked at its clock, whatever held it up before
        for (unsigned i = 0; i < 2; i++) {
            assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
            client_send(&c, "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert_true(client_sees(&c, "200"));
            assert_true(client_is_closed(&c));
            client_close(&c);
        }
        assert_true(client_is_closed(&silent));
        assert_false(half.eof); // nobody needed its place, too
    }
    client_close(&silent);
    client_close(&half);
    fixture_close(&f);
    return is_in_time;
}

static void tls_survives_too_many_silent_handshakes(void **state) {
    unsigned tries = 0;
    while (!silent_handshakes_make_room())
        assert_in_range(++tries, 1, 9); // a machine that is too slow for this
}

static void context_rejects_what_can_not_work(void **state) {
    char broken[8192], encrypted[4096];
    snprintf(broken, sizeof broken,
             "%s-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", served.chain_pem);
    BIO *bio = BIO_new(BIO_s_mem());
    PEM_write_bio_PrivateKey(bio, served.key, EVP_aes_128_cbc(), NULL, 0, NULL,
                             (void *)(uintptr_t) "password");
    read_bio(bio, encrypted);
    const struct {
        const char *chain, *key, *ca, *says;
    } cases[] = {{served.chain_pem, other.key_pem, NULL, "does not belong"},
                 {"", served.key_pem, NULL, "certificate"},
                 {"garbage", served.key_pem, NULL, "certificate"},
                 {broken, served.key_pem, NULL, "behind the first"},
                 {served.chain_pem, "", NULL, "key"},
                 {served.chain_pem, served.chain_pem, NULL, "private key"},
                 {served.chain_pem, encrypted, NULL, "unencrypted"},
                 {served.chain_pem, served.key_pem, "garbage", "client authorities"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tls_settings settings = {
            .chain_pem = pem_of(cases[i].chain), .key_pem = pem_of(cases[i].key),
            .client = cases[i].ca ? TLS_CLIENT_CA : TLS_CLIENT_NONE,
            .client_ca_pem = cases[i].ca ? pem_of(cases[i].ca) : bytes_of(NULL, 0)};
        struct fault fault = {0};
        SSL_CTX *tls = NULL;
        assert_false(vlt_is_ok(tls_server_context(&settings, &fault, &tls)));
        assert_null(tls);
        if (!strstr(fault.text, cases[i].says))
            fail_msg("case %zu says: %s", i, fault.text);
    }
    // A chain of two is sent whole.
    char chain[8192];
    snprintf(chain, sizeof chain, "%s%s", client_one.chain_pem, authority.chain_pem);
    const struct tls_settings two = {.chain_pem = pem_of(chain),
                                     .key_pem = pem_of(client_one.key_pem)};
    SSL_CTX *tls = NULL;
    assert_true(vlt_is_ok(tls_server_context(&two, NULL, &tls)));
    STACK_OF(X509) *more = NULL;
    SSL_CTX_get0_chain_certs(tls, &more);
    assert_int_equal(sk_X509_num(more), 1);
    SSL_CTX_free(tls);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_accepts_and_tells_the_peer),
        cmocka_unit_test(tls_rejects),
        cmocka_unit_test(tls_rejects_certificates_out_of_their_time),
        cmocka_unit_test(tls_accepts_large_bodies_both_ways),
        cmocka_unit_test(tls_survives_records_in_any_pieces),
        cmocka_unit_test(tls_accepts_goodbye_before_the_answer),
        cmocka_unit_test(tls_survives_client_that_does_not_read),
        cmocka_unit_test(tls_survives_reload),
        cmocka_unit_test(tls_survives_disconnects),
        cmocka_unit_test(tls_rejects_silent_handshakes),
        cmocka_unit_test(tls_survives_too_many_silent_handshakes),
        cmocka_unit_test(context_rejects_what_can_not_work),
    };
    return cmocka_run_group_tests(tests, make_identities, drop_identities);
}
