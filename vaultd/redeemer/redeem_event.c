// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/redeem.h"

void redeem_event(const struct redeem *redeem, enum audit_outcome outcome, const char *reason,
                  struct audit_event *ret_event) {
    const struct redeem_request *r = &redeem->request;
    struct audit_event event = {.kind = AUDIT_REDEEM,
                                .outcome = (uint8_t)outcome,
                                .operation = BYTES_LITERAL("token.redeem"),
                                .reason = bytes_of_text(reason),
                                .credential = bytes_of_text(redeem->verdict.credential),
                                .policy_set = bytes_of_text(redeem->verdict.policy_set),
                                .policies = bytes_of_text(redeem->verdict.policies),
                                .method = r->method,
                                .host = r->destination,
                                .path = r->path,
                                .model = r->model,
                                .tool = r->tool,
                                .max_tokens = r->max_tokens,
                                .source = r->source,
                                .correlation = bytes_of_text(redeem->correlation)};
    if (redeem->forwarder)
        event.forwarder = bytes_of_text(redeem->forwarder->name);
    if (redeem->claims) {
        event.tenant = redeem->claims->tenant;
        event.principal = redeem->claims->principal;
        event.client = redeem->claims->client;
        event.token_id = redeem->claims->id;
        if (redeem->claims->actor_count)
            event.actor = redeem->claims->actors[0].principal;
    }
    *ret_event = event;
}
