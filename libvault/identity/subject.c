// SPDX-License-Identifier: Apache-2.0
#include "libvault/identity/subject.h"

#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/crypto/jws.h"
#include "libvault/identity/spiffe_id.h"
#include "libvault/identity/subject_cache.h"
#include "libvault/identity/subject_claims.h"

void subject_free(struct subject *subject) {
    if (!subject || (subject->holders && --subject->holders))
        return;
    json_decref(subject->claims);
    free(subject->memory);
    free(subject);
}

void subject_hold(struct subject *subject) { subject->holders++; }

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

static uint64_t keys_generation(const struct issuer *issuer) {
    return issuer->fetched ? jwks_entry_generation(issuer->fetched) : 0;
}

// Fills `seen` with what subject_cache needs to know beside the key.
static vlt_result verify_parts(const struct jws_parts *parts,
                               const struct subject_expectation *expected,
                               struct subject_seen *seen, struct jwks_entry **ret_await) {
    const struct issuer *issuer = NULL;
    struct subject *subject = seen->subject;
    // The strict parser reads the payload before the signature is checked, because
    // iss is in there; nothing else of it is used until then.
    VLT_TRY(jsontext_parse(parts->payload, &jsontext_token_limits, NULL, &subject->claims));
    VLT_TRY(find_issuer(expected, subject->claims, &issuer));
    if (!typ_is_accepted(parts, issuer, expected->type))
        return vlt_fail(VLT_DENIED, "a JWT of another type");
    if (!(issuer->algorithms & JWS_BIT(parts->alg)))
        return vlt_fail(VLT_CRYPTO, "an algorithm that the issuer is not allowed");
    VLT_TRY(verify_signature(parts, issuer, ret_await));
    VLT_TRY(claims_read_registered(subject->claims, &seen->registered));
    VLT_TRY(claims_check(issuer, expected, subject->claims, &seen->registered));
    subject->issued_at = seen->registered.iat;
    subject->expires_at = seen->registered.exp;
    subject->auth_time = seen->registered.auth_time;
    seen->issuer_serial = issuer->serial;
    seen->keys_generation = keys_generation(issuer);
    memcpy(seen->kid, parts->has_kid ? parts->kid : "",
           parts->has_kid ? strlen(parts->kid) + 1 : 1);
    return claims_map(issuer, subject);
}

static vlt_result verify(struct bytes token, const struct subject_expectation *expected,
                         struct subject_seen *seen, struct jwks_entry **ret_await) {
    struct jws_parts parts;
    VLT_TRY(jws_split_known(expected->headers, token, 0, &parts));
    seen->subject = calloc(1, sizeof *seen->subject);
    vlt_result result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    if (seen->subject) {
        seen->subject->holders = 1;
        result = verify_parts(&parts, expected, seen, ret_await);
    }
    jws_parts_done(&parts);
    return result;
}

// ---- Seen before ----

// Would it be verified again in the same way, by the same key? Asking for the key
// also renews a key set that is due, as it does for a token that is new.
static bool is_still_good(const struct subject_seen *seen,
                          const struct subject_expectation *expected) {
    const struct issuer *issuer = NULL;
    return vlt_is_ok(find_issuer(expected, seen->subject->claims, &issuer)) &&
           issuer->serial == seen->issuer_serial && issuer_key(issuer, bytes_of_text(seen->kid)) &&
           keys_generation(issuer) == seen->keys_generation &&
           vlt_is_ok(claims_check_times(issuer, expected->now_s, &seen->registered));
}

static struct subject *recall(const struct subject_expectation *expected,
                              const uint8_t key[SUBJECT_CACHE_KEY_SIZE]) {
    const struct subject_seen *seen = subject_cache_find(expected->cache, key);
    if (seen && is_still_good(seen, expected)) {
        subject_hold(seen->subject);
        return seen->subject;
    }
    subject_cache_drop(expected->cache, key); // and what is wrong with it is found out again
    return NULL;
}

vlt_result subject_verify(struct bytes token, const struct subject_expectation *expected,
                          struct subject **ret_subject, struct jwks_entry **ret_await) {
    struct jwks_entry *await = NULL;
    struct subject_seen seen = {.subject = NULL};
    *ret_await = NULL;
    if (token.size > JWS_MAX_BYTES)
        return vlt_fail(VLT_LIMIT, "token is too long");
    if (expected->cache) {
        VLT_TRY(subject_cache_key(token, expected, seen.key));
        struct subject *known = recall(expected, seen.key);
        if (known) {
            *ret_subject = known;
            return vlt_ok();
        }
    }
    vlt_result result = verify(token, expected, &seen, &await);
    if (vlt_is_ok(result)) {
        if (expected->cache)
            subject_cache_put(expected->cache, &seen);
        *ret_subject = seen.subject;
    } else {
        subject_free(seen.subject);
    }
    *ret_await = await;
    return result;
}
