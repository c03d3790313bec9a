// SPDX-License-Identifier: Apache-2.0
#include "vaultd/broker/form.h"

#include <stdlib.h>

#include "libvault/http/http_media.h"

static bool may_repeat(struct bytes name) {
    return bytes_equal_text(name, "resource") ||
           bytes_equal_text(name, "audience"); // RFC 8693 section 2.1
}

static vlt_result check_repeated(const struct http_form *form, struct fault *fault) {
    for (size_t i = 0; i < form->count; i++)
        for (size_t k = 0; k < i; k++) {
            struct bytes name = form->parameters[i].name;
            if (bytes_equal(name, form->parameters[k].name) && !may_repeat(name))
                return fault_set(fault, VLT_MALFORMED, "a parameter is repeated",
                                 "%.*s is there twice", (int)(name.size < 64 ? name.size : 64),
                                 (const char *)name.at);
        }
    return vlt_ok();
}

vlt_result oauth_form_read(struct http_exchange *x, struct fault *fault,
                           struct oauth_form *ret_form) {
    const struct http_request *request = http_exchange_request(x);
    struct oauth_form form = {0};
    struct bytes media;
    if (http_header_find(&request->fields, "content-type", &media) != 1 ||
        !http_media_is(media, "application/x-www-form-urlencoded"))
        return fault_set(fault, VLT_MALFORMED, "not a form",
                         "Content-Type must be application/x-www-form-urlencoded");
    form.storage = malloc(request->body.size + 1);
    if (!form.storage)
        return vlt_fail(VLT_UNAVAILABLE, "out of memory");
    vlt_result result =
        http_form_parse(request->body, form.storage, request->body.size, &form.form);
    if (vlt_is_ok(result))
        result = check_repeated(&form.form, fault);
    if (!vlt_is_ok(result)) {
        free(form.storage);
        return result;
    }
    *ret_form = form;
    return vlt_ok();
}

void oauth_form_done(struct oauth_form *form) {
    free(form->storage);
    *form = (struct oauth_form){0};
}

struct bytes oauth_form_get(const struct oauth_form *form, const char *name) {
    struct bytes value = {NULL, 0};
    http_form_find(&form->form, name, &value);
    return value;
}
