// SPDX-License-Identifier: Apache-2.0
// Which credential of the token serves this destination. The keeper looks again:
// this is for the choice, for the policies and for a good reason in the log.
#include "vaultd/redeemer/redeem.h"

static vlt_result consider(struct redeem *redeem, uint32_t tenant, const struct token_detail *asked,
                           struct credential_view *ret_view,
                           const struct token_detail **ret_detail) {
    const struct redeem_request *r = &redeem->request;
    const struct token_use use = {asked->credential, r->method, r->path,
                                  r->model,          r->tool,   r->max_tokens};
    VLT_TRY(credential_view_read(redeem->redeemer->store, tenant, asked->credential, ret_view));
    if (!credential_view_serves(ret_view, r->destination))
        return vlt_fail(VLT_DENIED, "no credential of this token may be used at that host");
    if (!vlt_is_ok(token_covers(redeem->claims, &use, ret_detail)))
        return redeem_uncovered(redeem, &use, ret_view->profile);
    if (!bytes_to_text(asked->credential, redeem->verdict.credential,
                       sizeof redeem->verdict.credential))
        return vlt_fail(VLT_BUG, "a credential's name is too long");
    return vlt_ok();
}

vlt_result redeem_choose(struct redeem *redeem, uint32_t tenant, struct credential_view *ret_view,
                         const struct token_detail **ret_detail) {
    vlt_result result = vlt_fail(VLT_DENIED, "the token covers no credential");
    for (size_t i = 0; i < redeem->claims->detail_count; i++) {
        result = consider(redeem, tenant, &redeem->claims->details[i], ret_view, ret_detail);
        if (vlt_is_ok(result)) {
            redeem->own.status = 0; // stood against another of them
            return result;
        }
    }
    // What the caller can mend goes before what the other credentials are for.
    return redeem->own.status ? vlt_fail(VLT_DENIED, redeem->own_reason) : result;
}
