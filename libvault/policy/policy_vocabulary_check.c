// SPDX-License-Identifier: Apache-2.0
// Walks every policy and looks up what it names. To know which attributes an
// expression may have, it follows types as far as the vocabulary gives them: as
// a set of words, one bit for each type of the table.
#include "libvault/policy/policy_vocabulary.h"

#include "libvault/policy/policy_tree.h"

#include <stdio.h>

typedef uint32_t words;
#define WORDS_CONTEXT (UINT32_C(1) << 30) // the context of the actions in question
#define WORDS_ANY (UINT32_C(1) << 31)     // a record of the policy's own: any name

struct check {
    const struct policy_set *set;
    const struct policy *policy;
    struct fault *fault;
    bool concerns[64]; // actions of the table that the policy can be about
    words principal, resource;
};

// ---- The nearest known name ----

#define NAME_MAX_BYTES 40

static size_t distance(struct bytes a, struct bytes b) {
    size_t row[NAME_MAX_BYTES + 1];
    for (size_t j = 0; j <= b.size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        size_t before = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t change = before + (a.at[i - 1] != b.at[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] : row[j - 1];
            before = row[j];
            row[j] = least + 1 < change ? least + 1 : change;
        }
    }
    return row[b.size];
}

struct nearest {
    struct bytes wanted, best;
    size_t distance;
};

static void nearest_try(struct nearest *nearest, struct bytes name) {
    if (nearest->wanted.size > NAME_MAX_BYTES || name.size > NAME_MAX_BYTES)
        return;
    size_t d = distance(nearest->wanted, name);
    if (d < nearest->distance) {
        nearest->distance = d;
        nearest->best = name;
    }
}

static vlt_result unknown(const struct check *check, struct policy_place place, const char *what,
                          struct bytes name, const struct nearest *nearest, const char *before,
                          const char *after) {
    struct bytes document = check->set->documents[check->policy->document];
    char hint[120] = "";
    // Farther than half of the name is no typing error.
    if (nearest->best.size && nearest->distance <= 1 + name.size / 2)
        snprintf(hint, sizeof hint, "; did you mean %s%.*s%s?", before, (int)nearest->best.size,
                 (const char *)nearest->best.at, after);
    if (check->fault) {
        check->fault->line = place.line;
        check->fault->column = place.column;
    }
    return fault_set(check->fault, VLT_MALFORMED, "policy names something unknown",
                     "%.*s: unknown %s %s%.*s%s%s",
                     (int)(document.size < 120 ? document.size : 120), (const char *)document.at,
                     what, before, (int)(name.size < 80 ? name.size : 80), (const char *)name.at,
                     after, hint);
}

// ---- Looking up ----

static vlt_result check_type(const struct check *check, struct policy_place place,
                             struct bytes type, words *ret_words) {
    struct nearest nearest = {.wanted = type, .distance = SIZE_MAX};
    for (size_t i = 0; policy_word_types[i].name; i++) {
        struct bytes name = bytes_of_text(policy_word_types[i].name);
        if (policy_word_types[i].is_record)
            continue;
        if (bytes_equal(name, type)) {
            *ret_words = UINT32_C(1) << i;
            return vlt_ok();
        }
        nearest_try(&nearest, name);
    }
    nearest_try(&nearest, BYTES_LITERAL(POLICY_TYPE_ACTION));
    return unknown(check, place, "entity type", type, &nearest, "", "");
}

static vlt_result check_action(const struct check *check, struct policy_place place,
                               struct bytes id) {
    struct nearest nearest = {.wanted = id, .distance = SIZE_MAX};
    for (size_t i = 0; policy_word_actions[i].name; i++) {
        struct bytes name = bytes_of_text(policy_word_actions[i].name);
        if (bytes_equal(name, id))
            return vlt_ok();
        nearest_try(&nearest, name);
    }
    return unknown(check, place, "action", id, &nearest, "Action::\"", "\"");
}

static vlt_result check_key(const struct check *check, struct policy_place place,
                            const struct policy_key *key, words *ret_words) {
    *ret_words = 0; // actions have no attributes
    if (bytes_equal_text(key->uid.type, POLICY_TYPE_ACTION))
        return check_action(check, place, key->uid.id);
    return check_type(check, place, key->uid.type, ret_words);
}

// "name?: Type" apart.
static struct bytes field_name(const char *field) {
    size_t size = strcspn(field, "?:");
    return bytes_of(field, size);
}

static words field_words(const char *field) {
    const char *type = strchr(field, ':') + 2;
    for (size_t i = 0; policy_word_types[i].name; i++)
        if (strcmp(policy_word_types[i].name, type) == 0)
            return UINT32_C(1) << i;
    return 0; // strings, numbers, sets: nothing inside
}

struct lookup {
    struct nearest nearest;
    bool is_known;
    words words; // what the attribute may be
};

static void look_in(struct lookup *lookup, const char *const *fields) {
    for (size_t i = 0; fields && fields[i]; i++) {
        struct bytes name = field_name(fields[i]);
        nearest_try(&lookup->nearest, name);
        if (!bytes_equal(name, lookup->nearest.wanted))
            continue;
        lookup->is_known = true;
        lookup->words |= field_words(fields[i]);
    }
}

static vlt_result check_attribute(const struct check *check, struct policy_place place, words of,
                                  struct bytes name, words *ret_words) {
    struct lookup lookup = {.nearest = {.wanted = name, .distance = SIZE_MAX}};
    *ret_words = WORDS_ANY;
    if (of & WORDS_ANY)
        return vlt_ok();
    for (size_t i = 0; policy_word_types[i].name; i++)
        if (of & (UINT32_C(1) << i))
            look_in(&lookup, policy_word_types[i].attributes);
    for (size_t i = 0; (of & WORDS_CONTEXT) && policy_word_actions[i].name; i++)
        if (check->concerns[i])
            look_in(&lookup, policy_word_actions[i].context);
    *ret_words = lookup.words;
    if (lookup.is_known)
        return vlt_ok();
    return unknown(check, place, of & WORDS_CONTEXT ? "member of the context" : "attribute", name,
                   &lookup.nearest, "", "");
}

// ---- Expressions ----

static vlt_result check_value(const struct check *check, struct policy_place place,
                              const struct policy_value *value, words *ret_words) {
    words ignored;
    *ret_words = value->kind == POLICY_RECORD ? WORDS_ANY : 0;
    if (value->kind == POLICY_ENTITY)
        return check_key(check, place, value->entity, ret_words);
    for (size_t i = 0; value->kind == POLICY_SET && i < value->set.count; i++)
        VLT_TRY(check_value(check, place, &value->set.items[i], &ignored));
    for (size_t i = 0; value->kind == POLICY_RECORD && i < value->record->count; i++)
        VLT_TRY(check_value(check, place, &value->record->items[i].value, &ignored));
    return vlt_ok();
}

static words variable_words(const struct check *check, enum policy_variable variable) {
    return variable == POLICY_PRINCIPAL  ? check->principal
           : variable == POLICY_RESOURCE ? check->resource
           : variable == POLICY_CONTEXT  ? WORDS_CONTEXT
                                         : 0;
}

// Recursion is bounded by the height of the tree.
static vlt_result check_node(const struct check *check, const struct policy_node *node,
                             words *ret_words) {
    struct policy_place place = {node->line, node->column};
    words first = 0, next = 0, ignored;
    for (uint32_t i = 0; i < node->part_count; i++) {
        VLT_TRY(check_node(check, node->parts[i], i == 0 ? &first : &ignored));
        if (i > 0)
            next |= ignored;
    }
    *ret_words = 0;
    switch ((enum policy_node_kind)node->kind) {
    case POLICY_NODE_LITERAL:
        return check_value(check, place, &node->value, ret_words);
    case POLICY_NODE_VARIABLE:
        *ret_words = variable_words(check, node->variable);
        return vlt_ok();
    case POLICY_NODE_IF:
        *ret_words = next;
        return vlt_ok();
    case POLICY_NODE_RECORD:
        *ret_words = WORDS_ANY;
        return vlt_ok();
    case POLICY_NODE_ATTRIBUTE:
    case POLICY_NODE_HAS:
        for (uint32_t i = 0; i < node->name_count; i++)
            VLT_TRY(check_attribute(check, place, first, node->names[i], &first));
        *ret_words = node->kind == POLICY_NODE_HAS ? 0 : first;
        return vlt_ok();
    case POLICY_NODE_IS:
        if (bytes_equal_text(node->names[0], POLICY_TYPE_ACTION))
            return vlt_ok();
        return check_type(check, place, node->names[0], &ignored);
    default:
        return vlt_ok();
    }
}

// ---- Policies ----

static words words_named(const char *const *names) {
    words found = 0;
    for (size_t i = 0; names && names[i]; i++)
        for (size_t j = 0; policy_word_types[j].name; j++)
            if (strcmp(policy_word_types[j].name, names[i]) == 0)
                found |= UINT32_C(1) << j;
    return found;
}

static bool action_is_meant(const struct policy_scope *scope,
                            const struct policy_word_action *word) {
    if (scope->kind == POLICY_SCOPE_ANY)
        return true;
    for (size_t i = 0; i < scope->key_count; i++)
        if (bytes_equal_text(scope->keys[i].uid.id, word->name) ||
            (word->group && bytes_equal_text(scope->keys[i].uid.id, word->group)))
            return true;
    return false;
}

static vlt_result check_action_scope(struct check *check) {
    const struct policy_scope *scope = &check->policy->action;
    words ignored;
    for (size_t i = 0; i < scope->key_count; i++)
        VLT_TRY(check_key(check, scope->key_places[i], &scope->keys[i], &ignored));
    check->principal = check->resource = 0;
    for (size_t i = 0; policy_word_actions[i].name; i++) {
        check->concerns[i] = action_is_meant(scope, &policy_word_actions[i]);
        if (!check->concerns[i])
            continue;
        check->principal |= words_named(policy_word_actions[i].principals);
        check->resource |= words_named(policy_word_actions[i].resources);
    }
    return vlt_ok();
}

// `== E` and `is T` say the type; `in E` does not. A link's uid comes from
// outside the text: its place is the template's.
static vlt_result check_party(const struct check *check, const struct policy_scope *scope,
                              words *party) {
    words found;
    for (size_t i = 0; i < scope->key_count; i++) {
        struct policy_place place = scope->key_places ? scope->key_places[i] : scope->place;
        VLT_TRY(check_key(check, place, &scope->keys[i], &found));
        if (scope->kind == POLICY_SCOPE_EQUAL)
            *party = found;
    }
    if (scope->kind != POLICY_SCOPE_IS && scope->kind != POLICY_SCOPE_IS_IN)
        return vlt_ok();
    return check_type(check, scope->type_place, scope->type, party);
}

vlt_result policy_vocabulary_check(const struct policy_set *set, struct fault *fault) {
    struct check check = {.set = set, .fault = fault};
    words ignored;
    for (size_t i = 0; i < set->count; i++) {
        check.policy = &set->policies[i];
        VLT_TRY(check_action_scope(&check));
        VLT_TRY(check_party(&check, &check.policy->principal, &check.principal));
        VLT_TRY(check_party(&check, &check.policy->resource, &check.resource));
        for (size_t j = 0; j < check.policy->clause_count; j++)
            VLT_TRY(check_node(&check, check.policy->clauses[j].condition, &ignored));
    }
    return vlt_ok();
}
