// SPDX-License-Identifier: Apache-2.0
// Answers of the Admin API: JSON with the record's revision as ETag, and RFC
// 9457 problems that name the field at fault. Each ends its exchange.
#ifndef VLT_ADMIN_ANSWER_H
#define VLT_ADMIN_ANSWER_H

#include <jansson.h>

#include "libvault/base/fault.h"
#include "vaultd/net/http_server.h"

// Takes body. revision 0: no ETag.
void answer_json(struct http_exchange *x, unsigned status, json_t *body, uint64_t revision);
// `field` may be NULL.
void answer_problem(struct http_exchange *x, unsigned status, const char *field,
                    const char *format, ...) VLT_PRINTF(4, 5);
// The same with "faults", an array of {document, line, column, detail} (taken).
void answer_faults(struct http_exchange *x, unsigned status, const char *field, const char *detail,
                   json_t *faults);
// 401 with the challenge that RFC 6750 asks for.
void answer_unauthenticated(struct http_exchange *x, const char *detail);
// For a failed result: 400, 403, 404, 409, 413, 503, 500 with the fault's text.
void answer_failure(struct http_exchange *x, vlt_result result, const struct fault *fault,
                    const char *field);
unsigned answer_status(enum vlt_class class);

#endif
