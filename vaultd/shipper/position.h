// SPDX-License-Identifier: Apache-2.0
// How far a receiver has got: a small file in a folder of its own, replaced as a
// whole. It moves only after the receiver has what is before it, so that a crash
// at any instant repeats entries and never leaves one out.
#ifndef VLT_SHIPPER_POSITION_H
#define VLT_SHIPPER_POSITION_H

#include "libvault/audit/note.h"
#include "libvault/base/fault.h"

#define POSITION_FILE_MAX 512

struct position {
    char origin[NOTE_NAME_MAX + 1]; // of which log; "" before the first
    uint64_t next;                  // index of the first entry that is not confirmed
};
// "origin\nnext\n". VLT_MALFORMED: anything else.
vlt_result position_parse(struct bytes text, struct position *ret_position) VLT_MUST_USE;
// No file: the beginning. `folder` is of this receiver alone.
vlt_result position_load(int folder, struct fault *fault,
                         struct position *ret_position) VLT_MUST_USE;
// On the disk when it returns.
vlt_result position_save(int folder, const struct position *position,
                         struct fault *fault) VLT_MUST_USE;

#endif
