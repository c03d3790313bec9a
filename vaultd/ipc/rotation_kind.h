// SPDX-License-Identifier: Apache-2.0
// What can be rotated, and how: fields of ask_rotate, ask_key_list and
// ask_key_destroy. docs/rotation.md has the state machine of each.
#ifndef VLT_IPC_ROTATION_KIND_H
#define VLT_IPC_ROTATION_KIND_H

enum rotation_kind {
    ROTATION_SIGNING = 1, // the key that signs tokens
    ROTATION_INTAKE,      // the key that credentials are sealed to
    ROTATION_TENANT,      // the data key of one tenant
    ROTATION_WRAPPING,    // the key in the device
    ROTATION_CHECKPOINT,  // the key that signs checkpoints of the audit log
    ROTATION_SYSTEM,      // the data key of the vault itself
    ROTATION_KIND_COUNT
};
enum rotation_mode {
    ROTATION_RUN,      // begin, or go on with what is under way
    ROTATION_LOOK,     // say what is under way and what would be done; changes nothing
    ROTATION_EMERGENCY // no overlap: everything made with the old key ends now
};
// NULL for a number that is no kind.
static inline const char *rotation_kind_name(unsigned kind) {
    static const char *const names[ROTATION_KIND_COUNT] = {0, "signing", "intake", "tenant",
                                                           "wrapping", "checkpoint", "system"};
    return kind < ROTATION_KIND_COUNT ? names[kind] : 0;
}

#define ROTATION_RATE_DEFAULT 0           // what the configuration says
#define ROTATION_RATE_UNLIMITED 0xffffffffu // records each second

#endif
