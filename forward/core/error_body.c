// SPDX-License-Identifier: Apache-2.0
#include "forward/core/error_body.h"

#include <stdio.h>

#include "forward/core/json_put.h"

static const struct {
    unsigned status;
    const char *type, *google; // google.rpc.Code
} kinds[] = {
    {400, "invalid_request_error", "INVALID_ARGUMENT"},
    {401, "authentication_error", "UNAUTHENTICATED"},
    {402, "billing_error", "FAILED_PRECONDITION"},
    {403, "permission_error", "PERMISSION_DENIED"},
    {404, "not_found_error", "NOT_FOUND"},
    {413, "request_too_large", "INVALID_ARGUMENT"},
    {415, "invalid_request_error", "INVALID_ARGUMENT"},
    {429, "rate_limit_error", "RESOURCE_EXHAUSTED"},
    {502, "api_error", "UNAVAILABLE"},
    {503, "overloaded_error", "UNAVAILABLE"},
};

const char *error_type(unsigned status) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].status == status)
            return kinds[i].type;
    return status < 500 ? "invalid_request_error" : "api_error";
}

static const char *google_status(unsigned status) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].status == status)
            return kinds[i].google;
    return status < 500 ? "INVALID_ARGUMENT" : "INTERNAL";
}

void error_body_put(struct wire_writer *w, enum profile_errors shape, unsigned status,
                    struct bytes type, struct bytes code, struct bytes message) {
    char number[16];
    if (shape == PROFILE_ERRORS_GOOGLE) {
        snprintf(number, sizeof number, "%u", status);
        json_put_raw(w, "{\"error\":{\"code\":");
        json_put_raw(w, number);
        json_put_raw(w, ",\"message\":");
        json_put_text(w, message);
        json_put_raw(w, ",\"status\":\"");
        json_put_raw(w, google_status(status));
        json_put_raw(
            w,
            "\",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":");
        json_put_text(w, code);
        json_put_raw(w, ",\"domain\":\"vault\"}]}}\n");
        return;
    }
    json_put_raw(w, "{\"type\":\"error\",\"error\":{\"type\":");
    json_put_text(w, type.size ? type : bytes_of_text(error_type(status)));
    json_put_raw(w, ",\"message\":");
    json_put_text(w, message);
    json_put_raw(w, ",\"code\":");
    json_put_text(w, code);
    json_put_raw(w, ",\"param\":null}}\n");
}
