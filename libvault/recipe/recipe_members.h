// SPDX-License-Identifier: Apache-2.0
// A recipe from inside. Nobody outside libvault/recipe includes it.
#ifndef VLT_RECIPE_RECIPE_MEMBERS_H
#define VLT_RECIPE_RECIPE_MEMBERS_H

#include "libvault/recipe/recipe.h"

struct recipe {
    char name[RECIPE_NAME_MAX + 8]; // of a file, or "exec:" and a program's
    json_t *root;                   // owned; every member was checked
    bool is_program;
};

static inline const json_t *recipe_step_object(const struct recipe *recipe, enum recipe_step step) {
    static const char *const names[RECIPE_STEP_COUNT] = {"list", "mint", "verify", "revoke"};
    return json_object_get(recipe->root, names[step]);
}
static inline const char *recipe_text(const json_t *object, const char *member) {
    const char *text = json_string_value(json_object_get(object, member));
    return text ? text : "";
}

#endif
