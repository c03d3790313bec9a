// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "vaultd/auditor/log_file.h"
#include "vaultd/role/worker.h"

#define PIECE_BYTES (256u << 10)

struct spare {
    struct worker_job job; // first: the worker's view of us
    struct worker *worker;
    struct log_file *file;
    int folder;
    bool is_being_made, is_ending;
    vlt_result result;
};

static bool has_enough(int folder) {
    struct statvfs status;
    return fstatvfs(folder, &status) == 0 &&
           (uint64_t)status.f_bavail * status.f_frsize >= SPARE_BYTES + SPARE_LEAVE_BYTES;
}

// ---- Making ----

// Zeros and not only a reservation: the first write into reserved blocks changes
// the file's description, and a sync would have to write that, too.
static bool fill(int fd) {
    static const uint8_t zeros[PIECE_BYTES];
    if (fallocate(fd, 0, 0, SPARE_BYTES) != 0 && errno != EOPNOTSUPP)
        return false;
    for (off_t at = 0; at < (off_t)SPARE_BYTES;) {
        ssize_t written = pwrite(fd, zeros, sizeof zeros, at);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        at += written;
    }
    return fsync(fd) == 0;
}

vlt_result spare_make(int folder, struct fault *fault) {
    if (unlinkat(folder, SPARE_NAME, 0) != 0 && errno != ENOENT)
        return fault_set(fault, VLT_UNAVAILABLE, "room can not be made ahead",
                         "%s can not be removed: %s", SPARE_NAME, strerror(errno));
    int fd = openat(folder, SPARE_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd >= 0 && fill(fd)) {
        close(fd);
        return vlt_ok();
    }
    vlt_result result = fault_set(fault, VLT_UNAVAILABLE, "room can not be made ahead",
                                  "%s can not be written: %s", SPARE_NAME, strerror(errno));
    if (fd >= 0)
        close(fd);
    unlinkat(folder, SPARE_NAME, 0); // a part of one is of no use
    return result;
}

static void run(struct worker_job *job) {
    struct spare *spare = (struct spare *)job;
    struct fault ignored; // the journal appends then, and says what fails there
    spare->result = has_enough(spare->folder) ? spare_make(spare->folder, &ignored)
                                              : vlt_fail(VLT_UNAVAILABLE, "too little room");
}

static void done(struct worker_job *job) {
    struct spare *spare = (struct spare *)job;
    spare->is_being_made = false;
    if (!spare->is_ending && vlt_is_ok(spare->result))
        log_file_set_spare(spare->file);
}

// ---- Life ----

vlt_result spare_new(struct event_base *base, struct log_file *file, struct spare **ret_spare) {
    struct spare *spare = calloc(1, sizeof *spare);
    if (!spare)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    spare->job.run = run;
    spare->job.done = done;
    spare->file = file;
    spare->folder = log_file_folder_open(file);
    vlt_result result = worker_new(base, &spare->worker);
    if (!vlt_is_ok(result)) {
        free(spare);
        return result;
    }
    spare_look(spare);
    *ret_spare = spare;
    return vlt_ok();
}

void spare_look(struct spare *spare) {
    if (spare->is_being_made || log_file_has_spare(spare->file))
        return;
    spare->is_being_made = true;
    worker_submit(spare->worker, &spare->job);
}

void spare_free(struct spare *spare) {
    if (!spare)
        return;
    spare->is_ending = true;
    worker_free(spare->worker);
    free(spare);
}
