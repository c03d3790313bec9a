// SPDX-License-Identifier: Apache-2.0
// Signed notes: objects with "note" and "vkey" (or "vkeys") anywhere in a JSON
// file, and "wantErr", "valid" or "result" where the note is bad. Also .note files,
// whose keys are the lines of the .vkey file of the same name.
#include "libvault/audit/note.h"

#include <stdlib.h>

#include "tests/vectors/vectors.h"

#define KEYS_MAX 16

struct keys {
    struct note_key at[KEYS_MAX];
    size_t count, unknown; // unknown: keys of a type that we do not know, which are ignored
    bool are_good;
};

static void add_key(struct keys *keys, struct bytes vkey) {
    vlt_result result = keys->count < KEYS_MAX ? note_key_parse(vkey, &keys->at[keys->count])
                                               : vlt_fail(VLT_LIMIT, "too many keys");
    bool is_unknown = result.class == VLT_NOT_FOUND;
    keys->unknown += is_unknown;
    keys->count += vlt_is_ok(result);
    keys->are_good = keys->are_good && (vlt_is_ok(result) || is_unknown);
}

static void read_keys(const json_t *object, struct keys *keys) {
    const json_t *many = json_object_get(object, "vkeys");
    size_t wanted = many ? json_array_size(many) : 1;
    *keys = (struct keys){.are_good = !many || json_is_array(many)};
    for (size_t i = 0; i < wanted; i++) {
        const json_t *text = many ? json_array_get(many, i) : json_object_get(object, "vkey");
        add_key(keys, bytes_of(json_string_value(text), json_string_length(text)));
    }
}

static bool opens(struct bytes bytes, const struct keys *keys) {
    struct note note;
    if (!keys->are_good || !vlt_is_ok(note_parse(bytes, &note)))
        return false;
    bool is_good = vlt_is_ok(note_verify(&note, keys->at, keys->count, NULL));
    note_done(&note);
    return is_good;
}

static void judge_note(const char *path, const char *what, const char *wanted, struct bytes note,
                       struct keys *keys) {
    bool accepted = opens(note, keys);
    if (!accepted && keys->unknown && strcmp(wanted, "valid") == 0)
        vectors_skip(path, 1, "%s: refused: no good signature by a key of a type that we know",
                     what);
    else
        vectors_judge(path, what, wanted, accepted);
    for (size_t i = 0; i < keys->count; i++)
        note_key_done(&keys->at[i]);
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
    struct keys keys;
    const json_t *note = json_object_get(object, "note");
    read_keys(object, &keys);
    judge_note(path, name, expected(object),
               bytes_of(json_string_value(note), json_string_length(note)), &keys);
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
static void read_key_lines(struct bytes lines, struct keys *keys) {
    *keys = (struct keys){.are_good = true};
    while (lines.size) {
        size_t end = bytes_find(lines, '\n');
        add_key(keys, bytes_of(lines.at, end));
        lines = bytes_from(lines, end + 1);
    }
}

// A file whose own name says "bad" must be refused.
static void visit_note(const char *path, struct bytes content) {
    struct keys keys;
    struct buf vkeys;
    char *beside = strdup(path);
    if (!beside)
        abort();
    memcpy(beside + strlen(beside) - strlen(".note"), ".vkey", strlen(".vkey"));
    if (!vectors_read(beside, &vkeys)) {
        vectors_fail(path, "there is no %s", beside);
    } else {
        const char *slash = strrchr(path, '/');
        read_key_lines(buf_bytes(&vkeys), &keys);
        judge_note(path, "note", strstr(slash ? slash : path, "bad") ? "invalid" : "valid", content,
                   &keys);
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
