// SPDX-License-Identifier: Apache-2.0
// vectors cedar PATH…: the official corpus of the Cedar language as it is
// published. A path is a folder (searched to its end), one case (.json), or a
// tarball (.tar.gz) of generated cases, unpacked with tar(1) into a fresh folder.
// A case names its policies and entities by paths from the corpus' root, which
// is the nearest folder above the case that has them. Counted are requests:
// decision, reasons and the ids of erring policies must all be right.
#include "libvault/policy/policy.h"
#include "libvault/policy/policy_entity_json.h"
#include "tests/vectors/cedar_schema.h"
#include "tests/vectors/vectors.h"

#include <dirent.h>
#include <ftw.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CASE_MAX_BYTES (64u * 1024 * 1024)

extern char **environ;

static bool read_file(const char *path, struct policy_arena *arena, struct bytes *ret_text) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file)
        return false;
    uint8_t *at = fstat(fileno(file), &status) == 0
                      ? policy_arena_take(arena, (size_t)status.st_size + 1)
                      : NULL;
    bool well = at && fread(at, 1, (size_t)status.st_size, file) == (size_t)status.st_size;
    fclose(file);
    if (well)
        *ret_text = bytes_of(at, (size_t)status.st_size);
    return well;
}

// The file that a case names, looked for in its folder and every one above.
static bool read_named(const char *case_path, struct bytes name, struct policy_arena *arena,
                       struct bytes *ret_text) {
    char folder[PATH_MAX], path[2 * PATH_MAX];
    if (!realpath(case_path, folder))
        return false;
    for (char *slash = strrchr(folder, '/'); slash; slash = strrchr(folder, '/')) {
        *slash = '\0';
        snprintf(path, sizeof path, "%s/%.*s", folder, (int)name.size, (const char *)name.at);
        if (read_file(path, arena, ret_text))
            return true;
    }
    return false;
}

static bool is_listed(const struct policy_json *list, struct bytes id) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].kind == POLICY_JSON_STRING && bytes_equal(list->items[i].text, id))
            return true;
    return false;
}

// A member under its name of today, or the one it had before.
static const struct policy_json *get(const struct policy_json *object, const char *name,
                                     const char *older_name) {
    const struct policy_json *member = policy_json_get(object, name);
    return member ? member : policy_json_get(object, older_name);
}

static bool is_same(const struct policy_json *test, const struct policy_answer *answer) {
    const struct policy_json *reasons = get(test, "reason", "reasons");
    const struct policy_json *errors = policy_json_get(test, "errors");
    struct bytes decision;
    if (!policy_json_get_text(test, "decision", &decision) || !reasons || !errors)
        return false;
    const struct bytes wanted = bytes_of_text(answer->is_allowed ? "allow" : "deny");
    bool same = bytes_equal_nocase(decision, wanted) && // "Allow" until 2024
                reasons->count == answer->reason_count && errors->count == answer->error_count;
    for (size_t i = 0; same && i < answer->reason_count; i++)
        same = is_listed(reasons, answer->reasons[i]);
    for (size_t i = 0; same && i < answer->error_count; i++)
        same = is_listed(errors, answer->errors[i].id);
    return same;
}

static vlt_result ask(struct policy_request *request, const struct policy_json *test,
                      struct fault *fault) {
    static const char *const names[] = {"principal", "action", "resource", "context"};
    const struct policy_json *parts[4];
    struct policy_uid uids[3];
    for (int i = 0; i < 4; i++) {
        parts[i] = policy_json_get(test, names[i]);
        if (!parts[i])
            return policy_json_fail(test, fault, "the request has no %s", names[i]);
        if (i < 3 && parts[i]->kind == POLICY_JSON_NULL)
            return vlt_fail(VLT_DENIED, "an entity that is not named (Cedar before 4.0)");
        if (i < 3)
            VLT_TRY(policy_entity_json_uid(parts[i], fault, &uids[i]));
    }
    policy_request_ask(request, uids[0], uids[1], uids[2]);
    policy_request_context_clear(request);
    return policy_entity_json_record(policy_request_context(request), parts[3], fault);
}

static void run_request(const char *path, const struct policy_set *set,
                        struct policy_request *request, const struct policy_json *test) {
    struct policy_answer answer = {0};
    struct fault fault = {0};
    vlt_result result = ask(request, test, &fault);
    if (vlt_is_ok(result))
        result = policy_authorize(set, request, &answer);
    if (result.class == VLT_DENIED) {
        vectors_skip(path, 1, "line %u: refused: %s", test->line, result.reason);
        return;
    }
    if (!vlt_is_ok(result)) {
        vectors_fail(path, "line %u: %s", test->line, fault_or_reason(&fault, result));
        return;
    }
    if (is_same(test, &answer)) {
        vectors_pass();
        return;
    }
    struct bytes error = answer.error_count ? answer.errors[0].message : bytes_of(NULL, 0);
    vectors_fail(path, "line %u: answered %s with %zu reasons and %zu errors; %.*s", test->line,
                 answer.is_allowed ? "allow" : "deny", answer.reason_count, answer.error_count,
                 (int)error.size, (const char *)error.at);
}

// The handwritten cases leave out escapes where the schema tells what is meant.
static vlt_result load_entities(struct policy_request *request, struct bytes text,
                                struct bytes schema, struct fault *fault) {
    const struct policy_json *json;
    struct policy_arena *arena = policy_request_arena(request);
    VLT_TRY(policy_json_parse(arena, text, fault, &json));
    VLT_TRY(cedar_schema_escape(arena, schema, json, &json));
    return policy_entity_json_all(request, json, fault);
}

static void run_requests(const char *path, struct bytes policies, struct bytes entities,
                         struct bytes schema, const struct policy_json *tests) {
    struct policy_document document = {BYTES_LITERAL("policies"), policies};
    struct policy_set *set = NULL;
    struct fault fault = {0};
    struct policy_request *request = policy_request_new(CASE_MAX_BYTES);
    vlt_result result = policy_set_parse(&document, 1, POLICY_IDS_NUMBERED, &fault, &set);
    if (vlt_is_ok(result) && request)
        result = load_entities(request, entities, schema, &fault);
    if (!vlt_is_ok(result) || !request) {
        for (size_t i = 0; i < tests->count; i++)
            vectors_fail(path, "%u:%u: %s", fault.line, fault.column,
                         fault_or_reason(&fault, result));
    } else {
        for (size_t i = 0; i < tests->count; i++)
            run_request(path, set, request, &tests->items[i]);
    }
    policy_request_free(request);
    policy_set_free(set);
}

static void visit(const char *path, struct bytes content) {
    static const char *const members[] = {"policies", "entities", "schema"};
    struct policy_arena arena;
    struct bytes names[3], texts[3];
    const struct policy_json *root = NULL, *requests = NULL;
    struct fault fault = {0};
    policy_arena_init(&arena, 65536, CASE_MAX_BYTES);
    if (!vlt_is_ok(policy_json_parse(&arena, content, &fault, &root)))
        vectors_fail(path, "%u:%u: %s", fault.line, fault.column, fault.text);
    bool is_case = root && (requests = get(root, "requests", "queries")), is_readable = true;
    for (int i = 0; i < 3; i++)
        is_case = is_case && policy_json_get_text(root, members[i], &names[i]);
    for (int i = 0; i < 3 && is_case; i++)
        is_readable = is_readable && read_named(path, names[i], &arena, &texts[i]);
    if (root && !is_case)
        vectors_foreign(path, true, "not a case: no policies, entities, schema and requests");
    else if (is_case && !is_readable)
        vectors_fail(path, "its policies, entities or schema cannot be read");
    else if (is_case)
        run_requests(path, texts[0], texts[1], texts[2], requests);
    policy_arena_done(&arena);
}

static bool ends_with(const char *text, const char *end) {
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *ftw) {
    return remove(path);
}

static void visit_any(const char *path, struct bytes content);

static void walk(int count, char **paths) {
    static const char *const suffixes[] = {"!entities.json", ".json", ".tar.gz", ".tgz", NULL};
    vectors_walk(count, paths, suffixes, visit_any);
}

static void run_tarball(const char *path) {
    char folder[] = "/tmp/vectors-cedar-XXXXXX", archive[PATH_MAX], tar[] = "tar", flag[] = "-xzf",
         into[] = "-C";
    int status = -1;
    pid_t child;
    if (!mkdtemp(folder) || !realpath(path, archive)) {
        vectors_fail(path, "no folder to unpack it in");
        return;
    }
    char *arguments[] = {tar, flag, archive, into, folder, NULL}, *paths[] = {folder};
    if (posix_spawnp(&child, tar, NULL, NULL, arguments, environ) == 0)
        waitpid(child, &status, 0);
    if (status == 0)
        walk(1, paths);
    else
        vectors_fail(path, "cannot be unpacked");
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void visit_any(const char *path, struct bytes content) {
    if (ends_with(path, ".tar.gz") || ends_with(path, ".tgz"))
        run_tarball(path);
    else
        visit(path, content);
}

void vectors_cedar(int count, char **paths) {
    walk(count, paths);
}
