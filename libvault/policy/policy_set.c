// SPDX-License-Identifier: Apache-2.0
// A set: documents parsed into one tree, policies found by id, templates linked.
#include "libvault/policy/policy_index.h"
#include "libvault/policy/policy_parse.h"

#include <stdlib.h>

// A tree is larger than its text, but not boundlessly.
#define SET_MAX_BYTES (128u * 1024 * 1024)

static vlt_result copy_names(struct policy_set *set, const struct policy_document *documents,
                             size_t count) {
    set->documents = policy_arena_take_array(&set->arena, count, sizeof *set->documents);
    for (size_t i = 0; set->documents && i < count; i++)
        set->documents[i] = policy_arena_copy(&set->arena, documents[i].name);
    set->document_count = count;
    return set->arena.failed ? vlt_fail(VLT_LIMIT, "no memory left for the policies") : vlt_ok();
}

static vlt_result parse_all(struct policy_set *set, const struct policy_document *documents,
                            size_t count, enum policy_ids ids, struct fault *fault) {
    size_t total_bytes = 0;
    VLT_TRY(copy_names(set, documents, count));
    for (size_t i = 0; i < count; i++) {
        total_bytes += documents[i].text.size;
        if (total_bytes > POLICY_TEXT_MAX_BYTES) {
            if (fault)
                fault->line = fault->column = 1;
            return fault_set(fault, VLT_LIMIT, "policy too large or too deep",
                             "more than %u bytes of policies", POLICY_TEXT_MAX_BYTES);
        }
        VLT_TRY(policy_parse_document(set, i, documents[i].text, ids, fault));
    }
    return policy_set_index(set);
}

vlt_result policy_set_parse(const struct policy_document *documents, size_t document_count,
                            enum policy_ids ids, struct fault *fault, struct policy_set **ret_set) {
    struct policy_set *set = calloc(1, sizeof *set);
    if (!set)
        return vlt_fail(VLT_UNAVAILABLE, "no memory for a policy set");
    policy_arena_init(&set->arena, 4096, SET_MAX_BYTES);
    vlt_result result = parse_all(set, documents, document_count, ids, fault);
    if (!vlt_is_ok(result)) {
        policy_set_free(set);
        return result;
    }
    *ret_set = set;
    return vlt_ok();
}

void policy_set_free(struct policy_set *set) {
    if (!set)
        return;
    policy_index_free(set->index);
    policy_arena_done(&set->arena);
    free(set->policies);
    free(set->id_slots);
    free(set);
}

vlt_result policy_set_index(struct policy_set *set) {
    policy_index_free(set->index);
    set->index = NULL;
    if (set->count < POLICY_INDEX_LEAST)
        return vlt_ok();
    return policy_index_new(set, &set->index);
}

static size_t id_slot(const struct policy_set *set, struct bytes id) {
    size_t mask = set->id_slot_count - 1, i = policy_hash(id, 0) & mask;
    while (set->id_slots[i] && policy_name_compare(set->policies[set->id_slots[i] - 1].id, id) != 0)
        i = (i + 1) & mask;
    return i;
}

const struct policy *policy_set_find(const struct policy_set *set, struct bytes id) {
    if (set->id_slot_count == 0)
        return NULL;
    uint32_t found = set->id_slots[id_slot(set, id)];
    return found ? &set->policies[found - 1] : NULL;
}

static bool grow(struct policy_set *set) {
    if (set->count == set->capacity) {
        size_t capacity = set->capacity ? set->capacity * 2 : 8;
        struct policy *policies = realloc(set->policies, capacity * sizeof *policies);
        if (!policies)
            return false;
        set->policies = policies;
        set->capacity = capacity;
    }
    if (set->count * 2 < set->id_slot_count)
        return true;
    size_t slot_count = set->id_slot_count ? set->id_slot_count * 2 : 16;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return false;
    free(set->id_slots);
    set->id_slots = slots;
    set->id_slot_count = slot_count;
    for (size_t i = 0; i < set->count; i++)
        slots[id_slot(set, set->policies[i].id)] = (uint32_t)i + 1;
    return true;
}

vlt_result policy_set_add(struct policy_set *set, const struct policy *policy) {
    if (set->count == POLICY_SET_MAX)
        return vlt_fail(VLT_LIMIT, "more than 10000 policies in a set");
    if (!grow(set))
        return vlt_fail(VLT_LIMIT, "no memory left for the policies");
    size_t slot = id_slot(set, policy->id);
    if (set->id_slots[slot])
        return vlt_fail(VLT_CONFLICT, "another policy has this id");
    set->policies[set->count++] = *policy;
    set->id_slots[slot] = (uint32_t)set->count;
    return vlt_ok();
}

static vlt_result fill_slot(struct policy_set *set, struct policy_scope *scope, const char *name,
                            const struct policy_uid *uid, struct fault *fault) {
    if (scope->has_slot != (uid != NULL))
        return fault_set(fault, VLT_MALFORMED, "slots do not fit the template",
                         uid ? "the template has no slot ?%s" : "the template needs a ?%s", name);
    if (!uid)
        return vlt_ok();
    if (!policy_path_is_valid(uid->type))
        return fault_set(fault, VLT_MALFORMED, "slots do not fit the template",
                         "?%s: not the name of an entity type", name);
    struct policy_key *key = policy_arena_take(&set->arena, sizeof *key);
    struct policy_uid copy = {policy_arena_copy(&set->arena, uid->type),
                              policy_arena_copy(&set->arena, uid->id)};
    if (set->arena.failed)
        return fault_set(fault, VLT_LIMIT, "no memory left for the policies", "too many policies");
    *key = policy_key_of(copy);
    scope->keys = key;
    scope->key_count = 1;
    scope->has_slot = false;
    return vlt_ok();
}

vlt_result policy_set_link(struct policy_set *set, struct bytes template_id, struct bytes new_id,
                           const struct policy_uid *principal, const struct policy_uid *resource,
                           struct fault *fault) {
    const struct policy *template = policy_set_find(set, template_id);
    if (!template || !policy_is_template(template))
        return fault_set(fault, VLT_NOT_FOUND, "no such template", "there is no template %.*s",
                         (int)(template_id.size < 200 ? template_id.size : 200),
                         (const char *)template_id.at);
    struct policy linked = *template;
    VLT_TRY(fill_slot(set, &linked.principal, "principal", principal, fault));
    VLT_TRY(fill_slot(set, &linked.resource, "resource", resource, fault));
    linked.id = policy_arena_copy(&set->arena, new_id);
    if (!linked.id.at || new_id.size == 0)
        return fault_set(fault, VLT_MALFORMED, "a link needs an id", "a link needs an id");
    vlt_result result = policy_set_add(set, &linked);
    if (!vlt_is_ok(result))
        return fault_set(fault, result.class, result.reason, "%s", result.reason);
    policy_index_free(set->index);
    set->index = NULL;
    return vlt_ok();
}

size_t policy_set_count(const struct policy_set *set) {
    return set->count;
}

struct policy_view policy_set_view(const struct policy_set *set, size_t index) {
    const struct policy *policy = &set->policies[index];
    return (struct policy_view){.id = policy->id,
                                .document = set->documents[policy->document],
                                .line = policy->line,
                                .column = policy->column,
                                .is_forbid = policy->is_forbid,
                                .is_template = policy_is_template(policy)};
}

bool policy_set_annotation(const struct policy_set *set, size_t index, const char *name,
                           struct bytes *ret_value) {
    const struct policy *policy = &set->policies[index];
    for (size_t i = 0; i < policy->annotation_count; i++)
        if (bytes_equal_text(policy->annotations[i].name, name)) {
            *ret_value = policy->annotations[i].value;
            return true;
        }
    return false;
}
