// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/admin_harness_keeper.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/audit/event.h"
#include "libvault/base/clock.h"
#include "libvault/base/hex.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/digest.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/pkey.h"
#include "libvault/store/record_credential.h"
#include "libvault/store/record_key.h"
#include "vaultd/ipc/credential_change.h"

void must(bool holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "admin harness: %s\n", what);
    exit(70);
}

// ---- Audit ----

static void keep_event(struct harness_keeper *keeper, struct bytes frame) {
    struct audit_event event;
    must(vlt_is_ok(audit_event_get(frame, &event)), "an event does not decode");
    must(event.administrator.size > 0 && event.operation.size > 0, "an event without its author");
    event.at_us = (uint64_t)clock_now_us();
    audit_event_json(&event, keeper->log_count++, &keeper->log);
    buf_put_byte(&keeper->log, '\n');
}

void harness_auditor_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                           void *context) {
    struct harness_keeper *keeper = context;
    if (message == IPC_ASK_record) {
        struct ask_record ask;
        must(vlt_is_ok(ask_record_decode(frame, &ask)), "ask_record");
        keep_event(keeper, ask.event);
        const struct answer_record answer = {.sequence = keeper->log_count - 1};
        reply_record(call, vlt_ok(), &answer);
        return;
    }
    if (message == IPC_ASK_log_state) {
        const struct answer_log_state answer = {
            .description = BYTES_LITERAL("{\"records\":true,\"entries\":1,\"published\":1,"
                                         "\"sync_ms\":0}")};
        reply_log_state(call, vlt_ok(), &answer);
        return;
    }
    struct ask_read ask;
    must(message == IPC_ASK_read && vlt_is_ok(ask_read_decode(frame, &ask)), "ask_read");
    const struct answer_read answer = {.next = keeper->log_count,
                                       .entries = buf_bytes(&keeper->log)};
    reply_read(call, vlt_ok(), &answer);
}

// ---- Keeper ----

static vlt_result commit_one(struct harness_keeper *keeper, uint32_t tenant, enum store_class class,
                             const char *name, json_t *record, uint64_t expected,
                             uint64_t *ret_revision) {
    char *text = json_dumps(record, JSON_COMPACT);
    json_decref(record);
    const struct store_change change = {.tenant = tenant,
                                        .class = class,
                                        .name = bytes_of_text(name),
                                        .value = bytes_of_text(text),
                                        .expected_revision = expected};
    vlt_result result = store_commit(keeper->store, &change, 1, ret_revision, NULL);
    free(text);
    return result;
}

// As the keeper does it: as many lines as there are shares, sealed to who asked.
static void seal_shares(const struct ask_init *ask, struct buf *out) {
    EVP_PKEY *pkey = NULL;
    struct jwk *key = NULL;
    char lines[16 * 8];
    must(ask->shares <= 16, "shares");
    for (unsigned i = 0; i < ask->shares; i++) {
        memcpy(lines + 8 * i, "share-a\n", 8);
        lines[8 * i + 6] = (char)('a' + i);
    }
    struct secret *texts = secret_new(sizeof lines);
    must(texts && vlt_is_ok(secret_set(texts, lines, 8u * ask->shares)), "shares");
    must(vlt_is_ok(pkey_p256_public(ask->reply_x, ask->reply_y, &pkey)), "reply key");
    must(vlt_is_ok(jwk_of_pkey(pkey, "reply", &key)), "reply key");
    must(vlt_is_ok(jwe_encrypt(JWE_ECDH_ES, JWE_A256GCM, key, texts, out)), "jwe_encrypt");
    jwk_free(key);
    secret_free(texts);
}

static void do_init(struct harness_keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_init ask;
    must(vlt_is_ok(ask_init_decode(frame, &ask)), "ask_init");
    if (keeper->init_fails) {
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, keeper->init_fails));
        return;
    }
    struct jwk *jwk = NULL;
    struct record_key key = {.use = RECORD_KEY_INTAKE, .state = RECORD_KEY_ACTIVE,
                             .created_at = clock_now_s()};
    uint64_t revision;
    must(vlt_is_ok(pkey_generate(PKEY_P256, &keeper->intake)), "pkey_generate");
    EVP_PKEY_up_ref(keeper->intake);
    must(vlt_is_ok(jwk_of_pkey(keeper->intake, NULL, &jwk)), "jwk_of_pkey");
    char kid[JWK_THUMBPRINT_TEXT_SIZE];
    must(vlt_is_ok(jwk_thumbprint_text(jwk, kid)), "thumbprint");
    jwk_free(jwk);
    EVP_PKEY_up_ref(keeper->intake);
    must(vlt_is_ok(jwk_of_pkey(keeper->intake, kid, &jwk)), "jwk_of_pkey");
    must(vlt_is_ok(jwk_export(jwk, "ECDH-ES", "enc", &key.jwk)), "jwk_export");
    jwk_free(jwk);
    snprintf(key.kid, sizeof key.kid, "%s", kid);
    must(vlt_is_ok(
             commit_one(keeper, 0, STORE_INTAKE_KEY, kid, record_key_json(&key), 0, &revision)),
         "commit intake key");
    record_key_done(&key);
    keeper->state = KEEPER_UNSEALED;
    struct buf shares;
    buf_init(&shares, 4096);
    seal_shares(&ask, &shares);
    const struct answer_init answer = {.note = BYTES_LITERAL("made by a test"),
                                       .shares = buf_bytes(&shares)};
    reply_init(call, vlt_ok(), &answer);
    buf_done(&shares);
}

static void do_status(struct harness_keeper *keeper, struct ipc_call *call) {
    struct buf text;
    buf_init(&text, 8192);
    buf_put_format(&text, "{\"opened_sha256\":\"%s\",\"rule\":", keeper->opened);
    jsontext_put_string(&text, bytes_of_text(keeper->rule));
    buf_put_text(&text, "}");
    const struct answer_status answer = {.state = (uint8_t)keeper->state,
                                         .description = buf_bytes(&text)};
    reply_status(call, vlt_ok(), &answer);
    buf_done(&text);
}

static void do_tenant(struct harness_keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_tenant_create ask;
    must(vlt_is_ok(ask_tenant_create_decode(frame, &ask)), "ask_tenant_create");
    keep_event(keeper, ask.event);
    json_t *record = NULL;
    must(vlt_is_ok(jsontext_parse(ask.description, &jsontext_document_limits, NULL, &record)),
         "tenant JSON");
    struct answer_tenant_create answer = {.tenant = keeper->tenants + 1};
    json_object_set_new(record, "number", json_integer(answer.tenant));
    char name[RECORD_NAME_MAX + 1];
    must(bytes_to_text(ask.name, name, sizeof name), "tenant name");
    vlt_result result = commit_one(keeper, 0, STORE_TENANT, name, record, 0, &answer.revision);
    if (vlt_is_ok(result))
        keeper->tenants++;
    reply_tenant_create(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void do_commit(struct harness_keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_commit ask;
    must(vlt_is_ok(ask_commit_decode(frame, &ask)), "ask_commit");
    keep_event(keeper, ask.event);
    struct store_change changes[STORE_CHANGES_MAX];
    size_t count = 0, conflict;
    struct wire_reader r;
    wire_reader_init(&r, ask.changes);
    while (r.next < r.size && !r.failed && count < STORE_CHANGES_MAX) {
        store_change_get(&r, &changes[count]);
        must(store_class_is_plain(changes[count].class),
             "a class that the admin role may not write");
        count++;
    }
    must(vlt_is_ok(wire_reader_end(&r)), "changes");
    struct answer_commit answer = {0};
    vlt_result result = store_commit(keeper->store, changes, count, &answer.revision, &conflict);
    reply_commit(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static vlt_result open_value(struct harness_keeper *keeper, const struct ask_credential_put *ask) {
    struct jwe_intake_fields *fields = calloc(1, sizeof *fields);
    struct secret *value = secret_new(JWE_INTAKE_PLAINTEXT_MAX);
    must(fields && value, "memory");
    bytes_to_text(ask->intake_kid, fields->kid, sizeof fields->kid);
    memcpy(fields->epk_x, ask->epk_x, 32);
    memcpy(fields->epk_y, ask->epk_y, 32);
    memcpy(fields->iv, ask->iv, 12);
    memcpy(fields->tag, ask->tag, 16);
    memcpy(fields->aad, ask->jwe_header.at, fields->aad_bytes = ask->jwe_header.size);
    memcpy(fields->ciphertext, ask->ciphertext.at, fields->ciphertext_bytes = ask->ciphertext.size);
    vlt_result result = jwe_intake_open(keeper->intake, fields, value);
    uint8_t digest[32];
    if (vlt_is_ok(result))
        result = digest_sha256(bytes_of(secret_borrow(value), secret_size(value)), digest);
    secret_release(value);
    if (vlt_is_ok(result))
        hex_encode(bytes_of(digest, 32), keeper->opened);
    secret_free(value);
    free(fields);
    return result;
}

static vlt_result store_credential(struct harness_keeper *keeper,
                                   const struct ask_credential_put *ask,
                                   struct answer_credential_put *ret_answer) {
    struct record_credential credential = {.status = RECORD_CREDENTIAL_ACTIVE,
                                           .created_at = clock_now_s()};
    struct bytes value;
    uint64_t revision = 0;
    must(vlt_is_ok(store_snapshot_begin(keeper->store)), "snapshot");
    if (vlt_is_ok(
            store_get(keeper->store, ask->tenant, STORE_CREDENTIAL, ask->name, &value, &revision)))
        must(vlt_is_ok(record_credential_parse(value, NULL, &credential)), "credential record");
    store_snapshot_end(keeper->store);
    if (ask->mode == CREDENTIAL_CREATE && revision &&
        credential.status != RECORD_CREDENTIAL_DELETED)
        return vlt_fail(VLT_CONFLICT, "exists");
    credential.status = RECORD_CREDENTIAL_ACTIVE;
    bytes_to_text(ask->name, credential.name, sizeof credential.name);
    bytes_to_text(ask->profile, credential.profile, sizeof credential.profile);
    bytes_to_text(ask->description, credential.description, sizeof credential.description);
    struct wire_reader r;
    wire_reader_init(&r, ask->hosts);
    for (credential.host_count = 0; r.next < r.size && !r.failed; credential.host_count++)
        wire_get_text(&r, credential.hosts[credential.host_count], 256);
    must(!r.failed && credential.host_count > 0, "hosts");
    json_decref(credential.parameters);
    must(vlt_is_ok(jsontext_parse(ask->parameters, &jsontext_document_limits, NULL,
                                  &credential.parameters)),
         "parameters");
    ret_answer->version = ++credential.version;
    char name[RECORD_NAME_MAX + 1];
    bytes_to_text(ask->name, name, sizeof name);
    vlt_result result =
        commit_one(keeper, ask->tenant, STORE_CREDENTIAL, name, record_credential_json(&credential),
                   revision, &ret_answer->revision);
    record_credential_done(&credential);
    return result;
}

static void do_credential(struct harness_keeper *keeper, struct ipc_call *call,
                          struct bytes frame) {
    struct ask_credential_put ask;
    must(vlt_is_ok(ask_credential_put_decode(frame, &ask)), "ask_credential_put");
    keep_event(keeper, ask.event);
    struct answer_credential_put answer = {0};
    vlt_result result = open_value(keeper, &ask);
    if (vlt_is_ok(result))
        result = store_credential(keeper, &ask, &answer);
    reply_credential_put(call, result, vlt_is_ok(result) ? &answer : NULL);
}

static void do_credential_state(struct harness_keeper *keeper, struct ipc_call *call,
                                struct bytes frame) {
    struct ask_credential_state ask;
    must(vlt_is_ok(ask_credential_state_decode(frame, &ask)), "ask_credential_state");
    keep_event(keeper, ask.event);
    struct record_credential credential;
    struct bytes value;
    must(vlt_is_ok(store_snapshot_begin(keeper->store)), "snapshot");
    must(vlt_is_ok(store_get(keeper->store, ask.tenant, STORE_CREDENTIAL, ask.name, &value, NULL)),
         "credential");
    must(vlt_is_ok(record_credential_parse(value, NULL, &credential)), "credential record");
    store_snapshot_end(keeper->store);
    credential.status = (enum record_credential_status)ask.state;
    struct answer_credential_state answer = {0};
    vlt_result result =
        commit_one(keeper, ask.tenant, STORE_CREDENTIAL, credential.name,
                   record_credential_json(&credential), ask.expected_revision, &answer.revision);
    record_credential_done(&credential);
    reply_credential_state(call, result, vlt_is_ok(result) ? &answer : NULL);
}

void harness_keeper_asked(struct ipc_call *call, unsigned message, struct bytes frame,
                          void *context) {
    struct harness_keeper *keeper = context;
    struct ask_seal seal;
    struct ask_revoke_rule rule;
    switch (message) {
    case IPC_ASK_status:
        do_status(keeper, call);
        return;
    case IPC_ASK_init:
        do_init(keeper, call, frame);
        return;
    case IPC_ASK_seal:
        must(vlt_is_ok(ask_seal_decode(frame, &seal)), "ask_seal");
        keep_event(keeper, seal.event);
        keeper->state = seal.seal ? KEEPER_SEALED : KEEPER_UNSEALED;
        reply_seal(call, vlt_ok(), &(struct answer_seal){0});
        return;
    case IPC_ASK_tenant_create:
        do_tenant(keeper, call, frame);
        return;
    case IPC_ASK_commit:
        do_commit(keeper, call, frame);
        return;
    case IPC_ASK_credential_put:
        do_credential(keeper, call, frame);
        return;
    case IPC_ASK_credential_state:
        do_credential_state(keeper, call, frame);
        return;
    case IPC_ASK_revoke_rule:
        must(vlt_is_ok(ask_revoke_rule_decode(frame, &rule)), "ask_revoke_rule");
        keep_event(keeper, rule.event);
        snprintf(keeper->rule, sizeof keeper->rule, "%u %u %.*s", rule.tenant, rule.kind,
                 (int)rule.value.size, (const char *)rule.value.at);
        reply_revoke_rule(call, vlt_ok(), &(struct answer_revoke_rule){0});
        return;
    default:
        must(false, "a message that the admin role may not send");
    }
}

bool harness_keeper_permits(unsigned states, void *context) {
    const struct harness_keeper *keeper = context;
    return states & 1u << keeper->state;
}
