// SPDX-License-Identifier: Apache-2.0
#include "libvault/store/record_revocation.h"

#include "libvault/crypto/digest.h"

#define TOKENS_ENDED_NAME "tokens_ended" // STORE_META
#define RULE_VALUE_PLAIN_MAX 255
#define RULE_HASHED 0x80 // in the kind byte: the rest is SHA-256 of the value

// Principals may be longer than a key: those are filed under their hash.
static vlt_result rule_name(enum record_revocation_kind kind, struct bytes value,
                            uint8_t room[STORE_NAME_MAX], struct bytes *ret_name) {
    if (value.size <= RULE_VALUE_PLAIN_MAX) {
        room[0] = (uint8_t)kind;
        if (value.size)
            memcpy(room + 1, value.at, value.size);
        *ret_name = bytes_of(room, 1 + value.size);
        return vlt_ok();
    }
    room[0] = (uint8_t)kind | RULE_HASHED;
    VLT_TRY(digest_sha256(value, room + 1));
    *ret_name = bytes_of(room, 1 + DIGEST_SHA256_SIZE);
    return vlt_ok();
}

vlt_result record_revocation_time(struct bytes value, int64_t *ret_at) {
    struct wire_reader r;
    wire_reader_init(&r, value);
    uint64_t at = wire_get_u64(&r);
    VLT_TRY(wire_reader_end(&r));
    if (at > INT64_MAX)
        return vlt_fail(VLT_MALFORMED, "the time of a revocation is damaged");
    *ret_at = (int64_t)at;
    return vlt_ok();
}

vlt_result record_rule_until(struct store *store, uint32_t tenant,
                             enum record_revocation_kind kind, struct bytes value,
                             int64_t *ret_until) {
    uint8_t room[STORE_NAME_MAX];
    struct bytes name, found;
    VLT_TRY(rule_name(kind, value, room, &name));
    vlt_result result = store_get(store, tenant, STORE_REVOKED_RULE, name, &found, NULL);
    if (result.class == VLT_NOT_FOUND) {
        *ret_until = 0;
        return vlt_ok();
    }
    VLT_TRY(result);
    return record_revocation_time(found, ret_until);
}

// Does a rule of this kind end a token of this age?
static vlt_result check_rule(struct store *store, const struct record_revocation_query *query,
                             enum record_revocation_kind kind, struct bytes value,
                             bool *ret_revoked) {
    int64_t until = 0;
    if (value.size == 0 || *ret_revoked)
        return vlt_ok();
    VLT_TRY(record_rule_until(store, query->tenant, kind, value, &until));
    *ret_revoked = until && query->issued_at <= until;
    return vlt_ok();
}

vlt_result record_is_revoked(struct store *store, const struct record_revocation_query *query,
                             bool *ret_revoked) {
    bool is_revoked = false;
    struct bytes value;
    if (query->jti.size > 0) {
        vlt_result result =
            store_get(store, query->tenant, STORE_REVOKED_TOKEN, query->jti, &value, NULL);
        if (result.class != VLT_NOT_FOUND)
            VLT_TRY(result);
        is_revoked = vlt_is_ok(result);
    }
    VLT_TRY(check_rule(store, query, RECORD_REVOKE_PRINCIPAL, query->principal, &is_revoked));
    VLT_TRY(check_rule(store, query, RECORD_REVOKE_CLIENT, query->client, &is_revoked));
    VLT_TRY(check_rule(store, query, RECORD_REVOKE_CREDENTIAL, query->credential, &is_revoked));
    // An agent whose authority ended may not go on under a user's name.
    for (size_t i = 0; i < query->actor_count; i++)
        VLT_TRY(check_rule(store, query, RECORD_REVOKE_PRINCIPAL, query->actors[i], &is_revoked));
    *ret_revoked = is_revoked;
    return vlt_ok();
}

vlt_result record_revocation_change(uint32_t tenant, enum record_revocation_kind kind,
                                    struct bytes value, int64_t until_or_issued_at, uint8_t *room,
                                    struct store_change *ret_change) {
    if (kind < RECORD_REVOKE_TOKEN || kind > RECORD_REVOKE_CREDENTIAL)
        return vlt_fail(VLT_MALFORMED, "there is no such kind of revocation");
    if (value.size == 0 || until_or_issued_at < 0)
        return vlt_fail(VLT_MALFORMED, "a revocation names nobody or has no time");
    if (kind == RECORD_REVOKE_TOKEN && value.size > STORE_NAME_MAX)
        return vlt_fail(VLT_LIMIT, "the identifier of a token is too long");
    struct bytes name = bytes_of(room, value.size);
    if (kind == RECORD_REVOKE_TOKEN)
        memcpy(room, value.at, value.size);
    else
        VLT_TRY(rule_name(kind, value, room, &name));
    struct wire_writer w;
    wire_writer_init(&w, room + STORE_NAME_MAX, 8);
    wire_put_u64(&w, (uint64_t)until_or_issued_at);
    *ret_change = (struct store_change){.tenant = tenant,
                                        .class = kind == RECORD_REVOKE_TOKEN ? STORE_REVOKED_TOKEN
                                                                             : STORE_REVOKED_RULE,
                                        .name = name,
                                        .value = bytes_of(w.at, w.size),
                                        .expected_revision = STORE_ANY_REVISION};
    return vlt_ok();
}

vlt_result record_tokens_ended_change(int64_t now_s, uint8_t room[8],
                                      struct store_change *ret_change) {
    struct wire_writer w;
    if (now_s < 0)
        return vlt_fail(VLT_MALFORMED, "a time before 1970");
    wire_writer_init(&w, room, 8);
    wire_put_u64(&w, (uint64_t)now_s);
    *ret_change = (struct store_change){.tenant = STORE_SYSTEM_TENANT,
                                        .class = STORE_META,
                                        .name = BYTES_LITERAL(TOKENS_ENDED_NAME),
                                        .value = bytes_of(w.at, w.size),
                                        .expected_revision = STORE_ANY_REVISION};
    return vlt_ok();
}

vlt_result record_tokens_ended_at(struct store *store, int64_t *ret_at) {
    struct bytes value;
    vlt_result result = store_get(store, STORE_SYSTEM_TENANT, STORE_META,
                                  BYTES_LITERAL(TOKENS_ENDED_NAME), &value, NULL);
    if (result.class == VLT_NOT_FOUND) {
        *ret_at = 0;
        return vlt_ok();
    }
    VLT_TRY(result);
    return record_revocation_time(value, ret_at);
}
