// SPDX-License-Identifier: Apache-2.0
// Opened with the intake key, encrypted again under the tenant's data key with
// everything that says where it belongs as associated data, and committed as
// description, state and ciphertext in one.
#include "vaultd/keeper/credential_put.h"

#include <stdlib.h>

#include "libvault/base/clock.h"
#include "libvault/base/jsontext.h"
#include "libvault/crypto/jwe.h"
#include "libvault/crypto/random.h"
#include "vaultd/keeper/datakey.h"
#include "vaultd/keeper/datakey_use.h"
#include "vaultd/keeper/system_keys.h"

#define ALGORITHM_XAES 1

void credential_put_done(struct credential_put *put) {
    credential_there_done(&put->there);
    free(put->parameters);
}

// ---- What is there ----

static vlt_result find_old(struct keeper *keeper, const struct ask_credential_put *ask,
                           struct credential_put *put) {
    bool creates = ask->mode == CREDENTIAL_CREATE;
    vlt_result result = credential_there_read_any(keeper, ask->tenant, ask->name, &put->there);
    if (result.class == VLT_NOT_FOUND)
        return creates ? vlt_ok() : result;
    VLT_TRY(result);
    bool is_deleted = put->there.state.status == RECORD_CREDENTIAL_DELETED;
    if (creates && !is_deleted)
        return vlt_fail(VLT_CONFLICT, "a credential of this name exists already");
    if (!creates && is_deleted)
        return vlt_fail(VLT_NOT_FOUND, "there is no such credential");
    if (ask->expected_revision != 0 && ask->expected_revision != put->there.record_revision)
        return vlt_fail(VLT_CONFLICT, "the credential was changed by somebody else");
    // Which of two new values is meant to win is for a person to say.
    if (!creates && put->there.record.staged_version)
        return vlt_fail(VLT_CONFLICT, REASON_VERSION_STAGED);
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

static vlt_result read_parameters(struct bytes json, struct record_credential *record,
                                  char **ret_canonical) {
    json_t *root = NULL;
    if (json.size == 0)
        json = BYTES_LITERAL("{}");
    VLT_TRY(jsontext_parse(json, &jsontext_token_limits, NULL, &root));
    json_decref(record->parameters);
    record->parameters = root;
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
    *ret_canonical = text ? strdup(text) : NULL;
    buf_done(&canonical);
    VLT_TRY(result);
    return *ret_canonical ? vlt_ok() : vlt_fail(VLT_LIMIT, "the parameters are too large");
}

// Profile, hosts and parameters; the description only where they come into use.
static vlt_result read_texts(const struct ask_credential_put *ask, struct record_credential *record,
                             char **ret_canonical) {
    if (!record_name_is_valid(ask->name) || !record_name_is_valid(ask->profile) ||
        !bytes_to_text(ask->name, record->name, sizeof record->name) ||
        !bytes_to_text(ask->profile, record->profile, sizeof record->profile))
        return vlt_fail(VLT_MALFORMED, "name or profile of the credential is not a name");
    if (!bytes_to_text(ask->description, record->description, sizeof record->description))
        return vlt_fail(VLT_LIMIT, "the description of the credential is too long");
    VLT_TRY(read_hosts(ask->hosts, record));
    return read_parameters(ask->parameters, record, ret_canonical);
}

static void describe_stage(struct credential_put *put) {
    struct record_credential *record = &put->there.record;
    record->staged_version = record->newest_version = put->version;
    record->staged_at = clock_now_s();
    record->verified_at = 0;
}

static void describe_use(const struct ask_credential_put *ask, struct credential_put *put) {
    struct record_credential *record = &put->there.record;
    int64_t now_s = clock_now_s();
    bool creates = ask->mode == CREDENTIAL_CREATE;
    record->previous_version = creates ? 0 : record->version;
    record->previous_until = creates ? 0 : now_s + ask->grace_s;
    record->version = put->version;
    if (creates) {
        // Another one than all that had the name, also within a second of them.
        record->created_at = now_s > record->created_at ? now_s : record->created_at + 1;
        record->status = RECORD_CREDENTIAL_ACTIVE;
    }
    record->rotated_at = creates ? 0 : now_s;
    // A disabled credential stays disabled when it gets a new value.
}

static vlt_result describe(const struct ask_credential_put *ask, struct credential_put *put) {
    struct record_credential *record = &put->there.record, scratch = {.parameters = NULL};
    bool stages = ask->mode == CREDENTIAL_STAGE;
    vlt_result result = read_texts(ask, stages ? &scratch : record, &put->parameters);
    record_credential_done(&scratch);
    VLT_TRY(result);
    // Versions count on even after a deletion: none is ever used twice.
    uint32_t newest = record_credential_newest(record);
    if (newest == UINT32_MAX || ask->grace_s > CREDENTIAL_GRACE_MAX_S)
        return vlt_fail(VLT_LIMIT, "too many versions, or a grace of more than 30 days");
    put->version = newest + 1;
    if (stages)
        describe_stage(put);
    else
        describe_use(ask, put);
    return vlt_ok();
}

vlt_result credential_put_prepare(struct keeper *keeper, const struct ask_credential_put *ask,
                                  struct credential_put *ret_put) {
    struct credential_put put = {.version = 0};
    vlt_result result =
        ask->tenant == STORE_SYSTEM_TENANT || ask->tenant >= keeper->next_tenant
            ? vlt_fail(VLT_NOT_FOUND, "there is no such tenant")
            : find_old(keeper, ask, &put);
    if (vlt_is_ok(result))
        result = describe(ask, &put);
    if (vlt_is_ok(result))
        result = datakey_active(keeper, ask->tenant, &put.data_key);
    if (vlt_is_ok(result))
        *ret_put = put;
    else
        credential_put_done(&put);
    return result;
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
    return jwe_intake_open(intake, &fields, keeper->plaintext);
}

static vlt_result check_form(struct bytes value, enum credential_form form) {
    bool has_control = false, has_foreign = false;
    for (size_t i = 0; i < value.size; i++) {
        has_control |= value.at[i] < 0x20 || value.at[i] == 0x7f;
        has_foreign |= value.at[i] > 0x7e;
    }
    if (value.size == 0)
        return vlt_fail(VLT_MALFORMED, "the sealed value is empty");
    if (form == CREDENTIAL_FORM_ANY)
        return vlt_ok();
    if (has_control)
        return vlt_fail(VLT_MALFORMED, "the value holds a line break, a tab or another control "
                                       "character: no request can carry it");
    if (form == CREDENTIAL_FORM_LINE)
        return vlt_ok();
    if (has_foreign || value.at[0] == ' ' || value.at[value.size - 1] == ' ')
        return vlt_fail(VLT_MALFORMED, "the value holds a character that is not ASCII, or a space "
                                       "at its begin or end: no request can carry it");
    return vlt_ok();
}

static vlt_result check_value(struct keeper *keeper, enum credential_form form) {
    size_t size = secret_size(keeper->plaintext);
    vlt_result result = check_form(bytes_of(secret_borrow(keeper->plaintext), size), form);
    secret_release(keeper->plaintext);
    return result;
}

static vlt_result add_ciphertext(struct keeper *keeper, const struct ask_credential_put *ask,
                                 const struct credential_put *put, struct change *change) {
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
    record_credential_context(&w, ask->tenant, ask->name, put->version, &secret);
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
               record_credential_secret_name(ask->name, put->version, room),
               bytes_of(value, w.size), 0);
    return vlt_ok();
}

static vlt_result add_value(struct keeper *keeper, const struct ask_credential_put *ask,
                            const struct credential_put *put, struct change *change) {
    vlt_result result = open_intake(keeper, ask);
    if (vlt_is_ok(result))
        result = check_value(keeper, (enum credential_form)ask->form);
    if (vlt_is_ok(result))
        result = add_ciphertext(keeper, ask, put, change);
    secret_wipe(keeper->plaintext);
    return result;
}

// ---- The change ----

// A version whose grace is replaced by a newer one does not open any more.
static void add_removal_of_older(const struct ask_credential_put *ask,
                                 const struct credential_put *put, struct change *change) {
    uint8_t room[RECORD_SECRET_NAME_MAX];
    if (put->there.state.previous_version && ask->mode == CREDENTIAL_ROTATE)
        change_add_removal(
            change, ask->tenant, STORE_CREDENTIAL_SECRET,
            record_credential_secret_name(ask->name, put->there.state.previous_version, room),
            STORE_ANY_REVISION);
}

vlt_result credential_put_fill(struct keeper *keeper, const struct ask_credential_put *ask,
                               const struct credential_put *put, struct change *change) {
    // Until the commit is done nobody may think that this key is not needed.
    change->context = datakey_use_begin(keeper, ask->tenant, put->data_key);
    if (!change->context)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    VLT_TRY(credential_there_add(&put->there, ask->tenant, change));
    VLT_TRY(add_value(keeper, ask, put, change));
    add_removal_of_older(ask, put, change);
    change->number = change->event.version = put->version;
    return vlt_ok();
}
