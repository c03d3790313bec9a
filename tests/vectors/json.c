// SPDX-License-Identifier: Apache-2.0
// JSONTestSuite: y_ must be accepted, n_ refused. What the standard leaves open
// (i_) we refuse: no number may lose precision, no text may be ambiguous.
#include "libvault/base/jsontext.h"
#include "tests/vectors/vectors.h"

static const struct jsontext_limits limits = {.max_bytes = 1 << 20,
                                              .max_depth = 32,
                                              .allow_duplicates = true,
                                              .allow_scalar_root = true,
                                              .allow_nul = true};

static void visit(const char *path, struct bytes content) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    json_t *root = NULL;
    // Jansson can not hold a member name with a NUL: only its grammar is judged.
    bool has_nul = content.size && memmem(content.at, content.size, "\\u0000", 6) != NULL;
    bool accepted = vlt_is_ok(jsontext_check(content, &limits, NULL)) &&
                    (vlt_is_ok(jsontext_parse(content, &limits, NULL, &root)) || has_nul);
    json_decref(root);
    if (name[0] && name[1] == '_' && strchr("yni", name[0]))
        vectors_judge(path, "text", name[0] == 'y' ? "valid" : "invalid", accepted);
    else
        vectors_foreign(path, true, "the name does not say what to expect (y_, n_, i_)");
}

void vectors_json(int count, char **paths) {
    static const char *const suffixes[] = {".json", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
