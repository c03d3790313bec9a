// SPDX-License-Identifier: Apache-2.0
// Internal to libvault/secret: blocks of the one heap. Thread-safe.
#ifndef VLT_SECRET_SECRET_HEAP_H
#define VLT_SECRET_SECRET_HEAP_H

#include "libvault/secret/secret_region.h"

void *secret_heap_take(size_t size);              // NULL when exhausted or not open
void *secret_heap_resize(void *at, size_t size);  // old content wiped when it moves
void secret_heap_give_back(void *at);             // wipes; aborts on a foreign or free block
// As secret_heap_open, but with locked memory even where hidden memory exists.
vlt_result secret_heap_open_locked(size_t heap_bytes, struct fault *fault) VLT_MUST_USE;

#endif
