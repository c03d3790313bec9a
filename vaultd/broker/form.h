// SPDX-License-Identifier: Apache-2.0
// A form body of an OAuth request: media type, encoding, and no parameter twice
// (RFC 6749 section 3.2), but for those that a standard allows to repeat.
#ifndef VLT_BROKER_FORM_H
#define VLT_BROKER_FORM_H

#include "libvault/base/fault.h"
#include "libvault/http/http_path.h"
#include "vaultd/net/http_server.h"

struct oauth_form {
    uint8_t *storage; // owned
    struct http_form form;
};
// VLT_MALFORMED or VLT_LIMIT; the fault is an error_description that names the
// parameter.
vlt_result oauth_form_read(struct http_exchange *x, struct fault *fault,
                           struct oauth_form *ret_form) VLT_MUST_USE;
void oauth_form_done(struct oauth_form *form);
// Empty when absent: RFC 6749 treats a parameter without a value as omitted.
struct bytes oauth_form_get(const struct oauth_form *form, const char *name);

#endif
