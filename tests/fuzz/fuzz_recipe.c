// SPDX-License-Identifier: Apache-2.0
// What a provider answers (first byte 0: XML alone, 1 and 2: a new key and a list,
// of a JSON and an XML recipe), and recipes themselves (3).
#include <stdlib.h>

#include "libvault/recipe/recipe.h"
#include "libvault/recipe/xmltext.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static struct recipe_set *set;

static void once(void) {
    struct fault fault;
    if (set)
        return;
    if (!vlt_is_ok(secret_heap_open((size_t)1 << 20, &fault)) ||
        !vlt_is_ok(recipe_set_load("libvault/recipe/recipes", &fault, &set)) ||
        !recipe_find(set, "aws-iam")) // run from the root of the tree
        abort();
}

static void read_answer(const struct recipe *recipe, struct bytes answer) {
    char id[RECIPE_ID_MAX + 1];
    struct secret *value = secret_new(RECIPE_VALUE_MAX);
    struct recipe_keys *keys = calloc(1, sizeof *keys);
    if (!value || !keys)
        abort();
    if (!vlt_is_ok(recipe_read_minted(recipe, answer, value, id)) && secret_size(value))
        abort();
    if (vlt_is_ok(recipe_read_keys(recipe, answer, keys)) && keys->count > RECIPE_IDS_MAX)
        abort();
    secret_free(value);
    free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    json_t *root = NULL;
    struct recipe *recipe = NULL;
    once();
    if (size == 0)
        return 0;
    struct bytes rest = bytes_of(at + 1, size - 1);
    if (at[0] % 4 == 0 && vlt_is_ok(xmltext_parse(rest, &root)))
        json_decref(root);
    if (at[0] % 4 == 1)
        read_answer(recipe_find(set, "openai-service-account"), rest);
    if (at[0] % 4 == 2)
        read_answer(recipe_find(set, "aws-iam"), rest);
    if (at[0] % 4 == 3 && vlt_is_ok(recipe_parse(rest, NULL, &recipe)))
        recipe_free(recipe);
    return 0;
}
