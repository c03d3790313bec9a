// SPDX-License-Identifier: Apache-2.0
#include "vaultd/keeper/system_keys.h"

#include <stdlib.h>

#include "libvault/crypto/pkey.h"
#include "vaultd/keeper/recovery.h"
#include "vaultd/keeper/system_reseal.h"

#define SIGNER_BYTES (HSM_KEY_ID_BYTES + HSM_POINT_BYTES) // of a key in a device

enum store_class system_key_public_class(enum record_key_use use) {
    return use == RECORD_KEY_INTAKE ? STORE_INTAKE_KEY : STORE_SIGNING_KEY;
}

enum store_class system_key_secret_class(enum record_key_use use) {
    return use == RECORD_KEY_INTAKE ? STORE_INTAKE_SECRET : STORE_SIGNING_SECRET;
}

static enum pkey_kind kind_of(enum record_key_use use) {
    return use == RECORD_KEY_CHECKPOINT ? PKEY_ED25519 : PKEY_P256;
}

struct system_keys *system_keys_new(void) {
    struct system_keys *keys = calloc(1, sizeof *keys);
    if (keys && !(keys->token_keys = calloc(1, sizeof *keys->token_keys))) {
        free(keys);
        return NULL;
    }
    return keys;
}

// Everything but the data keys, which a copy of the struct shares.
static void forget_loaded(struct system_keys *keys) {
    for (size_t i = 0; i < keys->intake_count; i++)
        EVP_PKEY_free(keys->intake[i].pkey);
    jwk_free(keys->checkpoint);
    for (size_t i = 0; i < keys->old_checkpoint_count; i++)
        jwk_free(keys->old_checkpoints[i]);
    jwk_set_free(keys->token_keys);
    recovery_free(keys->recovery);
}

void system_keys_free(struct system_keys *keys) {
    if (!keys)
        return;
    for (size_t i = 0; i < keys->datakey_count; i++)
        xaes_key_free(keys->datakeys[i].key);
    forget_loaded(keys);
    free(keys);
}

vlt_result system_keys_add_datakey(struct system_keys *keys, uint32_t number,
                                   const struct secret *key32, bool is_active) {
    if (keys->datakey_count == SYSTEM_DATAKEYS_MAX)
        return vlt_fail(VLT_LIMIT, "there are too many system data keys");
    struct system_datakey *datakey = &keys->datakeys[keys->datakey_count];
    VLT_TRY(xaes_key_new(key32, &datakey->key));
    datakey->number = number;
    keys->datakey_count++;
    if (is_active && number > keys->active_datakey)
        keys->active_datakey = number;
    return vlt_ok();
}

struct xaes_key *system_datakey(const struct system_keys *keys, uint32_t number) {
    for (size_t i = 0; i < keys->datakey_count; i++)
        if (keys->datakeys[i].number == number)
            return keys->datakeys[i].key;
    return NULL;
}

void system_keys_use_datakey(struct system_keys *keys, uint32_t number) {
    keys->active_datakey = number;
}

void system_keys_forget_datakey(struct system_keys *keys, uint32_t number) {
    for (size_t i = 0; i < keys->datakey_count; i++)
        if (keys->datakeys[i].number == number) {
            xaes_key_free(keys->datakeys[i].key);
            keys->datakeys[i] = keys->datakeys[--keys->datakey_count];
            return;
        }
}

// ---- Making ----

static vlt_result seal_content(const struct system_keys *keys, enum record_key_algorithm algorithm,
                               enum record_key_use use, const struct secret *content,
                               struct system_key_made *made) {
    uint8_t sealed[XAES_SEALED_SIZE(SIGNER_BYTES)]; // the longer of both
    size_t sealed_bytes = XAES_SEALED_SIZE(secret_size(content));
    struct system_key_context context;
    system_key_context(algorithm, use, made->kid, &context);
    const struct xaes_key *datakey = system_datakey(keys, keys->active_datakey);
    if (!context.size || !datakey || sealed_bytes > sizeof sealed)
        return vlt_fail(VLT_BUG, "there is no system data key to encrypt with");
    VLT_TRY(xaes_seal_fresh(datakey, bytes_of(context.at, context.size), content, sealed));
    struct record_key_secret secret = {.algorithm = (uint8_t)algorithm,
                                       .data_key = keys->active_datakey,
                                       .sealed = bytes_of(sealed, sealed_bytes)};
    struct wire_writer w;
    wire_writer_init(&w, made->sealed, sizeof made->sealed);
    record_key_secret_put(&w, &secret);
    made->sealed_bytes = w.size;
    return w.failed ? vlt_fail(VLT_BUG, "an encrypted key is too large") : vlt_ok();
}

static vlt_result describe_public(struct jwk *jwk, enum record_key_use use,
                                  enum record_key_state state, int64_t now_s,
                                  struct system_key_made *made) {
    struct record_key record = {.use = use, .state = state, .created_at = now_s};
    static const char *const algs[] = {NULL, "ES256", "EdDSA", "ECDH-ES"};
    memcpy(record.kid, made->kid, sizeof record.kid);
    VLT_TRY(jwk_export(jwk, algs[use], use == RECORD_KEY_INTAKE ? "enc" : "sig", &record.jwk));
    json_t *json = record_key_json(&record);
    made->json = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    record_key_done(&record);
    return made->json ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

// Takes the key in every case.
static vlt_result jwk_with_kid(EVP_PKEY *pkey, char kid[RECORD_KID_MAX + 1], struct jwk **ret_jwk) {
    struct jwk *jwk = NULL;
    vlt_result result = jwk_of_pkey(pkey, NULL, &jwk);
    if (!vlt_is_ok(result)) {
        EVP_PKEY_free(pkey);
        return result;
    }
    char text[JWK_THUMBPRINT_TEXT_SIZE];
    result = jwk_thumbprint_text(jwk, text);
    if (!vlt_is_ok(result)) {
        jwk_free(jwk);
        return result;
    }
    memcpy(kid, text, sizeof text);
    memcpy(jwk->kid, text, sizeof text);
    jwk->has_kid = true;
    *ret_jwk = jwk;
    return vlt_ok();
}

vlt_result system_key_make(const struct system_keys *keys, enum record_key_use use,
                           enum record_key_state state, int64_t now_s,
                           struct system_key_made *ret_made) {
    struct system_key_made made = {.json = NULL};
    EVP_PKEY *pkey;
    struct jwk *jwk = NULL;
    struct secret *private_key = secret_new(PKEY_PRIVATE_SIZE);
    if (!private_key)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = pkey_generate(kind_of(use), &pkey);
    if (vlt_is_ok(result))
        result = jwk_with_kid(pkey, made.kid, &jwk);
    if (vlt_is_ok(result))
        result = pkey_to_secret(jwk->pkey, private_key);
    if (vlt_is_ok(result))
        result = seal_content(keys, RECORD_KEY_PRIVATE, use, private_key, &made);
    if (vlt_is_ok(result))
        result = describe_public(jwk, use, state, now_s, &made);
    jwk_free(jwk);
    secret_free(private_key);
    if (vlt_is_ok(result))
        *ret_made = made;
    return result;
}

static vlt_result seal_signer(const struct system_keys *keys, const struct hsm_signer *signer,
                              struct system_key_made *made) {
    struct secret *content = secret_new(SIGNER_BYTES);
    if (!content)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    uint8_t *room = secret_borrow_room(content);
    memcpy(room, signer->id, HSM_KEY_ID_BYTES);
    memcpy(room + HSM_KEY_ID_BYTES, signer->point, HSM_POINT_BYTES);
    secret_release_sized(content, SIGNER_BYTES);
    vlt_result result = seal_content(keys, RECORD_KEY_IN_DEVICE, RECORD_KEY_TOKEN, content, made);
    secret_free(content);
    return result;
}

vlt_result system_key_describe(const struct system_keys *keys, const struct hsm_signer *signer,
                               enum record_key_state state, int64_t now_s,
                               struct system_key_made *ret_made) {
    struct system_key_made made = {.json = NULL};
    EVP_PKEY *pkey;
    struct jwk *jwk = NULL;
    VLT_TRY(pkey_p256_public(signer->point + 1, signer->point + 33, &pkey));
    VLT_TRY(jwk_with_kid(pkey, made.kid, &jwk));
    vlt_result result = seal_signer(keys, signer, &made);
    if (vlt_is_ok(result))
        result = describe_public(jwk, RECORD_KEY_TOKEN, state, now_s, &made);
    jwk_free(jwk);
    if (vlt_is_ok(result))
        *ret_made = made;
    return result;
}

void system_key_made_done(struct system_key_made *made) {
    free(made->json);
    made->json = NULL;
}

// ---- Loading ----

struct load {
    struct system_keys *keys;
    struct store *store;
    enum store_class secret_class;
    vlt_result result;
};

static vlt_result open_content(struct load *load, const struct record_key *record,
                               const struct record_key_secret *secret, struct secret *content) {
    struct system_key_context context;
    const struct xaes_key *datakey = system_datakey(load->keys, secret->data_key);
    if (!datakey)
        return vlt_fail(VLT_NOT_FOUND, "the system data key of a key is missing");
    system_key_context(secret->algorithm, record->use, record->kid, &context);
    return xaes_open_fresh(datakey, bytes_of(context.at, context.size), secret->sealed, content);
}

// The pair, or of a key in the device its public half.
static vlt_result keep_signer(struct load *load, const struct record_key *record,
                              const struct secret *content, EVP_PKEY **ret_pkey) {
    struct system_keys *keys = load->keys;
    if (record->use != RECORD_KEY_TOKEN || secret_size(content) != SIGNER_BYTES)
        return vlt_fail(VLT_MALFORMED, "a key in the device is not one that signs tokens");
    if (keys->signer_count == SYSTEM_SIGNERS_MAX)
        return vlt_fail(VLT_LIMIT, "there are too many signing keys");
    struct system_signer *signer = &keys->signers[keys->signer_count];
    const uint8_t *at = secret_borrow(content);
    memcpy(signer->kid, record->kid, sizeof signer->kid);
    memcpy(signer->signer.id, at, HSM_KEY_ID_BYTES);
    memcpy(signer->signer.point, at + HSM_KEY_ID_BYTES, HSM_POINT_BYTES);
    secret_release(content);
    keys->signer_count++;
    return pkey_p256_public(signer->signer.point + 1, signer->signer.point + 33, ret_pkey);
}

static vlt_result open_key(struct load *load, const struct record_key *record,
                           EVP_PKEY **ret_pkey) {
    struct bytes value;
    struct record_key_secret secret;
    VLT_TRY(store_get(load->store, STORE_SYSTEM_TENANT, load->secret_class,
                      bytes_of_text(record->kid), &value, NULL));
    VLT_TRY(record_key_secret_get(value, &secret));
    struct secret *content = secret_new(SIGNER_BYTES);
    if (!content)
        return vlt_fail(VLT_UNAVAILABLE, SECRET_EXHAUSTED);
    vlt_result result = open_content(load, record, &secret, content);
    if (vlt_is_ok(result))
        result = secret.algorithm == RECORD_KEY_IN_DEVICE
                     ? keep_signer(load, record, content, ret_pkey)
                     : pkey_of_secret(kind_of(record->use), content, ret_pkey);
    secret_free(content);
    return result;
}

static vlt_result keep_checkpoint(struct system_keys *keys, const struct record_key *record,
                                  struct jwk *jwk) {
    bool is_active = record->state == RECORD_KEY_ACTIVE;
    if (is_active ? keys->checkpoint != NULL
                  : keys->old_checkpoint_count == SYSTEM_CHECKPOINTS_MAX) {
        jwk_free(jwk);
        return vlt_fail(VLT_LIMIT, "there are too many checkpoint keys");
    }
    if (is_active)
        keys->checkpoint = jwk;
    else
        keys->old_checkpoints[keys->old_checkpoint_count++] = jwk;
    return vlt_ok();
}

static vlt_result keep_signing(struct system_keys *keys, const struct record_key *record,
                               struct jwk *jwk) {
    if (record->use == RECORD_KEY_CHECKPOINT)
        return keep_checkpoint(keys, record, jwk);
    if (keys->token_keys->count == JWKS_MAX_KEYS) {
        jwk_free(jwk);
        return vlt_fail(VLT_LIMIT, "there are too many signing keys");
    }
    keys->token_keys->keys[keys->token_keys->count++] = jwk;
    if (record->state == RECORD_KEY_ACTIVE)
        keys->signing = jwk;
    return vlt_ok();
}

static vlt_result keep_intake(struct system_keys *keys, const struct record_key *record,
                              struct jwk *jwk) {
    if (keys->intake_count == SYSTEM_INTAKE_MAX) {
        jwk_free(jwk);
        return vlt_fail(VLT_LIMIT, "there are too many intake keys");
    }
    struct system_intake *intake = &keys->intake[keys->intake_count];
    if (EVP_PKEY_up_ref(jwk->pkey) != 1) {
        jwk_free(jwk);
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    }
    memcpy(intake->kid, record->kid, sizeof intake->kid);
    intake->pkey = jwk->pkey;
    keys->intake_count++;
    jwk_free(jwk);
    return vlt_ok();
}

static vlt_result load_record(struct load *load, const struct record_key *record) {
    EVP_PKEY *pkey;
    struct jwk *jwk;
    char kid[RECORD_KID_MAX + 1];
    if ((record->use == RECORD_KEY_INTAKE) != (load->secret_class == STORE_INTAKE_SECRET))
        return vlt_fail(VLT_MALFORMED, "a key is filed under another use");
    VLT_TRY(open_key(load, record, &pkey));
    VLT_TRY(jwk_with_kid(pkey, kid, &jwk));
    if (strcmp(kid, record->kid) != 0) {
        jwk_free(jwk);
        return vlt_fail(VLT_CRYPTO, "a key does not fit its name");
    }
    return record->use == RECORD_KEY_INTAKE ? keep_intake(load->keys, record, jwk)
                                            : keep_signing(load->keys, record, jwk);
}

static bool load_each(struct bytes name, struct bytes value, uint64_t revision, void *context) {
    struct load *load = context;
    struct record_key record;
    load->result = record_key_parse(value, NULL, &record);
    if (!vlt_is_ok(load->result))
        return false;
    load->result = load_record(load, &record);
    record_key_done(&record);
    return vlt_is_ok(load->result);
}

vlt_result system_keys_load(struct system_keys *keys, struct store *store, struct fault *fault) {
    static const enum store_class classes[][2] = {{STORE_SIGNING_KEY, STORE_SIGNING_SECRET},
                                                  {STORE_INTAKE_KEY, STORE_INTAKE_SECRET}};
    for (size_t i = 0; i < 2; i++) {
        struct load load = {
            .keys = keys, .store = store, .secret_class = classes[i][1], .result = vlt_ok()};
        VLT_TRY(store_each(store, STORE_SYSTEM_TENANT, classes[i][0], bytes_of(NULL, 0),
                           bytes_of(NULL, 0), load_each, &load));
        if (!vlt_is_ok(load.result))
            return fault_set(fault, load.result.class, load.result.reason,
                             "a key of the vault can not be loaded: %s. The store was altered or "
                             "is damaged: restore a backup",
                             load.result.reason);
    }
    if (!keys->signing)
        return fault_set(fault, VLT_NOT_FOUND, "there is no active signing key",
                         "the store has no active signing key: restore a backup");
    vlt_result result = recovery_load(store, keys, &keys->recovery);
    if (!vlt_is_ok(result) && result.class != VLT_NOT_FOUND)
        return fault_set(fault, result.class, result.reason,
                         "the record of the recovery key can not be used: %s. The store was "
                         "altered or is damaged: restore a backup",
                         result.reason);
    return vlt_ok();
}

vlt_result system_keys_reload(struct system_keys *keys, struct store *store, struct fault *fault) {
    struct system_keys next = *keys;
    next.signing = next.checkpoint = NULL;
    next.intake_count = next.signer_count = next.old_checkpoint_count = 0;
    next.recovery = NULL;
    next.token_keys = calloc(1, sizeof *next.token_keys);
    if (!next.token_keys)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result = system_keys_load(&next, store, fault);
    if (!vlt_is_ok(result)) {
        forget_loaded(&next);
        return result;
    }
    forget_loaded(keys);
    *keys = next;
    return vlt_ok();
}

const struct system_signer *system_keys_signer(const struct system_keys *keys, const char *kid) {
    for (size_t i = 0; i < keys->signer_count; i++)
        if (strcmp(keys->signers[i].kid, kid) == 0)
            return &keys->signers[i];
    return NULL;
}

vlt_result system_keys_intake(const struct system_keys *keys, struct bytes kid,
                              EVP_PKEY **ret_pkey) {
    for (size_t i = 0; i < keys->intake_count; i++)
        if (bytes_equal_text(kid, keys->intake[i].kid)) {
            *ret_pkey = keys->intake[i].pkey;
            return vlt_ok();
        }
    return vlt_fail(VLT_NOT_FOUND, "the value was sealed to an intake key that is not ours");
}
