// SPDX-License-Identifier: Apache-2.0
// Memory runs out while TLS connections are made.
#include "tests/unit/net_tls_fixture.h"

// As in the roles whose OpenSSL and libevent share one heap of fixed size.
static size_t memory_left = SIZE_MAX / 2;
struct memory {
    _Alignas(16) size_t size;
    _Alignas(16) uint8_t at[];
};

static void give_back(void *at) {
    struct memory *memory = at ? (void *)((uint8_t *)at - offsetof(struct memory, at)) : NULL;
    memory_left += memory ? memory->size : 0;
    free(memory);
}

static void *take(size_t size) {
    struct memory *memory = size <= memory_left ? malloc(sizeof *memory + size) : NULL;
    if (!memory)
        return NULL;
    memory_left -= memory->size = size;
    return memory->at;
}

static void *take_again(void *at, size_t size) {
    void *moved = take(size);
    size_t old = at ? ((struct memory *)(void *)((uint8_t *)at - offsetof(struct memory, at)))->size
                    : 0;
    if (moved && at) {
        memcpy(moved, at, old < size ? old : size);
        give_back(at);
    }
    return moved;
}

static void *openssl_take(size_t size, const char *file, int line) { return take(size); }
static void openssl_give_back(void *at, const char *file, int line) { give_back(at); }
static void *openssl_take_again(void *at, size_t size, const char *file, int line) {
    return take_again(at, size);
}

// What a client says first.
static int hello_of(uint8_t room[2048]) {
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(tls);
    BIO *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), out);
    assert_int_equal(SSL_connect(ssl), -1);
    int size = BIO_read(out, room, 2048);
    SSL_free(ssl);
    SSL_CTX_free(tls);
    return size;
}

static void starve(struct fixture *f, size_t before, size_t after, struct bytes hello) {
    const size_t all = memory_left;
    struct client c;
    client_open(&c, f);
    memory_left = before;
    turn(f);
    memory_left = after;
    client_send_bytes(&c, hello.at, hello.size);
    turn(f);
    client_close(&c);
    turn(f);
    memory_left += all - after;
}

static void tls_survives_lack_of_memory(void **state) {
    struct fixture f;
    struct client c;
    uint8_t room[2048];
    const struct bytes hello = bytes_of(room, (size_t)hello_of(room));
    open_tls(&f, TLS_CLIENT_PINNED, false);
    for (size_t left = 0; left < 48 << 10; left += 256) {
        starve(&f, left, left, hello);            // while the connection is made
        starve(&f, memory_left, left, hello); // while it says hello
    }
    assert_true(counters_of(&f).connections_refused > 0);
    assert_true(client_handshake(&c, &f, NULL, TLS1_3_VERSION, NULL));
    client_send(&c, GET("/after"));
    assert_true(client_sees(&c, "/after"));
    client_close(&c);
    fixture_close(&f);
}

// Who says nothing holds memory, not only a place.
static void tls_survives_silence_that_takes_the_memory(void **state) {
    enum { MANY = 400 };
    static struct client silent[MANY];
    struct fixture f;
    struct client c;
    size_t count = 0;
    open_tls(&f, TLS_CLIENT_NONE, false);
    const size_t all = memory_left;
    memory_left = 1 << 20;
    while (count < MANY && !counters_of(&f).connections_refused) {
        client_open(&silent[count++], &f);
        turn(&f);
    }
    assert_in_range(count, 2, MANY - 1);
    spend(&f, 1600);
    spend(&f, 300); // the server has looked at its clock, whatever held it up before
    client_open(&c, &f); // makes some go
    assert_true(client_is_closed(&c));
    client_close(&c);
    assert_int_equal(counters_of(&f).connections_refused, 2);
    assert_true(counters_of(&f).connections_now < count - 1);
    client_open(&c, &f); // has their room
    turn(&f);
    assert_int_equal(counters_of(&f).connections_refused, 2);
    assert_int_equal(counters_of(&f).connections, count);
    memory_left += all - (1 << 20);
    client_close(&c);
    while (count)
        client_close(&silent[--count]);
    spend(&f, 50);
    fixture_close(&f);
}

int main(void) {
    if (!CRYPTO_set_mem_functions(openssl_take, openssl_take_again, openssl_give_back))
        return 1;
    event_set_mem_functions(take, take_again, give_back);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tls_survives_lack_of_memory),
        cmocka_unit_test(tls_survives_silence_that_takes_the_memory),
    };
    return cmocka_run_group_tests(tests, make_identities, drop_identities);
}
