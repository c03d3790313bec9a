// SPDX-License-Identifier: Apache-2.0
// Aims at what a token request carries: http_form_parse, http_form_find and
// token_details_parse over its authorization_details.
#include <stdlib.h>

#include "libvault/http/http_path.h"
#include "libvault/token/token_details.h"
#include "libvault/token/token_scope.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static void parse_details(struct bytes text) {
    struct token_details details;
    struct token_detail narrowed;
    if (!vlt_is_ok(token_details_parse(text, NULL, &details)))
        return;
    for (size_t i = 0; i < details.count; i++) {
        if (!vlt_is_ok(token_detail_check(&details.items[i])))
            abort();
        // Nothing reaches beyond itself.
        if (!vlt_is_ok(token_detail_narrow(&details.items[i], &details.items[i], &narrowed)))
            abort();
    }
    token_details_done(&details);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct http_form form;
    struct bytes details = {NULL, 0};
    uint8_t *storage = malloc(size + 1);
    if (!storage)
        abort();
    if (vlt_is_ok(http_form_parse(bytes_of(at, size), storage, size, &form))) {
        for (size_t i = 0; i < form.count; i++) {
            if (form.parameters[i].value.size > size ||
                !bytes_is_utf8(form.parameters[i].value, NULL))
                abort();
        }
        if (http_form_find(&form, "authorization_details", &details))
            parse_details(details);
    }
    parse_details(bytes_of(at, size));
    free(storage);
    return 0;
}
