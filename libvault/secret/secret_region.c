// SPDX-License-Identifier: Apache-2.0
#include "libvault/secret/secret_region.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_memfd_secret
#define SYS_memfd_secret 447 // the same number on every architecture; glibc 2.36 may lack it
#endif

static size_t page_size(void) { return (size_t)sysconf(_SC_PAGESIZE); }

// Both kinds count against RLIMIT_MEMLOCK. Raising the soft limit to the hard
// one needs no privilege.
static void raise_limit(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_MEMLOCK, &limit);
    }
}

static bool map_hidden(uint8_t *at, size_t size) {
    int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);
    if (fd < 0)
        return false;
    bool mapped = ftruncate(fd, (off_t)size) == 0 &&
                  mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == at;
    close(fd);
    // A shared mapping would follow a fork into the child.
    return mapped && madvise(at, size, MADV_DONTFORK) == 0;
}

static bool map_locked(uint8_t *at, size_t size) {
    return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
               at &&
           madvise(at, size, MADV_DONTDUMP) == 0 && madvise(at, size, MADV_DONTFORK) == 0 &&
           mlock(at, size) == 0;
}

static vlt_result not_lockable(size_t size, int error, struct fault *fault) {
    return fault_set(fault, VLT_UNAVAILABLE, "memory for secrets can not be locked",
                     "cannot lock %zu KiB of memory for secrets (errno %d): allow at least that "
                     "much locked memory (LimitMEMLOCK= of the service, or ulimit -l)",
                     size / 1024, error);
}

vlt_result secret_region_map(size_t size, bool only_locked, struct fault *fault,
                             struct secret_region *ret_region) {
    size_t page = page_size();
    size = (size + page - 1) / page * page;
    if (size == 0 || size > SIZE_MAX / 4)
        return vlt_fail(VLT_BUG, "size of the secret heap");
    raise_limit();
    // The reservation leaves one inaccessible page on each side.
    uint8_t *whole = mmap(NULL, size + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (whole == MAP_FAILED)
        return not_lockable(size, errno, fault);
    uint8_t *at = whole + page;
    enum secret_memory kind = SECRET_MEMORY_HIDDEN;
    if (only_locked || !map_hidden(at, size)) {
        kind = SECRET_MEMORY_LOCKED;
        if (!map_locked(at, size)) {
            int error = errno;
            munmap(whole, size + 2 * page);
            return not_lockable(size, error, fault);
        }
    }
    *ret_region = (struct secret_region){kind, at, size};
    return vlt_ok();
}

void secret_region_unmap(struct secret_region *region) {
    size_t page = page_size();
    OPENSSL_cleanse(region->at, region->size);
    munmap(region->at - page, region->size + 2 * page);
    *region = (struct secret_region){0};
}
