// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "cli/terminal.h"
#include "libvault/audit/handover.h"
#include "libvault/base/jsontext.h"

#define VKEYS_MAX_BYTES 4096 // one line for each key that signs, newest first

// "NAME+ID+KEY", or the first line of a file that holds it.
int audit_key_read(struct command *command, const char *text, struct note_key *ret_key) {
    struct fault fault = {0};
    struct buf content;
    vlt_result result = note_key_parse(bytes_of_text(text), ret_key);
    if (vlt_is_ok(result) || strchr(text, '+'))
        return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, NULL);
    buf_init(&content, VKEYS_MAX_BYTES);
    result = file_read(text, VKEYS_MAX_BYTES, &content, &fault);
    if (vlt_is_ok(result)) {
        struct bytes line = bytes_of(content.at, bytes_find(buf_bytes(&content), '\n'));
        result = note_key_parse(line, ret_key);
    }
    buf_done(&content);
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

static int read_own_key(struct command *command, struct audit_log *log) {
    struct fault fault = {0};
    struct buf content;
    buf_init(&content, VKEYS_MAX_BYTES);
    vlt_result result = tile_file_read(log->folder, "vkey", VKEYS_MAX_BYTES, &fault, &content);
    if (result.class == VLT_NOT_FOUND)
        result = fault_set(&fault, VLT_NOT_FOUND, "no log",
                           "there is no file vkey: the folder holds no log, or one without a "
                           "checkpoint yet (a vault that was never initialised), or an archive "
                           "(give the log's key with --key)");
    if (vlt_is_ok(result))
        result =
            note_key_parse(bytes_of(content.at, bytes_find(buf_bytes(&content), '\n')), &log->key);
    buf_done(&content);
    log->has_own_key = true;
    return vlt_is_ok(result) ? EXIT_OK : command_fail(command, result, &fault);
}

// The key may have been replaced since the caller got to know it: then each key
// has signed its successor. Where no such chain leads to the checkpoint, the given
// key stays, and what is verified with it fails and says so.
static int follow_handovers(struct command *command, struct audit_log *log) {
    struct fault fault = {0};
    struct note_key *key = &log->key, *given = &log->given_key;
    vlt_result result = note_key_init(bytes_of_text(key->name), key->type, key->public_key, given);
    if (!vlt_is_ok(result))
        return command_fail(command, result, NULL);
    result = handover_follow(log->folder, key, &fault, &log->key_changes);
    if (vlt_is_ok(result) || result.class == VLT_NOT_FOUND || result.class == VLT_MALFORMED)
        return EXIT_OK;
    return command_fail(command, result, &fault);
}

static int open_folder(struct command *command, const char *path, int *ret_folder) {
    struct fault fault = {0};
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return command_fail(command,
                            fault_set(&fault, errno == ENOENT ? VLT_NOT_FOUND : VLT_UNAVAILABLE,
                                      "a folder can not be opened", "%s can not be opened: %s",
                                      path, strerror(errno)),
                            &fault);
    *ret_folder = folder;
    return EXIT_OK;
}

static void close_folders(const struct audit_log *log) {
    if (log->archive >= 0)
        close(log->archive);
    close(log->folder);
}

int audit_log_open(struct command *command, const char *path, struct audit_log *ret_log) {
    struct audit_log log = {.archive = -1};
    const char *key = command_option(command, "--key"),
               *archive = command_option(command, "--archive");
    if (!path)
        path = command_setting(command, "--log", "VAULTCTL_AUDIT_LOG", AUDIT_LOG_DEFAULT);
    int status = open_folder(command, path, &log.folder);
    if (status != EXIT_OK)
        return status;
    if (archive)
        status = open_folder(command, archive, &log.archive);
    if (status == EXIT_OK)
        status = key ? audit_key_read(command, key, &log.key) : read_own_key(command, &log);
    if (status != EXIT_OK) {
        close_folders(&log);
        return status;
    }
    status = follow_handovers(command, &log);
    if (status != EXIT_OK) {
        audit_log_close(&log);
        return status;
    }
    *ret_log = log;
    return EXIT_OK;
}

void audit_log_close(struct audit_log *log) {
    note_key_done(&log->key);
    note_key_done(&log->given_key);
    close_folders(log);
}

const char *audit_tenant(const struct command *command) {
    return command_flag(command, "--all-tenants")
               ? NULL
               : command_setting(command, "--tenant", "VAULTCTL_TENANT", NULL);
}

void audit_tenant_hint(const struct command *command) {
    const char *tenant = audit_tenant(command);
    if (!tenant || command_option(command, "--tenant"))
        return;
    fputs("vaultctl: there is no such entry of the tenant ", stderr);
    terminal_put(stderr, tenant);
    fputs(" (VAULTCTL_TENANT); --all-tenants looks at those of every tenant and of none\n", stderr);
}

struct bytes audit_entry_member(struct bytes entry, const char *name) {
    char opening[64];
    int size = snprintf(opening, sizeof opening, "\"%s\":\"", name);
    // A quote inside a text is escaped, so this can only be a member.
    const uint8_t *at = entry.size ? memmem(entry.at, entry.size, opening, (size_t)size) : NULL;
    if (!at)
        return bytes_of(NULL, 0);
    struct bytes rest = bytes_from(entry, (size_t)(at - entry.at) + (size_t)size);
    for (size_t i = 0; i < rest.size; i++) {
        if (rest.at[i] == '\\')
            i++;
        else if (rest.at[i] == '"')
            return bytes_of(rest.at, i);
    }
    return bytes_of(NULL, 0);
}

int audit_entry_show(const struct command *command, struct bytes entry) {
    if (command->wants_json) {
        fwrite(entry.at, 1, entry.size, stdout);
        putchar('\n');
        return EXIT_OK;
    }
    struct fault fault = {0};
    json_t *object = NULL;
    vlt_result result = jsontext_parse(entry, &jsontext_document_limits, &fault, &object);
    if (!vlt_is_ok(result))
        return command_fail(command, result, &fault);
    audit_entry_print(object);
    json_decref(object);
    return EXIT_OK;
}
