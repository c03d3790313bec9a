// SPDX-License-Identifier: Apache-2.0
#include "vaultd/redeemer/grant.h"

#include <stdlib.h>

#include "libvault/base/b64u.h"

#define GRANT_VERSION 2

static void put_token(struct wire_writer *w, const struct token_claims *claims, const char *kid) {
    wire_put_u8(w, GRANT_VERSION);
    wire_put_bytes(w, claims->tenant);
    wire_put_bytes(w, claims->id);
    wire_put_bytes(w, claims->principal);
    wire_put_bytes(w, claims->client);
    wire_put_u8(w, (uint8_t)claims->actor_count);
    for (size_t i = 0; i < claims->actor_count; i++)
        wire_put_bytes(w, claims->actors[i].principal);
    wire_put_u8(w, (uint8_t)claims->detail_count);
    for (size_t i = 0; i < claims->detail_count; i++)
        wire_put_bytes(w, claims->details[i].credential);
    wire_put_u64(w, (uint64_t)claims->issued_at);
    wire_put_text(w, kid);
}

char *grant_text_new(const struct token_claims *claims, const char *kid, const char *credential,
                     uint64_t created_at) {
    uint8_t room[B64U_DECODED_MAX(GRANT_TEXT_MAX)];
    struct wire_writer w;
    wire_writer_init(&w, room, sizeof room);
    put_token(&w, claims, kid);
    wire_put_text(&w, credential);
    wire_put_u64(&w, created_at);
    char *text = w.failed ? NULL : malloc(B64U_SIZE(w.size) + 1);
    if (text)
        b64u_encode_text(bytes_of(room, w.size), text);
    return text;
}

static void get_list(struct wire_reader *r, size_t max_count, size_t max_bytes,
                     struct bytes *ret_items, size_t *ret_count) {
    size_t count = wire_get_u8(r);
    if (count > max_count)
        r->failed = true;
    for (size_t i = 0; i < count && !r->failed; i++)
        ret_items[i] = wire_get_bytes(r, max_bytes);
    *ret_count = count;
}

vlt_result grant_parse(struct bytes text, uint8_t *room, struct grant *ret_grant) {
    struct grant grant = {0};
    struct wire_reader r;
    size_t size = 0;
    VLT_TRY(b64u_decode(text, room, text.size, &size));
    wire_reader_init(&r, bytes_of(room, size));
    if (wire_get_u8(&r) != GRANT_VERSION)
        return vlt_fail(VLT_MALFORMED, "a grant of another version");
    grant.tenant = wire_get_bytes(&r, TOKEN_NAME_MAX);
    grant.id = wire_get_bytes(&r, TOKEN_NAME_MAX);
    grant.principal = wire_get_bytes(&r, TOKEN_PRINCIPAL_MAX);
    grant.client = wire_get_bytes(&r, TOKEN_CLIENT_MAX);
    get_list(&r, TOKEN_ACTORS_MAX, TOKEN_PRINCIPAL_MAX, grant.actors, &grant.actor_count);
    get_list(&r, TOKEN_DETAILS_MAX, TOKEN_NAME_MAX, grant.credentials, &grant.credential_count);
    grant.issued_at = (int64_t)wire_get_u64(&r);
    grant.kid = wire_get_bytes(&r, TOKEN_KID_SIZE - 1);
    grant.credential = wire_get_bytes(&r, TOKEN_NAME_MAX);
    grant.created_at = wire_get_u64(&r);
    VLT_TRY(wire_reader_end(&r));
    if (grant.issued_at < 0 || !grant.tenant.size || !grant.credential.size)
        return vlt_fail(VLT_MALFORMED, "a grant that names nothing");
    *ret_grant = grant;
    return vlt_ok();
}
