// SPDX-License-Identifier: Apache-2.0
#include "libvault/policy/policy_parse.h"

#include <stdarg.h>
#include <stdio.h>

#define ID_MAX_BYTES 256

void policy_parse_next(struct policy_parser *parser) {
    parser->token = policy_lexer_next(&parser->lexer);
}

bool policy_parse_sees(const struct policy_parser *parser, const char *text) {
    enum policy_token_kind kind = parser->token.kind;
    return (kind == POLICY_TOKEN_NAME || kind == POLICY_TOKEN_SIGN) &&
           bytes_equal_text(parser->token.text, text);
}

bool policy_parse_skips(struct policy_parser *parser, const char *text) {
    if (!policy_parse_sees(parser, text))
        return false;
    policy_parse_next(parser);
    return true;
}

vlt_result policy_parse_fail(struct policy_parser *parser, const struct policy_token *at,
                             enum vlt_class class, const char *format, ...) {
    char text[320];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (parser->fault) {
        parser->fault->line = at->line;
        parser->fault->column = at->column;
    }
    const char *reason = class == VLT_LIMIT      ? "policy too large or too deep"
                         : class == VLT_CONFLICT ? "policy id used twice"
                                                 : "policy not well formed";
    return fault_set(parser->fault, class, reason, "%.*s: %s",
                     (int)(parser->document.size < 120 ? parser->document.size : 120),
                     (const char *)parser->document.at, text);
}

vlt_result policy_parse_no_memory(struct policy_parser *parser) {
    return policy_parse_fail(parser, &parser->token, VLT_LIMIT, "no memory left for the policies");
}

vlt_result policy_parse_wrong(struct policy_parser *parser, const char *expected) {
    const struct policy_token *token = &parser->token;
    if (token->kind == POLICY_TOKEN_END)
        return policy_parse_fail(parser, token, VLT_MALFORMED, "expected %s, found the end",
                                 expected);
    if (token->kind == POLICY_TOKEN_WRONG && token->text.at[0] == '"')
        return policy_parse_fail(parser, token, VLT_MALFORMED, "this string has no end");
    size_t size = token->text.size < 40 ? token->text.size : 40;
    // Never cut a character of several bytes.
    while (size > 0 && size < token->text.size && (token->text.at[size] & 0xc0) == 0x80)
        size--;
    return policy_parse_fail(parser, token, VLT_MALFORMED, "expected %s, found '%.*s'", expected,
                             (int)size, (const char *)token->text.at);
}

vlt_result policy_parse_expect(struct policy_parser *parser, const char *text) {
    char expected[16];
    if (policy_parse_skips(parser, text))
        return vlt_ok();
    snprintf(expected, sizeof expected, "'%s'", text);
    return policy_parse_wrong(parser, expected);
}

vlt_result policy_parse_string(struct policy_parser *parser, struct bytes *ret_text) {
    if (parser->token.kind != POLICY_TOKEN_STRING)
        return policy_parse_wrong(parser, "a string");
    size_t bad_at = 0;
    vlt_result result = policy_literal_string(parser->arena, parser->token.text, &bad_at, ret_text);
    if (!vlt_is_ok(result))
        return policy_parse_fail(parser, &parser->token, result.class, "%s in this string",
                                 result.reason);
    policy_parse_next(parser);
    return vlt_ok();
}

static vlt_result parse_annotation(struct policy_parser *parser, struct policy_annotation *ret) {
    VLT_TRY(policy_parse_expect(parser, "@"));
    if (parser->token.kind != POLICY_TOKEN_NAME)
        return policy_parse_wrong(parser, "the name of an annotation");
    struct policy_annotation annotation = {
        .name = policy_arena_copy(parser->arena, parser->token.text)};
    policy_parse_next(parser);
    if (policy_parse_skips(parser, "(")) {
        VLT_TRY(policy_parse_string(parser, &annotation.value));
        VLT_TRY(policy_parse_expect(parser, ")"));
    }
    *ret = annotation;
    return vlt_ok();
}

static vlt_result parse_annotations(struct policy_parser *parser, struct policy *policy) {
    struct policy_annotation *annotations = NULL;
    size_t count = 0, capacity = 0;
    while (policy_parse_sees(parser, "@")) {
        struct policy_token at = parser->token;
        annotations =
            policy_arena_grow(parser->arena, annotations, count, &capacity, sizeof *annotations);
        if (!annotations)
            return policy_parse_no_memory(parser);
        VLT_TRY(parse_annotation(parser, &annotations[count]));
        for (size_t i = 0; i < count; i++)
            if (bytes_equal(annotations[i].name, annotations[count].name))
                return policy_parse_fail(parser, &at, VLT_MALFORMED,
                                         "this annotation is there twice");
        count++;
    }
    policy->annotations = annotations;
    policy->annotation_count = count;
    return vlt_ok();
}

static vlt_result parse_clauses(struct policy_parser *parser, struct policy *policy) {
    struct policy_clause *clauses = NULL;
    size_t count = 0, capacity = 0;
    while (policy_parse_sees(parser, "when") || policy_parse_sees(parser, "unless")) {
        clauses = policy_arena_grow(parser->arena, clauses, count, &capacity, sizeof *clauses);
        if (!clauses)
            return policy_parse_no_memory(parser);
        struct policy_clause *clause = &clauses[count++];
        *clause = (struct policy_clause){.is_unless = policy_parse_sees(parser, "unless"),
                                         .line = parser->token.line,
                                         .column = parser->token.column};
        policy_parse_next(parser);
        VLT_TRY(policy_parse_expect(parser, "{"));
        VLT_TRY(policy_parse_expression(parser, &clause->condition));
        VLT_TRY(policy_parse_expect(parser, "}"));
    }
    policy->clauses = clauses;
    policy->clause_count = count;
    return vlt_ok();
}

static vlt_result parse_policy(struct policy_parser *parser, struct policy *policy) {
    policy->line = parser->token.line;
    policy->column = parser->token.column;
    VLT_TRY(parse_annotations(parser, policy));
    policy->is_forbid = policy_parse_sees(parser, "forbid");
    if (!policy->is_forbid && !policy_parse_sees(parser, "permit"))
        return policy_parse_wrong(parser, "permit or forbid");
    policy_parse_next(parser);
    VLT_TRY(policy_parse_expect(parser, "("));
    VLT_TRY(policy_parse_scopes(parser, policy));
    VLT_TRY(policy_parse_expect(parser, ")"));
    VLT_TRY(parse_clauses(parser, policy));
    if (!policy_parse_sees(parser, ";"))
        return policy_parse_wrong(parser, "when, unless or ';'");
    policy_parse_next(parser);
    return vlt_ok();
}

// An id goes into logs and audit records: no control characters, not endless.
static vlt_result check_id(struct policy_parser *parser, const struct policy_token *at,
                           struct bytes id) {
    if (id.size == 0 || id.size > ID_MAX_BYTES)
        return policy_parse_fail(parser, at, VLT_MALFORMED, "an @id has 1 to %d bytes",
                                 ID_MAX_BYTES);
    for (size_t i = 0; i < id.size; i++)
        if (id.at[i] < 0x20 || id.at[i] == 0x7f)
            return policy_parse_fail(parser, at, VLT_MALFORMED, "control character in an @id");
    return vlt_ok();
}

static vlt_result name_policy(struct policy_parser *parser, const struct policy_token *at,
                              enum policy_ids ids, size_t number, struct policy *policy) {
    char text[ID_MAX_BYTES + 32];
    for (size_t i = 0; ids == POLICY_IDS_NAMED && i < policy->annotation_count; i++)
        if (bytes_equal_text(policy->annotations[i].name, "id")) {
            policy->id = policy->annotations[i].value;
            return check_id(parser, at, policy->id);
        }
    int size = ids == POLICY_IDS_NUMBERED
                   ? snprintf(text, sizeof text, "policy%zu", number)
                   : snprintf(text, sizeof text, "%.*s.policy%zu", (int)parser->document.size,
                              (const char *)parser->document.at, number);
    policy->id = policy_arena_copy(parser->arena, bytes_of(text, (size_t)size));
    return policy->id.at ? vlt_ok() : policy_parse_no_memory(parser);
}

static vlt_result add_policy(struct policy_parser *parser, struct policy_set *set,
                             const struct policy_token *at, const struct policy *policy) {
    vlt_result result = policy_set_add(set, policy);
    if (vlt_is_ok(result))
        return result;
    if (result.class == VLT_CONFLICT)
        return policy_parse_fail(parser, at, result.class, "another policy has the id \"%.*s\"",
                                 (int)policy->id.size, (const char *)policy->id.at);
    return policy_parse_fail(parser, at, result.class, "%s", result.reason);
}

static vlt_result check_text(struct policy_parser *parser, struct bytes text) {
    struct policy_token at = {.line = 1, .column = 1};
    size_t bad_at;
    if (parser->document.size > ID_MAX_BYTES)
        return policy_parse_fail(parser, &at, VLT_LIMIT, "the name of the document is too long");
    if (text.size > POLICY_TEXT_MAX_BYTES)
        return policy_parse_fail(parser, &at, VLT_LIMIT, "more than %u bytes of policies",
                                 POLICY_TEXT_MAX_BYTES);
    if (bytes_is_utf8(text, &bad_at))
        return vlt_ok();
    for (size_t i = 0; i < bad_at; i++) {
        at.line += text.at[i] == '\n';
        at.column = text.at[i] == '\n' ? 1 : at.column + ((text.at[i] & 0xc0) != 0x80);
    }
    return policy_parse_fail(parser, &at, VLT_MALFORMED, "not UTF-8");
}

vlt_result policy_parse_document(struct policy_set *set, size_t document_index, struct bytes text,
                                 enum policy_ids ids, struct fault *fault) {
    struct policy_parser parser = {
        .arena = &set->arena, .document = set->documents[document_index], .fault = fault};
    size_t first = ids == POLICY_IDS_NUMBERED ? 0 : set->count;
    VLT_TRY(check_text(&parser, text));
    policy_lexer_init(&parser.lexer, text);
    policy_parse_next(&parser);
    while (parser.token.kind != POLICY_TOKEN_END) {
        struct policy policy = {.document = (uint32_t)document_index};
        struct policy_token at = parser.token;
        VLT_TRY(parse_policy(&parser, &policy));
        policy.reads_moment = policy_reads_moment(&policy);
        policy.reads_max_tokens = policy_reads_max_tokens(&policy);
        VLT_TRY(name_policy(&parser, &at, ids, set->count - first, &policy));
        VLT_TRY(add_policy(&parser, set, &at, &policy));
    }
    return vlt_ok();
}
