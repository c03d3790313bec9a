// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_index.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 4096

// ---- Where ----

static bool make_folders(char *path) {
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = 0;
        int made = mkdir(path, 0700);
        *at = '/';
        if (made != 0 && errno != EEXIST)
            return false;
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

// A name of a log may hold slashes; a folder's may not.
static void put_origin(char *at, const char *origin) {
    for (; *origin; origin++)
        *at++ = (*origin >= '0' && *origin <= '9') || (*origin >= 'a' && *origin <= 'z') ||
                        (*origin >= 'A' && *origin <= 'Z') || *origin == '-'
                    ? *origin
                    : '_';
    *at = 0;
}

static bool default_path(const char *origin, char path[PATH_SIZE]) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool has_cache = cache && cache[0] == '/';
    if (!has_cache && (!home || home[0] != '/'))
        return false;
    int size = snprintf(path, PATH_SIZE - NOTE_NAME_MAX - 1, "%s%s/vaultctl/audit-index/",
                        has_cache ? cache : home, has_cache ? "" : "/.cache");
    if (size < 0 || size >= PATH_SIZE - NOTE_NAME_MAX - 1)
        return false;
    put_origin(path + size, origin);
    return true;
}

void audit_index_open(const struct command *command, const char *origin,
                      struct audit_index *ret_index) {
    char path[PATH_SIZE];
    const char *given = command_setting(command, "--index", "VAULTCTL_AUDIT_INDEX", NULL);
    ret_index->folder = -1;
    if (command_flag(command, "--no-index"))
        return;
    bool has_path = given ? bytes_to_text(bytes_of_text(given), path, sizeof path)
                          : default_path(origin, path);
    if (has_path && make_folders(path))
        ret_index->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (ret_index->folder < 0 && given)
        fprintf(stderr, "vaultctl: %s can not be used for an index: %s; every entry is read\n",
                given, strerror(errno));
}

void audit_index_close(struct audit_index *index) {
    if (index->folder >= 0)
        close(index->folder);
    index->folder = -1;
}

// ---- Building ----

static void show_progress(uint64_t done, uint64_t of) {
    fprintf(stderr, "\rindex: %llu of %llu entries", (unsigned long long)done * LOG_INDEX_SPAN,
            (unsigned long long)of * LOG_INDEX_SPAN);
}

static vlt_result build(const struct audit_index *index, uint64_t number,
                        struct tile_reader *reader, struct fault *fault,
                        struct log_index *ret_file, bool *ret_was_built) {
    vlt_result result = log_index_open(index->folder, number, reader, ret_file);
    if (vlt_is_ok(result))
        return result; // whoever held the lock has built it
    VLT_TRY(log_index_build(reader, number, index->folder, fault));
    *ret_was_built = true;
    return log_index_open(index->folder, number, reader, ret_file);
}

vlt_result audit_index_file(const struct command *command, const struct audit_index *index,
                            uint64_t number, struct tile_reader *reader, struct fault *fault,
                            struct log_index *ret_file, bool *ret_was_built) {
    bool shows = !command->wants_json && isatty(STDERR_FILENO), was_built = false;
    vlt_result result = log_index_open(index->folder, number, reader, ret_file);
    if (!vlt_is_ok(result)) {
        if (shows)
            show_progress(number, reader->size / LOG_INDEX_SPAN);
        if (flock(index->folder, LOCK_EX) != 0)
            return vlt_fail(VLT_UNAVAILABLE, "the folder of the index can not be locked");
        result = build(index, number, reader, fault, ret_file, &was_built);
        flock(index->folder, LOCK_UN);
        if (shows)
            fputs("\r\x1b[K", stderr);
    }
    if (vlt_is_ok(result) && ret_was_built)
        *ret_was_built = was_built;
    return result;
}
