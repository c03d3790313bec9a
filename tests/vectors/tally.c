// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tests/vectors/vectors.h"

#define FILE_MAX_BYTES (64u << 20)
#define PATH_BYTES 4096

struct vectors_tally vectors_tally;
static bool is_named; // the file that is visited: given by the caller, not found in a folder

void vectors_pass(void) { vectors_tally.passed++; }

VLT_PRINTF(3, 0)
static void print_line(const char *word, const char *path, const char *format, va_list arguments) {
    printf("%s: %s: ", word, path);
    vprintf(format, arguments);
    putchar('\n');
}

void vectors_fail(const char *path, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_line("FAIL", path, format, arguments);
    va_end(arguments);
    vectors_tally.failed++;
}

void vectors_skip(const char *path, unsigned count, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_line("skip", path, format, arguments);
    va_end(arguments);
    vectors_tally.skipped += count;
}

void vectors_foreign(const char *path, bool is_whole, const char *reason) {
    if (is_whole && !is_named)
        vectors_skip(path, 1, "%s", reason);
    else
        vectors_fail(path, "%s%s", reason, is_whole ? "" : ": it can not be parsed at all");
}

void vectors_judge(const char *path, const char *what, const char *result, bool accepted) {
    bool is_valid = strcmp(result, "valid") == 0, is_invalid = strcmp(result, "invalid") == 0;
    if (!is_valid && !is_invalid && strcmp(result, "acceptable") != 0)
        vectors_fail(path, "%s: unknown result \"%s\"", what, result);
    else if (is_valid && !accepted)
        vectors_fail(path, "%s: valid, but refused", what);
    else if (is_invalid && accepted)
        vectors_fail(path, "%s: invalid, but accepted", what);
    else
        vectors_pass();
}

bool vectors_read(const char *path, struct buf *content) {
    buf_init(content, FILE_MAX_BYTES);
    // No pipe and no device: they could wait for ever.
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return false;
    FILE *file = fopen(path, "rb");
    uint8_t chunk[16384];
    size_t got;
    while (file && (got = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_put(content, bytes_of(chunk, got));
    bool complete = file && !ferror(file) && !buf_failed(content);
    if (file)
        fclose(file);
    return complete;
}

static void visit_file(const char *path, vectors_visit *visit) {
    struct buf content;
    struct vectors_tally before = vectors_tally;
    if (vectors_read(path, &content)) {
        visit(path, buf_bytes(&content));
        if (memcmp(&before, &vectors_tally, sizeof before) == 0)
            vectors_fail(path, "there is no vector in it");
    } else
        vectors_fail(path, "cannot be read (a file of at most %u MiB is taken)",
                     FILE_MAX_BYTES >> 20);
    buf_done(&content);
}

static bool ends_in_one_of(const char *name, const char *const *suffixes) {
    size_t size = strlen(name);
    for (; *suffixes; suffixes++) {
        bool is_excluded = **suffixes == '!';
        size_t end = strlen(*suffixes + is_excluded);
        if (size >= end && strcmp(name + size - end, *suffixes + is_excluded) == 0)
            return !is_excluded;
    }
    return false;
}

static void walk(const char *path, bool is_given, const char *const *suffixes,
                 vectors_visit *visit);

static void walk_folder(const char *path, const char *const *suffixes, vectors_visit *visit) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        vectors_fail(path, "cannot be read");
    for (int i = 0; i < count; i++) {
        char below[PATH_BYTES];
        int size = snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && size > 0 && (size_t)size < sizeof below)
            walk(below, false, suffixes, visit);
        free(entries[i]);
    }
    free(entries);
}

// A link to a folder is followed only where it was given: it may lead back up.
static void walk(const char *path, bool is_given, const char *const *suffixes,
                 vectors_visit *visit) {
    struct stat status, link;
    if (stat(path, &status) != 0 || lstat(path, &link) != 0) {
        vectors_fail(path, "cannot be read");
    } else if (S_ISDIR(status.st_mode)) {
        if (is_given || !S_ISLNK(link.st_mode))
            walk_folder(path, suffixes, visit);
    } else if (is_given || ends_in_one_of(path, suffixes)) {
        is_named = is_given;
        visit_file(path, visit);
    }
}

void vectors_walk(int count, char **paths, const char *const *suffixes, vectors_visit *visit) {
    for (int i = 0; i < count; i++)
        walk(paths[i], true, suffixes, visit);
}
