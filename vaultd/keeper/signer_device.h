// SPDX-License-Identifier: Apache-2.0
// Which of several devices signs tokens. A signing key is in one of them alone, and
// no record says in which: the one that signed last is asked first, and one that
// does not hold the key says so.
#ifndef VLT_KEEPER_SIGNER_DEVICE_H
#define VLT_KEEPER_SIGNER_DEVICE_H

#include "vaultd/keeper/devices.h"

// A PKCS#11 device that works and is not of the set `tried` (bit n: device n), or
// NULL. Adds it to the set.
struct device *signer_device_next(struct keeper *keeper, unsigned *tried);
// Is there one that does not work, which may be the one?
bool signer_device_is_away(const struct keeper *keeper);
// It made a key, or signed with one.
void signer_device_note(struct keeper *keeper, const struct device *device);

#endif
