// SPDX-License-Identifier: Apache-2.0
// Cedar values. Immutable once made; a value and what it points to live in an
// arena (of the set for literals, of the request for the rest).
#ifndef VLT_POLICY_POLICY_VALUE_H
#define VLT_POLICY_POLICY_VALUE_H

#include "libvault/policy/policy_arena.h"
#include "libvault/policy/policy_request.h"

enum policy_kind {
    POLICY_BOOL,
    POLICY_LONG,
    POLICY_STRING,
    POLICY_ENTITY,
    POLICY_SET,
    POLICY_RECORD,
    POLICY_DECIMAL,  // number is scaled by 10^4
    POLICY_DATETIME, // number is milliseconds since 1970
    POLICY_DURATION, // number is milliseconds
    POLICY_IP,
};

// An entity uid with its hash, so that most comparisons read 8 bytes.
struct policy_key {
    struct policy_uid uid;
    uint64_t hash;
};

struct policy_ip {
    uint8_t address[16]; // IPv4: the first four
    uint8_t prefix;      // bits; 32 or 128 for a single address
    bool is_v6;
};

struct policy_value;

// Sorted by policy_value_compare, without duplicates.
struct policy_list {
    const struct policy_value *items;
    size_t count;
};

struct policy_field;

// Sorted by policy_name_compare, names unique.
struct policy_fields {
    struct policy_field *items;
    size_t count;
};

struct policy_value {
    enum policy_kind kind;
    union {
        bool boolean;
        int64_t number;
        struct bytes string;
        const struct policy_key *entity;
        struct policy_list set;
        const struct policy_fields *record;
        const struct policy_ip *ip;
    };
};

struct policy_field {
    struct bytes name;
    struct policy_value value;
};

static inline struct policy_value policy_value_bool(bool value) {
    return (struct policy_value){.kind = POLICY_BOOL, .boolean = value};
}
static inline struct policy_value policy_value_number(enum policy_kind kind, int64_t value) {
    return (struct policy_value){.kind = kind, .number = value};
}
static inline struct policy_value policy_value_string(struct bytes value) {
    return (struct policy_value){.kind = POLICY_STRING, .string = value};
}
static inline struct policy_value policy_value_entity(const struct policy_key *key) {
    return (struct policy_value){.kind = POLICY_ENTITY, .entity = key};
}

struct policy_key policy_key_of(struct policy_uid uid);
bool policy_key_equal(const struct policy_key *a, const struct policy_key *b);
// Seeded once for each process, so that nobody outside can aim at our tables.
uint64_t policy_hash(struct bytes bytes, uint64_t start);

// A total order over all values; 0 exactly when Cedar's == is true. `work` (may
// be NULL) grows by what the comparison cost.
int policy_value_compare(const struct policy_value *a, const struct policy_value *b, size_t *work);
int policy_name_compare(struct bytes a, struct bytes b);

// Sorts and removes duplicates in place, and makes the set.
struct policy_value policy_value_set(struct policy_value *items, size_t count);
bool policy_list_has(const struct policy_list *list, const struct policy_value *value,
                     size_t *work);
// NULL when there is none of that name.
const struct policy_value *policy_fields_get(const struct policy_fields *fields, struct bytes name);

// Heap sort: no memory, no worst case.
void policy_sort(void *items, size_t count, size_t size,
                 int (*compare)(const void *a, const void *b));

#endif
