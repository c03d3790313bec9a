// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/claims_read.h"

#include "libvault/base/b64u.h"
#include "libvault/base/jsontext.h"
#include "libvault/token/token_details.h"

// A reader in which failure sticks, so that the claims read as a list.
struct claim_reader {
    bool failed;
};

static struct bytes read_text(struct claim_reader *r, const json_t *object, const char *name,
                              bool is_required) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value) || !json_string_length(value)) {
        r->failed = r->failed || value || is_required;
        return bytes_of(NULL, 0);
    }
    return bytes_of(json_string_value(value), json_string_length(value));
}

static int64_t read_time(struct claim_reader *r, const json_t *object, const char *name,
                         bool is_required) {
    const json_t *value = json_object_get(object, name);
    if (!json_is_integer(value) || json_integer_value(value) < 1) {
        r->failed = r->failed || value || is_required;
        return 0;
    }
    return json_integer_value(value);
}

static size_t read_texts(struct claim_reader *r, const json_t *object, const char *name,
                         struct bytes *items, size_t max) {
    const json_t *array = json_object_get(object, name);
    size_t count = json_array_size(array);
    if (!array)
        return 0;
    if (!json_is_array(array) || !count || count > max) {
        r->failed = true;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        const json_t *item = json_array_get(array, i);
        r->failed = r->failed || !json_is_string(item);
        items[i] = bytes_of(json_string_value(item), json_string_length(item));
    }
    return count;
}

static uint8_t read_kind(struct claim_reader *r, const json_t *object) {
    struct bytes name = read_text(r, object, "sub_profile", true);
    for (unsigned kind = TOKEN_USER; kind <= TOKEN_AGENT; kind++) {
        if (bytes_equal_text(name, token_principal_kind_name((uint8_t)kind)))
            return (uint8_t)kind;
    }
    r->failed = true;
    return TOKEN_USER;
}

static uint8_t read_posture(struct claim_reader *r, const json_t *device, const char *name) {
    const json_t *value = json_object_get(device, name);
    if (!value)
        return TOKEN_POSTURE_UNKNOWN;
    r->failed = r->failed || !json_is_boolean(value);
    return json_is_true(value) ? TOKEN_POSTURE_YES : TOKEN_POSTURE_NO;
}

static void read_device(struct claim_reader *r, const json_t *object, struct token_traits *traits) {
    static const char *const members[] = {"compliant", "managed", NULL};
    const json_t *device = json_object_get(object, "device");
    if (!device)
        return;
    if (!json_is_object(device) || !json_object_size(device) ||
        !vlt_is_ok(jsontext_only_members(device, members, NULL)))
        r->failed = true;
    traits->compliant = read_posture(r, device, "compliant");
    traits->managed = read_posture(r, device, "managed");
}

static void read_tags(struct claim_reader *r, const json_t *object, struct token_traits *traits) {
    json_t *tags = json_object_get(object, "tags");
    const char *name;
    json_t *value;
    if (tags && (!json_is_object(tags) || !json_object_size(tags)))
        r->failed = true;
    json_object_foreach(tags, name, value) {
        struct bytes text = bytes_of(json_string_value(value), json_string_length(value));
        if (!json_is_string(value) || !token_traits_add_tag(traits, bytes_of_text(name), text))
            r->failed = true;
    }
}

static void read_traits(struct claim_reader *r, const json_t *object, struct token_traits *traits) {
    traits->acr = read_text(r, object, "acr", false);
    traits->amr.count = read_texts(r, object, "amr", traits->amr.items, TOKEN_LIST_MAX);
    read_device(r, object, traits);
    read_tags(r, object, traits);
}

// What is known of the current actor only.
static bool names_traits(const json_t *act) {
    static const char *const members[] = {"acr", "amr", "device", "groups", "tags"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (json_object_get(act, members[i]))
            return true;
    }
    return false;
}

static void read_actors(struct claim_reader *r, const json_t *root, struct token_claims *claims) {
    static const char *const members[] = {"acr", "act",         "amr",  "device", "groups",
                                          "sub", "sub_profile", "tags", NULL};
    const json_t *act = json_object_get(root, "act");
    for (; act && !r->failed; act = json_object_get(act, "act")) {
        size_t i = claims->actor_count;
        if (i == TOKEN_ACTORS_MAX || !json_is_object(act) ||
            !vlt_is_ok(jsontext_only_members(act, members, NULL)) || (i && names_traits(act))) {
            r->failed = true;
            return;
        }
        if (!i) {
            claims->actor_group_count =
                read_texts(r, act, "groups", claims->actor_groups, TOKEN_GROUPS_MAX);
            read_traits(r, act, &claims->actor_traits);
        }
        claims->actors[i].principal = read_text(r, act, "sub", true);
        claims->actors[i].kind = read_kind(r, act);
        claims->actor_count++;
    }
}

static void read_binding(struct claim_reader *r, const json_t *root, struct token_claims *claims) {
    const json_t *cnf = json_object_get(root, "cnf");
    size_t size = 0;
    if (!cnf)
        return;
    bool is_dpop = json_object_get(cnf, "jkt");
    struct bytes text = read_text(r, cnf, is_dpop ? "jkt" : "x5t#S256", true);
    if (json_object_size(cnf) != 1 || r->failed ||
        !vlt_is_ok(b64u_decode(text, claims->thumbprint, sizeof claims->thumbprint, &size)) ||
        size != sizeof claims->thumbprint)
        r->failed = true;
    claims->binding = is_dpop ? TOKEN_BOUND_DPOP : TOKEN_BOUND_MTLS;
}

vlt_result claims_read(const json_t *root, struct token_claims *ret_claims) {
    static const char *const members[] = {
        "acr",       "act", "amr",    "aud", "auth_time",   "authorization_details",
        "client_id", "cnf", "device", "exp", "groups",      "iat",
        "iss",       "jti", "pol",    "sub", "sub_profile", "tags",
        "tid",       "txn", NULL};
    struct token_claims claims = {0};
    struct claim_reader r = {0};
    VLT_TRY(jsontext_only_members(root, members, NULL));
    claims.issuer = read_text(&r, root, "iss", true);
    claims.audience = read_text(&r, root, "aud", true);
    claims.tenant = read_text(&r, root, "tid", true);
    claims.id = read_text(&r, root, "jti", true);
    claims.principal = read_text(&r, root, "sub", true);
    claims.principal_kind = read_kind(&r, root);
    claims.client = read_text(&r, root, "client_id", true);
    claims.issued_at = read_time(&r, root, "iat", true);
    claims.expires_at = read_time(&r, root, "exp", true);
    claims.auth_time = read_time(&r, root, "auth_time", false);
    claims.correlation = read_text(&r, root, "txn", false);
    claims.policy_set = read_text(&r, root, "pol", false);
    read_traits(&r, root, &claims.traits);
    claims.group_count = read_texts(&r, root, "groups", claims.groups, TOKEN_GROUPS_MAX);
    read_actors(&r, root, &claims);
    read_binding(&r, root, &claims);
    if (r.failed)
        return vlt_fail(VLT_MALFORMED, "a claim is missing or of another type");
    VLT_TRY(token_details_of_json(json_object_get(root, "authorization_details"), NULL,
                                  claims.details, &claims.detail_count));
    VLT_TRY(token_claims_check(&claims));
    *ret_claims = claims;
    return vlt_ok();
}
