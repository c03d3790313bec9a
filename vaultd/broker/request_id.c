// SPDX-License-Identifier: Apache-2.0
#include "vaultd/broker/request_id.h"

#include "libvault/crypto/random.h"

static bool is_visible(struct bytes id) {
    for (size_t i = 0; i < id.size; i++)
        if (id.at[i] <= 0x20 || id.at[i] > 0x7e)
            return false;
    return id.size > 0;
}

void request_id_take(struct http_exchange *x, char id[REQUEST_ID_SIZE]) {
    struct bytes sent;
    if (http_header_find(&http_exchange_request(x)->fields, "x-request-id", &sent) == 1 &&
        is_visible(sent) && bytes_to_text(sent, id, REQUEST_ID_SIZE))
        return;
    if (!vlt_is_ok(random_text(16, id)))
        id[0] = 0;
}

struct http_header request_id_header(const char *id) {
    return HTTP_HEADER("x-request-id", bytes_of_text(id));
}
