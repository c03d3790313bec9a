// SPDX-License-Identifier: Apache-2.0
#include "libvault/base/jsontext_tree.h"

#include <stdlib.h>

#include "libvault/base/jsonwalk.h"

struct tree {
    struct jsonwalk walk;
    bool allow_duplicates;
    const char *wrong; // NULL: out of memory, if anything
};

static json_t *take_value(struct tree *t); // goes as deep as the limits allow

static uint8_t here(const struct tree *t) { return t->walk.json.at[t->walk.at]; }

// Goes over a byte that is there, and the space behind it.
static void skip(struct tree *t) {
    t->walk.at++;
    jsonwalk_skip_space(&t->walk);
}

static json_t *take_word(struct tree *t, size_t size, json_t *word) {
    t->walk.at += size;
    return word;
}

// jsontext_check has seen that it is in range, so that it is shorter than `text`.
static json_t *take_number(struct tree *t) {
    char text[400];
    size_t size = 0;
    bool is_real = false;
    for (; t->walk.at < t->walk.json.size && size + 1 < sizeof text; t->walk.at++) {
        uint8_t c = here(t);
        bool is_mark = c == '.' || c == 'e' || c == 'E';
        if (!is_mark && (c < '0' || c > '9') && c != '-' && c != '+')
            break;
        is_real |= is_mark;
        text[size++] = (char)c;
    }
    text[size] = 0;
    return is_real ? json_real(strtod(text, NULL)) : json_integer(strtoll(text, NULL, 10));
}

static bool take_member(struct tree *t, json_t *object) {
    struct bytes name = jsonwalk_text(&t->walk);
    if (memchr(name.at, 0, name.size)) { // whoever asks for members takes names as C strings
        t->wrong = "a member name holds \\u0000";
        return false;
    }
    jsonwalk_skip_space(&t->walk);
    skip(t); // the colon
    size_t count = json_object_size(object);
    if (json_object_setn_new_nocheck(object, (const char *)name.at, name.size, take_value(t)) != 0)
        return false;
    if (json_object_size(object) > count || t->allow_duplicates)
        return true;
    t->wrong = "two members have the same name";
    return false;
}

static json_t *take_container(struct tree *t, json_t *container, uint8_t end) {
    bool is_whole = container != NULL;
    skip(t);
    while (is_whole && here(t) != end) {
        is_whole = json_is_object(container)
                       ? take_member(t, container)
                       : json_array_append_new(container, take_value(t)) == 0;
        if (!is_whole)
            break;
        jsonwalk_skip_space(&t->walk);
        if (here(t) == ',')
            skip(t);
    }
    t->walk.at += is_whole; // stays where something is wrong
    if (is_whole)
        return container;
    json_decref(container);
    return NULL;
}

static json_t *take_value(struct tree *t) {
    struct bytes text;
    switch (here(t)) {
    case '{':
        return take_container(t, json_object(), '}');
    case '[':
        return take_container(t, json_array(), ']');
    case '"':
        text = jsonwalk_text(&t->walk);
        return json_stringn_nocheck((const char *)text.at, text.size);
    case 't':
        return take_word(t, 4, json_true());
    case 'f':
        return take_word(t, 5, json_false());
    case 'n':
        return take_word(t, 4, json_null());
    default:
        return take_number(t);
    }
}

json_t *jsontext_tree(struct bytes text, const struct jsontext_limits *limits,
                      const char **ret_wrong, size_t *ret_at) {
    json_malloc_t allocate;
    json_free_t release;
    struct tree tree = {{.json = text}, limits->allow_duplicates, NULL};
    json_get_alloc_funcs(&allocate, &release);
    bool has_escapes = memchr(text.at, '\\', text.size) != NULL;
    if (has_escapes)
        tree.walk.room = allocate(text.size);
    jsonwalk_skip_space(&tree.walk);
    json_t *root = has_escapes && !tree.walk.room ? NULL : take_value(&tree);
    if (has_escapes)
        release(tree.walk.room);
    if (!root) {
        *ret_wrong = tree.wrong;
        *ret_at = tree.walk.at;
    }
    return root;
}
