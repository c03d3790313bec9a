// SPDX-License-Identifier: Apache-2.0
// Errors in the shape that a provider's SDK turns into its own exceptions.
#ifndef VLT_FORWARD_ERROR_BODY_H
#define VLT_FORWARD_ERROR_BODY_H

#include "forward/core/profile.h"
#include "libvault/base/wire.h"

#define ERROR_BODY_MAX 4096

// The usual type for a status: "authentication_error" for 401, …
const char *error_type(unsigned status);
// OpenAI and Anthropic share one shape; Google has its own (google.rpc.Status).
void error_body_put(struct wire_writer *w, enum profile_errors shape, unsigned status,
                    struct bytes type, struct bytes code, struct bytes message);

#endif
