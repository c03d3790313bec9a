// SPDX-License-Identifier: Apache-2.0
// Where a provider's answers say how many tokens they cost.
#include "forward/core/profile_members.h"

#include "libvault/base/jsontext.h"

enum { INPUT, OUTPUT, BESIDES }; // counts; from the last one on each member has its own

static vlt_result wrong(struct fault *fault) {
    return fault_set(fault, VLT_MALFORMED, "not a provider profile",
                     "\"usage\" takes up to %d \"objects\", NAME or OBJECT.NAME, and up to %d "
                     "names of members in \"input\", \"input_besides\", \"output\" and "
                     "\"output_besides\"; only the last of each two may be left out",
                     PROFILE_USAGE_OBJECTS_MAX, PROFILE_USAGE_MEMBERS_MAX);
}

static bool is_name(struct bytes name) {
    return name.size > 0 && name.size < PROFILE_NAME_MAX && bytes_find(name, '.') == name.size;
}

// "response.usage": an object in an object of the top object.
static bool take_object(const char *path, struct profile_usage *usage) {
    struct profile_usage_object object = {0};
    struct bytes rest = bytes_of_text(path ? path : "");
    do {
        size_t end = bytes_find(rest, '.');
        struct bytes name = bytes_of(rest.at, end);
        bool is_last = end == rest.size;
        rest = bytes_from(rest, end + 1);
        if (!is_name(name) || object.depth == PROFILE_USAGE_DEPTH_MAX)
            return false;
        object.names[object.depth++] = name;
        if (is_last)
            break;
    } while (true);
    if (usage->object_count == PROFILE_USAGE_OBJECTS_MAX)
        return false;
    usage->objects[usage->object_count++] = object;
    return true;
}

static bool take_objects(const json_t *paths, struct profile_usage *usage) {
    const json_t *path;
    size_t index;
    json_array_foreach(paths, index, path) {
        if (!take_object(json_string_value(path), usage))
            return false;
    }
    return json_array_size(paths) > 0;
}

// The names of one count, or, for BESIDES, of as many counts. False when there are none.
static bool take_members(const json_t *names, unsigned count, bool is_output,
                         struct profile_usage *usage) {
    const json_t *item;
    size_t index;
    json_array_foreach(names, index, item) {
        const char *text = json_string_value(item);
        struct profile_usage_member member = {.name = bytes_of_text(text ? text : ""),
                                              .count = count};
        if (!is_name(member.name) || usage->member_count == PROFILE_USAGE_MEMBERS_MAX)
            return false;
        if (count == BESIDES)
            member.count += (unsigned)usage->member_count;
        if (is_output)
            usage->outputs |= 1u << member.count;
        usage->members[usage->member_count++] = member;
    }
    return json_array_size(names) > 0;
}

vlt_result profile_take_usage(struct profile *profile, struct fault *fault) {
    static const char *const members[] = {"objects", "input",          "input_besides",
                                          "output",  "output_besides", NULL};
    const json_t *root = json_object_get(profile->root, "usage");
    struct profile_usage usage = {0};
    if (!root)
        return vlt_ok();
    if (!json_is_object(root))
        return wrong(fault);
    VLT_TRY(jsontext_only_members(root, members, fault));
    const json_t *input_besides = json_object_get(root, "input_besides"),
                 *output_besides = json_object_get(root, "output_besides");
    if (!take_objects(json_object_get(root, "objects"), &usage) ||
        !take_members(json_object_get(root, "input"), INPUT, false, &usage) ||
        !take_members(json_object_get(root, "output"), OUTPUT, true, &usage) ||
        (input_besides && !take_members(input_besides, BESIDES, false, &usage)) ||
        (output_besides && !take_members(output_besides, BESIDES, true, &usage)))
        return wrong(fault);
    profile->usage = usage;
    return vlt_ok();
}

const struct profile_usage *profile_usage(const struct profile *profile) {
    return profile->usage.object_count ? &profile->usage : NULL;
}
