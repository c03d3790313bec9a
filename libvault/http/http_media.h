// SPDX-License-Identifier: Apache-2.0
// Media types (RFC 9110 section 8.3.1) and the scheme of Authorization fields.
#ifndef VLT_HTTP_HTTP_MEDIA_H
#define VLT_HTTP_HTTP_MEDIA_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

#define HTTP_MEDIA_PARAMETERS_MAX 4
struct http_media {
    struct bytes type, subtype; // as sent: compare without case
    size_t count;
    struct {
        struct bytes name, value; // a quoted value without its quotes; it holds no escape
    } parameters[HTTP_MEDIA_PARAMETERS_MAX];
};

// VLT_MALFORMED, or VLT_LIMIT for more parameters than there is room for.
vlt_result http_media_parse(struct bytes text, struct http_media *ret_media) VLT_MUST_USE;
// Is `text` this type ("application/json"), with no parameter but charset=utf-8?
bool http_media_is(struct bytes text, const char *type_and_subtype);

// Splits "DPoP eyJ…" (RFC 9110 section 11.4, token68 form): scheme is compared
// without case by the caller. VLT_MALFORMED for anything but token, one or more
// spaces, token68.
vlt_result http_authorization_parse(struct bytes value, struct bytes *ret_scheme,
                                    struct bytes *ret_token68) VLT_MUST_USE;

#endif
