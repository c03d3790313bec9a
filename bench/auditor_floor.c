// SPDX-License-Identifier: Apache-2.0
// Stands where vaultd-auditor stands and does only what no log can do without:
// events that arrive together are written into room that was zeroed before, synced
// by a thread, and answered. No JSON, no hashes, no tiles, no checkpoint, no look at
// the file. To see what "durable before the answer" costs on a disk by itself; it is
// never installed, and nothing can be read from what it writes.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vaultd/log/log.h"
#include "vaultd/role/role.h"
#include "vaultd/role/worker.h"

#define ENTRY_BYTES 560 // of a redeem, as JSON
#define GROUP_MOST 1024
#define ROOM_BYTES (64u << 20) // from its end the next write goes to its beginning

struct group {
    struct worker_job job; // first: the worker's view of us
    size_t count;
    struct ipc_call *calls[GROUP_MOST];
};

static struct event_base *base;
static struct event *soon;
static struct worker *worker;
static struct group groups[2], *gathering = &groups[0], *resting = &groups[1]; // NULL: written
static int file = -1;
static off_t end;
static uint8_t lines[GROUP_MOST * ENTRY_BYTES];

static void write_group(struct worker_job *job) {
    const size_t size = ((struct group *)job)->count * ENTRY_BYTES;
    if (end + (off_t)size > (off_t)ROOM_BYTES)
        end = 0;
    if (pwrite(file, lines, size, end) != (ssize_t)size || fdatasync(file) != 0)
        abort(); // a figure without syncs would be wrong
    end += (off_t)size;
}

static void written(struct worker_job *job) {
    static uint64_t sequence;
    struct group *group = (struct group *)job;
    for (size_t i = 0; i < group->count; i++) {
        sequence++;
        const struct answer_record answer = {.sequence = sequence};
        reply_record(group->calls[i], vlt_ok(), &answer);
    }
    group->count = 0;
    resting = group;
    event_active(soon, EV_TIMEOUT, 0);
}

static void on_soon(evutil_socket_t fd, short what, void *context) {
    if (!resting || !gathering->count)
        return;
    struct group *group = gathering;
    gathering = resting;
    resting = NULL;
    worker_submit(worker, &group->job);
}

static void asked(struct ipc_call *call, unsigned message, struct bytes frame, void *context) {
    if (message != IPC_ASK_record || gathering->count == GROUP_MOST) {
        reply_failure(call, vlt_fail(VLT_UNAVAILABLE, "there is no log"));
        return;
    }
    gathering->calls[gathering->count++] = call;
    event_active(soon, EV_TIMEOUT, 0);
}

// The thread comes after the sandbox, and is in it.
static void begin(evutil_socket_t fd, short what, void *context) {
    if (!vlt_is_ok(worker_new(base, &worker)))
        role_finish(context, EXIT_FAILURE);
}

static bool open_file(struct bytes directory) {
    char path[IPC_TEXT_MAX + 16], folder[IPC_TEXT_MAX + 1];
    if (!bytes_to_text(directory, folder, sizeof folder))
        return false;
    snprintf(path, sizeof path, "%s/floor", folder);
    if (mkdir(folder, 0750) != 0 && errno != EEXIST)
        return false;
    file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    for (off_t at = 0; file >= 0 && at < (off_t)ROOM_BYTES; at += (off_t)sizeof lines)
        if (pwrite(file, lines, sizeof lines, at) != (ssize_t)sizeof lines)
            return false;
    return file >= 0 && fsync(file) == 0;
}

static vlt_result settings(struct role *role, struct bytes frame, bool is_first,
                           struct fault *fault) {
    struct tell_settings_auditor got;
    const struct timeval at_once = {0, 0};
    VLT_TRY(tell_settings_auditor_decode(frame, &got));
    log_set_level((enum log_level)got.log_level);
    if (!is_first)
        return vlt_ok();
    if (!open_file(got.directory))
        return vlt_fail(VLT_UNAVAILABLE, "no file can be written in the audit folder");
    memset(lines, 'x', sizeof lines);
    base = role_base(role);
    for (size_t i = 0; i < 2; i++)
        groups[i].job = (struct worker_job){.run = write_group, .done = written};
    soon = event_new(base, -1, 0, on_soon, NULL);
    if (!soon || event_base_once(base, -1, EV_TIMEOUT, begin, role, &at_once) != 0)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    role_ready(role, "syncs and records nothing: for measuring only");
    return vlt_ok();
}

int main(void) {
    static const struct role_hooks hooks = {
        .self = IPC_AUDITOR, .settings = settings, .asked = asked};
    return role_run(&hooks, NULL);
}
