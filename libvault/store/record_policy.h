// SPDX-License-Identifier: Apache-2.0
// Policies of a tenant: texts are stored under their SHA-256, a set lists the
// documents of one version, and STORE_POLICY_SET "active" is the set in force.
// Writing a new set and its texts and moving "active" is one commit.
// JSON: schemas/policy-set.schema.json.
#ifndef VLT_STORE_RECORD_POLICY_H
#define VLT_STORE_RECORD_POLICY_H

#include "libvault/store/record_tenant.h"

#define RECORD_POLICY_DOCUMENTS 64
struct record_policy_document {
    char name[RECORD_NAME_MAX + 1];
    char sha256[65]; // hex of the text: its key under STORE_POLICY_TEXT
};
struct record_policy_set {
    uint64_t version;
    // SHA-256 over each document's name, NUL, hash, in order: what audit records
    // and tokens carry.
    uint8_t hash[32];
    size_t document_count;
    struct record_policy_document documents[RECORD_POLICY_DOCUMENTS];
    int64_t activated_at;
    char activated_by[256];
};
vlt_result record_policy_set_parse(struct bytes json, struct fault *fault,
                                   struct record_policy_set *ret_set) VLT_MUST_USE;
json_t *record_policy_set_json(const struct record_policy_set *set);
// Fills hash from the documents.
vlt_result record_policy_set_seal(struct record_policy_set *set) VLT_MUST_USE;

#endif
