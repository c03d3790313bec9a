// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/redeem.h"

#include <stdio.h>

#define CREDENTIALS_SIZE (TOKEN_DETAILS_MAX * (TOKEN_NAME_MAX + 1))
#define SOURCE_SIZE 80

// What the token is for, where it was refused before one of them was chosen: who looks
// for uses of a credential finds this attempt, too.
static struct bytes credentials_of(const struct redeem *redeem, char room[CREDENTIALS_SIZE]) {
    size_t used = 0;
    if (redeem->verdict.credential[0] || !redeem->claims)
        return bytes_of_text(redeem->verdict.credential);
    for (size_t i = 0; i < redeem->claims->detail_count; i++) {
        struct bytes name = redeem->claims->details[i].credential;
        if (used + 1 + name.size > CREDENTIALS_SIZE)
            break;
        if (used)
            room[used++] = ' ';
        memcpy(room + used, name.at, name.size);
        used += name.size;
    }
    return bytes_of(room, used);
}

// The client, as the forwarder says; else whoever asked us.
static struct bytes source_of(const struct redeem *redeem, char room[SOURCE_SIZE]) {
    const struct http_peer *peer = http_exchange_peer(redeem->x);
    if (redeem->request.source.size)
        return redeem->request.source;
    if (!peer->is_unix)
        return bytes_of_text(peer->address);
    snprintf(room, SOURCE_SIZE, "unix uid %u", (unsigned)peer->uid);
    return bytes_of_text(room);
}

void redeem_event(const struct redeem *redeem, enum audit_outcome outcome, const char *reason,
                  struct audit_event *ret_event) {
    static char credentials[CREDENTIALS_SIZE], source[SOURCE_SIZE]; // one loop, one thread
    const struct redeem_request *r = &redeem->request;
    struct audit_event event = {.kind = AUDIT_REDEEM,
                                .outcome = (uint8_t)outcome,
                                .operation = bytes_of_text(redeem->operation),
                                .reason = bytes_of_text(reason),
                                .credential = credentials_of(redeem, credentials),
                                .policy_set = bytes_of_text(redeem->verdict.policy_set),
                                .policies = bytes_of_text(redeem->verdict.policies),
                                .method = r->method,
                                .host = r->destination,
                                .path = r->path,
                                .model = r->model,
                                .tool = r->tool,
                                .max_tokens = r->max_tokens,
                                .source = source_of(redeem, source),
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
