// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/wycheproof.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/hex.h"

static void run_groups(const char *path, const json_t *root, wycheproof_group *run) {
    json_t *groups = json_object_get(root, "testGroups"), *group;
    size_t i;
    if (json_array_size(groups) == 0)
        vectors_fail(path, "there is no test in it");
    json_array_foreach(groups, i, group) {
        if (wycheproof_count(group))
            run(path, root, group);
        else
            vectors_fail(path, "there is no test in group %zu", i + 1);
    }
}

bool wycheproof_each_group(const char *path, struct bytes content, wycheproof_group *run,
                           json_t **ret_root) {
    // Jansson itself: these files are larger than what the daemon would take.
    json_t *root = json_loadb((const char *)content.at, content.size, JSON_ALLOW_NUL, NULL);
    *ret_root = NULL;
    if (!json_object_get(root, "testGroups")) {
        *ret_root = root;
        return false;
    }
    run_groups(path, root, run);
    json_decref(root);
    return true;
}

void wycheproof_visit(const char *path, struct bytes content, wycheproof_group *run) {
    json_t *other = NULL;
    if (!wycheproof_each_group(path, content, run, &other))
        vectors_foreign(path, other != NULL, "not a Wycheproof file");
    json_decref(other);
}

#define HEX_MAX (2u << 20)

static bool is_hex(const json_t *text) {
    const char *at = json_string_value(text);
    size_t size = json_string_length(text);
    if (size > HEX_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isxdigit((unsigned char)at[i]))
            return false;
    return json_is_string(text) && size % 2 == 0;
}

static bool is_well_formed(const struct wycheproof_case *c, const char *const *hex_members) {
    for (; hex_members && *hex_members; hex_members++)
        if (!is_hex(json_object_get(c->test, *hex_members))) {
            vectors_fail(c->path, "%s: \"%s\" is not hexadecimal of at most 1 MiB", c->what,
                         *hex_members);
            return false;
        }
    return true;
}

void wycheproof_each_test(const char *path, const json_t *file, const json_t *group,
                          const char *const *hex_members, wycheproof_run *run, void *context) {
    json_t *tests = json_object_get(group, "tests"), *test;
    size_t i;
    json_array_foreach(tests, i, test) {
        struct wycheproof_case c = {.path = path, .file = file, .group = group, .test = test};
        c.result = wycheproof_text(test, "result");
        snprintf(c.what, sizeof c.what, "tcId %d: %.120s", wycheproof_number(test, "tcId"),
                 wycheproof_text(test, "comment"));
        if (is_well_formed(&c, hex_members))
            run(&c, context);
    }
}

unsigned wycheproof_count(const json_t *group) {
    return (unsigned)json_array_size(json_object_get(group, "tests"));
}

void wycheproof_skip(const char *path, const json_t *file, const json_t *group) {
    vectors_skip(path, wycheproof_count(group), "%s %s %s: not one of ours",
                 wycheproof_text(file, "algorithm"), wycheproof_text(group, "type"),
                 wycheproof_text(group, "sha"));
}

const char *wycheproof_text(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

int wycheproof_number(const json_t *object, const char *name) {
    return (int)json_integer_value(json_object_get(object, name));
}

struct bytes wycheproof_hex(const json_t *object, const char *name, struct buf *out) {
    struct bytes text = bytes_of_text(wycheproof_text(object, name));
    size_t start = out->size, size = text.size / 2;
    uint8_t *room = size ? buf_extend(out, size) : NULL;
    if (size && (!room || !vlt_is_ok(hex_decode(text, room, size))))
        abort(); // memory: that it is hexadecimal was seen before
    return bytes_from(buf_bytes(out), start);
}

struct bytes wycheproof_slice(const struct buf *octets, size_t from, size_t to) {
    return bytes_of(bytes_from(buf_bytes(octets), from).at, to - from);
}

struct secret *wycheproof_secret(const json_t *object, const char *name) {
    struct buf octets;
    buf_init(&octets, HEX_MAX);
    struct bytes value = wycheproof_hex(object, name, &octets);
    struct secret *secret = secret_new(value.size);
    if (!secret || !vlt_is_ok(secret_set(secret, value.at, value.size)))
        abort();
    buf_done(&octets);
    return secret;
}
