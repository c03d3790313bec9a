// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/cedar_schema.h"

#include "libvault/policy/policy_lex.h"

// One attribute `name: Type` or `name: Set<Type>` in the declaration of `entity`.
struct attribute {
    struct bytes entity, name, type;
};

struct schema {
    struct bytes types[512]; // declared
    size_t type_count;
    struct attribute attributes[2048];
    size_t attribute_count;
};

static bool is_sign(const struct policy_token *token, const char *text) {
    return token->kind != POLICY_TOKEN_STRING && bytes_equal_text(token->text, text);
}

// The fields of one declaration, for each of the `from`… names that it declares.
static void read_fields(struct policy_lexer *lexer, struct schema *schema, size_t from) {
    struct policy_token token, before = {0};
    unsigned depth = 1;
    for (token = policy_lexer_next(lexer); token.kind != POLICY_TOKEN_END && depth > 0;
         token = policy_lexer_next(lexer)) {
        depth += is_sign(&token, "{");
        depth -= is_sign(&token, "}");
        if (is_sign(&token, ":") && depth == 1) {
            struct policy_token type = policy_lexer_next(lexer);
            if (is_sign(&type, "Set")) {
                (void)policy_lexer_next(lexer); // <
                type = policy_lexer_next(lexer);
            }
            depth += is_sign(&type, "{");
            for (size_t i = from; i < schema->type_count && schema->attribute_count < 2048; i++)
                schema->attributes[schema->attribute_count++] =
                    (struct attribute){schema->types[i], before.text, type.text};
        }
        if (depth == 0)
            return;
        if (!is_sign(&token, "?"))
            before = token;
    }
}

static void read_entity(struct policy_lexer *lexer, struct schema *schema) {
    size_t from = schema->type_count;
    bool in_names = true;
    for (;;) {
        struct policy_token token = policy_lexer_next(lexer);
        if (token.kind == POLICY_TOKEN_END || is_sign(&token, ";"))
            return;
        if (is_sign(&token, "{")) {
            read_fields(lexer, schema, from);
            return;
        }
        in_names =
            in_names && !is_sign(&token, "in") && !is_sign(&token, "=") && !is_sign(&token, "enum");
        if (in_names && token.kind == POLICY_TOKEN_NAME && schema->type_count < 512)
            schema->types[schema->type_count++] = token.text;
    }
}

static void read_schema(struct bytes text, struct schema *schema) {
    struct policy_lexer lexer;
    policy_lexer_init(&lexer, text);
    for (;;) {
        struct policy_token token = policy_lexer_next(&lexer);
        if (token.kind == POLICY_TOKEN_END)
            return;
        if (is_sign(&token, "entity"))
            read_entity(&lexer, schema);
    }
}

static bool is_entity_attribute(const struct schema *schema, struct bytes entity,
                                struct bytes name) {
    for (size_t i = 0; i < schema->attribute_count; i++) {
        const struct attribute *attribute = &schema->attributes[i];
        if (!bytes_equal(attribute->entity, entity) || !bytes_equal(attribute->name, name))
            continue;
        for (size_t j = 0; j < schema->type_count; j++)
            if (bytes_equal(schema->types[j], attribute->type))
                return true;
    }
    return false;
}

static vlt_result escape_value(struct policy_arena *arena, struct policy_json *json) {
    struct bytes text;
    bool is_bare = json->count == 2 && policy_json_get_text(json, "type", &text) &&
                   policy_json_get_text(json, "id", &text);
    size_t count = json->kind == POLICY_JSON_ARRAY ? json->count : 0;
    struct policy_json_member *member = policy_arena_take(arena, sizeof *member);
    struct policy_json *items = policy_arena_take_array(arena, count, sizeof *items);
    if (!member || !items)
        return vlt_fail(VLT_LIMIT, "case too large");
    for (size_t i = 0; i < count; i++) {
        items[i] = json->items[i];
        VLT_TRY(escape_value(arena, &items[i]));
    }
    if (json->kind == POLICY_JSON_ARRAY)
        json->items = items;
    if (is_bare) {
        *member = (struct policy_json_member){BYTES_LITERAL("__entity"), *json};
        json->members = member;
        json->count = 1;
    }
    return vlt_ok();
}

static vlt_result escape_attributes(struct policy_arena *arena, const struct schema *schema,
                                    struct bytes type, struct policy_json *attributes) {
    struct policy_json_member *members =
        policy_arena_take_array(arena, attributes->count, sizeof *members);
    if (!members)
        return vlt_fail(VLT_LIMIT, "case too large");
    for (size_t i = 0; i < attributes->count; i++) {
        members[i] = attributes->members[i];
        if (is_entity_attribute(schema, type, members[i].name))
            VLT_TRY(escape_value(arena, &members[i].value));
    }
    attributes->members = members;
    return vlt_ok();
}

static vlt_result escape_entity(struct policy_arena *arena, const struct schema *schema,
                                struct policy_json *entity) {
    struct bytes type;
    struct policy_json_member *members =
        policy_arena_take_array(arena, entity->count, sizeof *members);
    if (!members)
        return vlt_fail(VLT_LIMIT, "case too large");
    if (!policy_json_get_text(policy_json_get(entity, "uid"), "type", &type))
        return vlt_ok();
    for (size_t i = 0; i < entity->count; i++) {
        members[i] = entity->members[i];
        if (bytes_equal_text(members[i].name, "attrs"))
            VLT_TRY(escape_attributes(arena, schema, type, &members[i].value));
    }
    entity->members = members;
    return vlt_ok();
}

vlt_result cedar_schema_escape(struct policy_arena *arena, struct bytes schema,
                               const struct policy_json *entities,
                               const struct policy_json **ret_entities) {
    struct schema *read = policy_arena_take(arena, sizeof *read);
    struct policy_json *copy = policy_arena_take(arena, sizeof *copy);
    struct policy_json *items = policy_arena_take_array(arena, entities->count, sizeof *items);
    if (!read || !copy || !items)
        return vlt_fail(VLT_LIMIT, "case too large");
    read->type_count = read->attribute_count = 0;
    read_schema(schema, read);
    for (size_t i = 0; entities->kind == POLICY_JSON_ARRAY && i < entities->count; i++) {
        items[i] = entities->items[i];
        VLT_TRY(escape_entity(arena, read, &items[i]));
    }
    *copy = *entities;
    copy->items = items;
    *ret_entities = copy;
    return vlt_ok();
}
