// SPDX-License-Identifier: Apache-2.0
#include "vaultd/auditor/journal_lock.h"

#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#define LOOK_EACH_MS 50

vlt_result journal_lock(int folder, const char *path, unsigned wait_ms, struct fault *fault) {
    const struct timespec pause = {0, LOOK_EACH_MS * 1000000L};
    unsigned waited_ms = 0;
    while (flock(folder, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return fault_set(fault, VLT_UNAVAILABLE, "the audit folder can not be locked",
                             "audit folder %s can not be locked: %s", path, strerror(errno));
        if (waited_ms >= wait_ms)
            return fault_set(fault, VLT_CONFLICT, "another process writes this audit log",
                             "another process writes to the audit folder %s; is another vaultd "
                             "running?", path);
        nanosleep(&pause, NULL);
        waited_ms += LOOK_EACH_MS;
    }
    return vlt_ok();
}
