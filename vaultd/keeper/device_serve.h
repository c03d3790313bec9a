// SPDX-License-Identifier: Apache-2.0
// What a call to a device does, on the device's own thread (device_thread.c).
#ifndef VLT_KEEPER_DEVICE_SERVE_H
#define VLT_KEEPER_DEVICE_SERVE_H

#include "vaultd/keeper/device_thread.h"

// *hsm: the open device of that thread, or NULL; calls open and close it. Leaves
// result, fault and what the kind gives in the call.
void device_serve(struct hsm **hsm, struct device_call *call);

#endif
