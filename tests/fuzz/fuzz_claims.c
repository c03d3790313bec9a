// SPDX-License-Identifier: Apache-2.0
// Aims at token_claims_get (first byte even) and at claims_read over strict JSON
// (first byte odd). What is taken must hold token_claims_check and survive the
// way through the other form.
#include <stdlib.h>

#include "libvault/base/jsontext.h"
#include "libvault/token/claims_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static void must(bool holds) {
    if (!holds)
        abort();
}

static void check(const struct token_claims *claims) {
    static uint8_t room[65536];
    struct token_claims back;
    struct wire_writer w;
    struct buf json;
    must(vlt_is_ok(token_claims_check(claims)));
    wire_writer_init(&w, room, sizeof room);
    token_claims_put(&w, claims);
    must(!w.failed && vlt_is_ok(token_claims_get(bytes_of(room, w.size), &back)));
    buf_init(&json, 2 * TOKEN_PAYLOAD_MAX);
    vlt_result result = token_claims_json(claims, &json);
    must(vlt_is_ok(result) || result.class == VLT_LIMIT);
    buf_done(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct token_claims claims;
    json_t *root = NULL;
    if (!size)
        return 0;
    struct bytes rest = bytes_of(at + 1, size - 1);
    if (!(at[0] & 1)) {
        if (vlt_is_ok(token_claims_get(rest, &claims)))
            check(&claims);
        return 0;
    }
    if (!vlt_is_ok(jsontext_parse(rest, &jsontext_token_limits, NULL, &root)))
        return 0;
    if (json_is_object(root) && vlt_is_ok(claims_read(root, &claims)))
        check(&claims);
    json_decref(root);
    return 0;
}
