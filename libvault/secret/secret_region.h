// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/secret: the pages under the heap, between two guard
// pages. Never dumped, never in a forked child.
#ifndef VLT_SECRET_SECRET_REGION_H
#define VLT_SECRET_SECRET_REGION_H

#include "libvault/secret/secret.h"

struct secret_region {
    enum secret_memory kind;
    uint8_t *at;
    size_t size; // whole pages, without the guards
};

// Maps `size` bytes, rounded up to pages: hidden memory, unless `only_locked` or
// the kernel has none, then locked memory. VLT_UNAVAILABLE with a fault.
vlt_result secret_region_map(size_t size, bool only_locked, struct fault *fault,
                             struct secret_region *ret_region) VLT_MUST_USE;
void secret_region_unmap(struct secret_region *region); // wipes first

#endif
