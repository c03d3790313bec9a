// SPDX-License-Identifier: Apache-2.0
// Where a provider's requests say how many tokens they may have produced.
#include "forward/core/profile_members.h"

#include "libvault/base/jsontext.h"

static vlt_result wrong(struct fault *fault) {
    return fault_set(fault, VLT_MALFORMED, "not a provider profile",
                     "\"max_tokens\" takes up to %d items, each the end of a path and at most %d "
                     "names, NAME or OBJECT.NAME, of which \"members\" has one at least",
                     PROFILE_LIMITS_MAX, PROFILE_LIMIT_MEMBERS_MAX);
}

// "generationConfig.maxOutputTokens": a member of an object in the top object.
static bool member_of(const char *name, enum profile_limit_use use,
                      struct profile_limit_member *ret_member) {
    struct bytes all = bytes_of_text(name ? name : "");
    size_t dot = bytes_find(all, '.');
    bool is_nested = dot < all.size;
    struct bytes parent = bytes_of(all.at, is_nested ? dot : 0);
    struct bytes member = is_nested ? bytes_from(all, dot + 1) : all;
    if (!member.size || member.size > PROFILE_NAME_MAX - 1 || (is_nested && !parent.size) ||
        parent.size > PROFILE_NAME_MAX - 1 || bytes_find(member, '.') < member.size)
        return false;
    *ret_member = (struct profile_limit_member){.use = use, .parent = parent, .member = member};
    return true;
}

static bool take_members(const json_t *item, const char *list, enum profile_limit_use use,
                         struct profile_limit *limit) {
    const json_t *names = json_object_get(item, list), *name;
    size_t index;
    if (names && !json_is_array(names))
        return false;
    json_array_foreach(names, index, name) {
        if (limit->member_count == PROFILE_LIMIT_MEMBERS_MAX ||
            !member_of(json_string_value(name), use, &limit->members[limit->member_count]))
            return false;
        limit->member_count++;
    }
    return true;
}

vlt_result profile_take_limits(struct profile *profile, struct fault *fault) {
    static const char *const members[] = {"path_end", "members", "times", "single", NULL};
    const json_t *limits = json_object_get(profile->root, "max_tokens"), *item;
    size_t index;
    if (limits && !json_is_array(limits))
        return wrong(fault);
    json_array_foreach(limits, index, item) {
        struct profile_limit limit = {0};
        const char *path_end = json_string_value(json_object_get(item, "path_end"));
        if (!json_is_object(item) || !path_end || !*path_end ||
            profile->limit_count == PROFILE_LIMITS_MAX)
            return wrong(fault);
        VLT_TRY(jsontext_only_members(item, members, fault));
        limit.path_end = bytes_of_text(path_end);
        if (!take_members(item, "members", PROFILE_LIMIT_MOST, &limit) || !limit.member_count ||
            !take_members(item, "times", PROFILE_LIMIT_TIMES, &limit) ||
            !take_members(item, "single", PROFILE_LIMIT_SINGLE, &limit))
            return wrong(fault);
        profile->limits[profile->limit_count++] = limit;
    }
    return vlt_ok();
}

static bool ends_with(struct bytes text, struct bytes end) {
    return text.size >= end.size && bytes_equal(bytes_from(text, text.size - end.size), end);
}

const struct profile_limit *profile_limit_find(const struct profile *profile, struct bytes path) {
    for (size_t i = 0; i < profile->limit_count; i++)
        if (ends_with(path, profile->limits[i].path_end))
            return &profile->limits[i];
    return NULL;
}
