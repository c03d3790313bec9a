// SPDX-License-Identifier: Apache-2.0
// A grant that comes back from a forwarder, or from whoever took one over. The text
// is made of the input, so that the fuzzer need not learn base64url.
#include <stdlib.h>

#include "libvault/base/b64u.h"
#include "vaultd/redeemer/grant.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    struct grant grant;
    uint8_t *room = malloc(B64U_SIZE(size) + 1);
    char *text = malloc(B64U_SIZE(size) + 1);
    if (!room || !text)
        abort();
    b64u_encode_text(bytes_of(input, size), text);
    if (vlt_is_ok(grant_parse(bytes_of_text(text), room, &grant)) &&
        (!grant.tenant.size || !grant.credential.size || grant.actor_count > TOKEN_ACTORS_MAX ||
         grant.credential_count > TOKEN_DETAILS_MAX || grant.principal.size > TOKEN_PRINCIPAL_MAX))
        abort();
    (void)!vlt_is_ok(grant_parse(bytes_of(input, size), room, &grant));
    free(text);
    free(room);
    return 0;
}
