// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_issuer.h"

#include <stdlib.h>

#include "libvault/crypto/jose_alg.h"
#include "libvault/store/record_json.h"

static const char *const kind_names[] = {"user", "workload", "agent"};
#define KIND_COUNT (sizeof kind_names / sizeof *kind_names)

// Texts of an array into rows of fixed width; empty ones are refused.
static size_t read_texts(struct record_json *r, const char *member, enum record_need need,
                         size_t max, char *rows, size_t row_bytes) {
    const json_t *list = record_json_array(r, member, need, max);
    size_t count = list ? json_array_size(list) : 0;
    for (size_t i = 0; i < count; i++) {
        char *row = rows + i * row_bytes;
        record_json_item(r, member, json_array_get(list, i), row, row_bytes);
        if (!record_json_failed(r) && !row[0])
            record_json_fail(r, member, "without empty texts");
    }
    return count;
}

static void read_algorithms(struct record_json *r, struct record_issuer *issuer) {
    issuer->algorithm_count = read_texts(r, "algorithms", RECORD_REQUIRED, RECORD_ISSUER_ALGORITHMS,
                                         issuer->algorithms[0], sizeof *issuer->algorithms);
    for (size_t i = 0; i < issuer->algorithm_count && !record_json_failed(r); i++) {
        enum jws_alg alg = jws_alg_of_name(bytes_of_text(issuer->algorithms[i]));
        // Symmetric algorithms would make every verifier a forger.
        if (alg == JWS_ALG_UNKNOWN || !(JWS_BIT(alg) & JWS_ASYMMETRIC))
            record_json_fail(r, "algorithms",
                             "of RS256, PS256, ES256, ES384, EdDSA and their like");
    }
}

// Opens entry `i` of a list of objects as a reader of its own.
static struct record_json open_entry(struct record_json *r, const char *member, const json_t *list,
                                     size_t i, const char *const *members) {
    struct record_json inner = {
        .object = json_array_get(list, i), .fault = r->fault, .result = r->result};
    if (record_json_failed(r))
        return inner;
    if (!json_is_object(inner.object))
        record_json_fail(&inner, member, "an array of objects");
    else
        inner.result = jsontext_only_members(inner.object, members, r->fault);
    return inner;
}

// Takes the entry's failure over, and says in which entry it is.
static void close_entry(struct record_json *r, const char *member, size_t i,
                        const struct record_json *inner) {
    if (!record_json_failed(r) && record_json_failed(inner) && r->fault) {
        struct fault said = *r->fault;
        r->result = fault_set(r->fault, inner->result.class, inner->result.reason,
                              "entry %zu of \"%s\": %.400s", i + 1, member,
                              fault_or_reason(&said, inner->result));
        return;
    }
    r->result = inner->result;
}

static void read_requirements(struct record_json *r, struct record_issuer *issuer) {
    static const char *const members[] = {"claim", "value", NULL};
    const json_t *list =
        record_json_array(r, "requirements", RECORD_OPTIONAL, RECORD_ISSUER_REQUIREMENTS);
    if (!list || json_array_size(list) == 0)
        return;
    issuer->requirements = calloc(json_array_size(list), sizeof *issuer->requirements);
    if (!issuer->requirements) {
        r->result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
        return;
    }
    issuer->requirement_count = json_array_size(list);
    for (size_t i = 0; i < issuer->requirement_count; i++) {
        struct record_claim_requirement *requirement = &issuer->requirements[i];
        struct record_json inner = open_entry(r, "requirements", list, i, members);
        record_json_text(&inner, "claim", RECORD_REQUIRED, requirement->claim,
                         sizeof requirement->claim);
        record_json_text(&inner, "value", RECORD_REQUIRED, requirement->value,
                         sizeof requirement->value);
        close_entry(r, "requirements", i, &inner);
    }
}

static void read_group_rule(struct record_json *inner, struct record_group_rule *rule) {
    record_json_text(inner, "claim", RECORD_REQUIRED, rule->claim, sizeof rule->claim);
    record_json_text(inner, "value", RECORD_REQUIRED, rule->value, sizeof rule->value);
    record_json_text(inner, "group", RECORD_OPTIONAL, rule->group, sizeof rule->group);
    // "*" takes the claim's value as the name; anything else must say the name.
    if (!record_json_failed(inner) && (strcmp(rule->value, "*") == 0) != (rule->group[0] == 0))
        record_json_fail(inner, "group", "given unless \"value\" is \"*\"");
}

static void read_group_rules(struct record_json *r, struct record_issuer *issuer) {
    static const char *const members[] = {"claim", "value", "group", NULL};
    const json_t *list = record_json_array(r, "groups", RECORD_OPTIONAL, RECORD_ISSUER_GROUP_RULES);
    if (!list || json_array_size(list) == 0)
        return;
    issuer->group_rules = calloc(json_array_size(list), sizeof *issuer->group_rules);
    if (!issuer->group_rules) {
        r->result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
        return;
    }
    issuer->group_rule_count = json_array_size(list);
    for (size_t i = 0; i < issuer->group_rule_count; i++) {
        struct record_json inner = open_entry(r, "groups", list, i, members);
        read_group_rule(&inner, &issuer->group_rules[i]);
        close_entry(r, "groups", i, &inner);
    }
}

static bool tag_is_new(const struct record_issuer *issuer, size_t count, const char *tag) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(issuer->tag_rules[i].tag, tag) == 0)
            return false;
    return true;
}

static bool is_printable_ascii(const char *text) {
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

static void read_tag_rule(struct record_json *inner, struct record_issuer *issuer, size_t i) {
    struct record_tag_rule *rule = &issuer->tag_rules[i];
    record_json_text(inner, "claim", RECORD_REQUIRED, rule->claim, sizeof rule->claim);
    record_json_text(inner, "tag", RECORD_OPTIONAL, rule->tag, sizeof rule->tag);
    if (record_json_failed(inner))
        return;
    if (!rule->tag[0] && strlen(rule->claim) < sizeof rule->tag)
        memcpy(rule->tag, rule->claim, strlen(rule->claim) + 1);
    if (!rule->tag[0] || !is_printable_ascii(rule->tag))
        record_json_fail(inner, "tag", "1 to 64 printable ASCII characters");
    else if (!tag_is_new(issuer, i, rule->tag))
        record_json_fail(inner, "tag", "given once");
}

static void read_tag_rules(struct record_json *r, struct record_issuer *issuer) {
    static const char *const members[] = {"claim", "tag", NULL};
    const json_t *list = record_json_array(r, "tags", RECORD_OPTIONAL, RECORD_ISSUER_TAG_RULES);
    if (!list || json_array_size(list) == 0)
        return;
    issuer->tag_rules = calloc(json_array_size(list), sizeof *issuer->tag_rules);
    if (!issuer->tag_rules) {
        r->result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
        return;
    }
    issuer->tag_rule_count = json_array_size(list);
    for (size_t i = 0; i < issuer->tag_rule_count; i++) {
        struct record_json inner = open_entry(r, "tags", list, i, members);
        read_tag_rule(&inner, issuer, i);
        r->result = inner.result;
    }
}

static void read_device(struct record_json *r, struct record_issuer *issuer) {
    static const char *const members[] = {"compliant", "managed", NULL};
    struct record_json inner = {.object = record_json_object(r, "device", RECORD_OPTIONAL),
                                .fault = r->fault,
                                .result = r->result};
    if (!inner.object || record_json_failed(r))
        return;
    inner.result = jsontext_only_members(inner.object, members, r->fault);
    record_json_text(&inner, "compliant", RECORD_OPTIONAL, issuer->compliant_claim,
                     sizeof issuer->compliant_claim);
    record_json_text(&inner, "managed", RECORD_OPTIONAL, issuer->managed_claim,
                     sizeof issuer->managed_claim);
    if (!record_json_failed(&inner) && !issuer->compliant_claim[0] && !issuer->managed_claim[0])
        record_json_fail(&inner, "device", "the name of a claim for compliant, managed or both");
    r->result = inner.result;
}

static void read_kind(struct record_json *r, struct record_issuer *issuer) {
    char kind[16] = "";
    record_json_text(r, "kind", RECORD_REQUIRED, kind, sizeof kind);
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kind, kind_names[i]) == 0) {
            issuer->kind = (enum record_principal_kind)i;
            return;
        }
    record_json_fail(r, "kind", "\"user\", \"workload\" or \"agent\"");
}

static void read_keys(struct record_json *r, struct record_issuer *issuer) {
    record_json_text(r, "discovery_url", RECORD_OPTIONAL, issuer->discovery_url,
                     sizeof issuer->discovery_url);
    const json_t *jwks = record_json_object(r, "jwks", RECORD_OPTIONAL);
    if (record_json_failed(r))
        return;
    if ((jwks != NULL) == (issuer->discovery_url[0] != 0))
        record_json_fail(r, "discovery_url", "given, or else \"jwks\", and not both");
    else if (!jwks && strncmp(issuer->discovery_url, "https://", 8) != 0)
        record_json_fail(r, "discovery_url", "an https URL");
    else if (jwks && !(issuer->jwks = json_deep_copy(jwks)))
        r->result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
}

static void read_issuer(struct record_json *r, struct record_issuer *issuer) {
    int64_t max_age_s = 0;
    record_json_name(r, "name", RECORD_REQUIRED, issuer->name, sizeof issuer->name);
    record_json_text(r, "issuer", RECORD_REQUIRED, issuer->issuer, sizeof issuer->issuer);
    read_keys(r, issuer);
    issuer->audience_count = read_texts(r, "audiences", RECORD_REQUIRED, RECORD_ISSUER_AUDIENCES,
                                        issuer->audiences[0], sizeof *issuer->audiences);
    read_algorithms(r, issuer);
    read_requirements(r, issuer);
    read_group_rules(r, issuer);
    read_tag_rules(r, issuer);
    read_device(r, issuer);
    read_kind(r, issuer);
    record_json_text(r, "subject_claim", RECORD_OPTIONAL, issuer->subject_claim,
                     sizeof issuer->subject_claim);
    if (!issuer->subject_claim[0])
        memcpy(issuer->subject_claim, "sub", 4);
    issuer->token_type_count = read_texts(r, "token_types", RECORD_OPTIONAL, 4,
                                          issuer->token_types[0], sizeof *issuer->token_types);
    record_json_number(r, "max_age_s", RECORD_OPTIONAL, 0, UINT32_MAX, &max_age_s);
    issuer->max_age_s = (uint32_t)max_age_s;
    record_json_bool(r, "disabled", &issuer->disabled);
}

vlt_result record_issuer_parse(struct bytes json, struct fault *fault,
                               struct record_issuer *ret_issuer) {
    static const char *const members[] = {
        "name",         "issuer",    "discovery_url", "jwks",   "audiences", "algorithms",
        "requirements", "groups",    "tags",          "device", "kind",      "subject_claim",
        "token_types",  "max_age_s", "disabled",      NULL};
    struct record_json r;
    json_t *root;
    VLT_TRY(record_json_open(json, members, fault, &root, &r));
    struct record_issuer issuer = {0};
    read_issuer(&r, &issuer);
    json_decref(root);
    if (record_json_failed(&r)) {
        record_issuer_done(&issuer);
        return r.result;
    }
    *ret_issuer = issuer;
    return vlt_ok();
}

void record_issuer_done(struct record_issuer *issuer) {
    json_decref(issuer->jwks);
    free(issuer->requirements);
    free(issuer->group_rules);
    free(issuer->tag_rules);
    *issuer = (struct record_issuer){0};
}

static void put_texts(json_t **object, const char *member, const char *rows, size_t row_bytes,
                      size_t count) {
    if (count == 0)
        return;
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, json_string(rows + i * row_bytes));
    record_json_put(object, member, list);
}

static void put_rules(json_t **object, const struct record_issuer *issuer) {
    json_t *requirements = json_array(), *groups = json_array();
    for (size_t i = 0; i < issuer->requirement_count; i++) {
        json_t *entry = json_object();
        record_json_put_text(&entry, "claim", issuer->requirements[i].claim);
        record_json_put_text(&entry, "value", issuer->requirements[i].value);
        json_array_append_new(requirements, entry);
    }
    for (size_t i = 0; i < issuer->group_rule_count; i++) {
        json_t *entry = json_object();
        record_json_put_text(&entry, "claim", issuer->group_rules[i].claim);
        record_json_put_text(&entry, "value", issuer->group_rules[i].value);
        record_json_put_text(&entry, "group", issuer->group_rules[i].group);
        json_array_append_new(groups, entry);
    }
    record_json_put(object, "requirements", requirements);
    record_json_put(object, "groups", groups);
}

static void put_tags_and_device(json_t **object, const struct record_issuer *issuer) {
    json_t *tags = json_array(), *device = json_object();
    for (size_t i = 0; i < issuer->tag_rule_count; i++) {
        json_t *entry = json_object();
        record_json_put_text(&entry, "claim", issuer->tag_rules[i].claim);
        record_json_put_text(&entry, "tag", issuer->tag_rules[i].tag);
        json_array_append_new(tags, entry);
    }
    if (json_array_size(tags))
        record_json_put(object, "tags", tags);
    else
        json_decref(tags);
    record_json_put_text(&device, "compliant", issuer->compliant_claim);
    record_json_put_text(&device, "managed", issuer->managed_claim);
    if (json_object_size(device))
        record_json_put(object, "device", device);
    else
        json_decref(device);
}

json_t *record_issuer_json(const struct record_issuer *issuer) {
    json_t *object = json_object();
    record_json_put_text(&object, "name", issuer->name);
    record_json_put_text(&object, "issuer", issuer->issuer);
    record_json_put_text(&object, "discovery_url", issuer->discovery_url);
    if (issuer->jwks)
        record_json_put(&object, "jwks", json_deep_copy(issuer->jwks));
    put_texts(&object, "audiences", issuer->audiences[0], sizeof *issuer->audiences,
              issuer->audience_count);
    put_texts(&object, "algorithms", issuer->algorithms[0], sizeof *issuer->algorithms,
              issuer->algorithm_count);
    put_rules(&object, issuer);
    put_tags_and_device(&object, issuer);
    record_json_put_text(&object, "kind", kind_names[issuer->kind]);
    record_json_put_text(&object, "subject_claim", issuer->subject_claim);
    put_texts(&object, "token_types", issuer->token_types[0], sizeof *issuer->token_types,
              issuer->token_type_count);
    record_json_put_number(&object, "max_age_s", issuer->max_age_s);
    record_json_put_flag(&object, "disabled", issuer->disabled);
    return object;
}
