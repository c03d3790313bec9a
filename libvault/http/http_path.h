// SPDX-License-Identifier: Apache-2.0
// Percent-encoding, paths and forms (RFC 3986, WHATWG URL
// application/x-www-form-urlencoded), strict: what two decoders could read in
// two ways is refused.
#ifndef VLT_HTTP_HTTP_PATH_H
#define VLT_HTTP_HTTP_PATH_H

#include "libvault/base/bytes.h"
#include "libvault/base/result.h"

// Decodes %XX (and '+' as a space where plus_is_space). Writes at most
// text.size bytes to out; VLT_MALFORMED for '%' without two hex digits,
// VLT_LIMIT when it does not fit.
vlt_result http_percent_decode(struct bytes text, bool plus_is_space, uint8_t *out,
                               size_t capacity, size_t *ret_size) VLT_MUST_USE;

// The one spelling of a path (RFC 3986 section 6.2.2): unreserved characters
// decoded, hex digits upper case, dot segments removed. VLT_MALFORMED for a
// path that does not begin with '/', that leaves the root, for "//", '\',
// control characters, non-ASCII and for %2F %5C %00 and other encoded control
// characters. VLT_LIMIT beyond capacity. A path that is already normal is
// returned as it is, without copying; else *ret_path views `out`.
vlt_result http_path_normalise(struct bytes path, uint8_t *out, size_t capacity,
                               struct bytes *ret_path) VLT_MUST_USE;

// Decoded parameters of a form body or a query.
#define HTTP_FORM_PARAMETERS_MAX 64
struct http_form {
    size_t count;
    struct http_form_parameter {
        struct bytes name, value; // views of the caller's `storage`
    } parameters[HTTP_FORM_PARAMETERS_MAX];
};

// `storage` needs text.size bytes and must outlive the form. Empty text is a
// form without parameters. VLT_MALFORMED: broken percent-encoding, a parameter
// without name, NUL in a name or value, bytes that are not UTF-8; VLT_LIMIT:
// more than HTTP_FORM_PARAMETERS_MAX.
vlt_result http_form_parse(struct bytes text, uint8_t *storage, size_t capacity,
                           struct http_form *ret_form) VLT_MUST_USE;
// How many parameters have this name (case-sensitive); *ret_value (may be NULL)
// is the first, untouched when there is none. OAuth: more than one is an error
// (RFC 6749 section 3.2), except where a standard allows it (resource, audience).
unsigned http_form_find(const struct http_form *form, const char *name,
                        struct bytes *ret_value);

#endif
