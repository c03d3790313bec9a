// SPDX-License-Identifier: Apache-2.0
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "libvault/crypto/jwk.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

static const char *const no_members[] = {NULL};

// A change without parameters: an empty body or {}.
static struct admin_work *vault_work(struct admin *admin, struct http_exchange *x,
                                     const char *operation) {
    struct body body;
    body_open(http_exchange_request(x), &jsontext_token_limits, no_members, &body);
    bool refused = body_refused(&body, x);
    body_done(&body);
    struct admin_work *work = refused ? NULL : work_new(admin, x, operation);
    if (work)
        work->kind = AUDIT_VAULT;
    return work;
}

// What init needs of the request: the recovery shares are sealed to a key of the
// caller's, so that nobody on the way sees them.
struct init {
    uint8_t reply_x[32], reply_y[32];
    uint8_t shares, threshold;
    bool keeps_sealed; // the key is the operator's recovery key
    uint8_t modulus[512];
    size_t modulus_bytes;
    uint32_t exponent;
};

static void initialised(vlt_result result, const struct answer_init *answer, void *context) {
    struct admin_work *work = context;
    if (!vlt_is_ok(result)) {
        if (result.class == VLT_CONFLICT) {
            answer_problem(work->x, 409, NULL, "the vault is initialised already");
            work_free(work);
            return;
        }
        work_fail_device(work, result);
        return;
    }
    const struct init *init = work->more;
    work->reply = json_pack("{s:s,s:s%,s:s%,s:i}", "state", "unsealed", "note",
                            (const char *)answer->note.at, answer->note.size,
                            init->keeps_sealed ? "sealed" : "shares",
                            (const char *)answer->shares.at, answer->shares.size, "threshold",
                            init->threshold);
    work_reply(work, 0);
}

static void state_before_init(vlt_result result, const struct answer_status *answer,
                              void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result) &&
        (answer->state == KEEPER_SEALED || answer->state == KEEPER_UNSEALED)) {
        answer_problem(work->x, 409, NULL,
                       "the vault is initialised already: see `vaultctl status`");
        work_free(work);
        return;
    }
    const struct init *init = work->more;
    struct ask_init ask = {.shares = init->shares,
                           .threshold = init->threshold,
                           .keeps_sealed = init->keeps_sealed,
                           .rsa_modulus = bytes_of(init->modulus, init->modulus_bytes),
                           .rsa_exponent = init->exponent,
                           .event = work_event(work, AUDIT_ALLOW, NULL)};
    memcpy(ask.reply_x, init->reply_x, sizeof ask.reply_x);
    memcpy(ask.reply_y, init->reply_y, sizeof ask.reply_y);
    ask_init(work->admin->keeper, &ask, initialised, work);
}

static void coordinate_read(struct body *body, const json_t *key, const char *name,
                            uint8_t ret_coordinate[32]) {
    const json_t *member = json_object_get(key, name);
    size_t size = 0;
    if (!json_is_string(member) ||
        !vlt_is_ok(b64u_decode(bytes_of(json_string_value(member), json_string_length(member)),
                               ret_coordinate, 32, &size)) ||
        size != 32)
        body_refuse(body, 400, "reply_key",
                    "\"reply_key\" must be a P-256 public key (JWK): the shares of the recovery "
                    "key are sealed to it");
}

static bool rsa_read(EVP_PKEY *pkey, struct init *init) {
    BIGNUM *n = NULL, *e = NULL;
    bool is_read = EVP_PKEY_get_bn_param(pkey, "n", &n) == 1 &&
                   EVP_PKEY_get_bn_param(pkey, "e", &e) == 1 &&
                   (size_t)BN_num_bytes(n) <= sizeof init->modulus && BN_num_bits(e) <= 32;
    if (is_read) {
        init->modulus_bytes = (size_t)BN_bn2bin(n, init->modulus);
        init->exponent = (uint32_t)BN_get_word(e);
    }
    BN_free(n);
    BN_free(e);
    return is_read;
}

// A public key that the operator keeps the other half of; taken apart here, because
// the keeper parses no JSON.
static void recovery_key_read(struct body *body, const json_t *json, struct init *init) {
    struct jwk *key = NULL;
    struct fault fault = {0};
    vlt_result result = jwk_parse_json(json, 0, &fault, &key);
    bool is_rsa = vlt_is_ok(result) && key->kty == JWK_RSA;
    bool is_p256 = vlt_is_ok(result) && key->kty == JWK_EC && key->curve == JWK_P256;
    init->keeps_sealed = true;
    init->shares = init->threshold = 1;
    if (is_p256) {
        coordinate_read(body, json, "x", init->reply_x);
        coordinate_read(body, json, "y", init->reply_y);
    } else if (!is_rsa || !rsa_read(key->pkey, init)) {
        body_refuse(body, 400, "recovery_key",
                    "\"recovery_key\" must be the public half (JWK) of a P-256 key or of an RSA "
                    "key of 2048 to 4096 bits");
    }
    jwk_free(key);
}

static void reply_key_read(struct body *body, struct init *init) {
    const json_t *key = body_object(body, "reply_key");
    coordinate_read(body, key, "x", init->reply_x);
    coordinate_read(body, key, "y", init->reply_y);
    init->shares = (uint8_t)body_number(body, "shares", 1, 16, 5);
    init->threshold =
        (uint8_t)body_number(body, "threshold", 1, 16, init->shares < 3 ? init->shares : 3);
    if (init->threshold > init->shares || (init->shares > 1 && init->threshold < 2))
        body_refuse(body, 400, "threshold",
                    "\"threshold\" must be 2 or more and not above \"shares\"");
}

static struct init *init_read(struct http_exchange *x) {
    static const char *const members[] = {"recovery_key", "reply_key", "shares", "threshold",
                                          NULL};
    struct body body;
    struct init *init = calloc(1, sizeof *init);
    body_open(http_exchange_request(x), &jsontext_token_limits, members, &body);
    if (!init) {
        body_refuse(&body, 503, "", "the admin role is out of memory: try again");
    } else if (json_object_get(body.root, "recovery_key")) {
        recovery_key_read(&body, json_object_get(body.root, "recovery_key"), init);
        if (json_object_size(body.root) > 1)
            body_refuse(&body, 400, "recovery_key",
                        "with \"recovery_key\" there are no shares, and nobody to reply to");
    } else {
        reply_key_read(&body, init);
    }
    if (body_refused(&body, x)) {
        free(init);
        init = NULL;
    }
    body_done(&body);
    return init;
}

OP(op_init) {
    struct admin *admin = ctx;
    struct init *init = init_read(x);
    struct admin_work *work = init ? work_new(admin, x, "vault.init") : NULL;
    if (!work) {
        free(init);
        return;
    }
    work->kind = AUDIT_VAULT;
    work->more = init;
    work->more_free = free;
    work->status = 201;
    const struct ask_status ask = {0};
    ask_status(admin->keeper, &ask, state_before_init, work);
}

static void sealed(vlt_result result, const struct answer_seal *answer, void *context) {
    struct admin_work *work = context;
    if (vlt_is_ok(result))
        work_reply(work, 0);
    else
        work_fail_device(work, result);
}

static void seal_or_unseal(struct admin *admin, struct http_exchange *x, bool seals) {
    struct admin_work *work = vault_work(admin, x, seals ? "vault.seal" : "vault.unseal");
    if (!work)
        return;
    work->reply = json_pack("{s:s}", "state", seals ? "sealed" : "unsealed");
    const struct ask_seal ask = {.seal = seals, .event = work_event(work, AUDIT_ALLOW, NULL)};
    ask_seal(admin->keeper, &ask, sealed, work);
}

OP(op_seal) { seal_or_unseal(ctx, x, true); }
OP(op_unseal) { seal_or_unseal(ctx, x, false); }
