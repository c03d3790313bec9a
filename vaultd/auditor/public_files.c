// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/public_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libvault/audit/tile.h"
#include "libvault/base/hex.h"
#include "libvault/crypto/digest.h"

#define NAMED_IN_A_LINE 4 // so that it has room in one entry
#define FOUND_SIZE 80

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
    if (vlt_is_ok(tile_file_read_here(folder, path, NOTE_MAX_BYTES, NULL, &content)))
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

// For the record: what was forged can be told apart by its hash.
static void describe(vlt_result result, const struct buf *found, char ret_found[FOUND_SIZE]) {
    uint8_t digest[DIGEST_SHA256_SIZE];
    char hex[2 * DIGEST_SHA256_SIZE + 1];
    if (vlt_is_ok(result) && vlt_is_ok(digest_sha256(buf_bytes(found), digest))) {
        hex_encode(bytes_of(digest, sizeof digest), hex);
        snprintf(ret_found, FOUND_SIZE, "sha256 %s", hex);
    } else if (result.class == VLT_NOT_FOUND) {
        snprintf(ret_found, FOUND_SIZE, "missing");
    } else if (result.class == VLT_LIMIT) {
        snprintf(ret_found, FOUND_SIZE, "longer than %u bytes", NOTE_MAX_BYTES);
    } else {
        snprintf(ret_found, FOUND_SIZE, "no file that can be read");
    }
}

// Else `ret_found` says what stands there.
static bool is_as_it_must_be(const struct public_file *file, int folder,
                             char ret_found[FOUND_SIZE]) {
    struct buf found;
    buf_init(&found, NOTE_MAX_BYTES);
    vlt_result result = tile_file_read_here(folder, file->path, NOTE_MAX_BYTES, NULL, &found);
    bool is_same = vlt_is_ok(result) && bytes_equal(buf_bytes(&found), buf_bytes(&file->content));
    if (!is_same)
        describe(result, &found, ret_found);
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
                             struct buf *ret_repaired) {
    vlt_result result = vlt_ok();
    size_t named = 0;
    char found[FOUND_SIZE];
    buf_clear(ret_repaired);
    for (size_t i = 0; i < files->count; i++) {
        const struct public_file *file = &files->files[i];
        if (buf_failed(&file->content) || !file->content.size || is_left_alone(file, folder) ||
            is_as_it_must_be(file, folder, found))
            continue;
        vlt_result written = tile_file_write(folder, file->path, buf_bytes(&file->content), true,
                                             vlt_is_ok(result) ? fault : NULL);
        if (!vlt_is_ok(written)) { // the others are wanted all the same
            result = vlt_is_ok(result) ? written : result;
            continue;
        }
        buf_put_format(ret_repaired, "%s%s (%s)",
                       !named                    ? ""
                       : named % NAMED_IN_A_LINE ? ", "
                                                 : "\n",
                       file->path, found);
        named++;
    }
    return result;
}
