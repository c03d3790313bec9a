// SPDX-License-Identifier: Apache-2.0
// Signed notes: objects with "note" and "vkey" (or "vkeys") anywhere in a JSON
// file, and "wantErr", "valid" or "result" where the note is bad. Also .note files,
// whose keys are the lines of the .vkey file of the same name.
#include "libvault/audit/note.h"

#include <stdlib.h>

#include "tests/vectors/vectors.h"

#define KEYS_MAX 16

static size_t read_keys(const json_t *object, struct note_key *keys, bool *ret_is_good) {
    const json_t *many = json_object_get(object, "vkeys");
    size_t wanted = many ? json_array_size(many) : 1, count = 0;
    *ret_is_good = wanted <= KEYS_MAX;
    for (size_t i = 0; i < wanted && *ret_is_good; i++) {
        const json_t *text = many ? json_array_get(many, i) : json_object_get(object, "vkey");
        *ret_is_good =
            json_is_string(text) &&
            vlt_is_ok(note_key_parse(bytes_of_text(json_string_value(text)), &keys[count]));
        count += *ret_is_good;
    }
    return count;
}

static bool opens(struct bytes bytes, const struct note_key *keys, size_t count) {
    struct note note;
    if (!vlt_is_ok(note_parse(bytes, &note)))
        return false;
    bool is_good = vlt_is_ok(note_verify(&note, keys, count, NULL));
    note_done(&note);
    return is_good;
}

static const char *expected(const json_t *object) {
    const json_t *wants_error = json_object_get(object, "wantErr"),
                 *valid = json_object_get(object, "valid");
    const char *result = json_string_value(json_object_get(object, "result"));
    if (result)
        return result;
    return json_is_true(wants_error) || json_is_false(valid) ? "invalid" : "valid";
}

static void judge(const char *path, const char *name, const json_t *object) {
    struct note_key keys[KEYS_MAX];
    bool is_good;
    size_t count = read_keys(object, keys, &is_good);
    const json_t *note = json_object_get(object, "note");
    struct bytes bytes = bytes_of(json_string_value(note), json_string_length(note));
    vectors_judge(path, name, expected(object), is_good && opens(bytes, keys, count));
    for (size_t i = 0; i < count; i++)
        note_key_done(&keys[i]);
}

static unsigned find_notes(const char *path, const char *name, json_t *at) {
    const char *member;
    json_t *value;
    size_t i;
    unsigned found = 0;
    if (json_is_string(json_object_get(at, "note")) &&
        (json_object_get(at, "vkey") || json_object_get(at, "vkeys"))) {
        judge(path, name, at);
        return 1;
    }
    json_object_foreach(at, member, value) found += find_notes(path, member, value);
    json_array_foreach(at, i, value) found += find_notes(path, name, value);
    return found;
}

static void visit_json(const char *path, struct bytes content) {
    json_t *root = json_loadb((const char *)content.at, content.size, JSON_ALLOW_NUL, NULL);
    if (!find_notes(path, "note", root))
        vectors_foreign(path, root != NULL, "there is no object with note and vkey");
    json_decref(root);
}

// One key a line.
static size_t read_key_lines(struct bytes lines, struct note_key *keys, bool *ret_is_good) {
    size_t count = 0;
    *ret_is_good = true;
    while (lines.size && *ret_is_good) {
        size_t end = bytes_find(lines, '\n');
        *ret_is_good =
            count < KEYS_MAX && vlt_is_ok(note_key_parse(bytes_of(lines.at, end), &keys[count]));
        count += *ret_is_good;
        lines = bytes_from(lines, end + 1);
    }
    return count;
}

// A file whose own name says "bad" must be refused.
static void visit_note(const char *path, struct bytes content) {
    struct note_key keys[KEYS_MAX];
    struct buf vkeys;
    char *beside = strdup(path);
    if (!beside)
        abort();
    memcpy(beside + strlen(beside) - strlen(".note"), ".vkey", strlen(".vkey"));
    if (!vectors_read(beside, &vkeys)) {
        vectors_fail(path, "there is no %s", beside);
    } else {
        const char *slash = strrchr(path, '/');
        bool is_good;
        size_t count = read_key_lines(buf_bytes(&vkeys), keys, &is_good);
        vectors_judge(path, "note", strstr(slash ? slash : path, "bad") ? "invalid" : "valid",
                      is_good && opens(content, keys, count));
        for (size_t i = 0; i < count; i++)
            note_key_done(&keys[i]);
    }
    free(beside);
    buf_done(&vkeys);
}

static void visit(const char *path, struct bytes content) {
    size_t size = strlen(path);
    if (size > 5 && strcmp(path + size - 5, ".note") == 0)
        visit_note(path, content);
    else
        visit_json(path, content);
}

void vectors_note(int count, char **paths) {
    static const char *const suffixes[] = {".json", ".note", NULL};
    vectors_walk(count, paths, suffixes, visit);
}
