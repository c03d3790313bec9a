// SPDX-License-Identifier: Apache-2.0
// A credential comes in: opened with the intake key, encrypted again under the
// tenant's data key with everything that says where it belongs as associated
// data, and committed as description, state and ciphertext in one.
#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/random.h"
#include "libvault/store/record_credential.h"
#include "vaultd/keeper/answer.h"
#include "vaultd/keeper/change.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/system_keys.h"

#define ALGORITHM_XAES 1
#define GRACE_MAX_S (30 * 86400)

static void answered(struct change *change, vlt_result result, uint64_t revision) {
    datakey_use_end(change->keeper, change->context);
    struct answer_credential_put answer = {.version = change->number, .revision = revision};
    reply_credential_put(change->call, result, vlt_is_ok(result) ? &answer : NULL);
}

// What is there already, and what it becomes.
struct put {
    struct record_credential record; // owned
    uint64_t record_revision, state_revision;
    struct record_credential_state state;
    uint32_t data_key;
    char *parameters; // canonical JSON, owned
};

static void put_done(struct put *put) {
    record_credential_done(&put->record);
    free(put->parameters);
}

// ---- What is there ----

static vlt_result find_old(struct keeper *keeper, const struct ask_credential_put *ask,
                           struct put *put) {
    struct bytes value;
    vlt_result result = store_get(keeper->store, ask->tenant, STORE_CREDENTIAL, ask->name, &value,
                                  &put->record_revision);
    if (result.class == VLT_NOT_FOUND)
        return ask->create ? vlt_ok() : vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    VLT_TRY(result);
    VLT_TRY(record_credential_parse(value, NULL, &put->record));
    VLT_TRY(store_get(keeper->store, ask->tenant, STORE_CREDENTIAL_STATE, ask->name, &value,
                      &put->state_revision));
    VLT_TRY(record_credential_state_get(value, &put->state));
    bool is_deleted = put->state.status == RECORD_CREDENTIAL_DELETED;
    if (ask->create && !is_deleted)
        return vlt_fail(VLT_CONFLICT, "a credential of this name exists already");
    if (!ask->create && is_deleted)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    if (ask->expected_revision != 0 && ask->expected_revision != put->record_revision)
        return vlt_fail(VLT_CONFLICT, "the credential was changed by somebody else");
    return vlt_ok();
}

// ---- What it becomes ----

static vlt_result read_hosts(struct bytes hosts, struct record_credential *record) {
    struct wire_reader r;
    wire_reader_init(&r, hosts);
    record->host_count = 0;
    while (r.next < r.size && !r.failed) {
        if (record->host_count == RECORD_HOSTS_MAX)
            return vlt_fail(VLT_LIMIT, "the credential has too many hosts");
        char *host = record->hosts[record->host_count++];
        wire_get_text(&r, host, sizeof *record->hosts);
        if (!r.failed && !record_host_is_valid(bytes_of_text(host)))
            return vlt_fail(VLT_MALFORMED,
                            "a host of the credential is not a lower-case host name");
    }
    VLT_TRY(wire_reader_end(&r));
    return record->host_count ? vlt_ok() : vlt_fail(VLT_MALFORMED, "the credential has no host");
}

static vlt_result read_parameters(struct bytes json, struct put *put) {
    json_t *root = NULL;
    if (json.size == 0)
        json = BYTES_LITERAL("{}");
    VLT_TRY(jsontext_parse(json, &jsontext_token_limits, NULL, &root));
    json_decref(put->record.parameters);
    put->record.parameters = root;
    const char *name;
    json_t *value;
    if (!json_is_object(root))
        return vlt_fail(VLT_MALFORMED, "the parameters of a credential are not an object");
    json_object_foreach(root, name, value) if (!json_is_string(value)) return vlt_fail(
        VLT_MALFORMED, "the parameters of a credential are not texts");
    struct buf canonical;
    buf_init(&canonical, 4096); // field parameters of answer_open
    vlt_result result = jsontext_canonical(root, &canonical);
    const char *text = vlt_is_ok(result) ? buf_text(&canonical) : NULL;
    put->parameters = text ? strdup(text) : NULL;
    buf_done(&canonical);
    VLT_TRY(result);
    return put->parameters ? vlt_ok() : vlt_fail(VLT_LIMIT, "the parameters are too large");
}

static vlt_result describe(const struct ask_credential_put *ask, struct put *put) {
    struct record_credential *record = &put->record;
    int64_t now_s = clock_now_s();
    uint32_t old_version = put->state.version;
    if (!record_name_is_valid(ask->name) || !record_name_is_valid(ask->profile) ||
        !bytes_to_text(ask->name, record->name, sizeof record->name) ||
        !bytes_to_text(ask->profile, record->profile, sizeof record->profile))
        return vlt_fail(VLT_MALFORMED, "name or profile of the credential is not a name");
    if (!bytes_to_text(ask->description, record->description, sizeof record->description))
        return vlt_fail(VLT_LIMIT, "the description of the credential is too long");
    VLT_TRY(read_hosts(ask->hosts, record));
    VLT_TRY(read_parameters(ask->parameters, put));
    if (old_version == UINT32_MAX || ask->grace_s > GRACE_MAX_S)
        return vlt_fail(VLT_LIMIT, "too many versions, or a grace of more than 30 days");
    // Versions count on even after a deletion: none is ever used twice.
    record->version = old_version + 1;
    record->previous_version = ask->create ? 0 : old_version;
    record->previous_until = ask->create ? 0 : now_s + ask->grace_s;
    if (ask->create)
        record->created_at = now_s;
    record->rotated_at = ask->create ? 0 : now_s;
    // A disabled credential stays disabled when it gets a new value.
    if (ask->create)
        record->status = RECORD_CREDENTIAL_ACTIVE;
    return vlt_ok();
}

// ---- The value ----

static vlt_result open_intake(struct keeper *keeper, const struct ask_credential_put *ask) {
    static struct jwe_intake_fields fields; // 17 KiB; one loop, one thread
    EVP_PKEY *intake;
    VLT_TRY(system_keys_intake(keeper->keys, ask->intake_kid, &intake));
    if (ask->jwe_header.size > sizeof fields.aad || ask->ciphertext.size > sizeof fields.ciphertext)
        return vlt_fail(VLT_LIMIT, "the sealed value is too large");
    if (!bytes_to_text(ask->intake_kid, fields.kid, sizeof fields.kid))
        return vlt_fail(VLT_MALFORMED, "the name of the intake key is not one");
    memcpy(fields.epk_x, ask->epk_x, sizeof fields.epk_x);
    memcpy(fields.epk_y, ask->epk_y, sizeof fields.epk_y);
    memcpy(fields.iv, ask->iv, sizeof fields.iv);
    memcpy(fields.tag, ask->tag, sizeof fields.tag);
    fields.aad_bytes = ask->jwe_header.size;
    fields.ciphertext_bytes = ask->ciphertext.size;
    if (ask->jwe_header.size)
        memcpy(fields.aad, ask->jwe_header.at, ask->jwe_header.size);
    if (ask->ciphertext.size)
        memcpy(fields.ciphertext, ask->ciphertext.at, ask->ciphertext.size);
    VLT_TRY(jwe_intake_open(intake, &fields, keeper->plaintext));
    return secret_size(keeper->plaintext) ? vlt_ok()
                                          : vlt_fail(VLT_MALFORMED, "the sealed value is empty");
}

static vlt_result add_ciphertext(struct keeper *keeper, const struct ask_credential_put *ask,
                                 const struct put *put, struct change *change) {
    static uint8_t context[RECORD_CREDENTIAL_CONTEXT_MAX];
    static uint8_t sealed[IPC_VALUE_MAX + XAES_TAG_SIZE];
    static uint8_t value[IPC_VALUE_MAX + RECORD_CREDENTIAL_CONTEXT_MAX + 64];
    uint8_t nonce[XAES_NONCE_SIZE], room[RECORD_SECRET_NAME_MAX];
    const struct xaes_key *key = datakey_find(keeper->datakeys, ask->tenant, put->data_key);
    if (!key)
        return vlt_fail(VLT_UNAVAILABLE, "the data key of the tenant is not there any more");
    struct record_credential_secret secret = {.algorithm = ALGORITHM_XAES,
                                              .data_key = put->data_key,
                                              .profile = ask->profile,
                                              .hosts = ask->hosts,
                                              .parameters = bytes_of_text(put->parameters)};
    struct wire_writer w;
    wire_writer_init(&w, context, sizeof context);
    record_credential_context(&w, ask->tenant, ask->name, put->record.version, &secret);
    VLT_TRY(random_bytes(nonce, sizeof nonce));
    size_t plaintext_bytes = secret_size(keeper->plaintext);
    vlt_result result = xaes_seal(key, nonce, bytes_of(context, w.size),
                                  secret_borrow(keeper->plaintext), plaintext_bytes, sealed);
    secret_release(keeper->plaintext);
    VLT_TRY(result);
    secret.nonce = bytes_of(nonce, sizeof nonce);
    secret.ciphertext = bytes_of(sealed, plaintext_bytes + XAES_TAG_SIZE);
    bool does_fit = !w.failed;
    wire_writer_init(&w, value, sizeof value);
    record_credential_secret_put(&w, &secret);
    if (!does_fit || w.failed)
        return vlt_fail(VLT_LIMIT, "the credential is too large");
    change_add(change, ask->tenant, STORE_CREDENTIAL_SECRET,
               record_credential_secret_name(ask->name, put->record.version, room),
               bytes_of(value, w.size), 0);
    return vlt_ok();
}

static vlt_result add_value(struct keeper *keeper, const struct ask_credential_put *ask,
                            const struct put *put, struct change *change) {
    vlt_result result = open_intake(keeper, ask);
    if (vlt_is_ok(result))
        result = add_ciphertext(keeper, ask, put, change);
    secret_wipe(keeper->plaintext);
    return result;
}

// ---- The commit ----

// A version whose grace is replaced by a newer one does not open any more.
static void add_removal_of_older(struct keeper *keeper, const struct ask_credential_put *ask,
                                 const struct put *put, struct change *change) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    if (put->state.previous_version && !ask->create)
        change_add_removal(
            change, ask->tenant, STORE_CREDENTIAL_SECRET,
            record_credential_secret_name(ask->name, put->state.previous_version, room),
            STORE_ANY_REVISION);
}

static vlt_result add_description(const struct ask_credential_put *ask, const struct put *put,
                                  struct change *change) {
    const struct record_credential *record = &put->record;
    struct record_credential_state state = {.status = (uint8_t)record->status,
                                            .version = record->version,
                                            .previous_version = record->previous_version,
                                            .previous_until = (uint64_t)record->previous_until};
    uint8_t room[32];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    record_credential_state_put(&w, &state);
    change_add(change, ask->tenant, STORE_CREDENTIAL_STATE, ask->name, bytes_of(room, w.size),
               put->state_revision);
    json_t *json = record_credential_json(record);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    change_add(change, ask->tenant, STORE_CREDENTIAL, ask->name, bytes_of_text(text),
               put->record_revision);
    free(text);
    return vlt_ok();
}

static vlt_result prepare(struct keeper *keeper, const struct ask_credential_put *ask,
                          struct put *put) {
    if (ask->tenant == STORE_SYSTEM_TENANT || ask->tenant >= keeper->next_tenant)
        return vlt_fail(VLT_NOT_FOUND, "there is no such tenant");
    VLT_TRY(find_old(keeper, ask, put));
    VLT_TRY(describe(ask, put));
    return datakey_active(keeper, ask->tenant, &put->data_key);
}

static vlt_result fill(struct keeper *keeper, const struct ask_credential_put *ask,
                       const struct put *put, struct change *change) {
    // Until the commit is done nobody may think that this key is not needed.
    change->context = datakey_use_begin(keeper, ask->tenant, put->data_key);
    if (!change->context)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(add_description(ask, put, change));
    VLT_TRY(add_value(keeper, ask, put, change));
    add_removal_of_older(keeper, ask, put, change);
    change->number = change->event.version = put->record.version;
    return vlt_ok();
}

static void run(struct keeper *keeper, struct ipc_call *call, const struct ask_credential_put *ask,
                const struct put *put, struct audit_event *event) {
    struct change *change = change_new(keeper, call, event, answered);
    if (!change) {
        audit_refuse(keeper, call, event, vlt_fail(VLT_UNAVAILABLE, "no memory for a change"));
        return;
    }
    vlt_result result = fill(keeper, ask, put, change);
    if (vlt_is_ok(result))
        change_run(change);
    else
        change_refuse(change, result);
}

void answer_credential_put(struct keeper *keeper, struct ipc_call *call, struct bytes frame) {
    struct ask_credential_put ask;
    struct audit_event event;
    struct put put = {.data_key = 0};
    if (!vlt_is_ok(ask_credential_put_decode(frame, &ask)) || ask.create > 1 ||
        !vlt_is_ok(audit_event_of(ask.event, AUDIT_ADMIN, &event))) {
        ipc_call_refuse(call, "a malformed ask_credential_put");
        return;
    }
    event.credential = ask.name;
    bool is_parked = false;
    vlt_result result = store_snapshot_begin(keeper->store);
    if (vlt_is_ok(result)) {
        result = prepare(keeper, &ask, &put);
        if (vlt_is_ok(result) && !datakey_find(keeper->datakeys, ask.tenant, put.data_key)) {
            result = datakey_park(keeper->datakeys, ask.tenant, put.data_key, call,
                                  IPC_ASK_credential_put, frame);
            is_parked = vlt_is_ok(result);
        }
        store_snapshot_end(keeper->store);
    }
    if (vlt_is_ok(result) && !is_parked)
        run(keeper, call, &ask, &put, &event);
    else if (!is_parked)
        audit_refuse(keeper, call, &event, result);
    put_done(&put);
}
