// SPDX-License-Identifier: Apache-2.0
// An entry of the log as a syslog message (RFC 5424) in a frame for a stream
// (RFC 5425, 4.3: octet counting). The message is the canonical JSON of the entry.
//
//   LEN SP <110>1 TIME HOST vaultd - KIND [meta sequenceId="N"] JSON
//
// Facility 13 (log audit); severity 6 for what was allowed, 4 for what was
// denied, 3 for errors. HOST is the name of the log.
#ifndef VLT_SHIPPER_SYSLOG_FRAME_H
#define VLT_SHIPPER_SYSLOG_FRAME_H

#include "libvault/base/buf.h"

// `index` of the entry in the log: it is sequence index + 1.
void syslog_frame_put(struct buf *out, struct bytes entry, uint64_t index, const char *origin);

#endif
