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

static int visit_file(const char *path, vectors_visit *visit) {
    struct buf content;
    bool complete = vectors_read(path, &content);
    if (complete)
        visit(path, buf_bytes(&content));
    else
        fprintf(stderr, "vectors: cannot read %s\n", path);
    buf_done(&content);
    return complete ? 0 : 1;
}

static bool ends_in_one_of(const char *name, const char *const *suffixes) {
    size_t size = strlen(name);
    for (; *suffixes; suffixes++) {
        size_t end = strlen(*suffixes);
        if (size >= end && strcmp(name + size - end, *suffixes) == 0)
            return true;
    }
    return false;
}

static int walk(const char *path, bool is_given, const char *const *suffixes, vectors_visit *visit);

static int walk_folder(const char *path, const char *const *suffixes, vectors_visit *visit) {
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort), status = count < 0;
    for (int i = 0; i < count; i++) {
        char below[PATH_BYTES];
        int size = snprintf(below, sizeof below, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && size > 0 && (size_t)size < sizeof below)
            status |= walk(below, false, suffixes, visit);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int walk(const char *path, bool is_given, const char *const *suffixes,
                vectors_visit *visit) {
    struct stat status;
    if (stat(path, &status) != 0) {
        fprintf(stderr, "vectors: cannot read %s\n", path);
        return 1;
    }
    if (S_ISDIR(status.st_mode))
        return walk_folder(path, suffixes, visit);
    return is_given || ends_in_one_of(path, suffixes) ? visit_file(path, visit) : 0;
}

int vectors_walk(int count, char **paths, const char *const *suffixes, vectors_visit *visit) {
    int status = 0;
    for (int i = 0; i < count; i++)
        status |= walk(paths[i], true, suffixes, visit);
    return status;
}
