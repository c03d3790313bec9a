// SPDX-License-Identifier: Apache-2.0
#include "tests/vectors/wycheproof.h"

#include <stdio.h>
#include <stdlib.h>

#include "libvault/base/hex.h"

bool wycheproof_each_group(const char *path, struct bytes content, wycheproof_group *run,
                           json_t **ret_root) {
    json_error_t error;
    // Jansson itself: these files are larger than what the daemon would take.
    json_t *root = json_loadb((const char *)content.at, content.size, JSON_ALLOW_NUL, &error);
    json_t *groups = json_object_get(root, "testGroups"), *group;
    size_t i;
    *ret_root = NULL;
    if (!json_is_array(groups)) {
        *ret_root = root;
        return false;
    }
    json_array_foreach(groups, i, group)
        run(path, root, group);
    json_decref(root);
    return true;
}

void wycheproof_each_test(const char *path, const json_t *file, const json_t *group,
                          wycheproof_run *run, void *context) {
    json_t *tests = json_object_get(group, "tests"), *test;
    size_t i;
    json_array_foreach(tests, i, test) {
        struct wycheproof_case c = {.path = path, .file = file, .group = group, .test = test};
        c.result = wycheproof_text(test, "result");
        snprintf(c.what, sizeof c.what, "tcId %d: %.120s", wycheproof_number(test, "tcId"),
                 wycheproof_text(test, "comment"));
        run(&c, context);
    }
}

unsigned wycheproof_count(const json_t *group) {
    return (unsigned)json_array_size(json_object_get(group, "tests"));
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
    if (size && (!room || !vlt_is_ok(hex_decode(text, room, size)))) {
        fprintf(stderr, "vectors: \"%s\" is not hexadecimal\n", name);
        exit(1);
    }
    return bytes_from(buf_bytes(out), start);
}

struct bytes wycheproof_slice(const struct buf *octets, size_t from, size_t to) {
    return bytes_of(bytes_from(buf_bytes(octets), from).at, to - from);
}

struct secret *wycheproof_secret(const json_t *object, const char *name) {
    struct buf octets;
    buf_init(&octets, 1 << 20);
    struct bytes value = wycheproof_hex(object, name, &octets);
    struct secret *secret = secret_new(value.size);
    if (!secret || !vlt_is_ok(secret_set(secret, value.at, value.size)))
        abort();
    buf_done(&octets);
    return secret;
}
