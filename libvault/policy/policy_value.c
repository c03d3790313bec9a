// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_value.h"

#include <assert.h>
#include <stdatomic.h>
#include <sys/random.h>

// A comparison of this many bytes costs about as much as one of two numbers.
#define BYTES_PER_STEP 64

static uint64_t hash_seed(void) {
    static _Atomic uint64_t seed;
    uint64_t value = atomic_load_explicit(&seed, memory_order_relaxed);
    if (value)
        return value;
    if (getrandom(&value, sizeof value, 0) != (ssize_t)sizeof value)
        value = (uintptr_t)&value; // still not the same in every process
    value |= 1;
    uint64_t nobody = 0;
    // The first thread wins; every hash in the process uses its seed.
    if (!atomic_compare_exchange_strong(&seed, &nobody, value))
        value = nobody;
    return value;
}

static uint64_t hash_step(uint64_t hash, uint64_t word) {
    __uint128_t product = (__uint128_t)(hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t policy_hash(struct bytes bytes, uint64_t start) {
    uint64_t hash = start ^ hash_seed();
    size_t i = 0;
    for (; i + 8 <= bytes.size; i += 8) {
        uint64_t word;
        memcpy(&word, bytes.at + i, 8);
        hash = hash_step(hash, word);
    }
    uint64_t tail = 0;
    if (i < bytes.size)
        memcpy(&tail, bytes.at + i, bytes.size - i);
    return hash_step(hash_step(hash, tail), bytes.size + 1);
}

struct policy_key policy_key_of(struct policy_uid uid) {
    return (struct policy_key){uid, policy_hash(uid.id, policy_hash(uid.type, 0))};
}

bool policy_key_equal(const struct policy_key *a, const struct policy_key *b) {
    return a == b || (a->hash == b->hash && bytes_equal(a->uid.id, b->uid.id) &&
                      bytes_equal(a->uid.type, b->uid.type));
}

// Words in the order of this machine: any total order will do, and this one is
// cheap.
static int order_bytes(const uint8_t *a, const uint8_t *b, size_t size) {
    uint64_t x = 0, y = 0;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y)
            return x < y ? -1 : 1;
    }
    for (; i < size; i++)
        if (a[i] != b[i])
            return a[i] < b[i] ? -1 : 1;
    return 0;
}

int policy_name_compare(struct bytes a, struct bytes b) {
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return order_bytes(a.at, b.at, a.size);
}

static int compare_numbers(int64_t a, int64_t b) {
    return (a > b) - (a < b);
}

static int compare_keys(const struct policy_key *a, const struct policy_key *b) {
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    if (a == b)
        return 0;
    int order = policy_name_compare(a->uid.id, b->uid.id);
    return order ? order : policy_name_compare(a->uid.type, b->uid.type);
}

static int compare_ips(const struct policy_ip *a, const struct policy_ip *b) {
    if (a->is_v6 != b->is_v6)
        return a->is_v6 ? 1 : -1;
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    return order_bytes(a->address, b->address, a->is_v6 ? 16 : 4);
}

static int compare_lists(const struct policy_list *a, const struct policy_list *b, size_t *work) {
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    int order = 0;
    for (size_t i = 0; i < a->count && !order; i++)
        order = policy_value_compare(&a->items[i], &b->items[i], work);
    return order;
}

static int compare_records(const struct policy_fields *a, const struct policy_fields *b,
                           size_t *work) {
    if (a->count != b->count)
        return a->count < b->count ? -1 : 1;
    int order = 0;
    for (size_t i = 0; i < a->count && !order; i++) {
        order = policy_name_compare(a->items[i].name, b->items[i].name);
        if (!order)
            order = policy_value_compare(&a->items[i].value, &b->items[i].value, work);
    }
    return order;
}

int policy_value_compare(const struct policy_value *a, const struct policy_value *b, size_t *work) {
    if (work)
        *work += 1;
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    switch (a->kind) {
    case POLICY_BOOL:
        return (int)a->boolean - (int)b->boolean;
    case POLICY_LONG:
    case POLICY_DECIMAL:
    case POLICY_DATETIME:
    case POLICY_DURATION:
        return compare_numbers(a->number, b->number);
    case POLICY_STRING:
        if (work)
            *work += a->string.size / BYTES_PER_STEP;
        return policy_name_compare(a->string, b->string);
    case POLICY_ENTITY:
        return compare_keys(a->entity, b->entity);
    case POLICY_SET:
        return compare_lists(&a->set, &b->set, work);
    case POLICY_RECORD:
        return compare_records(a->record, b->record, work);
    case POLICY_IP:
        return compare_ips(a->ip, b->ip);
    }
    return 0;
}

static void swap_items(uint8_t *a, uint8_t *b, size_t size) {
    uint8_t kept[64];
    assert(size <= sizeof kept);
    memcpy(kept, a, size);
    memcpy(a, b, size);
    memcpy(b, kept, size);
}

static void sift_down(uint8_t *items, size_t at, size_t count, size_t size,
                      int (*compare)(const void *a, const void *b)) {
    for (size_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && compare(items + child * size, items + (child + 1) * size) < 0)
            child++;
        if (compare(items + at * size, items + child * size) >= 0)
            return;
        swap_items(items + at * size, items + child * size, size);
    }
}

void policy_sort(void *items, size_t count, size_t size,
                 int (*compare)(const void *a, const void *b)) {
    uint8_t *at = items;
    for (size_t i = count / 2; i-- > 0;)
        sift_down(at, i, count, size, compare);
    for (size_t end = count; end-- > 1;) {
        swap_items(at, at + end * size, size);
        sift_down(at, 0, end, size, compare);
    }
}

static int order_values(const void *a, const void *b) {
    return policy_value_compare(a, b, NULL);
}

struct policy_value policy_value_set(struct policy_value *items, size_t count) {
    policy_sort(items, count, sizeof *items, order_values);
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || policy_value_compare(&items[kept - 1], &items[i], NULL) != 0)
            items[kept++] = items[i];
    return (struct policy_value){.kind = POLICY_SET, .set = {items, kept}};
}

bool policy_list_has(const struct policy_list *list, const struct policy_value *value,
                     size_t *work) {
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = policy_value_compare(&list->items[middle], value, work);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

const struct policy_value *policy_fields_get(const struct policy_fields *fields,
                                             struct bytes name) {
    size_t low = 0, high = fields->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = policy_name_compare(fields->items[middle].name, name);
        if (order == 0)
            return &fields->items[middle].value;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
