// SPDX-License-Identifier: Apache-2.0
// backup: a signed copy of the store of a vault that serves.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/backup_file.h"
#include "cli/listing.h"
#include "cli/verbs.h"
#include "libvault/base/b64u.h"
#include "libvault/base/freshfile.h"
#include "libvault/base/wire.h"

static bool frame_write(FILE *out, const void *at, size_t size) {
    const uint8_t length[4] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                               (uint8_t)size};
    return fwrite(length, sizeof length, 1, out) == 1 && (!size || fwrite(at, size, 1, out) == 1);
}

static uint64_t records_count(struct bytes chunk) {
    struct wire_reader r;
    uint64_t count = 0;
    wire_reader_init(&r, chunk);
    for (; r.next < r.size && !r.failed; count++) {
        (void)wire_get_bytes(&r, BACKUP_CHUNK_MAX);
        (void)wire_get_bytes(&r, BACKUP_CHUNK_MAX);
    }
    return count;
}

// One chunk into the file. *ret_records 0: that was the signature.
static int chunk_fetch(struct command *command, const char *backup, FILE *out,
                       uint64_t *ret_records) {
    static uint8_t room[BACKUP_CHUNK_MAX];
    json_t *answer = NULL;
    size_t size = 0;
    int status = command_call_path(command, "GET", NULL, &answer, "/v1/backups/%s", backup);
    if (status != EXIT_OK)
        return status;
    const char *text = member_text(answer, "records");
    const char *signature = member_text(answer, "signature");
    vlt_result result = vlt_ok();
    if (text[0])
        result = b64u_decode(bytes_of_text(text), room, sizeof room, &size);
    *ret_records = records_count(bytes_of(room, size));
    if (vlt_is_ok(result) && (!frame_write(out, room, size) ||
                              (size == 0 && !frame_write(out, signature, strlen(signature)))))
        result = vlt_fail(VLT_UNAVAILABLE, "the backup can not be written: is the disk full?");
    json_decref(answer);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, NULL);
}

static int chunks_fetch(struct command *command, const json_t *begun, FILE *out) {
    uint64_t total = (uint64_t)json_integer_value(json_object_get(begun, "records")), done = 0,
             more = 0;
    bool shows = isatty(STDERR_FILENO) && !command->wants_json;
    int status;
    do {
        status = chunk_fetch(command, member_text(begun, "backup"), out, &more);
        done += more;
        if (shows)
            fprintf(stderr, "\r%llu of %llu records", (unsigned long long)done,
                    (unsigned long long)total);
    } while (status == EXIT_OK && more > 0);
    if (shows)
        fputc('\n', stderr);
    return status;
}

// The backup takes the place of what has its name: a device or a link must not be that.
static bool may_be_replaced(const char *path) {
    struct stat there;
    return lstat(path, &there) != 0 || S_ISREG(there.st_mode);
}

static int run_backup(struct command *command) {
    const char *path = command->arguments[0];
    char part[PATH_MAX];
    json_t *begun = NULL;
    if (!may_be_replaced(path))
        return command_usage(command, "%s is there and no file: name a file that is to be made",
                             path);
    if (snprintf(part, sizeof part, "%s.part", path) >= (int)sizeof part)
        return command_usage(command, "the path is too long");
    int fd = freshfile_open(AT_FDCWD, part, 0600);
    FILE *out = fd >= 0 ? fdopen(fd, "wb") : NULL;
    struct fault fault = {0};
    if (!out)
        return command_fail(command,
                            fault_set(&fault, VLT_UNAVAILABLE, "can not write",
                                      "can not write %s: %s", part, strerror(errno)),
                            &fault);
    int status = command_call_path(command, "POST", NULL, &begun, "/v1/backups");
    if (status == EXIT_OK && fwrite(BACKUP_MAGIC, sizeof BACKUP_MAGIC - 1, 1, out) != 1)
        status = EXIT_FAILED;
    if (status == EXIT_OK)
        status = chunks_fetch(command, begun, out);
    // Whole and on the disk before it has its name: half a backup is none.
    bool is_whole = status == EXIT_OK && fflush(out) == 0 && fsync(fd) == 0;
    is_whole = fclose(out) == 0 && is_whole && rename(part, path) == 0;
    if (!is_whole) {
        unlink(part);
        if (status == EXIT_OK)
            status = command_fail(command,
                                  vlt_fail(VLT_UNAVAILABLE, "the backup can not be written"), NULL);
    } else if (command->wants_json) {
        status = command_print_json(json_incref(begun));
    } else {
        printf("%s holds the store at revision %lld.\n", path,
               (long long)json_integer_value(json_object_get(begun, "revision")));
    }
    json_decref(begun);
    return status;
}

const struct verb verb_backup = {
    .noun = "backup",
    .arguments = "FILE",
    .argument_min = 1,
    .argument_max = 1,
    .summary = "Copy the store of a vault that serves, signed",
    .details = "Secrets in it are encrypted as they are in the store: with the device of this "
               "vault, or the\n"
               "recovery shares, it can be opened.",
    .examples = "  vaultctl backup /backup/vault-$(date +%F)\n",
    .run = run_backup,
};
