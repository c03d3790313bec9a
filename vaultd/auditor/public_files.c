// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/public_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/tile.h"

void public_files_done(struct public_files *files) {
    for (size_t i = 0; i < files->count; i++)
        buf_done(&files->files[i].content);
    files->count = 0;
}

// ---- What they must be ----

static struct public_file *file_of(struct public_files *files, const char *path) {
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->files[i].path, path) == 0)
            return &files->files[i];
    if (files->count == PUBLIC_FILES_MAX)
        return NULL;
    struct public_file *file = &files->files[files->count++];
    snprintf(file->path, sizeof file->path, "%s", path);
    buf_init(&file->content, NOTE_MAX_BYTES);
    return file;
}

// Where memory is short, the file is not looked after: an empty one would be none.
static void set_one(struct public_files *files, const char *path, const struct buf *content,
                    bool is_published) {
    struct public_file *file = file_of(files, path);
    if (!file)
        return;
    file->is_published = is_published;
    buf_clear(&file->content);
    buf_put(&file->content, buf_bytes(content));
}

void public_files_set(struct public_files *files, const struct signed_note *note) {
    set_one(files, "vkey", &note->vkeys, true);
    set_one(files, "checkpoint", &note->note, true);
    for (size_t i = 0; i < note->handover_count; i++)
        set_one(files, note->handovers[i].path, &note->handovers[i].note, true);
}

static void learn_one(struct public_files *files, int folder, const char *path) {
    struct buf content;
    buf_init(&content, NOTE_MAX_BYTES);
    if (vlt_is_ok(tile_file_read(folder, path, NOTE_MAX_BYTES, NULL, &content)))
        set_one(files, path, &content, false);
    buf_done(&content);
}

void public_files_learn(struct public_files *files, int folder) {
    char path[PUBLIC_FILES_PATH_MAX];
    learn_one(files, folder, "vkey"); // first: there is always room for these
    learn_one(files, folder, "checkpoint");
    int fd = openat(folder, "handover", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *handovers = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; handovers && (entry = readdir(handovers));) {
        if (strlen(entry->d_name) != 8 || strspn(entry->d_name, "0123456789abcdef") != 8)
            continue; // no key's
        snprintf(path, sizeof path, "handover/%.8s", entry->d_name);
        learn_one(files, folder, path);
    }
    if (handovers)
        closedir(handovers);
    else if (fd >= 0)
        close(fd);
}

// ---- Whether they are ----

static bool is_as_it_must_be(const struct public_file *file, int folder) {
    struct buf found;
    buf_init(&found, NOTE_MAX_BYTES);
    vlt_result result = tile_file_read(folder, file->path, NOTE_MAX_BYTES, NULL, &found);
    bool is_same = vlt_is_ok(result) && bytes_equal(buf_bytes(&found), buf_bytes(&file->content));
    buf_done(&found);
    return is_same;
}

// What was found at the start may have been forged: it does not replace what somebody put
// right since.
static bool is_left_alone(const struct public_file *file, int folder) {
    struct stat found;
    return !file->is_published && fstatat(folder, file->path, &found, 0) == 0 &&
           S_ISREG(found.st_mode);
}

vlt_result public_files_keep(const struct public_files *files, int folder, struct fault *fault,
                             char ret_repaired[128]) {
    vlt_result result = vlt_ok();
    size_t size = 0;
    ret_repaired[0] = 0;
    for (size_t i = 0; i < files->count; i++) {
        const struct public_file *file = &files->files[i];
        if (buf_failed(&file->content) || !file->content.size || is_left_alone(file, folder) ||
            is_as_it_must_be(file, folder))
            continue;
        vlt_result written = tile_file_write(folder, file->path, buf_bytes(&file->content), true,
                                             vlt_is_ok(result) ? fault : NULL);
        if (!vlt_is_ok(written)) { // the others are wanted all the same
            result = vlt_is_ok(result) ? written : result;
            continue;
        }
        if (size < 96) // more than that are not named one by one
            size += (size_t)snprintf(ret_repaired + size, 128 - size, "%s%s", size ? ", " : "",
                                     file->path);
    }
    return result;
}
