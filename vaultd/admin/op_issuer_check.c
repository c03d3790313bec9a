// SPDX-License-Identifier: Apache-2.0
// Whether the keys of an issuer can be had: who trusts one wants to know at once, and
// not from the first caller who is refused.
#include <stdio.h>
#include <stdlib.h>

#include "libvault/crypto/jws.h"
#include "libvault/identity/issuer.h"
#include "vaultd/admin/ops.h"
#include "vaultd/admin/work.h"

struct check {
    struct http_exchange *x;
    struct jwks_entry *entry;
    unsigned algorithms;
    char name[RECORD_NAME_MAX + 1];
};

static void reply(struct http_exchange *x, const char *name, const char *problem) {
    json_t *answer = json_pack("{s:s, s:b}", "name", name, "usable", !problem[0]);
    if (answer && problem[0])
        json_object_set_new(answer, "problem", json_string(problem));
    answer_json(x, 200, answer, 0);
}

// "" when a token can be verified with one of these keys.
static const char *problem_of(const struct jwk_set *keys, unsigned algorithms) {
    return jws_set_serves(keys, algorithms) ? "" : "none of them fits the issuer's algorithms";
}

static void conclude(void *context) {
    struct check *check = context;
    const char *problem = jwks_entry_fault(check->entry);
    const struct jwk_set *keys = jwks_entry_keys(check->entry);
    if (!problem[0])
        problem = keys ? problem_of(keys, check->algorithms) : "asked a moment ago: try again";
    reply(check->x, check->name, problem);
    jwks_entry_release(check->entry);
    free(check);
}

static void fetch(struct admin *admin, struct http_exchange *x,
                  const struct record_issuer *issuer) {
    struct check *check = calloc(1, sizeof *check);
    if (!check || !vlt_is_ok(jwks_entry_hold(admin->jwks, issuer->discovery_url, issuer->issuer,
                                             &check->entry))) {
        free(check);
        answer_problem(x, 503, NULL, "the admin role is out of memory: try again");
        return;
    }
    check->x = x;
    check->algorithms = issuer_algorithms(issuer);
    snprintf(check->name, sizeof check->name, "%s", issuer->name);
    // Asked a moment ago: what came of that is the answer.
    if (!vlt_is_ok(jwks_entry_await(check->entry, conclude, check)))
        conclude(check);
}

static void look(struct http_exchange *x, const struct record_issuer *issuer) {
    struct fault fault = {0};
    struct jwk_set *keys = NULL;
    vlt_result result =
        issuer_keys_parse(issuer->jwks, issuer_is_spiffe(issuer->issuer), &fault, &keys);
    reply(x, issuer->name, vlt_is_ok(result) ? problem_of(keys, issuer_algorithms(issuer))
                                             : fault_or_reason(&fault, result));
    jwk_set_free(keys);
}

static vlt_result read_issuer(struct store *store, uint32_t tenant, const char *name,
                              struct record_issuer *ret_issuer) {
    struct bytes value;
    uint64_t revision;
    VLT_TRY(store_get(store, tenant, STORE_ISSUER, bytes_of_text(name), &value, &revision));
    return record_issuer_parse(value, NULL, ret_issuer);
}

OP(op_issuer_check) {
    char name[RECORD_NAME_MAX + 1];
    struct store *store;
    struct record_tenant tenant;
    struct record_issuer issuer;
    struct body body;
    if (!name_take(x, parameters, "name", name) ||
        !tenant_begin(ctx, x, parameters, &store, &tenant))
        return;
    static const char *const none[] = {NULL};
    body_open(http_exchange_request(x), &jsontext_document_limits, none, &body);
    vlt_result result = read_issuer(store, tenant.number, name, &issuer);
    store_snapshot_end(store);
    if (!vlt_is_ok(result))
        body_refuse(&body, result.class == VLT_NOT_FOUND ? 404 : 503, "name",
                    result.class == VLT_NOT_FOUND ? "there is no issuer \"%s\""
                                                  : "the record of \"%s\" can not be read",
                    name);
    bool is_refused = body_refused(&body, x);
    body_done(&body);
    if (!is_refused && issuer.jwks)
        look(x, &issuer);
    else if (!is_refused)
        fetch(ctx, x, &issuer);
    if (vlt_is_ok(result))
        record_issuer_done(&issuer);
}
