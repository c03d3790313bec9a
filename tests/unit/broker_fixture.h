// SPDX-License-Identifier: Apache-2.0
// The real broker's HTTP layer on a unix socket, against a keeper and an auditor
// made for tests over real channels, all in one thread: every wait runs the
// loop. Included by test_broker*.c only.
#ifndef VLT_TESTS_UNIT_BROKER_FIXTURE_H
#define VLT_TESTS_UNIT_BROKER_FIXTURE_H

#include "tests/unit/identity_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "libvault/audit/event.h"
#include "libvault/base/b64u.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/random.h"
#include "libvault/store/record_credential.h"
#include "libvault/token/token_sign.h"
#include "vaultd/broker/refusal.h"
#include "vaultd/ipc/reasons.h"

#define BASE_URL "https://vault.example"

struct world {
    char folder[64];
    struct event_base *base;
    struct store *store;
    struct broker broker;
    struct channel *ends[4];
    struct jwk *idp, *agents, *client, *signer;
    // The keeper and auditor of the test.
    vlt_result keeper_says, auditor_says;
    unsigned signed_count, recorded_count;
    struct ask_sign last_ask; // without its views
    char last_claims[TOKEN_PAYLOAD_MAX + 1];
    char last_event[8192];
    char last_revoked[TOKEN_BYTES_MAX + 1];
};
static struct world world;

struct answer {
    unsigned status;
    char head[2048];
    char body[32768];
    json_t *json; // of the body, or NULL
};

// ---- Keeper and auditor ----

static void note_event(struct bytes frame) {
    struct audit_event event;
    struct buf text;
    buf_init(&text, sizeof world.last_event);
    assert_true(vlt_is_ok(audit_event_get(frame, &event)));
    audit_event_json(&event, 1, &text);
    snprintf(world.last_event, sizeof world.last_event, "%s", buf_text(&text));
    buf_done(&text);
}

static void answer_ask_sign(struct ipc_call *call, struct bytes frame) {
    struct ask_sign ask;
    struct token_claims claims;
    struct buf token, json;
    assert_true(vlt_is_ok(ask_sign_decode(frame, &ask)));
    assert_true(vlt_is_ok(token_claims_get(ask.claims, &claims)));
    note_event(ask.event);
    world.last_ask = ask;
    world.signed_count++;
    claims.issuer = claims.audience;
    claims.id = BYTES_LITERAL("jti-1");
    claims.issued_at = clock_now_s();
    claims.expires_at = claims.issued_at + ask.lifetime_s;
    buf_init(&token, TOKEN_BYTES_MAX);
    buf_init(&json, TOKEN_PAYLOAD_MAX);
    assert_true(vlt_is_ok(token_claims_json(&claims, &json)));
    snprintf(world.last_claims, sizeof world.last_claims, "%s", buf_text(&json));
    assert_true(vlt_is_ok(token_sign(world.signer, &claims, &token)));
    const struct answer_sign refused = {.sequence = 4711};
    const struct answer_sign answer = {.token = buf_bytes(&token),
                                       .expires_at = (uint64_t)claims.expires_at,
                                       .sequence = 4712};
    reply_sign(call, world.keeper_says, vlt_is_ok(world.keeper_says) ? &answer : &refused);
    buf_done(&token);
    buf_done(&json);
}

static void keeper_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                         void *context) {
    struct ask_revoke_token ask;
    const struct answer_revoke_token answer = {0};
    if (message == IPC_ASK_sign) {
        answer_ask_sign(call, frame);
        return;
    }
    if (message == IPC_ASK_serving) {
        reply_failure(call, world.keeper_says);
        return;
    }
    assert_int_equal(message, IPC_ASK_revoke_token);
    assert_true(vlt_is_ok(ask_revoke_token_decode(frame, &ask)));
    assert_true(bytes_to_text(ask.token, world.last_revoked, sizeof world.last_revoked));
    note_event(ask.event);
    reply_revoke_token(call, world.keeper_says, vlt_is_ok(world.keeper_says) ? &answer : NULL);
}

static void auditor_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                          void *context) {
    struct ask_record ask;
    const struct answer_record answer = {.sequence = 1};
    if (message == IPC_ASK_serving) {
        reply_failure(call, world.auditor_says);
        return;
    }
    assert_int_equal(message, IPC_ASK_record);
    assert_true(vlt_is_ok(ask_record_decode(frame, &ask)));
    note_event(ask.event);
    world.recorded_count++;
    reply_record(call, world.auditor_says, vlt_is_ok(world.auditor_says) ? &answer : NULL);
}

static const struct channel_events silent_events = {0};
static const struct channel_events keeper_events = {.asked = keeper_asked};
static const struct channel_events auditor_events = {.asked = auditor_asked};

static void connect_roles(void) {
    int keeper[2], auditor[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, keeper), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, auditor), 0);
    world.ends[0] =
        channel_new(world.base, keeper[0], IPC_BROKER, IPC_KEEPER, &silent_events, NULL);
    world.ends[1] =
        channel_new(world.base, keeper[1], IPC_KEEPER, IPC_BROKER, &keeper_events, NULL);
    world.ends[2] =
        channel_new(world.base, auditor[0], IPC_BROKER, IPC_AUDITOR, &silent_events, NULL);
    world.ends[3] =
        channel_new(world.base, auditor[1], IPC_AUDITOR, IPC_BROKER, &auditor_events, NULL);
    world.broker.keeper = world.ends[0];
    world.broker.auditor = world.ends[2];
}

// ---- What is in the store ----

static void commit_bytes(uint32_t tenant, enum store_class class, struct bytes name,
                         struct bytes value) {
    const struct store_change change = {.tenant = tenant, .class = class, .name = name,
                                        .value = value, .expected_revision = STORE_ANY_REVISION};
    uint64_t revision;
    size_t conflict;
    assert_true(vlt_is_ok(store_commit(world.store, &change, 1, &revision, &conflict)));
}

static void put_tenant(const char *name, uint32_t number) {
    struct record_tenant tenant = {.number = number, .created_at = 1};
    snprintf(tenant.name, sizeof tenant.name, "%s", name);
    idp_commit(world.store, STORE_SYSTEM_TENANT, STORE_TENANT, name, record_tenant_json(&tenant));
}

static void put_issuer(const char *name, const char *issuer, struct jwk *key, const char *kind) {
    idp_commit(world.store, TENANT, STORE_ISSUER, name,
               json_pack("{s:s, s:s, s:o, s:[s], s:[s], s:s, s:[{s:s,s:s}]}", "name", name,
                         "issuer", issuer, "jwks", idp_jwks(&key, 1), "audiences", "vault",
                         "algorithms", "ES256", "kind", kind, "groups", "claim", "groups",
                         "value", "*"));
}

static void put_credential(const char *name, enum record_credential_status status) {
    uint8_t room[2048], name_room[RECORD_NAME_MAX + 5], hosts_room[64];
    struct wire_writer w, hosts;
    const struct record_credential_state state = {.status = (uint8_t)status, .version = 1};
    wire_writer_init(&w, room, sizeof room);
    record_credential_state_put(&w, &state);
    commit_bytes(TENANT, STORE_CREDENTIAL_STATE, bytes_of_text(name), bytes_of(room, w.size));
    static const uint8_t zeros[40];
    wire_writer_init(&hosts, hosts_room, sizeof hosts_room);
    wire_put_text(&hosts, "api.openai.com");
    const struct record_credential_secret secret = {.algorithm = 1,
                                                    .data_key = 1,
                                                    .profile = BYTES_LITERAL("openai"),
                                                    .hosts = bytes_of(hosts_room, hosts.size),
                                                    .parameters = BYTES_LITERAL("{}"),
                                                    .nonce = bytes_of(zeros, 24),
                                                    .ciphertext = bytes_of(zeros, 40)};
    wire_writer_init(&w, room, sizeof room);
    record_credential_secret_put(&w, &secret);
    commit_bytes(TENANT, STORE_CREDENTIAL_SECRET,
                 record_credential_secret_name(bytes_of_text(name), 1, name_room),
                 bytes_of(room, w.size));
}

static void put_policies(const char *text) {
    static uint64_t version;
    struct record_policy_set set = {.version = ++version, .document_count = 1, .activated_at = 1};
    uint8_t digest[32];
    memcpy(set.activated_by, "test", 5);
    memcpy(set.documents[0].name, "main", 5);
    assert_true(vlt_is_ok(digest_sha256(bytes_of_text(text), digest)));
    hex_encode(bytes_of(digest, 32), set.documents[0].sha256);
    commit_bytes(TENANT, STORE_POLICY_TEXT, bytes_of_text(set.documents[0].sha256),
                 bytes_of_text(text));
    assert_true(vlt_is_ok(record_policy_set_seal(&set)));
    idp_commit(world.store, TENANT, STORE_POLICY_SET, "active", record_policy_set_json(&set));
}

static void put_signing_key(void) {
    json_t *jwk = NULL;
    assert_true(vlt_is_ok(jwk_export(world.signer, "ES256", "sig", &jwk)));
    idp_commit(world.store, STORE_SYSTEM_TENANT, STORE_SIGNING_KEY, world.signer->kid,
               json_pack("{s:s, s:o, s:s, s:i}", "kid", world.signer->kid, "jwk", jwk, "state",
                         "active", "created_at", 1));
}

// ---- Life ----

static void listen_unix(void) {
    struct http_server_settings settings = http_server_settings_default;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct broker *broker = &world.broker;
    broker->router =
        (struct http_router){broker_routes, broker_route_count, broker, refusal_too_large};
    settings.handler = http_router_handler;
    settings.body_max = http_router_body_max_handler;
    settings.too_large = http_router_too_large_handler;
    settings.ctx = &broker->router;
    broker->server = http_server_new(world.base, &settings);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/broker.sock", world.folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_true(vlt_is_ok(http_server_listen_fd(broker->server, fd, false, NULL)));
}

static int world_open(void **state) {
    struct broker *broker = &world.broker;
    struct fault fault = {0};
    assert_true(vlt_is_ok(secret_heap_open(4u << 20, NULL)));
    idp_folder(world.folder);
    world.base = event_base_new();
    world.idp = idp_key_p256("i");
    world.agents = idp_key_p256("a");
    world.client = idp_key_p256(NULL);
    world.signer = idp_key_p256("vault-key");
    assert_true(vlt_is_ok(store_open(world.folder, STORE_CREATE, &fault, &world.store)));
    put_tenant("default", TENANT);
    put_issuer("idp", IDP, world.idp, "user");
    put_issuer("agents", "https://agents.example", world.agents, "agent");
    put_credential("openai", RECORD_CREDENTIAL_ACTIVE);
    put_credential("public", RECORD_CREDENTIAL_ACTIVE);
    put_credential("disabled", RECORD_CREDENTIAL_DISABLED);
    put_signing_key();
    memcpy(broker->issuer, BASE_URL, sizeof BASE_URL);
    broker->token_lifetime_s = 300;
    broker->store = world.store; // LMDB: once in a process
    assert_true(vlt_is_ok(jwks_cache_new(world.base, BYTES_LITERAL("none"), NULL, &broker->jwks)));
    assert_true(vlt_is_ok(dpop_nonces_new((const uint8_t[32]){1}, &broker->nonces)));
    broker->book = issuer_book_new(broker->jwks);
    broker->policies = policy_cache_new();
    broker->decider = decider_new();
    connect_roles();
    listen_unix();
    return 0;
}

static int world_close(void **state) {
    struct broker *broker = &world.broker;
    http_server_free(broker->server);
    event_base_loop(world.base, EVLOOP_NONBLOCK);
    for (size_t i = 0; i < 4; i++)
        channel_free(world.ends[i]);
    issuer_book_free(broker->book);
    jwks_cache_free(broker->jwks);
    dpop_nonces_free(broker->nonces);
    policy_cache_free(broker->policies);
    decider_free(broker->decider);
    signing_keys_done(&broker->keys);
    store_close(world.store);
    jwk_free(world.idp);
    jwk_free(world.agents);
    jwk_free(world.client);
    jwk_free(world.signer);
    event_base_free(world.base);
    idp_folder_remove(world.folder);
    return 0;
}

// ---- The client ----

static void answer_done(struct answer *answer) {
    json_decref(answer->json);
    answer->json = NULL;
}

static void exchange(const char *request, size_t size, struct answer *answer) {
    static char text[65536];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t sent = 0, got = 0;
    int64_t until_ms = clock_elapsed_ms() + 60000;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/broker.sock", world.folder);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (;;) {
        ssize_t n = sent < size ? write(fd, request + sent, size - sent) : 0;
        sent += n > 0 ? (size_t)n : 0;
        event_base_loop(world.base, EVLOOP_NONBLOCK);
        n = read(fd, text + got, sizeof text - 1 - got);
        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
        assert_true(clock_elapsed_ms() < until_ms);
    }
    close(fd);
    text[got] = 0;
    char *body = strstr(text, "\r\n\r\n");
    assert_non_null(body);
    *body = 0;
    *answer = (struct answer){.status = (unsigned)strtoul(text + 9, NULL, 10)};
    assert_true(bytes_to_text(bytes_of_text(text), answer->head, sizeof answer->head));
    assert_true(bytes_to_text(bytes_of_text(body + 4), answer->body, sizeof answer->body));
    answer->json = json_loads(answer->body, 0, NULL);
}

static void send_request(const char *method, const char *path, const char *media,
                         const char *headers, const char *body, struct answer *answer) {
    struct buf request;
    buf_init(&request, 262144);
    buf_put_format(&request, "%s %s HTTP/1.1\r\nHost: vault.example\r\nConnection: close\r\n%s",
                   method, path, headers);
    if (body)
        buf_put_format(&request, "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s", media,
                       strlen(body), body);
    else
        buf_put_text(&request, "\r\n");
    assert_false(buf_failed(&request));
    exchange((const char *)request.at, request.size, answer);
    buf_done(&request);
}

static inline void post_form(const char *path, const char *headers, const char *form,
                             struct answer *answer) {
    send_request("POST", path, "application/x-www-form-urlencoded", headers, form, answer);
}

static const char *json_text(const struct answer *answer, const char *name) {
    const char *text = json_string_value(json_object_get(answer->json, name));
    return text ? text : "";
}

// ---- Policies, and who asks ----

static const char policies[] =
    "@id(\"eng\") permit(principal in Group::\"eng\", action == Action::\"issue\", resource == "
    "Credential::\"openai\")"
    "  when { context.models == [\"gpt-*\"] };"
    "@id(\"agents\") @lifetime(\"60\") permit(principal is Agent, action == Action::\"issue\", "
    "resource == Credential::\"openai\");"
    "@id(\"anyone\") @bearer(\"allow\") permit(principal, action in Action::\"use\", resource == "
    "Credential::\"public\");"
    "@id(\"never\") forbid(principal == User::\"" IDP "|mallory\", action, resource);";

static inline int open_all(void **state) {
    world_open(state);
    put_policies(policies);
    return 0;
}

static inline int reset(void **state) {
    world.keeper_says = world.auditor_says = vlt_ok();
    world.signed_count = world.recorded_count = 0;
    world.last_event[0] = world.last_claims[0] = 0;
    world.broker.keeper = world.ends[0];
    world.broker.auditor = world.ends[2];
    return 0;
}

static inline char *user_token_for(int64_t lifetime_s, const char *more) {
    char payload[2048];
    int64_t now = clock_now_s();
    snprintf(payload, sizeof payload,
             "{\"iss\":\"" IDP "\",\"aud\":\"vault\",\"iat\":%lld,\"exp\":%lld%s}", (long long)now,
             (long long)(now + lifetime_s), more);
    return idp_sign(world.idp, NULL, payload);
}
static inline char *user_token(const char *more) { return user_token_for(3600, more); }
#define ALICE ",\"sub\":\"alice\",\"groups\":[\"eng\"]"

#define CASE(name) cmocka_unit_test_setup(name, reset)

#endif
