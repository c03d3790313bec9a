// SPDX-License-Identifier: Apache-2.0
// What the roles that call others over HTTPS (broker, admin, rotator, shipper) do alike.
#ifndef VLT_ROLE_ROLE_TRANSFER_H
#define VLT_ROLE_ROLE_TRANSFER_H

// Each call is a line of the log from now on, where its level shows it. Once, before the
// first call.
void role_transfer_log(void);

#endif
