// SPDX-License-Identifier: Apache-2.0
#include "libvault/token/token_scope.h"

static bool pattern_is_open(struct bytes pattern) {
    return pattern.size && pattern.at[pattern.size - 1] == '*';
}

bool token_pattern_matches(struct bytes pattern, struct bytes text) {
    if (pattern_is_open(pattern))
        return bytes_begin_with(text, bytes_of(pattern.at, pattern.size - 1));
    return bytes_equal(pattern, text);
}

// An open pattern lies inside an open one when its fixed part begins with the
// other's; it never lies inside a closed one, which matches a single text.
bool token_pattern_is_inside(struct bytes inner, struct bytes outer) {
    if (!pattern_is_open(inner))
        return token_pattern_matches(outer, inner);
    if (!pattern_is_open(outer))
        return false;
    return bytes_begin_with(bytes_of(inner.at, inner.size - 1),
                            bytes_of(outer.at, outer.size - 1));
}

static bool is_hex_upper(uint8_t c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); }

// %XX with capital digits that stands for none of '/', '\', NUL, controls.
static bool escape_is_normal(struct bytes rest) {
    if (rest.size < 3 || !is_hex_upper(rest.at[1]) || !is_hex_upper(rest.at[2]))
        return false;
    bool is_control = rest.at[1] == '0' || rest.at[1] == '1';
    bool is_slash = rest.at[1] == '2' && rest.at[2] == 'F';
    bool is_backslash = rest.at[1] == '5' && rest.at[2] == 'C';
    bool is_dot = rest.at[1] == '2' && rest.at[2] == 'E';
    return !is_control && !is_slash && !is_backslash && !is_dot;
}

// What some servers read as nothing, "." or "..": they cut a segment at ';'.
static bool segment_is_dots(struct bytes segment) {
    size_t name_bytes = bytes_find(segment, ';');
    struct bytes name = bytes_of(segment.at, name_bytes);
    return (name_bytes == 0 && segment.size > 0) || bytes_equal_text(name, ".") ||
           bytes_equal_text(name, "..");
}

// Second line of defence behind http_path_normalise: a prefix pattern must never
// be left by "..", and an upstream must not read another path than we did.
bool token_path_is_normal(struct bytes path) {
    size_t segment_at = 1;
    if (!path.size || path.at[0] != '/')
        return false;
    for (size_t i = 1; i < path.size; i++) {
        uint8_t c = path.at[i];
        if (c <= 0x20 || c >= 0x7F || c == '?' || c == '#' || c == '\\' ||
            (c == '%' && !escape_is_normal(bytes_from(path, i))))
            return false;
        if (c != '/')
            continue;
        if (i == segment_at || segment_is_dots(bytes_of(path.at + segment_at, i - segment_at)))
            return false;
        segment_at = i + 1;
    }
    return !segment_is_dots(bytes_from(path, segment_at));
}

// An empty text is what the forwarder could not find out.
static bool list_covers(const struct token_list *list, struct bytes text) {
    if (!list->count)
        return true;
    for (size_t i = 0; text.size && i < list->count; i++) {
        if (token_pattern_matches(list->items[i], text))
            return true;
    }
    return false;
}

static bool number_covers(uint64_t allowed, uint64_t asked) {
    return allowed == 0 || (asked > 0 && asked <= allowed);
}

bool token_detail_covers(const struct token_detail *detail, const struct token_use *use) {
    return use->method.size && token_path_is_normal(use->path) &&
           bytes_equal(detail->credential, use->credential) &&
           list_covers(&detail->methods, use->method) && list_covers(&detail->paths, use->path) &&
           list_covers(&detail->models, use->model) && list_covers(&detail->tools, use->tool) &&
           number_covers(detail->max_tokens, use->max_tokens);
}

vlt_result token_covers(const struct token_claims *claims, const struct token_use *use,
                        const struct token_detail **ret_detail) {
    if (!use->method.size || !token_path_is_normal(use->path))
        return vlt_fail(VLT_DENIED, "no method, or a path that is not normal");
    for (size_t i = 0; i < claims->detail_count; i++) {
        if (!token_detail_covers(&claims->details[i], use))
            continue;
        if (ret_detail)
            *ret_detail = &claims->details[i];
        return vlt_ok();
    }
    return vlt_fail(VLT_DENIED, "the token does not cover this request");
}

static bool list_is_inside(const struct token_list *inner, const struct token_list *outer) {
    for (size_t i = 0; i < inner->count; i++) {
        bool found = false;
        for (size_t k = 0; k < outer->count && !found; k++)
            found = token_pattern_is_inside(inner->items[i], outer->items[k]);
        if (!found)
            return false;
    }
    return true;
}

static bool list_narrow(const struct token_list *requested, const struct token_list *allowed,
                        struct token_list *narrowed) {
    *narrowed = requested->count ? *requested : *allowed;
    return !requested->count || !allowed->count || list_is_inside(requested, allowed);
}

vlt_result token_detail_narrow(const struct token_detail *requested,
                               const struct token_detail *allowed,
                               struct token_detail *ret_detail) {
    struct token_detail detail = {.credential = requested->credential};
    if (!bytes_equal(requested->credential, allowed->credential))
        return vlt_fail(VLT_DENIED, "another credential");
    if (!list_narrow(&requested->methods, &allowed->methods, &detail.methods) ||
        !list_narrow(&requested->paths, &allowed->paths, &detail.paths) ||
        !list_narrow(&requested->models, &allowed->models, &detail.models) ||
        !list_narrow(&requested->tools, &allowed->tools, &detail.tools))
        return vlt_fail(VLT_DENIED, "a requested limit reaches beyond what is allowed");
    if (allowed->max_tokens && requested->max_tokens > allowed->max_tokens)
        return vlt_fail(VLT_DENIED, "max_tokens is above what is allowed");
    detail.max_tokens = requested->max_tokens ? requested->max_tokens : allowed->max_tokens;
    *ret_detail = detail;
    return vlt_ok();
}
