// SPDX-License-Identifier: Apache-2.0
// The hierarchy of a request: who is below whom.
#include "libvault/policy/policy_entity.h"

// Below these numbers a walk beats a table.
#define FEW_ENTITIES 12
#define FEW_ANCESTORS 24

static struct policy_entity *find_entity(const struct policy_request *request,
                                         const struct policy_key *key) {
    if (!request->slots) {
        for (struct policy_entity *e = request->first; e; e = e->next)
            if (policy_key_equal(&e->key, key))
                return e;
        return NULL;
    }
    size_t mask = request->slot_count - 1;
    for (size_t i = key->hash & mask; request->slots[i]; i = (i + 1) & mask)
        if (policy_key_equal(&request->slots[i]->key, key))
            return request->slots[i];
    return NULL;
}

struct policy_entity *policy_request_entity(const struct policy_request *request,
                                            const struct policy_key *key) {
    for (int i = 0; i < 3; i++)
        if (key == &request->party[i])
            return request->party_entity[i];
    return find_entity(request, key);
}

static vlt_result twice(void) {
    return vlt_fail(VLT_MALFORMED, "two entities have the same uid");
}

static vlt_result find_duplicates_of_few(const struct policy_request *request) {
    for (struct policy_entity *a = request->first; a; a = a->next)
        for (struct policy_entity *b = a->next; b; b = b->next)
            if (policy_key_equal(&a->key, &b->key))
                return twice();
    return vlt_ok();
}

static vlt_result fill_table(struct policy_request *request) {
    size_t count = 32;
    while (count < request->entity_count * 2)
        count *= 2;
    struct policy_entity **slots = policy_arena_take_array(&request->arena, count, sizeof *slots);
    if (!slots)
        return vlt_fail(VLT_LIMIT, "request too large");
    memset(slots, 0, count * sizeof *slots);
    for (struct policy_entity *e = request->first; e; e = e->next) {
        size_t i = e->key.hash & (count - 1);
        for (; slots[i]; i = (i + 1) & (count - 1))
            if (policy_key_equal(&slots[i]->key, &e->key))
                return twice();
        slots[i] = e;
    }
    request->slots = slots;
    request->slot_count = count;
    return vlt_ok();
}

// Depth first without recursion: `path` holds the entities being walked, and
// `at` the parent that each looks at next.
static vlt_result find_cycle(struct policy_request *request, struct policy_entity *start,
                             struct policy_entity **path, size_t *at) {
    size_t depth = 0;
    path[0] = start;
    at[0] = 0;
    start->mark = ENTITY_ON_PATH;
    for (;;) {
        struct policy_entity *entity = path[depth];
        if (at[depth] == entity->parent_count) {
            entity->mark = ENTITY_DONE;
            if (depth-- == 0)
                return vlt_ok();
            continue;
        }
        struct policy_entity *parent = entity->parents[at[depth]++].entity;
        if (!parent || parent->mark == ENTITY_DONE)
            continue;
        if (parent->mark == ENTITY_ON_PATH)
            return vlt_fail(VLT_MALFORMED, "the hierarchy of entities has a cycle");
        parent->mark = ENTITY_ON_PATH;
        path[++depth] = parent;
        at[depth] = 0;
    }
}

static vlt_result join_parents(struct policy_request *request) {
    struct policy_entity **path =
        policy_arena_take_array(&request->arena, request->entity_count, sizeof *path);
    size_t *at = policy_arena_take_array(&request->arena, request->entity_count, sizeof *at);
    if (!path || !at)
        return vlt_fail(VLT_LIMIT, "request too large");
    for (struct policy_entity *e = request->first; e; e = e->next) {
        for (size_t i = 0; i < e->parent_count; i++)
            e->parents[i].entity = find_entity(request, &e->parents[i].key);
        e->mark = ENTITY_NEW;
        e->knows_ancestors = false;
    }
    for (struct policy_entity *e = request->first; e; e = e->next)
        if (e->mark == ENTITY_NEW)
            VLT_TRY(find_cycle(request, e, path, at));
    return vlt_ok();
}

vlt_result policy_request_ready(struct policy_request *request) {
    if (!vlt_is_ok(request->failure) || request->is_ready)
        return request->failure;
    if (!request->party[0].uid.type.size || !request->party[1].uid.type.size ||
        !request->party[2].uid.type.size)
        return vlt_fail(VLT_MALFORMED, "the request asks nothing");
    request->slots = NULL;
    vlt_result result = request->entity_count <= FEW_ENTITIES ? find_duplicates_of_few(request)
                                                              : fill_table(request);
    if (vlt_is_ok(result))
        result = join_parents(request);
    if (!vlt_is_ok(result)) {
        request->failure = result;
        return result;
    }
    for (int i = 0; i < 3; i++)
        request->party_entity[i] = find_entity(request, &request->party[i]);
    request->is_ready = true;
    return vlt_ok();
}

// A walk upwards: what was found, and the entities whose parents come next.
struct walk {
    struct policy_arena *arena;
    uint32_t visit;
    const struct policy_key **found;
    size_t count, capacity;
    struct policy_entity **queue;
    size_t queue_count, queue_capacity;
};

static bool walk_parent(struct walk *walk, const struct policy_parent *parent) {
    if (parent->entity && parent->entity->visit == walk->visit)
        return true;
    walk->found = policy_arena_grow(walk->arena, walk->found, walk->count, &walk->capacity,
                                    sizeof *walk->found);
    if (!walk->found)
        return false;
    walk->found[walk->count++] = &parent->key;
    if (!parent->entity)
        return true;
    parent->entity->visit = walk->visit;
    if (parent->entity->parent_count == 0)
        return true;
    walk->queue = policy_arena_grow(walk->arena, walk->queue, walk->queue_count,
                                    &walk->queue_capacity, sizeof *walk->queue);
    if (!walk->queue)
        return false;
    walk->queue[walk->queue_count++] = parent->entity;
    return true;
}

static int order_ancestors(const void *a, const void *b) {
    const struct policy_key *x = *(const struct policy_key *const *)a;
    const struct policy_key *y = *(const struct policy_key *const *)b;
    struct policy_value left = policy_value_entity(x), right = policy_value_entity(y);
    return policy_value_compare(&left, &right, NULL);
}

// A parent that is no entity of the request can be met more than once.
static size_t drop_twins(const struct policy_key **found, size_t count) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        size_t j = count > FEW_ANCESTORS && kept > 0 ? kept - 1 : 0;
        while (j < kept && !policy_key_equal(found[j], found[i]))
            j++;
        if (j == kept)
            found[kept++] = found[i];
    }
    return kept;
}

// Every entity is walked once, every edge gives at most one ancestor.
void policy_entity_find_ancestors(struct policy_request *request, struct policy_entity *entity) {
    struct walk walk = {.arena = &request->arena};
    if (entity->knows_ancestors)
        return;
    walk.visit = ++request->visits;
    entity->visit = walk.visit;
    struct policy_entity *head = entity;
    for (size_t next = 0; head; head = next < walk.queue_count ? walk.queue[next++] : NULL)
        for (size_t i = 0; i < head->parent_count; i++)
            if (!walk_parent(&walk, &head->parents[i]))
                return; // the arena has failed: policy_authorize says so
    if (walk.count > FEW_ANCESTORS)
        policy_sort(walk.found, walk.count, sizeof *walk.found, order_ancestors);
    // Sorted or not stays as it was decided: dropping keeps the order.
    entity->is_sorted = walk.count > FEW_ANCESTORS;
    entity->ancestor_count = drop_twins(walk.found, walk.count);
    entity->ancestors = walk.found;
    entity->knows_ancestors = true;
}

static bool find_among_many(const struct policy_entity *entity, const struct policy_key *key) {
    size_t low = 0, high = entity->ancestor_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (entity->ancestors[middle]->hash < key->hash)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < entity->ancestor_count && entity->ancestors[low]->hash == key->hash; low++)
        if (policy_key_equal(entity->ancestors[low], key))
            return true;
    return false;
}

bool policy_entity_is_below(struct policy_request *request, struct policy_entity *entity,
                            const struct policy_key *key, size_t *work) {
    if (!entity->knows_ancestors) {
        policy_entity_find_ancestors(request, entity);
        if (!entity->knows_ancestors)
            return false;
        *work += entity->ancestor_count;
    }
    *work += 1;
    if (entity->is_sorted)
        return find_among_many(entity, key);
    for (size_t i = 0; i < entity->ancestor_count; i++)
        if (policy_key_equal(entity->ancestors[i], key))
            return true;
    return false;
}
