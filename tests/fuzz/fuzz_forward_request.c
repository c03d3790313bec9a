// SPDX-License-Identifier: Apache-2.0
// What clients send: paths, queries, carriers and the head for the provider.
// After a rewrite no carrier is left and the credential stands there once.
#include <stdlib.h>

#include "forward/core/carrier.h"
#include "forward/core/head.h"
#include "forward/core/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size);

static void rewrite(struct bytes head) {
    const struct answer answer = {
        .inject_count = 1,
        .inject = {{.name = BYTES_LITERAL("authorization"), .value = BYTES_LITERAL("S")}}};
    static const struct head_strip strip;
    size_t space = bytes_find(head, ' ');
    struct bytes target = bytes_from(head, space + 1);
    target.size = bytes_find(target, ' ');
    const struct head_change change = {.method = bytes_of(head.at, space),
                                       .path = bytes_of(target.at, bytes_find(target, '?')),
                                       .host = BYTES_LITERAL("h"),
                                       .answer = &answer,
                                       .strip = &strip};
    size_t capacity = head_capacity(head, &change);
    uint8_t *room = malloc(capacity);
    struct wire_writer w;
    wire_writer_init(&w, room, capacity);
    vlt_result result = head_rewrite(head, &change, &w);
    if (result.class == VLT_LIMIT)
        abort(); // head_capacity is an upper bound
    struct bytes rest = bytes_of(room, w.size);
    unsigned count = 0;
    while (vlt_is_ok(result) && rest.size) {
        size_t end = bytes_find(rest, '\n');
        struct bytes line = bytes_of(rest.at, end);
        rest = bytes_from(rest, end + 1);
        if (carrier_is_stripped(bytes_of(line.at, bytes_find(line, ':'))))
            count++;
    }
    if (vlt_is_ok(result) && count != 1)
        abort();
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t size) {
    struct bytes input = bytes_of(at, size), token, value, model;
    enum carrier_scheme scheme;
    uint8_t *room = malloc(size + 1);
    unsigned count;
    size_t left;
    (void)!vlt_is_ok(carrier_authorization(input, room, &token, &scheme));
    if (carrier_take_element(input, "k.", room, &left, &token) && left > size)
        abort();
    (void)carrier_in_query(input, "key", &value, &count);
    if (route_path_is_plain(input) && route_model("/*/models/{model}:*", input, &model) &&
        !model.size)
        abort();
    rewrite(input);
    free(room);
    return 0;
}
