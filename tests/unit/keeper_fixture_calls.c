// SPDX-License-Identifier: Apache-2.0
// What the peers ask of the keeper, made and waited for.
#include "tests/unit/keeper_fixture.h"

#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/jwe.h"
#include "libvault/store/record_key.h"
#include "vaultd/ipc/credential_change.h"
#include "vaultd/ipc/rotation_kind.h"

struct outcome {
    bool is_done;
    vlt_result result;
    void *out; // of the call
};

#define DONE(name, ...) DONE_TOLD(name, , __VA_ARGS__)
// `told`: what a refusal says, too.
#define DONE_TOLD(name, told, ...)                                                                 \
    static void name##_done(vlt_result result, const struct answer_##name *answer,                 \
                            void *context) {                                                       \
        struct outcome *outcome = context;                                                         \
        outcome->is_done = true;                                                                   \
        outcome->result = result;                                                                  \
        told                                                                                       \
        if (vlt_is_ok(result) && outcome->out) {                                                   \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define CALL(f, role, name, ask, out_pointer)                                                      \
    struct outcome outcome = {.out = (out_pointer)};                                               \
    ask_##name((f)->mine[role], (ask), name##_done, &outcome);                                     \
    keeper_fixture_wait((f), &outcome.is_done);                                                    \
    return outcome.result

DONE(init, (void)answer;)
DONE(seal, (void)answer;)
DONE(commit, (void)answer;)
DONE(credential_state, (void)answer;)
DONE(revoke_rule, (void)answer;)
DONE(revoke_token, (void)answer;)
DONE(tenant_create, *(uint32_t *)outcome->out = answer->tenant;)
DONE(credential_put, *(uint32_t *)outcome->out = answer->version;)
DONE(credential_rollback, *(uint32_t *)outcome->out = answer->version;)
DONE(key_destroy, (void)answer;)
DONE(rotate, json_t **json = outcome->out;
     *json = json_loadb((const char *)answer->description.at, answer->description.size, 0, NULL);)
#define TELL_SEQUENCE(name)                                                                        \
    ((struct name *)outcome->out)->sequence = answer ? answer->sequence : 0;
DONE_TOLD(sign, TELL_SEQUENCE(signed_answer), struct signed_answer *out = outcome->out;
     out->expires_at = answer->expires_at;
     keeper_fixture_note(out->token, sizeof out->token, answer->token);)
DONE_TOLD(open, TELL_SEQUENCE(opened_answer), struct opened_answer *out = outcome->out;
     out->version = answer->version;
     out->reuse_until = answer->reuse_until;
     keeper_fixture_note(out->value, sizeof out->value, answer->value);
     keeper_fixture_note(out->profile, sizeof out->profile, answer->profile);
     keeper_fixture_note(out->parameters, sizeof out->parameters, answer->parameters);)

struct text_room {
    char *text;
    size_t capacity;
};
DONE(status, struct text_room *out = outcome->out;
     keeper_fixture_note(out->text, out->capacity, answer->description);)

// One event for every call: the keeper fills in what it knows.
struct bytes fixture_event(const char *operation) {
    static uint8_t room[1024];
    struct audit_event event = {.kind = AUDIT_ADMIN,
                                .outcome = AUDIT_ALLOW,
                                .operation = bytes_of_text(operation),
                                .principal = BYTES_LITERAL("made-up|by the peer"),
                                .tenant = BYTES_LITERAL("made-up"),
                                .administrator = BYTES_LITERAL("uid 0")};
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    audit_event_put(&w, &event);
    return bytes_of(room, w.size);
}

vlt_result fixture_init(struct keeper_fixture *f) {
    struct ask_init ask = {.shares = 3, .threshold = 2, .event = fixture_event("vault.init")};
    // Any point of the curve: nobody reads the shares. (The generator of P-256.)
    static const char x[] = "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296";
    static const char y[] = "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";
    if (!vlt_is_ok(hex_decode(bytes_of_text(x), ask.reply_x, 32)) ||
        !vlt_is_ok(hex_decode(bytes_of_text(y), ask.reply_y, 32)))
        abort();
    CALL(f, IPC_ADMIN, init, &ask, NULL);
}

vlt_result fixture_seal(struct keeper_fixture *f, bool seal) {
    struct ask_seal ask = {.seal = seal,
                           .event = fixture_event(seal ? "vault.seal" : "vault.unseal")};
    CALL(f, IPC_ADMIN, seal, &ask, NULL);
}

vlt_result fixture_status(struct keeper_fixture *f, char *text, size_t capacity) {
    struct text_room room = {text, capacity};
    struct ask_status ask = {.no_field = 0};
    CALL(f, IPC_ADMIN, status, &ask, &room);
}

vlt_result fixture_tenant(struct keeper_fixture *f, const char *name, uint32_t *ret_number) {
    struct ask_tenant_create ask = {.name = bytes_of_text(name),
                                    .description = BYTES_LITERAL("{\"description\":\"for tests\"}"),
                                    .event = fixture_event("tenant.create")};
    CALL(f, IPC_ADMIN, tenant_create, &ask, ret_number);
}

static bool take_intake(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct record_key record;
    if (vlt_is_ok(record_key_parse(value, NULL, &record))) {
        if (!vlt_is_ok(jwk_parse_json(record.jwk, 0, NULL, context)))
            keeper_fixture_give_up("the intake key can not be read");
        record_key_done(&record);
    }
    return false;
}

// As the CLI and the admin role do it: seal to the published key, take apart.
static void seal_value(struct keeper_fixture *f, const char *text,
                       struct jwe_intake_fields *fields) {
    struct jwk *key = NULL;
    struct store *store = f->keeper ? f->keeper->store : NULL; // one of a file in a process
    if (!store && !vlt_is_ok(store_open(f->store_path, STORE_READ, NULL, &store)))
        keeper_fixture_give_up("the store can not be read");
    struct buf jwe;
    struct secret *value = secret_new(IPC_VALUE_MAX);
    buf_init(&jwe, JWE_INTAKE_MAX_BYTES);
    if (!vlt_is_ok(store_snapshot_begin(store)) ||
        !vlt_is_ok(store_each(store, STORE_SYSTEM_TENANT, STORE_INTAKE_KEY, bytes_of(NULL, 0),
                              bytes_of(NULL, 0), take_intake, &key)) ||
        !key || !vlt_is_ok(secret_set(value, text, strlen(text))) ||
        !vlt_is_ok(jwe_intake_seal(key, value, &jwe)) ||
        !vlt_is_ok(jwe_intake_split(buf_bytes(&jwe), fields)))
        keeper_fixture_give_up("a value can not be sealed to the intake key");
    store_snapshot_end(store);
    if (!f->keeper)
        store_close(store);
    buf_done(&jwe);
    secret_free(value);
    jwk_free(key);
}

vlt_result fixture_put(struct keeper_fixture *f, const struct put_request *request,
                       uint32_t *ret_version) {
    static struct jwe_intake_fields fields;
    uint8_t hosts[300];
    struct wire_writer w;
    wire_writer_init(&w, hosts, sizeof hosts);
    wire_put_text(&w, request->host);
    seal_value(f, request->value, &fields);
    struct ask_credential_put ask = {.tenant = request->tenant,
                                     .name = bytes_of_text(request->name),
                                     .mode = request->stages    ? CREDENTIAL_STAGE
                                             : request->rotates ? CREDENTIAL_ROTATE
                                                                : CREDENTIAL_CREATE,
                                     .form = request->form,
                                     .expected_revision = request->revision,
                                     .profile = BYTES_LITERAL("generic-bearer"),
                                     .hosts = bytes_of(hosts, w.size),
                                     .parameters = BYTES_LITERAL("{ \"b\":\"2\", \"a\":\"1\"}"),
                                     .description = BYTES_LITERAL("for tests"),
                                     .grace_s = request->grace_s,
                                     .intake_kid = bytes_of_text(fields.kid),
                                     .jwe_header = bytes_of(fields.aad, fields.aad_bytes),
                                     .ciphertext =
                                         bytes_of(fields.ciphertext, fields.ciphertext_bytes),
                                     .event = fixture_event("credential.put")};
    memcpy(ask.epk_x, fields.epk_x, 32);
    memcpy(ask.epk_y, fields.epk_y, 32);
    memcpy(ask.iv, fields.iv, 12);
    memcpy(ask.tag, fields.tag, 16);
    ask.tag[3] ^= request->breaks_tag;
    uint32_t ignored;
    CALL(f, IPC_ADMIN, credential_put, &ask, ret_version ? ret_version : &ignored);
}

vlt_result fixture_state(struct keeper_fixture *f, uint32_t tenant, const char *name,
                         uint8_t state) {
    struct ask_credential_state ask = {.tenant = tenant,
                                       .name = bytes_of_text(name),
                                       .state = state,
                                       .event = fixture_event("credential.state")};
    CALL(f, IPC_ADMIN, credential_state, &ask, NULL);
}

vlt_result fixture_commit(struct keeper_fixture *f, const struct store_change *changes,
                          size_t count) {
    static uint8_t room[110000];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    for (size_t i = 0; i < count; i++)
        store_change_put(&w, &changes[i]);
    struct ask_commit ask = {.changes = bytes_of(room, w.size),
                             .event = fixture_event("issuer.put")};
    CALL(f, IPC_ADMIN, commit, &ask, NULL);
}

vlt_result fixture_revoke_rule(struct keeper_fixture *f, uint32_t tenant, uint8_t kind,
                               const char *value) {
    struct ask_revoke_rule ask = {.tenant = tenant,
                                  .kind = kind,
                                  .value = bytes_of_text(value),
                                  .event = fixture_event("revoke.rule")};
    CALL(f, IPC_ADMIN, revoke_rule, &ask, NULL);
}

vlt_result fixture_revoke_token(struct keeper_fixture *f, uint32_t tenant, const char *token) {
    struct ask_revoke_token ask = {
        .tenant = tenant, .token = bytes_of_text(token), .event = fixture_event("token.revoke")};
    CALL(f, IPC_BROKER, revoke_token, &ask, NULL);
}

// ---- Rotation ----

vlt_result fixture_rotate(struct keeper_fixture *f, const struct ask_rotate *how,
                          json_t **ret_json) {
    char operation[32];
    struct ask_rotate ask = *how;
    snprintf(operation, sizeof operation, "rotate.%s", rotation_kind_name(how->kind));
    ask.event = fixture_event(operation);
    CALL(f, IPC_ADMIN, rotate, &ask, ret_json);
}

vlt_result fixture_key_destroy(struct keeper_fixture *f, unsigned kind, uint32_t tenant,
                               const char *key) {
    struct ask_key_destroy ask = {.kind = (uint8_t)kind,
                                  .tenant = tenant,
                                  .key = bytes_of_text(key),
                                  .event = fixture_event("key.destroy")};
    CALL(f, IPC_ADMIN, key_destroy, &ask, NULL);
}

vlt_result fixture_rollback(struct keeper_fixture *f, const char *name, uint32_t *ret_version) {
    struct ask_credential_rollback ask = {.tenant = 1,
                                          .name = bytes_of_text(name),
                                          .grace_s = 60,
                                          .event = fixture_event("credential.rollback")};
    CALL(f, IPC_ADMIN, credential_rollback, &ask, ret_version);
}

// ---- Tokens ----

void fixture_claims(struct token_claims *claims, const char *name, uint8_t key_byte) {
    *claims = (struct token_claims){
        .tenant = BYTES_LITERAL("default"),
        .principal = BYTES_LITERAL("https://id.example|alice"),
        .client = BYTES_LITERAL("cli"),
        .actors = {{.principal = BYTES_LITERAL("https://id.example|bot"), .kind = TOKEN_AGENT}},
        .actor_count = 1,
        .policy_set = BYTES_LITERAL("pol"),
        .detail_count = 1};
    claims->details[0].credential = bytes_of_text(name);
    claims->details[0].methods = (struct token_list){.count = 1, .items = {BYTES_LITERAL("POST")}};
    claims->details[0].paths = (struct token_list){.count = 1, .items = {BYTES_LITERAL("/v1/*")}};
    claims->binding = key_byte ? TOKEN_BOUND_DPOP : TOKEN_BEARER;
    memset(claims->thumbprint, key_byte, sizeof claims->thumbprint);
}

// Every call brings a proof that was not used before.
static void fresh_proof(uint8_t id[32], uint64_t *until) {
    static uint32_t count;
    memset(id, 0xa5, 32);
    count++;
    memcpy(id, &count, sizeof count);
    *until = (uint64_t)clock_now_s() + 60;
}

vlt_result fixture_sign(struct keeper_fixture *f, const struct token_claims *claims,
                        uint32_t tenant, uint32_t lifetime_s, struct signed_answer *ret_answer) {
    static uint8_t room[12288];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    token_claims_put(&w, claims);
    struct ask_sign ask = {.tenant = tenant,
                           .claims = bytes_of(room, w.size),
                           .lifetime_s = lifetime_s,
                           .event = fixture_event("token.issue")};
    if (claims->binding == TOKEN_BOUND_DPOP)
        fresh_proof(ask.proof_id, &ask.proof_until);
    CALL(f, IPC_BROKER, sign, &ask, ret_answer);
}

void fixture_open_request(struct ask_open *ask, const char *token, const char *name,
                          uint8_t key_byte) {
    *ask = (struct ask_open){.token = bytes_of_text(token),
                             .credential = bytes_of_text(name),
                             .method = BYTES_LITERAL("POST"),
                             .host = BYTES_LITERAL("api.example"),
                             .path = BYTES_LITERAL("/v1/chat"),
                             .proof_kind = key_byte ? TOKEN_BOUND_DPOP : TOKEN_BEARER,
                             .event = fixture_event("redeem")};
    memset(ask->proof_key, key_byte, sizeof ask->proof_key);
    fresh_proof(ask->proof_id, &ask->proof_until);
}

vlt_result fixture_open(struct keeper_fixture *f, const struct ask_open *ask,
                        struct opened_answer *ret_answer) {
    CALL(f, IPC_REDEEMER, open, ask, ret_answer);
}
