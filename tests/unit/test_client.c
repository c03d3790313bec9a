// SPDX-License-Identifier: Apache-2.0
// The client library against a broker made for tests: a real HTTP server on a
// unix socket in a child process.
#include <event2/event.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/base/b64u.h"
#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/client/vault.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jws.h"
#include "libvault/crypto/pkey.h"
#include "libvault/http/http_path.h"
#include "tests/unit/check.h"
#include "vaultd/net/http_server.h"

#define NONCE "nonce-of-the-test"

// ---- The broker of the test ----

struct broker {
    pid_t child;
    char folder[64], server[128];
};

static void oauth_error(struct http_exchange *x, const char *error) {
    const struct http_header nonce = HTTP_HEADER("DPoP-Nonce", BYTES_LITERAL(NONCE));
    http_exchange_reply_oauth_error(x, 400, error, "said by the test", &nonce, 1);
}

// Is there exactly one proof, by an embedded key, for this request, with the nonce?
static bool proof_holds(const struct http_request *request, const char *htu,
                        bool *ret_lacks_nonce) {
    struct bytes value;
    struct jws_parts parts;
    json_t *claims = NULL;
    if (http_header_find(&request->fields, "dpop", &value) != 1 ||
        !vlt_is_ok(jws_split(value, JWS_EMBEDDED_KEY, &parts)))
        return false;
    bool holds = jws_typ_is(&parts, "dpop+jwt") &&
                 vlt_is_ok(jws_verify(&parts, JWS_ASYMMETRIC, parts.embedded)) &&
                 vlt_is_ok(jsontext_parse(parts.payload, &jsontext_token_limits, NULL, &claims));
    const char *nonce = json_string_value(json_object_get(claims, "nonce"));
    *ret_lacks_nonce = !nonce || strcmp(nonce, NONCE);
    const char *said_htu = json_string_value(json_object_get(claims, "htu"));
    const char *said_htm = json_string_value(json_object_get(claims, "htm"));
    holds = holds && said_htu && !strcmp(said_htu, htu) && said_htm && !strcmp(said_htm, "POST") &&
            json_integer_value(json_object_get(claims, "iat")) >= clock_now_s() - 5 &&
            json_string_length(json_object_get(claims, "jti")) >= 20;
    json_decref(claims);
    jws_parts_done(&parts);
    return holds;
}

static void token_reply(struct http_exchange *x, const struct http_form *form, bool is_bound) {
    struct bytes details = {NULL, 0}, subject = {NULL, 0};
    http_form_find(form, "authorization_details", &details);
    http_form_find(form, "subject_token", &subject);
    struct buf body;
    buf_init(&body, 8192);
    // A subject of "downgrade" gets a bearer token although it asked for more.
    if (bytes_equal_text(subject, "downgrade"))
        is_bound = false;
    buf_put_format(&body,
                   "{\"access_token\":\"tok-1\",\"token_type\":\"%s\",\"expires_in\":300,"
                   "\"issued_token_type\":\"x\",\"authorization_details\":",
                   is_bound ? "DPoP" : "Bearer");
    buf_put(&body, details);
    buf_put_text(&body, "}");
    http_exchange_reply_typed(x, 200, "application/json", buf_bytes(&body));
    buf_done(&body);
}

static void broker_handle(struct http_exchange *x, void *ctx) {
    const struct http_request *request = http_exchange_request(x);
    struct http_form *form = calloc(1, sizeof *form);
    uint8_t *storage = calloc(1, request->body.size + 1);
    struct bytes value;
    bool lacks_nonce = false;
    if (bytes_equal_text(request->path, "/not-json")) {
        http_exchange_reply_typed(x, 200, "text/html", BYTES_LITERAL("<html>"));
    } else if (bytes_equal_text(request->path, "/teapot")) {
        http_exchange_reply_typed(x, 418, "text/plain", BYTES_LITERAL("I am one"));
    } else if (!vlt_is_ok(http_form_parse(request->body, storage, request->body.size, form))) {
        oauth_error(x, "invalid_request");
    } else if (bytes_equal_text(request->path, "/oauth2/revoke")) {
        bool is_there =
            http_form_find(form, "token", &value) == 1 && bytes_equal_text(value, "tok+1/=");
        http_exchange_reply_typed(x, is_there ? 200 : 400, "application/json", BYTES_LITERAL("{}"));
    } else if (http_form_find(form, "subject_token", &value) == 1 &&
               bytes_equal_text(value, "denied")) {
        oauth_error(x, "invalid_target");
    } else if (bytes_equal_text(value, "sent elsewhere")) {
        oauth_error(x, "invalid_dpop_proof");
    } else if (!http_header_find(&request->fields, "dpop", NULL)) {
        token_reply(x, form, false);
    } else if (!proof_holds(request, "http://vaultd/oauth2/token", &lacks_nonce)) {
        oauth_error(x, "invalid_dpop_proof");
    } else if (lacks_nonce) {
        oauth_error(x, "use_dpop_nonce");
    } else {
        token_reply(x, form, true);
    }
    free(form);
    free(storage);
}

static void on_term(evutil_socket_t fd, short what, void *context) {
    event_base_loopbreak(context);
}

static void broker_run(const struct broker *broker, int ready) {
    struct event_base *base = event_base_new();
    struct http_server_settings settings = http_server_settings_default;
    settings.handler = broker_handle;
    struct http_server *server = http_server_new(base, &settings);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", broker->folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0 ||
        !vlt_is_ok(http_server_listen_fd(server, fd, false, NULL)) || write(ready, "x", 1) != 1)
        exit(70);
    struct event *term = evsignal_new(base, SIGTERM, on_term, base);
    evsignal_add(term, NULL);
    event_base_dispatch(base);
    event_free(term);
    http_server_free(server);
    event_base_loop(base, EVLOOP_NONBLOCK);
    event_base_free(base);
    exit(0);
}

static struct broker broker;
static struct vault *vault;

static int start(void **state) {
    int ready[2];
    char byte;
    snprintf(broker.folder, sizeof broker.folder, "/tmp/vault-client-XXXXXX");
    assert_non_null(mkdtemp(broker.folder));
    snprintf(broker.server, sizeof broker.server, "unix:%s/s", broker.folder);
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    broker.child = fork();
    if (broker.child == 0)
        broker_run(&broker, ready[1]);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    const struct vault_settings settings = {.server = broker.server, .timeout_ms = 5000};
    assert_true(vlt_is_ok(vault_open(&settings, NULL, &vault)));
    return 0;
}

static int stop(void **state) {
    int status;
    vault_close(vault);
    kill(broker.child, SIGTERM);
    assert_int_equal(waitpid(broker.child, &status, 0), broker.child);
    unlink(broker.server + 5);
    rmdir(broker.folder);
    assert_int_equal(status, 0);
    return 0;
}

// ---- Servers and paths ----

static void client_rejects_servers(void **state) {
    static const char *const bad[] = {"",
                                      "http://h",
                                      "https://",
                                      "unix:relative",
                                      "https://h?x",
                                      "https://u@h",
                                      "https://h/#f",
                                      "ftp://h",
                                      "/run/vaultd/admin.sock",
                                      NULL};
    for (size_t i = 0; bad[i]; i++) {
        struct vault *none = NULL;
        struct fault fault = {0};
        const struct vault_settings settings = {.server = bad[i]};
        assert_int_equal(vault_open(&settings, &fault, &none).class, VLT_MALFORMED);
        assert_true(strlen(fault.text) > 0);
        assert_null(none);
    }
}

static void client_rejects_nobody_there(void **state) {
    struct fault fault = {0};
    struct vault *none;
    const struct vault_settings settings = {.server = "unix:/nonexistent/admin.sock"};
    assert_true(vlt_is_ok(vault_open(&settings, NULL, &none)));
    const struct vault_call call = {.method = "GET", .path = "/v1/status"};
    assert_int_equal(vault_call(none, &call, &fault, NULL, NULL).class, VLT_UNAVAILABLE);
    assert_non_null(strstr(fault.text, "nobody listens"));
    vault_close(none);
}

static void client_accepts_segments(void **state) {
    struct buf out;
    buf_init(&out, 64);
    vault_put_segment(&out, "a-b_c.~9/ %?\xc3\xa9");
    assert_string_equal(buf_text(&out), "a-b_c.~9%2F%20%25%3F%C3%A9");
    buf_done(&out);
}

static void client_rejects_names_that_are_other_paths(void **state) {
    static const char *const names[] = {"", ".", "..", "a/b", "/", "../tenants"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct fault fault = {0};
        struct buf path;
        buf_init(&path, 64);
        buf_put_text(&path, "/v1/tenants/");
        vault_put_segment(&path, names[i]);
        buf_put_text(&path, i % 2 ? "/credentials?limit=1" : "");
        const struct vault_call call = {.method = "GET", .path = buf_text(&path)};
        assert_int_equal(vault_call(vault, &call, &fault, NULL, NULL).class, VLT_MALFORMED);
        assert_non_null(strstr(fault.text, "a name is not empty"));
        buf_done(&path);
    }
}

// ---- Keys and proofs ----

static char *pem_of(EVP_PKEY *pkey) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *at;
    assert_int_equal(PEM_write_bio_PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL), 1);
    long size = BIO_get_mem_data(bio, &at);
    char *text = strndup(at, (size_t)size);
    BIO_free(bio);
    return text;
}

static void client_accepts_keys(void **state) {
    EVP_PKEY *pkey = NULL;
    struct vault_key *key = NULL, *again = NULL;
    assert_true(vlt_is_ok(pkey_generate(PKEY_P256, &pkey)));
    char *pem = pem_of(pkey);
    assert_true(vlt_is_ok(vault_key_read(bytes_of_text(pem), NULL, &key)));
    assert_true(vlt_is_ok(vault_key_read(bytes_of_text(pem), NULL, &again)));
    assert_string_equal(vault_key_thumbprint(key), vault_key_thumbprint(again));
    assert_int_equal(strlen(vault_key_thumbprint(key)), 43);
    vault_key_free(key);
    vault_key_free(again);
    free(pem);
    EVP_PKEY_free(pkey);
}

static void client_rejects_keys(void **state) {
    static const char encrypted[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAh\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";
    struct vault_key *key = NULL;
    struct fault fault = {0};
    assert_int_equal(vault_key_read(BYTES_LITERAL("no key"), &fault, &key).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "openssl genpkey"));
    assert_int_equal(vault_key_read(BYTES_LITERAL(""), &fault, &key).class, VLT_MALFORMED);
    assert_int_equal(vault_key_read(bytes_of_text(encrypted), &fault, &key).class, VLT_MALFORMED);
    EVP_PKEY *weak = EVP_RSA_gen(1024);
    char *pem = pem_of(weak);
    assert_false(vlt_is_ok(vault_key_read(bytes_of_text(pem), &fault, &key)));
    assert_null(key);
    free(pem);
    EVP_PKEY_free(weak);
}

static void client_survives_mutated_keys(void **state) {
    EVP_PKEY *pkey = NULL;
    assert_true(vlt_is_ok(pkey_generate(PKEY_P256, &pkey)));
    char *pem = pem_of(pkey);
    size_t size = strlen(pem);
    for (size_t i = 0; i < size; i++) {
        struct vault_key *key = NULL;
        pem[i] ^= 1;
        if (vlt_is_ok(vault_key_read(bytes_of_text(pem), NULL, &key)))
            vault_key_free(key);
        pem[i] ^= 1;
        key = NULL;
        if (vlt_is_ok(vault_key_read(bytes_of(pem, i), NULL, &key)))
            vault_key_free(key);
    }
    free(pem);
    EVP_PKEY_free(pkey);
}

static void client_accepts_proofs_with_a_token(void **state) {
    struct vault_key *key = NULL;
    struct buf proof, other;
    struct jws_parts parts;
    json_t *claims = NULL, *header = NULL;
    uint8_t digest[32];
    char hash[64], thumbprint[JWK_THUMBPRINT_TEXT_SIZE];
    assert_true(vlt_is_ok(vault_key_generate(&key)));
    buf_init(&proof, 8192);
    buf_init(&other, 8192);
    const struct vault_proof wanted = {
        .method = "POST", .url = "https://f.test/v1/x", .token = "tok", .nonce = "n"};
    assert_true(vlt_is_ok(vault_key_prove(key, &wanted, &proof)));
    assert_true(vlt_is_ok(vault_key_prove(key, &wanted, &other)));
    assert_false(bytes_equal(buf_bytes(&proof), buf_bytes(&other))); // its own jti
    assert_true(vlt_is_ok(jws_split(buf_bytes(&proof), JWS_EMBEDDED_KEY, &parts)));
    assert_true(vlt_is_ok(jws_verify(&parts, JWS_BIT(JWS_ES256), parts.embedded)));
    assert_true(vlt_is_ok(jwk_thumbprint_text(parts.embedded, thumbprint)));
    assert_string_equal(thumbprint, vault_key_thumbprint(key));
    assert_true(vlt_is_ok(jsontext_parse(parts.payload, &jsontext_token_limits, NULL, &claims)));
    assert_true(vlt_is_ok(jsontext_parse(parts.header, &jsontext_token_limits, NULL, &header)));
    assert_null(json_object_get(json_object_get(header, "jwk"), "d"));
    assert_true(vlt_is_ok(digest_sha256(BYTES_LITERAL("tok"), digest)));
    b64u_encode_text(bytes_of(digest, 32), hash);
    assert_string_equal(json_string_value(json_object_get(claims, "ath")), hash);
    assert_string_equal(json_string_value(json_object_get(claims, "nonce")), "n");
    json_decref(claims);
    json_decref(header);
    jws_parts_done(&parts);
    buf_done(&proof);
    buf_done(&other);
    vault_key_free(key);
}

// ---- Tokens ----

static vlt_result get(const char *subject, const struct vault_key *key, struct vault_token *token,
                      struct fault *fault) {
    json_t *details = json_pack("[{s:s,s:s}]", "type", "credential_use", "credential", "openai");
    const struct vault_token_request request = {
        .subject_token = subject, .details = details, .key = key};
    vlt_result result = vault_token_get(vault, &request, fault, token);
    json_decref(details);
    return result;
}

static void client_accepts_bound_tokens(void **state) {
    struct vault_key *key = NULL;
    struct vault_token token = {0};
    struct fault fault = {0};
    assert_true(vlt_is_ok(vault_key_generate(&key)));
    for (int i = 0; i < 3; i++) { // the first one is asked for a nonce
        assert_true(vlt_is_ok(get("alice", key, &token, &fault)));
        assert_true(token.is_bound);
        assert_string_equal(token.text, "tok-1");
        assert_int_equal(token.lifetime_s, 300);
        assert_null(json_object_get(token.answer, "access_token"));
        assert_non_null(json_object_get(token.answer, "authorization_details"));
        vault_token_done(&token);
    }
    vault_key_free(key);
}

static void client_accepts_bearer_tokens(void **state) {
    struct vault_token token = {0};
    assert_true(vlt_is_ok(get("alice", NULL, &token, NULL)));
    assert_false(token.is_bound);
    vault_token_done(&token);
}

static void client_rejects_a_token_of_another_binding(void **state) {
    struct vault_key *key = NULL;
    struct vault_token token = {0};
    struct fault fault = {0};
    assert_true(vlt_is_ok(vault_key_generate(&key)));
    assert_int_equal(get("downgrade", key, &token, &fault).class, VLT_CRYPTO);
    assert_null(token.text);
    vault_key_free(key);
}

static void client_rejects_oauth_errors(void **state) {
    struct vault_token token = {0};
    struct fault fault = {0};
    assert_int_equal(get("denied", NULL, &token, &fault).class, VLT_MALFORMED);
    assert_string_equal(fault.text, "invalid_target: said by the test");
    assert_string_equal(json_string_value(json_object_get(vault_problem(vault), "error")),
                        "invalid_target");
}

// Nearly always because the broker is reached by another URL than its issuer.
static void client_rejects_a_refused_proof_with_advice(void **state) {
    struct vault_token token = {0};
    struct vault_key *key = NULL;
    struct fault fault = {0};
    assert_true(vlt_is_ok(vault_key_generate(&key)));
    assert_int_equal(get("sent elsewhere", key, &token, &fault).class, VLT_MALFORMED);
    assert_non_null(strstr(fault.text, "http://vaultd/oauth2/token"));
    assert_non_null(strstr(fault.text, "the issuer in vaultd.conf"));
    vault_key_free(key);
}

static void client_accepts_revocation(void **state) {
    assert_true(vlt_is_ok(vault_token_revoke(vault, NULL, "tok+1/=", NULL, NULL)));
    assert_false(vlt_is_ok(vault_token_revoke(vault, NULL, "other", NULL, NULL)));
}

static void client_rejects_foreign_answers(void **state) {
    struct fault fault = {0};
    json_t *body = NULL;
    struct vault_call call = {.method = "GET", .path = "/not-json"};
    assert_int_equal(vault_call(vault, &call, &fault, &body, NULL).class, VLT_BUG);
    assert_non_null(strstr(fault.text, "is this a vault"));
    call.path = "/teapot";
    assert_int_equal(vault_call(vault, &call, &fault, &body, NULL).class, VLT_MALFORMED);
    assert_int_equal(vault_status(vault), 418);
    assert_null(body);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_rejects_servers),
        cmocka_unit_test(client_rejects_nobody_there),
        cmocka_unit_test(client_accepts_segments),
        cmocka_unit_test(client_rejects_names_that_are_other_paths),
        cmocka_unit_test(client_accepts_keys),
        cmocka_unit_test(client_rejects_keys),
        cmocka_unit_test(client_survives_mutated_keys),
        cmocka_unit_test(client_accepts_proofs_with_a_token),
        SERVED(client_accepts_bound_tokens),
        SERVED(client_accepts_bearer_tokens),
        SERVED(client_rejects_a_token_of_another_binding),
        SERVED(client_rejects_oauth_errors),
        SERVED(client_rejects_a_refused_proof_with_advice),
        SERVED(client_accepts_revocation),
        SERVED(client_rejects_foreign_answers),
    };
    return cmocka_run_group_tests_name("client", tests, NULL, NULL);
}
