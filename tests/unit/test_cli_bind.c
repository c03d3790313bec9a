// SPDX-License-Identifier: Apache-2.0
// `vaultctl exec --bind` with the real program: a broker and a forwarder made for
// tests in a child process, and this file once more as the program that is run
// (argv[1] "program"), which knows only a base URL and a key.
#include <arpa/inet.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jws.h"
#include "tests/unit/check.h"
#include "vaultd/net/http_server.h"

#define BODY_BYTES 300000 // more than one piece
#define TOKEN "tok-bound-1"

// ---- The server ----

static char origin[64]; // of the forwarder

static bool proof_holds(const struct http_request *request, const char *token) {
    struct bytes value;
    struct jws_parts parts;
    json_t *claims = NULL;
    char htu[256], hash[64];
    uint8_t digest[32];
    if (http_header_find(&request->fields, "dpop", &value) != 1 ||
        !vlt_is_ok(jws_split(value, JWS_EMBEDDED_KEY, &parts)))
        return false;
    snprintf(htu, sizeof htu, "%s%.*s", token ? origin : "http://vaultd", (int)request->path.size,
             (const char *)request->path.at);
    bool holds = vlt_is_ok(jws_verify(&parts, JWS_BIT(JWS_ES256), parts.embedded)) &&
                 vlt_is_ok(jsontext_parse(parts.payload, &jsontext_token_limits, NULL, &claims));
    const char *said = json_string_value(json_object_get(claims, "htu"));
    holds = holds && said && !strcmp(said, htu);
    if (token) {
        const char *ath = json_string_value(json_object_get(claims, "ath"));
        holds = holds && vlt_is_ok(digest_sha256(bytes_of_text(token), digest));
        b64u_encode_text(bytes_of(digest, 32), hash);
        holds = holds && ath && !strcmp(ath, hash);
    }
    json_decref(claims);
    jws_parts_done(&parts);
    return holds;
}

static void reply(struct http_exchange *x, unsigned status, const char *text) {
    http_exchange_reply_typed(x, status, "application/json", bytes_of_text(text));
}

static void piece_late(evutil_socket_t fd, short what, void *context) {
    struct http_exchange *x = context;
    if (!vlt_is_ok(http_exchange_stream_chunk(x, BYTES_LITERAL("data: two\n\n"))))
        fprintf(stderr, "the second piece could not be sent\n");
    http_exchange_stream_end(x);
}

static bool all_z(struct bytes body) {
    for (size_t i = 0; i < body.size; i++)
        if (body.at[i] != 'z')
            return false;
    return body.size == BODY_BYTES;
}

static void forward(struct http_exchange *x, struct event_base *base) {
    const struct http_request *request = http_exchange_request(x);
    struct bytes value;
    bool is_bound = http_header_find(&request->fields, "authorization", &value) == 1 &&
                    bytes_equal_text(value, "DPoP " TOKEN) && proof_holds(request, TOKEN);
    bool leaks = http_header_find(&request->fields, "x-api-key", NULL) > 0;
    if (!is_bound || leaks) {
        reply(x, 401, "{\"error\":\"not bound\"}");
    } else if (bytes_equal_text(request->path, "/prefix/openai/v1/upload")) {
        reply(x, all_z(request->body) ? 200 : 400, "{}");
    } else if (http_exchange_stream_begin(x, 200, NULL, 0, NULL, NULL).class == VLT_CLASS_OK) {
        const struct timeval later = {0, 300000};
        if (!vlt_is_ok(http_exchange_stream_chunk(x, BYTES_LITERAL("data: one\n\n"))))
            fprintf(stderr, "the first piece could not be sent\n");
        event_base_once(base, -1, EV_TIMEOUT, piece_late, x, &later);
    }
}

static void handle(struct http_exchange *x, void *ctx) {
    const struct http_request *request = http_exchange_request(x);
    if (!bytes_equal_text(request->path, "/oauth2/token"))
        forward(x, ctx);
    else if (proof_holds(request, NULL))
        reply(x, 200,
              "{\"access_token\":\"" TOKEN "\",\"token_type\":\"DPoP\",\"expires_in\":300}");
    else
        reply(x, 400, "{\"error\":\"invalid_dpop_proof\"}");
}

struct world {
    pid_t child;
    char folder[64], broker[128], forwarder[96];
};
static struct world world;

static void serve(int tcp_fd, int ready) {
    struct event_base *base = event_base_new();
    struct http_server_settings settings = http_server_settings_default;
    settings.handler = handle;
    settings.limits.body_bytes = 1u << 20;
    settings.ctx = base;
    struct http_server *server = http_server_new(base, &settings);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", world.folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 8) != 0 ||
        !vlt_is_ok(http_server_listen_fd(server, fd, false, NULL)) ||
        !vlt_is_ok(http_server_listen_fd(server, tcp_fd, false, NULL)) || write(ready, "x", 1) != 1)
        _exit(70);
    event_base_dispatch(base);
    _exit(0);
}

static int start(void **state) {
    int ready[2];
    char byte;
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof any;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&any, &size), 0);
    snprintf(origin, sizeof origin, "http://127.0.0.1:%u", ntohs(any.sin_port));
    snprintf(world.forwarder, sizeof world.forwarder, "%s/prefix/", origin);
    snprintf(world.folder, sizeof world.folder, "/tmp/vault-bind-XXXXXX");
    assert_non_null(mkdtemp(world.folder));
    snprintf(world.broker, sizeof world.broker, "unix:%s/s", world.folder);
    assert_int_equal(pipe(ready), 0);
    fflush(NULL);
    world.child = fork();
    if (world.child == 0)
        serve(fd, ready[1]);
    close(fd);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return 0;
}

static int stop(void **state) {
    int status;
    kill(world.child, SIGKILL);
    assert_int_equal(waitpid(world.child, &status, 0), world.child);
    unlink(world.broker + 5);
    rmdir(world.folder);
    return 0;
}

// ---- The program ----

struct received {
    size_t pieces, size;
    char text[4096];
};

static size_t take(char *at, size_t size, size_t count, void *context) {
    struct received *received = context;
    size_t room = sizeof received->text - 1 - received->size,
           got = size * count < room ? size * count : room;
    memcpy(received->text + received->size, at, got);
    received->size += got;
    received->text[received->size] = 0;
    received->pieces++;
    return size * count;
}

// Status of one POST with this header line; what came is in *ret_received.
static long post(const char *path, const char *key_line, size_t body_bytes, const char *coding,
                 struct received *ret_received) {
    char url[512], *body = malloc(body_bytes + 1);
    long status = 0;
    memset(body, 'z', body_bytes);
    snprintf(url, sizeof url, "%s%s", getenv("OPENAI_BASE_URL"), path);
    memset(ret_received, 0, sizeof *ret_received);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, key_line);
    headers = curl_slist_append(headers, coding);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body_bytes);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, ret_received);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, 20000L);
    if (curl_easy_perform(curl) == CURLE_OK)
        curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(body);
    return status;
}

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "program: not so: %s\n", #condition);                                  \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

static int program(void) {
    struct received got;
    char bearer[256], api_key[256];
    const char *key = getenv("OPENAI_API_KEY");
    CHECK(key && getenv("OPENAI_BASE_URL"));
    CHECK(!strstr(key, TOKEN));
    CHECK(!getenv("VAULTCTL_SUBJECT_TOKEN")); // who the person is stays outside
    snprintf(bearer, sizeof bearer, "Authorization: Bearer %s", key);
    snprintf(api_key, sizeof api_key, "x-api-key: %s", key);
    CHECK(post("/upload", bearer, BODY_BYTES, "Expect:", &got) == 200);
    CHECK(post("/upload", api_key, BODY_BYTES, "Expect:", &got) == 200);
    CHECK(post("/upload", bearer, BODY_BYTES, "Transfer-Encoding: chunked", &got) == 200);
    CHECK(post("/upload", bearer, BODY_BYTES, "Expect: 100-continue", &got) == 200);
    CHECK(post("/stream", bearer, 10, "Expect:", &got) == 200);
    CHECK(!strcmp(got.text, "data: one\n\ndata: two\n\n") && got.pieces >= 2); // as they came
    CHECK(post("/stream", "Authorization: Bearer sk-guess", 10, "Expect:", &got) == 401);
    CHECK(strstr(got.text, "invalid_api_key"));
    CHECK(post("/stream", "Accept: text/plain", 10, "Expect:", &got) == 401);
    return 42; // passed on by vaultctl
}

// ---- The cases ----

static int exec_bind(const char *const *words) {
    char *argv[32] = {(char *)(uintptr_t)"vaultctl"};
    int status;
    for (size_t i = 0; words[i]; i++)
        argv[i + 1] = (char *)(uintptr_t)words[i];
    pid_t pid = fork();
    if (pid == 0) {
        setenv("VAULTCTL_BROKER", world.broker, 1);
        setenv("VAULTCTL_FORWARDER", world.forwarder, 1);
        setenv("VAULTCTL_PROFILES", VAULT_SOURCE_DIR "/forward/profiles", 1);
        setenv("VAULTCTL_SUBJECT_TOKEN", "a.b.c", 1);
        execv(VAULTCTL_PROGRAM, argv);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
#define EXEC(...)                                                                                  \
    exec_bind((const char *const[]){"exec", "--bind", "--credential", "c", "--profile", "openai",  \
                                    __VA_ARGS__, NULL})

static char self[512];

static void bind_accepts_an_unmodified_program(void **state) {
    assert_int_equal(EXEC("--", self, "program"), 42);
}

static void bind_accepts_the_status_of_the_program(void **state) {
    assert_int_equal(EXEC("--", "sh", "-c", "exit 7"), 7);
    assert_int_equal(EXEC("--", "sh", "-c", "kill -TERM $$"), 128 + SIGTERM);
    assert_int_equal(EXEC("--", "/nonexistent/program"), 127);
}

static void bind_rejects_forwarders(void **state) {
    assert_int_equal(EXEC("--forwarder", "ftp://x", "--", "true"), 2);
    assert_int_equal(EXEC("--forwarder", "http://", "--", "true"), 2);
    assert_int_equal(EXEC("--forwarder", "http://u@h", "--", "true"), 2);
}

static void bind_rejects_without_a_broker(void **state) {
    assert_int_equal(EXEC("--broker", "unix:/nonexistent/s", "--", "true"), 6);
}

int main(int argc, char **argv) {
    if (argc == 2 && !strcmp(argv[1], "program"))
        return program();
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bind_accepts_an_unmodified_program),
        cmocka_unit_test(bind_accepts_the_status_of_the_program),
        cmocka_unit_test(bind_rejects_forwarders),
        cmocka_unit_test(bind_rejects_without_a_broker),
    };
    return cmocka_run_group_tests_name("cli_bind", tests, start, stop);
}
