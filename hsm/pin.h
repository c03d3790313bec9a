// SPDX-License-Identifier: Apache-2.0
// The PIN of a device: read from a file that others cannot read, held in secret
// memory, and never tried a second time once a device refused it.
#ifndef VLT_HSM_PIN_H
#define VLT_HSM_PIN_H

#include "libvault/base/fault.h"
#include "libvault/secret/secret.h"

#define PIN_MAX_BYTES 64

// `source`: absolute path, "file:" URL of one, or the name of a systemd
// credential (systemd.exec(5), LoadCredential=). One trailing newline is
// dropped. VLT_NOT_FOUND no such file; VLT_DENIED its mode or owner lets others
// in; VLT_MALFORMED empty, too long or more than one line. The caller owns *ret_pin.
vlt_result pin_read(const char *source, struct fault *fault, struct secret **ret_pin) VLT_MUST_USE;

// The memory of refused PINs: one for the process, safe between threads, and
// holds only keyed hashes. `device` names the physical device, so that another
// spelling of its URI does not give a second try.
bool pin_was_refused(const char *device, const struct secret *pin);
void pin_note_refused(const char *device, const struct secret *pin);

#endif
