// SPDX-License-Identifier: Apache-2.0
// What a request brings: its JSON body, its query, its If-Match. The first
// mistake sticks with the status and the field to be named; read everything,
// then ask body_refused once.
#ifndef VLT_ADMIN_BODY_H
#define VLT_ADMIN_BODY_H

#include <jansson.h>

#include "libvault/base/fault.h"
#include "libvault/base/jsontext.h"
#include "vaultd/net/http_server.h"

struct body {
    json_t *root;    // owned; an empty object when the request has no body
    unsigned status; // of the refusal; 0: none yet
    char field[96];
    struct fault fault;
};

// Needs Content-Type application/json and an object with no members but those
// of the NULL-terminated list (NULL: the caller gives the object to a parser that
// refuses unknown ones). Always followed by body_done.
void body_open(const struct http_request *request, const struct jsontext_limits *limits,
               const char *const *members, struct body *ret_body);
void body_done(struct body *body);
// Replies when something was wrong; the caller then stops.
bool body_refused(const struct body *body, struct http_exchange *x);
void body_refuse(struct body *body, unsigned status, const char *field, const char *format, ...)
    VLT_PRINTF(4, 5);

// What a record's parser found: its sentence begins with, or quotes, the member.
void body_refuse_fault(struct body *body, vlt_result result, const struct fault *fault);

bool body_has(const struct body *body, const char *member);
// NULL when absent (a mistake when required) or of another type. At most
// max_bytes, no control characters but, with `lines`, line ends and tabs.
enum body_need { BODY_OPTIONAL, BODY_REQUIRED };
const char *body_text(struct body *body, const char *member, enum body_need need, size_t max_bytes);
bool body_flag(struct body *body, const char *member, bool otherwise);
int64_t body_number(struct body *body, const char *member, int64_t min, int64_t max,
                    int64_t otherwise);
// Borrowed; NULL when absent.
const json_t *body_array(struct body *body, const char *member, enum body_need need, size_t max);
const json_t *body_object(struct body *body, const char *member);

// A query: names in a NULL-terminated list, each at most once. Values are copied
// into `texts`, one for each name, NULL when absent. Refuses like a body.
#define QUERY_TEXT_SIZE 513
void query_read(struct body *body, const struct http_request *request, const char *const *names,
                char (*texts)[QUERY_TEXT_SIZE]);
uint64_t query_number(struct body *body, const char *name, const char *text, uint64_t max,
                      uint64_t otherwise);

// If-Match: a single strong ETag of ours; 0 when absent.
uint64_t if_match_read(struct body *body, const struct http_request *request);

#endif
