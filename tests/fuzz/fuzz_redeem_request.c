// SPDX-License-Identifier: Apache-2.0
// The body of POST /v1/redeem: what a forwarder, or whoever took one over, sends.
#include <stdlib.h>

#include "libvault/http/http_path.h"
#include "vaultd/redeemer/redeem_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct fault fault = {0};
    struct redeem_request request;
    vlt_result result = redeem_request_parse(bytes_of(input, size), &fault, &request);
    if (!vlt_is_ok(result)) {
        if (!fault_or_reason(&fault, result)[0])
            abort(); // a refusal says why
        return 0;
    }
    uint8_t room[4096];
    struct bytes path;
    // What passed is within its limits, and the path has one spelling.
    if (!request.token.size || !request.destination.size || request.destination.size > 255 ||
        !request.method.size ||
        !vlt_is_ok(http_path_normalise(request.path, room, sizeof room, &path)) ||
        !bytes_equal(path, request.path))
        abort();
    redeem_request_done(&request);
    return 0;
}
