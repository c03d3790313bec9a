// SPDX-License-Identifier: Apache-2.0
// A token's max_tokens and a request that is not inside it. The caller knows its own
// token, so it is told what to change: no other refusal says as much.
#include <inttypes.h>
#include <stdio.h>

#include "vaultd/redeemer/redeem.h"

#define NAMES_MAX 2 // the others are other spellings

// The most that the token would permit for a request like this; 0: the number is
// not what stands against it.
static uint64_t limit_of(const struct token_claims *claims, const struct token_use *use) {
    uint64_t most = 0;
    for (size_t i = 0; i < claims->detail_count; i++) {
        struct token_use fitting = *use;
        fitting.max_tokens = claims->details[i].max_tokens;
        if (fitting.max_tokens > most && token_detail_covers(&claims->details[i], &fitting))
            most = fitting.max_tokens;
    }
    return most;
}

static void refuse_excess(struct redeem *redeem, uint64_t limit) {
    redeem->own.code = "max_tokens_exceeded";
    redeem->own_reason = "the request may produce more tokens than the token's max_tokens";
    snprintf(redeem->own_message, sizeof redeem->own_message,
             "The access token permits at most %" PRIu64
             " tokens of output, and this request may produce %" PRIu64 ".",
             limit, redeem->request.max_tokens);
}

// "a" or "b": the names that the provider gives to the limit.
static void put_names(const struct redeem *redeem, struct bytes profile_name, struct buf *out) {
    char name[RECORD_NAME_MAX + 1];
    const struct profile *profile = bytes_to_text(profile_name, name, sizeof name)
                                        ? profile_find(redeem->redeemer->profiles, name)
                                        : NULL;
    const struct profile_limit *limit =
        profile ? profile_limit_find(profile, redeem->request.path) : NULL;
    for (size_t i = 0; limit && i < limit->member_count && i < NAMES_MAX; i++) {
        const struct profile_limit_member *member = &limit->members[i];
        if (member->use != PROFILE_LIMIT_MOST)
            break; // they come first
        buf_put_text(out, i ? " or \"" : "\"");
        buf_put(out, member->parent);
        buf_put_text(out, member->parent.size ? "." : "");
        buf_put(out, member->member);
        buf_put_text(out, "\"");
    }
}

static void refuse_silence(struct redeem *redeem, uint64_t limit, struct bytes profile) {
    struct buf names;
    buf_init(&names, sizeof redeem->own_message / 2);
    put_names(redeem, profile, &names);
    const char *text = names.size ? buf_text(&names) : NULL;
    redeem->own.code = "max_tokens_required";
    redeem->own_reason = "the token has max_tokens, and the request says no such limit";
    snprintf(redeem->own_message, sizeof redeem->own_message,
             "The access token permits at most %" PRIu64
             " tokens of output, and this request sets no such limit. %s%s%s",
             limit, text ? "Set " : "", text ? text : "A request of this kind can not set one",
             text ? " to a whole number above 0; if it is set, the forwarder does not read it."
                  : ": it needs a token without max_tokens.");
    buf_done(&names);
}

vlt_result redeem_uncovered(struct redeem *redeem, const struct token_use *use,
                            struct bytes profile) {
    uint64_t limit = limit_of(redeem->claims, use);
    if (limit == 0)
        return vlt_fail(VLT_DENIED, "the token does not cover this method, path, model or tool");
    redeem->own = (struct redeem_refusal){
        .status = 403, .type = "permission_error", .message = redeem->own_message};
    if (use->max_tokens)
        refuse_excess(redeem, limit);
    else
        refuse_silence(redeem, limit, profile);
    return vlt_fail(VLT_DENIED, redeem->own_reason);
}
