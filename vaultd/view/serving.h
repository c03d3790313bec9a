// SPDX-License-Identifier: Apache-2.0
// Whether those without whom nothing is decided would take part in a decision now: the
// keeper is unsealed, the auditor can record. Broker and redeemer ask for /v1/ready, so
// that whoever spreads the load sees what a decision would meet.
#ifndef VLT_VIEW_SERVING_H
#define VLT_VIEW_SERVING_H

#include "vaultd/ipc/channel.h"

// VLT_UNAVAILABLE: no, and why.
typedef void serving_known(vlt_result result, void *context);
// NULL: that role is not running. `known` is called once, perhaps from within; when one
// of them hangs, as late as its channel gives up.
void serving_ask(struct channel *keeper, struct channel *auditor, serving_known *known,
                 void *context);

#endif
