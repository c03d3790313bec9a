// SPDX-License-Identifier: Apache-2.0
// STORE_ISSUER: one identity provider whose tokens a tenant trusts, and what of
// their claims counts. JSON: schemas/issuer.schema.json.
#ifndef VLT_STORE_RECORD_ISSUER_H
#define VLT_STORE_RECORD_ISSUER_H

#include "libvault/store/record_tenant.h"

#define RECORD_ISSUER_AUDIENCES 8
#define RECORD_ISSUER_ALGORITHMS 8
#define RECORD_ISSUER_REQUIREMENTS 16
#define RECORD_ISSUER_GROUP_CLAIMS 4
#define RECORD_ISSUER_GROUP_RULES 64
#define RECORD_ISSUER_TAG_RULES 16

enum record_principal_kind { RECORD_USER, RECORD_WORKLOAD, RECORD_AGENT };

struct record_claim_requirement { // the claim must equal, or as an array contain, the value
    char claim[128];              // a path through objects: "kubernetes.io/namespace"
    char value[256];
};
struct record_group_rule { // claim value → group name; "*" takes the value as the name
    char claim[128];
    char value[256];
    char group[RECORD_NAME_MAX + 1];
};

struct record_tag_rule { // this claim is a tag of the principal
    char claim[128];
    char tag[65]; // printable ASCII; the claim when the record names none
};

struct record_issuer {
    char name[RECORD_NAME_MAX + 1];
    char issuer[512];        // exact `iss`
    char discovery_url[512]; // https; empty when jwks is given
    json_t *jwks;            // owned; a JWK Set document, or NULL
    char audiences[RECORD_ISSUER_AUDIENCES][256];
    char algorithms[RECORD_ISSUER_ALGORITHMS][8]; // "RS256", …
    size_t audience_count, algorithm_count, requirement_count, group_rule_count;
    struct record_claim_requirement *requirements; // owned
    struct record_group_rule *group_rules;         // owned
    struct record_tag_rule *tag_rules;             // owned; each tag once
    size_t tag_rule_count;
    char compliant_claim[128], managed_claim[128]; // posture of the device; empty: not known
    enum record_principal_kind kind;               // what its subjects are
    char subject_claim[64];                        // default "sub"
    char token_types[4][32]; // accepted `typ` of its tokens besides none and "JWT", e.g. "at+jwt"
    size_t token_type_count;
    uint32_t max_age_s; // of the subject token since iat; 0: not limited
    bool disabled;
};
vlt_result record_issuer_parse(struct bytes json, struct fault *fault,
                               struct record_issuer *ret_issuer) VLT_MUST_USE;
void record_issuer_done(struct record_issuer *issuer);
json_t *record_issuer_json(const struct record_issuer *issuer);

#endif
