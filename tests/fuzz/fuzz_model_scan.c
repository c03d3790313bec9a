// SPDX-License-Identifier: Apache-2.0
// The scanner against the strict parser: what the scanner accepts, the parser
// accepts with the same model, and the cut into pieces changes nothing.
#include <stdlib.h>

#include "forward/core/model_scan.h"
#include "libvault/base/jsontext.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static vlt_result scan(struct model_scan *s, struct bytes body, size_t step) {
    model_scan_init(s, "model", true);
    for (size_t i = 0; i < body.size; i += step) {
        size_t piece = body.size - i < step ? body.size - i : step;
        vlt_result result = model_scan_feed(s, bytes_of(body.at + i, piece));
        if (!vlt_is_ok(result))
            return result;
    }
    return model_scan_end(s);
}

static void compare(const struct model_scan *s, struct bytes body) {
    static const struct jsontext_limits limits = {.max_bytes = 1 << 20,
                                                  .max_depth = MODEL_SCAN_DEPTH,
                                                  .allow_duplicates = true,
                                                  .allow_nul = true};
    json_t *root = NULL;
    // Lone surrogates and huge numbers are the parser's to refuse: no
    // difference in structure.
    if (!vlt_is_ok(jsontext_parse(body, &limits, NULL, &root)))
        return;
    const json_t *model = json_object_get(root, "model");
    struct bytes found = model_scan_model(s);
    if (!model ? found.size != 0
               : !bytes_equal(found, bytes_of(json_string_value(model), json_string_length(model))))
        abort();
    json_decref(root);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct model_scan whole, bytewise;
    struct bytes body = bytes_of(at, size);
    vlt_result a = scan(&whole, body, size + 1), b = scan(&bytewise, body, 1);
    if (a.class != b.class || !bytes_equal(model_scan_tool(&whole), model_scan_tool(&bytewise)))
        abort();
    if (vlt_is_ok(a))
        compare(&whole, body);
    return 0;
}
