// SPDX-License-Identifier: Apache-2.0
// What the log calls a wrapping key, and a rotation of one.
#include <inttypes.h>
#include <stdio.h>

#include "libvault/base/hex.h"
#include "vaultd/keeper/rotate_wrapping.h"

void rotate_id_text(const uint8_t id[RECORD_DEVICE_ID_SIZE], char text[ROTATE_ID_TEXT_SIZE]) {
    hex_encode(bytes_of(id, RECORD_DEVICE_ID_SIZE), text);
}

void rotate_wrapping_subject(struct change *change, const struct rotate_device *old,
                          const struct rotate_device *made) {
    char from[ROTATE_ID_TEXT_SIZE], to[ROTATE_ID_TEXT_SIZE], next[ROTATE_ID_TEXT_SIZE + 48] = "";
    char text[256];
    rotate_id_text(old->id, from);
    if (made) {
        rotate_id_text(made->id, to);
        snprintf(next, sizeof next, " to %s (generation %" PRIu32 ")", to, made->generation);
    }
    snprintf(text, sizeof text,
             "device %s: key %s (generation %" PRIu32 ", revision %" PRIu64 ")%s", old->device,
             from, old->generation, old->revision, next);
    change->event.subject = change_keep(change, bytes_of_text(text));
}
