// SPDX-License-Identifier: Apache-2.0
// Which credential of the token serves this destination. The keeper looks again:
// this is for the choice, for the policies and for a good reason in the log.
#include "vaultd/redeemer/redeem.h"

#include "libvault/token/token_scope.h"

static vlt_result consider(struct redeem *redeem, const struct token_detail *detail) {
    VLT_TRY(credential_view_read(redeem->redeemer->store, redeem->tenant, detail->credential, &redeem->view));
    if (!credential_view_serves(&redeem->view, redeem->request.destination))
        return vlt_fail(VLT_DENIED, "no credential of this token may be used at that host");
    const struct token_use use = {detail->credential, redeem->request.method, redeem->request.path,
                                  redeem->request.model, redeem->request.tool};
    if (!vlt_is_ok(token_covers(redeem->claims, &use, &redeem->detail)))
        return vlt_fail(VLT_DENIED, "the token does not cover this method, path, model or tool");
    if (!bytes_to_text(detail->credential, redeem->credential, sizeof redeem->credential))
        return vlt_fail(VLT_BUG, "a credential's name is too long");
    return vlt_ok();
}

vlt_result redeem_choose(struct redeem *redeem) {
    vlt_result result = vlt_fail(VLT_DENIED, "the token covers no credential");
    for (size_t i = 0; i < redeem->claims->detail_count; i++) {
        result = consider(redeem, &redeem->claims->details[i]);
        if (vlt_is_ok(result))
            return result;
    }
    return result;
}
