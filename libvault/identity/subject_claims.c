// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/subject_claims.h"

#include <jwt.h>
#include <stdio.h>
#include <stdlib.h>

#define YEAR_9999 INT64_C(253402300799)

static struct bytes text_of(const json_t *text) {
    return bytes_of(json_string_value(text), json_string_length(text));
}

// ---- Registered claims ----

static const char *const time_names[] = {"exp", "nbf", "iat", "auth_time"};
#define TIMES (sizeof time_names / sizeof *time_names)

bool claim_time(const json_t *value, int64_t *ret_s) {
    double at = json_number_value(value); // 0: no number
    bool is_in_range = at >= 1 && at <= (double)YEAR_9999;
    if (is_in_range)
        *ret_s = (int64_t)at;
    return is_in_range;
}

// The times alone, in whole seconds, as an object of their own. Each has at most
// twelve digits.
static bool times_text(const json_t *claims, char text[static 128]) {
    size_t size = 1;
    memcpy(text, "{", 2);
    for (size_t i = 0; i < TIMES; i++) {
        const json_t *value = json_object_get(claims, time_names[i]);
        int64_t at = 0;
        if (value && !claim_time(value, &at))
            return false;
        if (value)
            size += (size_t)snprintf(text + size, 128 - size, "%s\"%s\":%lld", size > 1 ? "," : "",
                                     time_names[i], (long long)at);
    }
    memcpy(text + size, "}", 2);
    return true;
}

// libjwt answers -1 for a claim that is not there.
static int64_t time_of(jwt_t *jwt, const char *name) {
    int64_t at = jwt_get_grant_int(jwt, name);
    return at > 0 ? at : 0;
}

vlt_result claims_read_registered(const json_t *claims, struct registered_claims *ret) {
    char text[128];
    jwt_t *jwt = NULL;
    if (!json_is_object(claims) || !times_text(claims, text))
        return vlt_fail(VLT_MALFORMED, "a time of the token is not a number in range");
    bool is_read = jwt_new(&jwt) == 0 && jwt_add_grants_json(jwt, text) == 0;
    if (is_read)
        *ret = (struct registered_claims){.exp = time_of(jwt, "exp"),
                                          .nbf = time_of(jwt, "nbf"),
                                          .iat = time_of(jwt, "iat"),
                                          .auth_time = time_of(jwt, "auth_time")};
    jwt_free(jwt);
    return is_read ? vlt_ok() : vlt_fail(VLT_MALFORMED, "libjwt does not read the claims");
}

// ---- Claims by path ----

static const json_t *claim_at(const json_t *object, struct bytes path, unsigned depth) {
    char name[256];
    if (!json_is_object(object) || !path.size || depth == 8)
        return NULL;
    // Longest name first: "https://sts.amazonaws.com/" is one name.
    for (size_t size = path.size; size > 0; size--) {
        if (size < path.size && path.at[size] != '/')
            continue;
        const json_t *value = bytes_to_text(bytes_of(path.at, size), name, sizeof name)
                                  ? json_object_get(object, name)
                                  : NULL;
        if (value && size < path.size)
            value = claim_at(value, bytes_from(path, size + 1), depth + 1);
        if (value)
            return value;
    }
    return NULL;
}

const json_t *subject_claim_at(const json_t *claims, const char *path) {
    return claim_at(claims, bytes_of_text(path), 0);
}

// A single value as text: a text as it is, true, false and whole numbers spelled.
static struct bytes scalar_text(const json_t *value, char room[24]) {
    if (json_is_string(value))
        return text_of(value);
    if (json_is_boolean(value))
        return bytes_of_text(json_is_true(value) ? "true" : "false");
    if (!json_is_integer(value))
        return bytes_of(NULL, 0);
    snprintf(room, 24, "%lld", (long long)json_integer_value(value));
    return bytes_of_text(room);
}

// The claim is this value, or an array that contains it.
static bool claim_has(const json_t *claim, const char *wanted) {
    char room[24];
    for (size_t i = 0; i < json_array_size(claim); i++) {
        if (bytes_equal_text(scalar_text(json_array_get(claim, i), room), wanted))
            return true;
    }
    return !json_is_array(claim) && claim && bytes_equal_text(scalar_text(claim, room), wanted);
}

// ---- Checks ----

static bool audience_is_ours(const struct issuer *issuer, const json_t *claim) {
    if (!json_is_string(claim) && !json_is_array(claim))
        return false;
    for (size_t i = 0; i < issuer->record.audience_count; i++) {
        if (claim_has(claim, issuer->record.audiences[i]))
            return true;
    }
    return false;
}

// OpenID Connect Core 3.1.3.7: an ID token for several parties names the one to
// which it was issued, and that must be us.
static bool authorized_party_is_ours(const struct issuer *issuer, const json_t *claims) {
    const json_t *azp = json_object_get(claims, "azp");
    if (json_array_size(json_object_get(claims, "aud")) > 1 && !azp)
        return false;
    return !azp || (json_is_string(azp) && audience_is_ours(issuer, azp));
}

vlt_result claims_check_times(const struct issuer *issuer, int64_t now,
                              const struct registered_claims *r) {
    if (!r->exp || r->exp + SUBJECT_SKEW_S <= now)
        return vlt_fail(VLT_DENIED, "the subject token has no exp or is expired");
    if (r->nbf > now + SUBJECT_SKEW_S || r->iat > now + SUBJECT_SKEW_S)
        return vlt_fail(VLT_DENIED, "the subject token is not valid yet");
    if (!r->iat && !issuer->is_spiffe)
        return vlt_fail(VLT_DENIED, "the subject token has no iat");
    uint32_t max_age_s = issuer->record.max_age_s;
    if (max_age_s && (!r->iat || now - r->iat > (int64_t)max_age_s + SUBJECT_SKEW_S))
        return vlt_fail(VLT_DENIED, "the subject token is older than the issuer's max_age_s");
    return vlt_ok();
}

vlt_result claims_check(const struct issuer *issuer, const struct subject_expectation *expected,
                        const json_t *claims, const struct registered_claims *registered) {
    if (!audience_is_ours(issuer, json_object_get(claims, "aud")))
        return vlt_fail(VLT_DENIED, "the subject token is for another audience");
    if (expected->type == SUBJECT_ID_TOKEN && !authorized_party_is_ours(issuer, claims))
        return vlt_fail(VLT_DENIED, "the ID token was issued to another party");
    if (json_object_get(claims, "events")) // logout and security event tokens
        return vlt_fail(VLT_DENIED, "an event token is not a subject token");
    VLT_TRY(claims_check_times(issuer, expected->now_s, registered));
    for (size_t i = 0; i < issuer->record.requirement_count; i++) {
        const struct record_claim_requirement *wanted = &issuer->record.requirements[i];
        if (!claim_has(subject_claim_at(claims, wanted->claim), wanted->value))
            return vlt_fail(VLT_DENIED, "the subject token lacks a required claim");
    }
    return vlt_ok();
}

// ---- Mapping ----

// Groups decide; one that was dropped might have been forbidden something. So
// what does not fit refuses the token.
static bool add_group(struct subject *subject, struct bytes group) {
    for (size_t i = 0; i < subject->group_count; i++) {
        if (bytes_equal(subject->groups[i], group))
            return true;
    }
    if (!group.size || group.size > TOKEN_GROUP_MAX || subject->group_count == TOKEN_GROUPS_MAX)
        return false;
    subject->groups[subject->group_count++] = group;
    return true;
}

static bool add_every_value(struct subject *subject, const json_t *claim) {
    if (json_is_string(claim))
        return add_group(subject, text_of(claim));
    for (size_t i = 0; i < json_array_size(claim); i++) {
        const json_t *value = json_array_get(claim, i);
        if (!json_is_string(value) || !add_group(subject, text_of(value)))
            return false;
    }
    return true;
}

static vlt_result map_groups(const struct issuer *issuer, struct subject *subject) {
    for (size_t i = 0; i < issuer->record.group_rule_count; i++) {
        const struct record_group_rule *rule = &issuer->record.group_rules[i];
        const json_t *claim = subject_claim_at(subject->claims, rule->claim);
        bool fits = true;
        if (claim && strcmp(rule->value, "*") == 0)
            fits = add_every_value(subject, claim);
        else if (claim_has(claim, rule->value))
            fits = add_group(subject, bytes_of_text(rule->group));
        if (!fits)
            return vlt_fail(VLT_LIMIT,
                            "the subject token has too many groups or one that is no group");
    }
    return vlt_ok();
}

// Tags decide as well. A claim that is absent or null gives none; one that has no
// single value, or too long a one, refuses the token.
static vlt_result map_tags(const struct issuer *issuer, struct subject *subject) {
    for (size_t i = 0; i < issuer->record.tag_rule_count; i++) {
        const struct record_tag_rule *rule = &issuer->record.tag_rules[i];
        const json_t *claim = subject_claim_at(subject->claims, rule->claim);
        if (!claim || json_is_null(claim))
            continue;
        struct bytes value = scalar_text(claim, subject->tag_digits[i]);
        if (!value.at || value.size > TOKEN_TAG_VALUE_MAX ||
            !token_traits_add_tag(&subject->traits, bytes_of_text(rule->tag), value))
            return vlt_fail(VLT_DENIED,
                            "a claim that is a tag has no single value, or too long a one");
    }
    return vlt_ok();
}

// true and false, also spelled as a text, which some providers do.
static bool map_posture(const json_t *claims, const char *path, uint8_t *ret_posture) {
    char room[24];
    const json_t *claim = path[0] ? subject_claim_at(claims, path) : NULL;
    if (!claim || json_is_null(claim))
        return true;
    struct bytes value = scalar_text(claim, room);
    bool is_true = bytes_equal_text(value, "true");
    if (!is_true && !bytes_equal_text(value, "false"))
        return false;
    *ret_posture = is_true ? TOKEN_POSTURE_YES : TOKEN_POSTURE_NO;
    return true;
}

static vlt_result map_device(const struct issuer *issuer, struct subject *subject) {
    bool is_known =
        map_posture(subject->claims, issuer->record.compliant_claim, &subject->traits.compliant) &&
        map_posture(subject->claims, issuer->record.managed_claim, &subject->traits.managed);
    return is_known ? vlt_ok()
                    : vlt_fail(VLT_DENIED, "a claim about the device is neither true nor false");
}

static bool map_text(const json_t *claims, const char *name, size_t max, struct bytes *ret) {
    const json_t *value = json_object_get(claims, name);
    if (value && (!json_is_string(value) || json_string_length(value) > max))
        return false;
    if (value)
        *ret = text_of(value);
    return true;
}

static bool map_amr(struct subject *subject) {
    const json_t *amr = json_object_get(subject->claims, "amr");
    if (amr && (!json_is_array(amr) || json_array_size(amr) > TOKEN_LIST_MAX))
        return false;
    for (size_t i = 0; i < json_array_size(amr); i++) {
        const json_t *value = json_array_get(amr, i);
        if (!json_is_string(value) || !json_string_length(value) ||
            json_string_length(value) > TOKEN_NAME_MAX)
            return false;
        subject->traits.amr.items[subject->traits.amr.count++] = text_of(value);
    }
    return true;
}

// RFC 7800: a confirmation method that we do not know must not pass as none.
static bool map_confirmation(struct subject *subject) {
    const json_t *cnf = json_object_get(subject->claims, "cnf");
    const json_t *jkt = json_object_get(cnf, "jkt");
    if (!cnf)
        return true;
    if (!json_is_object(cnf) || json_object_size(cnf) != 1 || !json_is_string(jkt) ||
        json_string_length(jkt) != JWK_THUMBPRINT_TEXT_SIZE - 1)
        return false;
    subject->key_thumbprint = text_of(jkt);
    return true;
}

static bool map_objects(struct subject *subject) {
    const json_t *claims = subject->claims;
    subject->may_act = json_object_get(claims, "may_act");
    subject->act = json_object_get(claims, "act");
    subject->authorization_details = json_object_get(claims, "authorization_details");
    return (!subject->may_act || json_is_object(subject->may_act)) &&
           (!subject->act || json_is_object(subject->act)) &&
           (!subject->authorization_details || json_is_array(subject->authorization_details));
}

static vlt_result map_principal(const struct issuer *issuer, struct subject *subject) {
    const json_t *value = subject_claim_at(subject->claims, issuer->record.subject_claim);
    size_t issuer_bytes = strlen(issuer->record.issuer), name_bytes = strlen(issuer->record.name);
    size_t subject_bytes = json_string_length(value);
    if (!json_is_string(value) || !subject_bytes ||
        issuer_bytes + 1 + subject_bytes > TOKEN_PRINCIPAL_MAX)
        return vlt_fail(VLT_DENIED, "the subject token names no subject, or too long a one");
    char *memory = malloc(issuer_bytes + 1 + subject_bytes + name_bytes + 1);
    if (!memory)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    memcpy(memory, issuer->record.issuer, issuer_bytes);
    memory[issuer_bytes] = '|';
    memcpy(memory + issuer_bytes + 1, json_string_value(value), subject_bytes);
    memcpy(memory + issuer_bytes + 1 + subject_bytes, issuer->record.name, name_bytes + 1);
    subject->memory = memory;
    subject->principal = bytes_of(memory, issuer_bytes + 1 + subject_bytes);
    subject->issuer = bytes_of(memory, issuer_bytes);
    subject->subject = bytes_of(memory + issuer_bytes + 1, subject_bytes);
    subject->issuer_name = bytes_of(memory + subject->principal.size, name_bytes);
    return vlt_ok();
}

vlt_result claims_map(const struct issuer *issuer, struct subject *subject) {
    static const uint8_t kinds[] = {[RECORD_USER] = TOKEN_USER,
                                    [RECORD_WORKLOAD] = TOKEN_WORKLOAD,
                                    [RECORD_AGENT] = TOKEN_AGENT};
    const json_t *claims = subject->claims;
    struct bytes client = {NULL, 0};
    VLT_TRY(map_principal(issuer, subject));
    VLT_TRY(map_groups(issuer, subject));
    VLT_TRY(map_tags(issuer, subject));
    VLT_TRY(map_device(issuer, subject));
    subject->kind = kinds[issuer->record.kind];
    if (!map_text(claims, "azp", TOKEN_CLIENT_MAX, &subject->client) ||
        !map_text(claims, "client_id", TOKEN_CLIENT_MAX, &client) ||
        !map_text(claims, "acr", TOKEN_CLIENT_MAX, &subject->traits.acr) || !map_amr(subject) ||
        !map_confirmation(subject) || !map_objects(subject))
        return vlt_fail(VLT_DENIED, "a claim of the subject token has another type than expected");
    if (!subject->client.size)
        subject->client = client;
    return vlt_ok();
}
