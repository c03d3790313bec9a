// SPDX-License-Identifier: Apache-2.0
// What a redeem was granted on, as a text that goes to the forwarder with the
// answer and comes back with POST /v1/standing: does what began with it still
// stand? So nobody keeps a list of open requests but the forwarder that has them,
// and no token lies around for that.
//
// No secret and no authority: who holds a grant can ask about it, and only an
// enrolled forwarder may ask. What it says about itself is believed; a forwarder
// that changes it misleads itself.
#ifndef VLT_REDEEMER_GRANT_H
#define VLT_REDEEMER_GRANT_H

#include "libvault/token/token_verify.h"

// Longest text of a grant. Every field comes from one token.
#define GRANT_TEXT_MAX 8192

struct grant { // views
    struct bytes tenant, id, principal, client;
    struct bytes kid; // of the key that signed the token
    struct bytes actors[TOKEN_ACTORS_MAX];
    size_t actor_count;
    struct bytes credential;                     // the one that was given out
    uint64_t created_at;                         // when it was created; 0: not known
    struct bytes credentials[TOKEN_DETAILS_MAX]; // all that the token names
    size_t credential_count;
    int64_t issued_at; // the token
};

// A new text, to be freed. NULL: out of memory, or longer than GRANT_TEXT_MAX.
char *grant_text_new(const struct token_claims *claims, const char *kid, const char *credential,
                     uint64_t created_at);
// The views point into `room` (text.size bytes). VLT_MALFORMED: not such a text,
// or one of another version.
vlt_result grant_parse(struct bytes text, uint8_t *room, struct grant *ret_grant) VLT_MUST_USE;

#endif
