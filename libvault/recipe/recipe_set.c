// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/recipe/recipe.h"

#define FILES_MAX 256
#define FILE_MAX_BYTES (64 * 1024)

struct recipe_set {
    size_t count;
    struct recipe *recipes[FILES_MAX];
};

static vlt_result file_read(const char *path, struct buf *text, struct fault *fault) {
    uint8_t room[4096];
    size_t size;
    FILE *file = fopen(path, "re");
    if (!file)
        return fault_set(fault, VLT_UNAVAILABLE, "a recipe can not be read", "%s: %s", path,
                         strerror(errno));
    while ((size = fread(room, 1, sizeof room, file)) > 0)
        buf_put(text, bytes_of(room, size));
    bool has_failed = ferror(file) || buf_failed(text);
    fclose(file);
    return has_failed ? fault_set(fault, VLT_LIMIT, "a recipe can not be read",
                                  "%s: longer than %d bytes", path, FILE_MAX_BYTES)
                      : vlt_ok();
}

// The file has the name of the recipe, so that two can not claim one name.
static vlt_result file_load(const char *folder, const char *file, size_t stem, struct fault *fault,
                            struct recipe **ret_recipe) {
    char path[4096];
    struct buf text;
    struct fault inner = {0};
    struct recipe *recipe = NULL;
    if (snprintf(path, sizeof path, "%s/%s", folder, file) >= (int)sizeof path)
        return fault_set(fault, VLT_LIMIT, "the path is too long", "%s: too long", folder);
    buf_init(&text, FILE_MAX_BYTES);
    vlt_result result = file_read(path, &text, fault);
    if (vlt_is_ok(result)) {
        result = recipe_parse(buf_bytes(&text), &inner, &recipe);
        if (!vlt_is_ok(result))
            result = fault_set(fault, result.class, result.reason, "%s: %s", path,
                               fault_or_reason(&inner, result));
    }
    buf_done(&text);
    VLT_TRY(result);
    if (!bytes_equal_text(bytes_of(file, stem), recipe_name(recipe))) {
        recipe_free(recipe);
        return fault_set(fault, VLT_MALFORMED, "a recipe's file has another name",
                         "%s: the recipe in it has another name", path);
    }
    *ret_recipe = recipe;
    return vlt_ok();
}

static vlt_result load_entry(const char *folder, const char *file, struct fault *fault,
                             struct recipe_set *set) {
    static const char suffix[] = ".json";
    size_t size = strlen(file), tail = sizeof suffix - 1;
    if (file[0] == '.' || size <= tail || strcmp(file + size - tail, suffix) != 0)
        return vlt_ok();
    if (set->count == FILES_MAX)
        return fault_set(fault, VLT_LIMIT, "too many recipes", "%s: more than %d recipes", folder,
                         FILES_MAX);
    VLT_TRY(file_load(folder, file, size - tail, fault, &set->recipes[set->count]));
    set->count++;
    return vlt_ok();
}

vlt_result recipe_set_load(const char *folder, struct fault *fault, struct recipe_set **ret_set) {
    DIR *dir = opendir(folder);
    if (!dir && errno != ENOENT)
        return fault_set(fault, VLT_UNAVAILABLE, "recipes can not be read", "%s: %s", folder,
                         strerror(errno));
    struct recipe_set *set = calloc(1, sizeof *set);
    vlt_result result = set ? vlt_ok() : vlt_fail(VLT_UNAVAILABLE, "out of memory");
    for (struct dirent *entry; dir && vlt_is_ok(result) && (entry = readdir(dir));)
        result = load_entry(folder, entry->d_name, fault, set);
    if (dir)
        closedir(dir);
    if (vlt_is_ok(result))
        *ret_set = set;
    else
        recipe_set_free(set);
    return result;
}

void recipe_set_free(struct recipe_set *set) {
    for (size_t i = 0; set && i < set->count; i++)
        recipe_free(set->recipes[i]);
    free(set);
}

const struct recipe *recipe_find(const struct recipe_set *set, const char *name) {
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(recipe_name(set->recipes[i]), name) == 0)
            return set->recipes[i];
    return NULL;
}
