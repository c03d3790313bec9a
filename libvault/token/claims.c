// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/claims.h"

#include <string.h>

#include "libvault/token/token_details.h"
#include "libvault/token/token_text.h"

const char *token_principal_kind_name(uint8_t kind) {
    switch (kind) {
    case TOKEN_USER: return "user";
    case TOKEN_WORKLOAD: return "workload";
    case TOKEN_AGENT: return "agent";
    default: return "";
    }
}

bool token_issuer_text(struct bytes base, struct bytes tenant, char text[TOKEN_ISSUER_SIZE]) {
    bool is_default = bytes_equal_text(tenant, "default");
    size_t size = base.size + (is_default ? 0 : 3 + tenant.size);
    if (size >= TOKEN_ISSUER_SIZE || memchr(base.at, 0, base.size))
        return false;
    memcpy(text, base.at, base.size);
    if (!is_default) {
        memcpy(text + base.size, "/t/", 3);
        if (tenant.size)
            memcpy(text + base.size + 3, tenant.at, tenant.size);
    }
    text[size] = 0;
    return true;
}

// ---- Wire ----

static void put_texts(struct wire_writer *w, const struct bytes *items, size_t count) {
    wire_put_u8(w, (uint8_t)count);
    for (size_t i = 0; i < count; i++)
        wire_put_bytes(w, items[i]);
}

static size_t get_texts(struct wire_reader *r, struct bytes *items, size_t max, size_t text_max) {
    size_t count = wire_get_u8(r);
    if (count > max)
        r->failed = true;
    for (size_t i = 0; i < count && !r->failed; i++)
        items[i] = wire_get_bytes(r, text_max);
    return r->failed ? 0 : count;
}

static void put_list(struct wire_writer *w, const struct token_list *list) {
    put_texts(w, list->items, list->count);
}

static void get_list(struct wire_reader *r, struct token_list *list, size_t text_max) {
    list->count = get_texts(r, list->items, TOKEN_LIST_MAX, text_max);
}

static void put_detail(struct wire_writer *w, const struct token_detail *detail) {
    wire_put_bytes(w, detail->credential);
    put_list(w, &detail->methods);
    put_list(w, &detail->paths);
    put_list(w, &detail->models);
    put_list(w, &detail->tools);
    wire_put_u64(w, detail->max_tokens);
}

static void get_detail(struct wire_reader *r, struct token_detail *detail) {
    detail->credential = wire_get_bytes(r, TOKEN_NAME_MAX);
    get_list(r, &detail->methods, TOKEN_PATTERN_MAX);
    get_list(r, &detail->paths, TOKEN_PATTERN_MAX);
    get_list(r, &detail->models, TOKEN_PATTERN_MAX);
    get_list(r, &detail->tools, TOKEN_PATTERN_MAX);
    detail->max_tokens = wire_get_u64(r);
}

void token_claims_put(struct wire_writer *w, const struct token_claims *claims) {
    wire_put_bytes(w, claims->issuer);
    wire_put_bytes(w, claims->audience);
    wire_put_bytes(w, claims->tenant);
    wire_put_bytes(w, claims->id);
    wire_put_bytes(w, claims->principal);
    wire_put_u8(w, claims->principal_kind);
    wire_put_bytes(w, claims->client);
    wire_put_u8(w, (uint8_t)claims->actor_count);
    for (size_t i = 0; i < claims->actor_count; i++) {
        wire_put_bytes(w, claims->actors[i].principal);
        wire_put_u8(w, claims->actors[i].kind);
    }
    put_texts(w, claims->actor_groups, claims->actor_group_count);
    token_traits_put(w, &claims->actor_traits);
    wire_put_u64(w, (uint64_t)claims->issued_at);
    wire_put_u64(w, (uint64_t)claims->expires_at);
    wire_put_u64(w, (uint64_t)claims->auth_time);
    wire_put_bytes(w, claims->correlation);
    wire_put_bytes(w, claims->policy_set);
    token_traits_put(w, &claims->traits);
    put_texts(w, claims->groups, claims->group_count);
    wire_put_u8(w, claims->binding);
    wire_put_raw(w, bytes_of(claims->thumbprint, sizeof claims->thumbprint));
    wire_put_u8(w, (uint8_t)claims->detail_count);
    for (size_t i = 0; i < claims->detail_count; i++)
        put_detail(w, &claims->details[i]);
}

static void get_actors(struct wire_reader *r, struct token_claims *claims) {
    claims->actor_count = wire_get_u8(r);
    if (claims->actor_count > TOKEN_ACTORS_MAX)
        r->failed = true;
    for (size_t i = 0; i < claims->actor_count && !r->failed; i++) {
        claims->actors[i].principal = wire_get_bytes(r, TOKEN_PRINCIPAL_MAX);
        claims->actors[i].kind = wire_get_u8(r);
    }
    claims->actor_group_count =
        get_texts(r, claims->actor_groups, TOKEN_GROUPS_MAX, TOKEN_GROUP_MAX);
    token_traits_get(r, &claims->actor_traits);
}

static void get_proof_and_details(struct wire_reader *r, struct token_claims *claims) {
    claims->binding = wire_get_u8(r);
    struct bytes thumbprint = wire_get_raw(r, sizeof claims->thumbprint);
    if (thumbprint.size == sizeof claims->thumbprint)
        memcpy(claims->thumbprint, thumbprint.at, sizeof claims->thumbprint);
    claims->detail_count = wire_get_u8(r);
    if (claims->detail_count > TOKEN_DETAILS_MAX)
        r->failed = true;
    for (size_t i = 0; i < claims->detail_count && !r->failed; i++)
        get_detail(r, &claims->details[i]);
}

vlt_result token_claims_get(struct bytes wire, struct token_claims *ret_claims) {
    struct token_claims claims = {0};
    struct wire_reader r;
    wire_reader_init(&r, wire);
    claims.issuer = wire_get_bytes(&r, TOKEN_PRINCIPAL_MAX);
    claims.audience = wire_get_bytes(&r, TOKEN_PRINCIPAL_MAX);
    claims.tenant = wire_get_bytes(&r, TOKEN_NAME_MAX);
    claims.id = wire_get_bytes(&r, TOKEN_NAME_MAX);
    claims.principal = wire_get_bytes(&r, TOKEN_PRINCIPAL_MAX);
    claims.principal_kind = wire_get_u8(&r);
    claims.client = wire_get_bytes(&r, TOKEN_CLIENT_MAX);
    get_actors(&r, &claims);
    claims.issued_at = (int64_t)wire_get_u64(&r);
    claims.expires_at = (int64_t)wire_get_u64(&r);
    claims.auth_time = (int64_t)wire_get_u64(&r);
    claims.correlation = wire_get_bytes(&r, TOKEN_NAME_MAX);
    claims.policy_set = wire_get_bytes(&r, TOKEN_NAME_MAX);
    token_traits_get(&r, &claims.traits);
    claims.group_count = get_texts(&r, claims.groups, TOKEN_GROUPS_MAX, TOKEN_GROUP_MAX);
    get_proof_and_details(&r, &claims);
    VLT_TRY(wire_reader_end(&r));
    VLT_TRY(token_claims_check(&claims));
    *ret_claims = claims;
    return vlt_ok();
}

// ---- What holds wherever claims come from ----

bool token_text_fits(struct bytes text, size_t max) {
    return text.size <= max && (!text.size || !memchr(text.at, 0, text.size)) &&
           bytes_is_utf8(text, NULL);
}

bool token_texts_fit(const struct bytes *items, size_t count, size_t max) {
    for (size_t i = 0; i < count; i++) {
        if (!items[i].size || !token_text_fits(items[i], max))
            return false;
    }
    return true;
}

static vlt_result check_counts(const struct token_claims *claims) {
    if (claims->actor_count > TOKEN_ACTORS_MAX || claims->group_count > TOKEN_GROUPS_MAX ||
        claims->actor_group_count > TOKEN_GROUPS_MAX || claims->detail_count > TOKEN_DETAILS_MAX)
        return vlt_fail(VLT_LIMIT, "too many values in a claim");
    const struct token_traits *traits = &claims->actor_traits;
    bool says_of_actor = claims->actor_group_count || traits->acr.size || traits->amr.count ||
                         traits->tag_count || traits->compliant || traits->managed;
    if (says_of_actor && !claims->actor_count)
        return vlt_fail(VLT_MALFORMED, "something of an actor without an actor");
    return vlt_ok();
}

static vlt_result check_texts(const struct token_claims *claims) {
    bool fits = token_text_fits(claims->issuer, TOKEN_PRINCIPAL_MAX) &&
                token_text_fits(claims->audience, TOKEN_PRINCIPAL_MAX) &&
                token_text_fits(claims->tenant, TOKEN_NAME_MAX) &&
                token_text_fits(claims->id, TOKEN_NAME_MAX) &&
                token_text_fits(claims->principal, TOKEN_PRINCIPAL_MAX) &&
                token_text_fits(claims->client, TOKEN_CLIENT_MAX) &&
                token_text_fits(claims->correlation, TOKEN_NAME_MAX) &&
                token_text_fits(claims->policy_set, TOKEN_NAME_MAX) &&
                token_texts_fit(claims->groups, claims->group_count, TOKEN_GROUP_MAX) &&
                token_texts_fit(claims->actor_groups, claims->actor_group_count, TOKEN_GROUP_MAX);
    return fits ? vlt_ok() : vlt_fail(VLT_MALFORMED, "a claim is empty, too long or not UTF-8");
}

static vlt_result check_principals(const struct token_claims *claims) {
    if (!claims->principal.size || !*token_principal_kind_name(claims->principal_kind))
        return vlt_fail(VLT_MALFORMED, "no principal, or an unknown kind of principal");
    for (size_t i = 0; i < claims->actor_count; i++) {
        const struct token_actor *actor = &claims->actors[i];
        if (!actor->principal.size || !token_text_fits(actor->principal, TOKEN_PRINCIPAL_MAX) ||
            !*token_principal_kind_name(actor->kind))
            return vlt_fail(VLT_MALFORMED, "no actor, or an unknown kind of actor");
    }
    return vlt_ok();
}

// 2^53: what every JSON reader takes without rounding.
static bool time_is_sane(int64_t at) { return at >= 0 && at <= (INT64_C(1) << 53); }

vlt_result token_claims_check(const struct token_claims *claims) {
    static const uint8_t nothing[32];
    VLT_TRY(check_counts(claims));
    VLT_TRY(check_texts(claims));
    VLT_TRY(check_principals(claims));
    VLT_TRY(token_traits_check(&claims->traits));
    VLT_TRY(token_traits_check(&claims->actor_traits));
    if (!time_is_sane(claims->issued_at) || !time_is_sane(claims->expires_at) ||
        !time_is_sane(claims->auth_time))
        return vlt_fail(VLT_MALFORMED, "a time out of range");
    if (claims->binding > TOKEN_BOUND_MTLS)
        return vlt_fail(VLT_MALFORMED, "unknown binding");
    bool has_thumbprint = !bytes_equal(bytes_of(nothing, sizeof nothing),
                                       bytes_of(claims->thumbprint, sizeof claims->thumbprint));
    if (has_thumbprint != (claims->binding != TOKEN_BEARER))
        return vlt_fail(VLT_MALFORMED, "a binding needs a thumbprint, a bearer token has none");
    for (size_t i = 0; i < claims->detail_count; i++)
        VLT_TRY(token_detail_check(&claims->details[i]));
    return vlt_ok();
}
