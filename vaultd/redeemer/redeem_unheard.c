// SPDX-License-Identifier: Apache-2.0
// The vault is sealed or the keeper is away: nobody decides, and nobody but us can say
// so in the log. Whose token it was is in the grant that the answer would have had; what
// the caches lent is gone by now.
#include "vaultd/redeemer/grant.h"
#include "vaultd/redeemer/redeem.h"

static void describe(const struct grant *grant, struct audit_event *event) {
    event->tenant = grant->tenant;
    event->principal = grant->principal;
    event->client = grant->client;
    event->token_id = grant->id;
    if (grant->actor_count)
        event->actor = grant->actors[0];
}

void redeem_refuse_unheard(struct redeem *redeem, vlt_result why) {
    uint8_t room[GRANT_TEXT_MAX];
    struct grant grant;
    struct audit_event event;
    redeem->claims = NULL;
    redeem->forwarder = NULL;
    redeem_event(redeem, AUDIT_ERROR, why.reason, &event);
    event.forwarder = bytes_of_text(redeem->forwarder_name);
    if (vlt_is_ok(grant_parse(bytes_of_text(redeem->grant), room, &grant)))
        describe(&grant, &event);
    redeem_refuse_with(redeem, &redeem_refusal_unavailable, &event);
}
