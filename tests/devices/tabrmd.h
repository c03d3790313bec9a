// SPDX-License-Identifier: Apache-2.0
// A resource manager in user space (tpm2-abrmd) in front of a swtpm, for what needs
// more objects in a TPM than its three. It is found on a message bus of the test
// program's own: one for the whole program, because GLib keeps its first
// connection. Failing to start ends the test program; what was started dies with it.
#ifndef VLT_TESTS_DEVICES_TABRMD_H
#define VLT_TESTS_DEVICES_TABRMD_H

#include "tests/devices/device_fixture.h"

#define TABRMD_TCTI "tabrmd:bus_type=session" // with DBUS_SESSION_BUS_ADDRESS, which start sets

// In front of the swtpm that listens on folder/tpm.sock; nobody else is connected.
void tabrmd_start(struct device_fixture *fixture);
void tabrmd_kill(struct device_fixture *fixture); // fine when it does not run

#endif
