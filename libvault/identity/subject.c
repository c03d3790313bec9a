// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/subject.h"

#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/crypto/jws.h"
#include "libvault/identity/spiffe_id.h"
#include "libvault/identity/subject_claims.h"

void subject_free(struct subject *subject) {
    if (!subject)
        return;
    json_decref(subject->claims);
    free(subject->memory);
    free(subject);
}

// ---- typ ----

// Kinds of JWT that must never pass for another, whatever a record says.
static bool typ_is_never_a_subject(const struct jws_parts *parts) {
    static const char *const never[] = {"dpop+jwt",   "logout+jwt", "secevent+jwt",
                                        "wpt+jwt",    "wit+jwt",    "oauth-authz-req+jwt",
                                        "token-introspection+jwt"};
    for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
        if (jws_typ_is(parts, never[i]))
            return true;
    }
    return false;
}

static bool typ_is_accepted(const struct jws_parts *parts, const struct issuer *issuer,
                            enum subject_token_type type) {
    if (!parts->has_typ || jws_typ_is(parts, "JWT") ||
        (issuer->is_spiffe && jws_typ_is(parts, "JOSE")))
        return true;
    if (typ_is_never_a_subject(parts) || type == SUBJECT_ID_TOKEN)
        return false;
    for (size_t i = 0; i < issuer->record.token_type_count; i++) {
        if (jws_typ_is(parts, issuer->record.token_types[i]))
            return true;
    }
    return false;
}

// ---- Whose token it says it is ----

static vlt_result find_issuer(const struct subject_expectation *expected, const json_t *claims,
                              const struct issuer **ret_issuer) {
    const json_t *iss = json_object_get(claims, "iss");
    struct bytes name = bytes_of(json_string_value(iss), json_string_length(iss));
    const json_t *sub = json_object_get(claims, "sub");
    if (iss && !json_is_string(iss))
        return vlt_fail(VLT_MALFORMED, "iss is not a text");
    struct bytes domain, id = bytes_of(json_string_value(sub), json_string_length(sub));
    if (json_is_string(sub) && spiffe_id_split(id, &domain)) {
        // A SPIFFE ID speaks for its own trust domain only: iss counts for nothing.
        if (vlt_is_ok(issuer_find(expected->book, expected->store, expected->tenant, domain,
                                  ret_issuer)))
            return vlt_ok();
    }
    if (!name.size)
        return vlt_fail(VLT_MALFORMED, "iss is missing");
    VLT_TRY(issuer_find(expected->book, expected->store, expected->tenant, name, ret_issuer));
    if ((*ret_issuer)->is_spiffe)
        return vlt_fail(VLT_DENIED, "the subject is no SPIFFE ID of that trust domain");
    return vlt_ok();
}

static vlt_result verify_signature(const struct jws_parts *parts, const struct issuer *issuer,
                                   struct jwks_entry **ret_await) {
    struct jwk *key = issuer_key(issuer, bytes_of_text(parts->has_kid ? parts->kid : ""));
    if (key)
        return jws_verify(parts, issuer->algorithms, key);
    if (!issuer->fetched)
        return vlt_fail(VLT_CRYPTO, "the issuer has no such key");
    *ret_await = issuer->fetched;
    return vlt_fail(VLT_UNAVAILABLE, "the issuer's keys are not here yet");
}

static vlt_result verify_parts(const struct jws_parts *parts,
                               const struct subject_expectation *expected,
                               struct subject *subject, struct jwks_entry **ret_await) {
    const struct issuer *issuer = NULL;
    struct registered_claims registered;
    // The strict parser reads the payload before the signature is checked, because
    // iss is in there; nothing else of it is used until then.
    VLT_TRY(jsontext_parse(parts->payload, &jsontext_token_limits, NULL, &subject->claims));
    VLT_TRY(find_issuer(expected, subject->claims, &issuer));
    if (!typ_is_accepted(parts, issuer, expected->type))
        return vlt_fail(VLT_DENIED, "a JWT of another type");
    if (!(issuer->algorithms & JWS_BIT(parts->alg)))
        return vlt_fail(VLT_CRYPTO, "an algorithm that the issuer is not allowed");
    VLT_TRY(verify_signature(parts, issuer, ret_await));
    VLT_TRY(claims_read_registered(parts->payload, subject->claims, &registered));
    VLT_TRY(claims_check(issuer, expected, subject->claims, &registered));
    subject->issued_at = registered.iat;
    subject->expires_at = registered.exp;
    subject->auth_time = registered.auth_time;
    return claims_map(issuer, subject);
}

vlt_result subject_verify(struct bytes token, const struct subject_expectation *expected,
                          struct subject **ret_subject, struct jwks_entry **ret_await) {
    struct jws_parts parts;
    struct jwks_entry *await = NULL;
    VLT_TRY(jws_split(token, 0, &parts));
    struct subject *subject = calloc(1, sizeof *subject);
    vlt_result result = subject ? verify_parts(&parts, expected, subject, &await)
                                : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    jws_parts_done(&parts);
    if (vlt_is_ok(result))
        *ret_subject = subject;
    else
        subject_free(subject);
    *ret_await = await;
    return result;
}
