// SPDX-License-Identifier: Apache-2.0
// May this principal, through this actor, have a token for each credential that
// it asks for? One policy question for each.
#include <stdio.h>

#include "libvault/base/clock.h"
#include "libvault/token/token_scope.h"
#include "vaultd/broker/exchange.h"
#include "vaultd/view/credential_view.h"

static struct decide_party party_of(const struct subject *subject) {
    return (struct decide_party){subject->principal, subject->kind, subject->groups,
                                 subject->group_count, &subject->traits};
}

// The one who acts now: of the actor token, or the outermost `act`, of whom we
// know no groups.
static struct decide_party actor_of(const struct exchange *e) {
    return e->actor ? party_of(e->actor)
                    : (struct decide_party){.principal = e->actors[0].principal,
                                            .kind = e->actors[0].kind};
}

static void shorten(uint32_t *lifetime_s, int64_t limit_s) {
    if (limit_s < (int64_t)*lifetime_s)
        *lifetime_s = limit_s > 0 ? (uint32_t)limit_s : 0;
}

// ---- Limits that the subject token itself carries (RFC 9396 section 9) ----

static bool narrow_to_item(struct token_detail *requested, const json_t *item) {
    struct token_detail allowed[TOKEN_DETAILS_MAX], narrowed;
    size_t count;
    json_t *one = json_array();
    bool is_inside = json_array_append(one, (json_t *)(uintptr_t)item) == 0 &&
                     vlt_is_ok(token_details_of_json(one, NULL, allowed, &count)) &&
                     vlt_is_ok(token_detail_narrow(requested, &allowed[0], &narrowed));
    json_decref(one);
    if (is_inside)
        *requested = narrowed; // its texts are the subject token's, or the request's
    return is_inside;
}

static bool narrow_to_token(const struct subject *subject, struct token_detail *requested) {
    bool has_limits = false;
    for (size_t i = 0; i < json_array_size(subject->authorization_details); i++) {
        const json_t *item = json_array_get(subject->authorization_details, i);
        const char *type = json_string_value(json_object_get(item, "type"));
        if (!type || strcmp(type, TOKEN_DETAIL_TYPE) != 0)
            continue; // another API's business
        has_limits = true;
        if (narrow_to_item(requested, item))
            return true;
    }
    return !has_limits;
}

// ---- One credential ----

static const struct oauth_error *permit_one(struct exchange *e, struct token_detail *detail,
                                            const char **ret_reason) {
    struct credential_view view;
    *ret_reason = "beyond the authorization_details of the subject token";
    if (!narrow_to_token(e->subject, detail))
        return &oauth_denied;
    vlt_result result =
        credential_view_read(e->broker->store, e->tenant.number, detail->credential, &view);
    *ret_reason = result.reason;
    if (!vlt_is_ok(result))
        return result.class == VLT_UNAVAILABLE ? &oauth_unavailable : &oauth_denied;
    struct decide_party actor = actor_of(e);
    struct decide_question question = {.action = DECIDE_ISSUE,
                                       .tenant = bytes_of_text(e->tenant_name),
                                       .subject = party_of(e->subject),
                                       .actor = e->actor_count ? &actor : NULL,
                                       .credential = detail->credential,
                                       .profile = view.profile,
                                       .hosts = view.hosts,
                                       .host_count = view.host_count,
                                       .source = bytes_of_text(http_exchange_peer(e->x)->address),
                                       .client = exchange_client(e),
                                       .now_s = clock_now_s(),
                                       .is_bound = e->binding != TOKEN_BEARER,
                                       .detail = detail,
                                       .lifetime_s = e->lifetime_s};
    struct decide_answer answer;
    decide(e->broker->decider, &e->active, &question, &answer);
    policy_words_join(e->policies, answer.policies);
    if (answer.lifetime_s)
        shorten(&e->lifetime_s, answer.lifetime_s);
    static char reason[sizeof answer.reason]; // read by the caller before the next request
    snprintf(reason, sizeof reason, "%s", answer.reason);
    *ret_reason = reason;
    if (!answer.is_allowed)
        return &oauth_denied;
    *ret_reason =
        "no permitting policy allows a token that is not bound to a key: send a DPoP proof";
    return e->binding == TOKEN_BEARER && !answer.allows_bearer ? &oauth_denied : NULL;
}

const struct oauth_error *exchange_permit(struct exchange *e, const char **ret_reason) {
    struct fault fault = {0};
    vlt_result result = policy_cache_get(e->broker->policies, e->broker->store, e->tenant.number,
                                         &fault, &e->active);
    *ret_reason = result.reason;
    if (!vlt_is_ok(result))
        return result.class == VLT_NOT_FOUND ? &oauth_denied : &oauth_unavailable;
    int64_t now = clock_now_s();
    e->lifetime_s = e->broker->token_lifetime_s;
    shorten(&e->lifetime_s, e->subject->expires_at - now);
    if (e->actor)
        shorten(&e->lifetime_s, e->actor->expires_at - now);
    e->policies[0] = 0;
    for (size_t i = 0; i < e->details.count; i++) {
        const struct oauth_error *error = permit_one(e, &e->details.items[i], ret_reason);
        if (error)
            return error;
    }
    *ret_reason = "the subject token is about to expire";
    return e->lifetime_s ? NULL : &oauth_denied;
}
