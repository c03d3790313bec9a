// SPDX-License-Identifier: Apache-2.0
// May this token be used for this request? Answered from what was answered before
// where nothing that matters has changed (verdict_memo.h).
#include "libvault/base/clock.h"
#include "vaultd/redeemer/redeem.h"

static struct bytes source_of(const struct redeem *redeem) {
    const struct redeem_request *r = &redeem->request;
    return r->source.size ? r->source : bytes_of_text(http_exchange_peer(redeem->x)->address);
}

static vlt_result find_tenant(struct redeem *redeem, uint32_t *ret_number) {
    struct redeemer *redeemer = redeem->redeemer;
    struct record_tenant tenant;
    if (!forwarder_serves(redeem->forwarder, redeem->claims->tenant))
        return vlt_fail(VLT_DENIED, "the forwarder does not serve this tenant");
    VLT_TRY(tenant_view_find(&redeemer->tenants, redeemer->store, redeem->claims->tenant, &tenant));
    if (tenant.disabled)
        return vlt_fail(VLT_DENIED, "the tenant is disabled");
    *ret_number = tenant.number;
    return vlt_ok();
}

// Everything but the parties, of the request and of the credential chosen for it.
static struct decide_question question_of(const struct redeem *redeem,
                                          const struct credential_view *view,
                                          const struct token_detail *detail) {
    const struct token_claims *claims = redeem->claims;
    const struct redeem_request *r = &redeem->request;
    int64_t now_s = clock_now_s();
    return (struct decide_question){.action = DECIDE_REDEEM,
                                    .tenant = claims->tenant,
                                    .credential = bytes_of_text(redeem->verdict.credential),
                                    .profile = view->profile,
                                    .hosts = view->hosts,
                                    .host_count = view->host_count,
                                    .source = source_of(redeem),
                                    .client = claims->client,
                                    .now_s = now_s,
                                    .is_bound = claims->binding != TOKEN_BEARER,
                                    .detail = detail,
                                    .lifetime_s =
                                        (uint32_t)(claims->expires_at - claims->issued_at),
                                    .method = r->method,
                                    .host = r->destination,
                                    .path = r->path,
                                    .model = r->model,
                                    .tool = r->tool,
                                    .max_tokens = r->max_tokens,
                                    .forwarder = bytes_of_text(redeem->forwarder->name),
                                    // It may be rounded up to the next second.
                                    .token_age_s = now_s > claims->issued_at
                                                       ? now_s - claims->issued_at
                                                       : 0};
}

static vlt_result ask_policies(struct redeem *redeem, uint32_t tenant,
                               const struct credential_view *view,
                               const struct token_detail *detail,
                               struct decide_answer *ret_answer) {
    struct redeemer *redeemer = redeem->redeemer;
    const struct token_claims *claims = redeem->claims;
    struct verdict *verdict = &redeem->verdict;
    struct policy_active active;
    struct fault fault = {0};
    VLT_TRY(policy_cache_get(redeemer->policies, redeemer->store, tenant, &fault, &active));
    const struct decide_party actor = {claims->actors[0].principal, claims->actors[0].kind,
                                       claims->actor_groups, claims->actor_group_count,
                                       &claims->actor_traits};
    struct decide_question question = question_of(redeem, view, detail);
    question.subject = (struct decide_party){claims->principal, claims->principal_kind,
                                             claims->groups, claims->group_count, &claims->traits};
    question.actor = claims->actor_count ? &actor : NULL;
    decide(redeemer->decider, &active, &question, ret_answer);
    memcpy(verdict->policy_set, active.hash_text, sizeof verdict->policy_set);
    memcpy(verdict->policies, ret_answer->policies, sizeof verdict->policies);
    return ret_answer->is_allowed ? vlt_ok() : vlt_fail(VLT_DENIED, ret_answer->reason);
}

// For which numbers the verdict holds: those inside the token's limit, or where a
// policy looked only the one that it saw.
static struct verdict_numbers numbers_of(const struct token_detail *detail,
                                         const struct decide_answer *answer, uint64_t asked) {
    if (answer->reads_max_tokens)
        return (struct verdict_numbers){asked, asked};
    if (detail->max_tokens)
        return (struct verdict_numbers){1, detail->max_tokens};
    return (struct verdict_numbers){0, UINT64_MAX};
}

static vlt_result judge_anew(struct redeem *redeem, bool *ret_is_momentary) {
    static struct decide_answer answer; // holds the reason; one thread
    struct credential_view view;
    const struct token_detail *detail;
    uint32_t tenant = 0;
    VLT_TRY(find_tenant(redeem, &tenant));
    VLT_TRY(redeem_choose(redeem, tenant, &view, &detail));
    VLT_TRY(ask_policies(redeem, tenant, &view, detail, &answer));
    redeem->verdict.created_at = view.created_at;
    redeem->verdict.model_required = detail->models.count > 0;
    redeem->verdict.numbers = numbers_of(detail, &answer, redeem->request.max_tokens);
    *ret_is_momentary = answer.is_momentary;
    return vlt_ok();
}

vlt_result redeem_judge(struct redeem *redeem) {
    struct redeemer *redeemer = redeem->redeemer;
    const struct redeem_request *r = &redeem->request;
    uint64_t revision = store_snapshot_revision(redeemer->store);
    const struct verdict_question question = {
        redeem->token_sha256, bytes_of_text(redeem->forwarder->name), source_of(redeem),
        r->method, r->destination, r->path, r->model, r->tool, r->max_tokens};
    bool is_momentary = false;
    if (!verdict_memo_find(redeemer->verdicts, &question, revision, &redeem->verdict)) {
        VLT_TRY(judge_anew(redeem, &is_momentary));
        if (!is_momentary)
            verdict_memo_keep(redeemer->verdicts, &question, revision, &redeem->verdict);
    }
    // Each proof must be seen; conditions that can change are asked at each use.
    redeem->may_cache = redeem->claims->binding != TOKEN_BOUND_DPOP && !is_momentary;
    return vlt_ok();
}
