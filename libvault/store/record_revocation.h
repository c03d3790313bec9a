// SPDX-License-Identifier: Apache-2.0
// STORE_REVOKED_TOKEN and STORE_REVOKED_RULE: what ends tokens before they
// expire. A rule ends every token of that principal, client or credential that
// was issued at or before its time.
#ifndef VLT_STORE_RECORD_REVOCATION_H
#define VLT_STORE_RECORD_REVOCATION_H

#include "libvault/store/store.h"

enum record_revocation_kind {
    RECORD_REVOKE_TOKEN = 1,
    RECORD_REVOKE_PRINCIPAL,
    RECORD_REVOKE_CLIENT,
    RECORD_REVOKE_CREDENTIAL
};

struct record_revocation_query {
    uint32_t tenant;
    struct bytes jti, principal, client, credential;
    struct bytes actors[4];
    size_t actor_count;
    int64_t issued_at;
};
// Within an open snapshot. true in *ret_revoked when any entry ends this token.
vlt_result record_is_revoked(struct store *store, const struct record_revocation_query *query,
                             bool *ret_revoked) VLT_MUST_USE;
// Within an open snapshot: until when the rule ends what was issued; 0: there is none.
vlt_result record_rule_until(struct store *store, uint32_t tenant,
                             enum record_revocation_kind kind, struct bytes value,
                             int64_t *ret_until) VLT_MUST_USE;
// Builds the change that records a revocation; `room` holds the name and value
// (STORE_NAME_MAX + 16 bytes) and must live until the commit.
vlt_result record_revocation_change(uint32_t tenant, enum record_revocation_kind kind,
                                    struct bytes value, int64_t until_or_issued_at, uint8_t *room,
                                    struct store_change *ret_change) VLT_MUST_USE;
// The time that a stored revocation carries (clean-up of what is over).
vlt_result record_revocation_time(struct bytes value, int64_t *ret_at) VLT_MUST_USE;

// Emergency rotation of the keys that sign tokens: no token that was issued at or
// before this time is good any more. The keys themselves are gone; this is for what
// began with a token that has expired since.
vlt_result record_tokens_ended_change(int64_t now_s, uint8_t room[8],
                                      struct store_change *ret_change) VLT_MUST_USE;
// Within an open snapshot. 0: there was no emergency.
vlt_result record_tokens_ended_at(struct store *store, int64_t *ret_at) VLT_MUST_USE;

#endif
