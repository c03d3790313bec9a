// SPDX-License-Identifier: Apache-2.0
#include "libvault/secret/secret_file.h"

#include <sys/stat.h>

vlt_result secret_file_check(const char *name, const char *path, struct fault *fault) {
    struct stat status;
    if (stat(path, &status) != 0 || !(status.st_mode & (S_IROTH | S_IWOTH)))
        return vlt_ok();
    const char *may = status.st_mode & S_IROTH ? "read" : "change";
    return fault_set(fault, VLT_DENIED, "a secret file is open to everybody",
                     "%s: %s has mode %04o: every user of this machine may %s it; run "
                     "chmod o-rwx %s and replace the secret that it holds",
                     name, path, (unsigned)status.st_mode & 07777U, may, path);
}
