// SPDX-License-Identifier: Apache-2.0
// Subject and actor tokens: JWTs of a tenant's trusted issuers (ID tokens, RFC
// 9068 access tokens, JWT-SVIDs, projected Kubernetes tokens), verified and
// mapped to a principal. Rules: RFC 8725; see also record_issuer.h.
//
// Order: size → strict split → iss (not yet trusted) names the issuer → kid and
// the issuer's allow-list give one key and algorithm → signature over the raw
// bytes → strict JSON → libjwt reads the registered claims → everything else.
#ifndef VLT_IDENTITY_SUBJECT_H
#define VLT_IDENTITY_SUBJECT_H

#include "libvault/identity/issuer.h"
#include "libvault/token/claims.h"

#define SUBJECT_SKEW_S 60 // on exp, nbf, iat

enum subject_token_type { SUBJECT_JWT, SUBJECT_ID_TOKEN, SUBJECT_ACCESS_TOKEN };

struct subject_cache; // subject_cache.h

struct subject_expectation {
    struct issuer_book *book;
    struct subject_cache *cache; // NULL: every token is verified from the start
    struct jws_headers *headers; // that were read before; may be NULL
    struct store *store; // with an open snapshot
    uint32_t tenant;
    int64_t now_s;
    enum subject_token_type type; // as the caller declared it
};

// A verified principal. Views into what it owns.
struct subject {
    struct bytes issuer;      // `iss` as trusted
    struct bytes subject;     // the subject claim
    struct bytes principal;   // issuer|subject
    struct bytes issuer_name; // of the record, for the audit
    uint8_t kind;             // enum token_principal_kind
    struct bytes client;      // azp, else client_id; may be empty
    struct token_traits traits;
    struct bytes groups[TOKEN_GROUPS_MAX];
    size_t group_count;
    int64_t issued_at; // 0: absent
    int64_t expires_at, auth_time;
    const json_t *may_act;               // object, or NULL
    const json_t *act;                   // object, or NULL: who already acts in it
    const json_t *authorization_details; // array, or NULL
    struct bytes key_thumbprint;         // cnf.jkt: holder must prove this key; empty: bearer
    json_t *claims;                      // everything
    unsigned holders;                    // frees itself with the last one
    char tag_digits[RECORD_ISSUER_TAG_RULES][24]; // numbers that are tags, spelled
    char *memory;
};

// VLT_MALFORMED, VLT_LIMIT: no acceptable JWT. VLT_NOT_FOUND: unknown issuer.
// VLT_CRYPTO: unknown key, other algorithm, wrong signature. VLT_DENIED:
// audience, time, typ or a claim requirement. VLT_UNAVAILABLE with *ret_await
// set: its keys are not here yet; jwks_entry_await, then verify again. To the
// caller outside all of these look alike. Free with subject_free.
vlt_result subject_verify(struct bytes token, const struct subject_expectation *expected,
                          struct subject **ret_subject,
                          struct jwks_entry **ret_await) VLT_MUST_USE;
void subject_free(struct subject *subject); // gives up one hold; NULL is fine
void subject_hold(struct subject *subject); // one more subject_free will come

// The member at `path`: names joined by '/', where a name may itself hold '/'
// ("https://sts.amazonaws.com//aws_account"): the longest name that fits wins.
// NULL when there is none. Borrowed.
const json_t *subject_claim_at(const json_t *claims, const char *path);

#endif
