// SPDX-License-Identifier: Apache-2.0
// Bodies and challenges that say what went wrong: RFC 9457 problem+json, OAuth
// 2.0 errors (RFC 6749 section 5.2), WWW-Authenticate (RFC 9110 section 11.6.1).
// Text is escaped; never pass a secret.
#ifndef VLT_HTTP_HTTP_PROBLEM_H
#define VLT_HTTP_HTTP_PROBLEM_H

#include "libvault/base/buf.h"

#define HTTP_PROBLEM_MEDIA "application/problem+json"
#define HTTP_JSON_MEDIA "application/json"

struct http_problem {
    unsigned status;
    const char *type;   // URI reference; NULL means about:blank
    const char *title;  // NULL: the status text
    const char *detail; // may be NULL
    const char *field;  // the request field or member at fault (our extension); may be NULL
    unsigned line;      // of the request document; 0: none
};
// Failure sticks in out.
void http_problem_write(const struct http_problem *problem, struct buf *out);

// {"error":…,"error_description":…}; description may be NULL. Characters that
// RFC 6749 does not allow in a description (outside %x20-21 %x23-5B %x5D-7E)
// become '?'.
void http_oauth_error_write(const char *error, const char *description, struct buf *out);

// The HTTP status for a result class: 400, 403 (also NOT_FOUND, so that both
// look alike), 409, 413, 503, 500.
unsigned http_status_of(enum vlt_class class);

// One challenge, built by appending: `DPoP error="invalid_token", algs="ES256"`.
// begin writes ", " first when out already holds a challenge.
void http_challenge_begin(struct buf *out, const char *scheme);
// `first` as true directly after begin. Value is quoted and escaped; control
// characters and non-ASCII become '?'.
void http_challenge_put(struct buf *out, bool first, const char *name, const char *value);

#endif
