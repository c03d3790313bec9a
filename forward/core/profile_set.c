// SPDX-License-Identifier: Apache-2.0
#include "forward/core/profile.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILES_MAX 256
#define FILE_MAX_BYTES (64 * 1024)

struct profile_set {
    size_t count;
    struct profile *profiles[FILES_MAX];
};

static vlt_result file_read(const char *path, struct buf *text, struct fault *fault) {
    FILE *file = fopen(path, "re");
    if (!file)
        return fault_set(fault, VLT_UNAVAILABLE, "a profile can not be read", "%s: %s", path,
                         strerror(errno));
    uint8_t room[4096];
    size_t size;
    while ((size = fread(room, 1, sizeof room, file)) > 0)
        buf_put(text, bytes_of(room, size));
    bool failed = ferror(file);
    fclose(file);
    if (failed || buf_failed(text))
        return fault_set(fault, VLT_LIMIT, "a profile can not be read", "%s: longer than %d bytes",
                         path, FILE_MAX_BYTES);
    return vlt_ok();
}

// The name of the file is the name of the profile: one look at the folder says
// what there is, and no two files can claim one name.
static vlt_result file_load(const char *folder, const char *name, struct fault *fault,
                            struct profile **ret_profile) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return fault_set(fault, VLT_LIMIT, "the path is too long", "%s: the path is too long",
                         folder);
    struct buf text;
    struct profile *profile = NULL;
    struct fault inner = {0};
    buf_init(&text, FILE_MAX_BYTES);
    vlt_result result = file_read(path, &text, fault);
    if (!vlt_is_ok(result))
        goto out;
    result = profile_parse(buf_bytes(&text), &inner, &profile);
    if (!vlt_is_ok(result)) {
        result = fault_set(fault, result.class, result.reason, "%s:%u: %s", path, inner.line,
                           fault_or_reason(&inner, result));
        goto out;
    }
    size_t stem = strlen(name) - strlen(".json");
    if (!bytes_equal_text(bytes_of(name, stem), profile_name(profile))) {
        result = fault_set(fault, VLT_MALFORMED, "a profile's file has another name",
                           "%s: the profile in it is called %s", path, profile_name(profile));
        profile_free(profile);
        goto out;
    }
    *ret_profile = profile;
out:
    buf_done(&text);
    return result;
}

static bool has_suffix(const char *name, const char *suffix) {
    size_t size = strlen(name), tail = strlen(suffix);
    return size > tail && !strcmp(name + size - tail, suffix);
}

static int by_name(const void *a, const void *b) {
    return strcmp(profile_name(*(struct profile *const *)a),
                  profile_name(*(struct profile *const *)b));
}

vlt_result profile_set_load(const char *folder, struct fault *fault, struct profile_set **ret_set) {
    DIR *dir = opendir(folder);
    if (!dir)
        return fault_set(fault, VLT_NOT_FOUND, "no folder of profiles", "%s: %s", folder,
                         strerror(errno));
    vlt_result result = vlt_ok();
    struct profile_set *set = calloc(1, sizeof *set);
    if (!set)
        result = vlt_fail(VLT_UNAVAILABLE, "out of memory");
    for (struct dirent *entry; vlt_is_ok(result) && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || !has_suffix(entry->d_name, ".json"))
            continue;
        if (set->count == FILES_MAX)
            result = fault_set(fault, VLT_LIMIT, "too many profiles", "%s: more than %d profiles",
                               folder, FILES_MAX);
        else
            result = file_load(folder, entry->d_name, fault, &set->profiles[set->count]);
        if (vlt_is_ok(result))
            set->count++;
    }
    closedir(dir);
    if (!vlt_is_ok(result)) {
        profile_set_free(set);
        return result;
    }
    qsort(set->profiles, set->count, sizeof set->profiles[0], by_name);
    *ret_set = set;
    return vlt_ok();
}

void profile_set_free(struct profile_set *set) {
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        profile_free(set->profiles[i]);
    free(set);
}

size_t profile_set_count(const struct profile_set *set) {
    return set->count;
}

const struct profile *profile_set_at(const struct profile_set *set, size_t index) {
    return index < set->count ? set->profiles[index] : NULL;
}

const struct profile *profile_find(const struct profile_set *set, const char *name) {
    for (size_t i = 0; i < set->count; i++)
        if (!strcmp(profile_name(set->profiles[i]), name))
            return set->profiles[i];
    return NULL;
}

const char *profile_set_names(const struct profile_set *set, char *room, size_t room_bytes) {
    size_t used = 0;
    room[0] = 0;
    for (size_t i = 0; i < set->count && used < room_bytes; i++) {
        int put = snprintf(room + used, room_bytes - used, "%s%s", i ? ", " : "",
                           profile_name(set->profiles[i]));
        used += put > 0 ? (size_t)put : 0;
    }
    return room;
}
