// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_index.h"

#include <stdlib.h>

// What a drawer is labelled with. The order is the order of preference between
// equally rare ones.
enum label {
    LABEL_PRINCIPAL,
    LABEL_RESOURCE,
    LABEL_ACTION,
    LABEL_PRINCIPAL_TYPE,
    LABEL_RESOURCE_TYPE,
    LABEL_COUNT
};

struct drawer {
    enum label label;
    struct policy_key key; // of a type: the uid has no id
    uint32_t named;        // policies that could be filed here
    uint32_t first, count; // those that are, in `filed`
};

struct policy_index {
    struct policy_arena arena;
    struct drawer *drawers;
    size_t drawer_count, drawer_capacity;
    uint32_t *slots; // hash table: index + 1 of a drawer, or 0
    size_t slot_count;
    uint32_t *filed;  // policies, drawer by drawer
    uint32_t *always; // policies in no drawer
    size_t always_count;
};

static size_t slot_of(const struct policy_index *index, enum label label, uint64_t hash) {
    return (hash + (uint64_t)label * UINT64_C(0x9e3779b97f4a7c15)) & (index->slot_count - 1);
}

static struct drawer *find_drawer(const struct policy_index *index, enum label label,
                                  const struct policy_key *key) {
    size_t mask = index->slot_count - 1;
    for (size_t i = slot_of(index, label, key->hash); index->slots[i]; i = (i + 1) & mask) {
        struct drawer *drawer = &index->drawers[index->slots[i] - 1];
        if (drawer->label == label && policy_key_equal(&drawer->key, key))
            return drawer;
    }
    return NULL;
}

static struct drawer *add_drawer(struct policy_index *index, enum label label,
                                 const struct policy_key *key) {
    struct drawer *drawer = find_drawer(index, label, key);
    if (drawer)
        return drawer;
    // Room for every label of every policy was taken at birth.
    drawer = &index->drawers[index->drawer_count++];
    *drawer = (struct drawer){.label = label, .key = *key};
    size_t i = slot_of(index, label, key->hash);
    while (index->slots[i])
        i = (i + 1) & (index->slot_count - 1);
    index->slots[i] = (uint32_t)index->drawer_count;
    return drawer;
}

static struct policy_key type_key(struct bytes type) {
    return policy_key_of((struct policy_uid){.type = type});
}

static bool party_label(const struct policy_scope *scope, enum label uid, enum label type,
                        enum label *ret_label, struct policy_key *ret_key) {
    if (scope->key_count == 1) {
        *ret_label = uid;
        *ret_key = *scope->keys;
        return true;
    }
    if (scope->kind == POLICY_SCOPE_IS) {
        *ret_label = type;
        *ret_key = type_key(scope->type);
        return true;
    }
    return false;
}

// The labels that a policy could be filed under, at most three. An action in a
// list of several gives none: a policy is filed only once.
static size_t labels_of(const struct policy *policy, enum label labels[3],
                        struct policy_key keys[3]) {
    size_t count = 0;
    count += party_label(&policy->principal, LABEL_PRINCIPAL, LABEL_PRINCIPAL_TYPE, &labels[count],
                         &keys[count]);
    count += party_label(&policy->resource, LABEL_RESOURCE, LABEL_RESOURCE_TYPE, &labels[count],
                         &keys[count]);
    if (policy->action.key_count == 1) {
        labels[count] = LABEL_ACTION;
        keys[count++] = *policy->action.keys;
    }
    return count;
}

static struct drawer *rarest(const struct policy_index *index, const struct policy *policy) {
    enum label labels[3];
    struct policy_key keys[3];
    struct drawer *best = NULL;
    size_t count = labels_of(policy, labels, keys);
    for (size_t i = 0; i < count; i++) {
        struct drawer *drawer = find_drawer(index, labels[i], &keys[i]);
        if (!best || drawer->named < best->named ||
            (drawer->named == best->named && drawer->label < best->label))
            best = drawer;
    }
    return best;
}

static bool take_memory(struct policy_index *index, const struct policy_set *set) {
    size_t drawers = set->count * 3;
    index->slot_count = 64;
    while (index->slot_count < drawers * 2)
        index->slot_count *= 2;
    index->drawers = policy_arena_take_array(&index->arena, drawers, sizeof *index->drawers);
    index->slots = policy_arena_take_array(&index->arena, index->slot_count, sizeof *index->slots);
    index->filed = policy_arena_take_array(&index->arena, set->count, sizeof *index->filed);
    index->always = policy_arena_take_array(&index->arena, set->count, sizeof *index->always);
    if (index->arena.failed)
        return false;
    memset(index->slots, 0, index->slot_count * sizeof *index->slots);
    return true;
}

static void name_drawers(struct policy_index *index, const struct policy_set *set) {
    enum label labels[3];
    struct policy_key keys[3];
    for (size_t i = 0; i < set->count; i++) {
        if (policy_is_template(&set->policies[i]))
            continue;
        size_t count = labels_of(&set->policies[i], labels, keys);
        for (size_t j = 0; j < count; j++)
            add_drawer(index, labels[j], &keys[j])->named++;
    }
}

static void file_policies(struct policy_index *index, const struct policy_set *set) {
    for (size_t i = 0; i < set->count; i++) {
        if (policy_is_template(&set->policies[i]))
            continue;
        struct drawer *drawer = rarest(index, &set->policies[i]);
        if (drawer)
            drawer->count++;
        else
            index->always[index->always_count++] = (uint32_t)i;
    }
    uint32_t first = 0;
    for (size_t i = 0; i < index->drawer_count; i++) {
        index->drawers[i].first = first;
        first += index->drawers[i].count;
        index->drawers[i].count = 0;
    }
    for (size_t i = 0; i < set->count; i++) {
        if (policy_is_template(&set->policies[i]))
            continue;
        struct drawer *drawer = rarest(index, &set->policies[i]);
        if (drawer)
            index->filed[drawer->first + drawer->count++] = (uint32_t)i;
    }
}

vlt_result policy_index_new(const struct policy_set *set, struct policy_index **ret_index) {
    struct policy_index *index = calloc(1, sizeof *index);
    if (!index)
        return vlt_fail(VLT_UNAVAILABLE, "no memory for the index of policies");
    policy_arena_init(&index->arena, 4096, SIZE_MAX / 2);
    if (!take_memory(index, set)) {
        policy_index_free(index);
        return vlt_fail(VLT_UNAVAILABLE, "no memory for the index of policies");
    }
    name_drawers(index, set);
    file_policies(index, set);
    *ret_index = index;
    return vlt_ok();
}

void policy_index_free(struct policy_index *index) {
    if (!index)
        return;
    policy_arena_done(&index->arena);
    free(index);
}

struct search {
    const struct policy_index *index;
    const struct drawer **drawers; // not empty
    size_t count, capacity, total;
    struct policy_arena *arena;
};

static void search_label(struct search *search, enum label label, const struct policy_key *key) {
    const struct drawer *drawer = find_drawer(search->index, label, key);
    if (!drawer || drawer->count == 0)
        return;
    const struct drawer **drawers = policy_arena_grow(search->arena, search->drawers, search->count,
                                                      &search->capacity, sizeof *drawers);
    if (!drawers)
        return; // policy_index_find looks at the arena
    search->drawers = drawers;
    search->drawers[search->count++] = drawer;
    search->total += drawer->count;
}

static void search_party(struct search *search, struct policy_request *request, int party,
                         enum label label) {
    struct policy_entity *entity = request->party_entity[party];
    search_label(search, label, &request->party[party]);
    if (!entity)
        return;
    policy_entity_find_ancestors(request, entity);
    for (size_t i = 0; entity->knows_ancestors && i < entity->ancestor_count; i++)
        search_label(search, label, entity->ancestors[i]);
}

static int order_numbers(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

vlt_result policy_index_find(const struct policy_index *index, struct policy_request *request,
                             const uint32_t **ret_candidates, size_t *ret_count) {
    struct search search = {.index = index, .arena = &request->arena};
    search_party(&search, request, 0, LABEL_PRINCIPAL);
    search_party(&search, request, 1, LABEL_ACTION);
    search_party(&search, request, 2, LABEL_RESOURCE);
    struct policy_key principal = type_key(request->party[0].uid.type);
    struct policy_key resource = type_key(request->party[2].uid.type);
    search_label(&search, LABEL_PRINCIPAL_TYPE, &principal);
    search_label(&search, LABEL_RESOURCE_TYPE, &resource);
    size_t count = search.total + index->always_count, at = 0;
    uint32_t *candidates = policy_arena_take_array(&request->arena, count, sizeof *candidates);
    if (!candidates || request->arena.failed)
        return vlt_fail(VLT_LIMIT, "request too large");
    for (size_t i = 0; i < search.count; i++)
        for (uint32_t j = 0; j < search.drawers[i]->count; j++)
            candidates[at++] = index->filed[search.drawers[i]->first + j];
    // The policies looked at always are in order already: only what joins them
    // needs sorting, and then both are merged.
    policy_sort(candidates, at, sizeof *candidates, order_numbers);
    size_t left = at, right = index->always_count;
    for (size_t end = count; right > 0; end--)
        candidates[end - 1] = left > 0 && candidates[left - 1] > index->always[right - 1]
                                  ? candidates[--left]
                                  : index->always[--right];
    *ret_candidates = candidates;
    *ret_count = count;
    return vlt_ok();
}
