// SPDX-License-Identifier: Apache-2.0
// The claims of our access token (RFC 9068 at+jwt, RFC 9396 authorization_details
// of type credential_use, RFC 8693 act, RFC 7800 cnf), as typed fields.
//
// On the wire (broker to keeper) they are wire_* fields, so that the keeper
// parses no JSON before it has verified its own signature. All views are
// borrowed from whatever was decoded.
#ifndef VLT_TOKEN_CLAIMS_H
#define VLT_TOKEN_CLAIMS_H

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"
#include "libvault/base/wire.h"
#include "libvault/token/token_traits.h"

#define TOKEN_DETAILS_MAX 4
#define TOKEN_GROUPS_MAX 32
#define TOKEN_ACTORS_MAX 4
#define TOKEN_BYTES_MAX 8192
#define TOKEN_PAYLOAD_MAX 5888 // JSON: base64url, header and signature make TOKEN_BYTES_MAX of it

// The longest text of each kind, in bytes.
#define TOKEN_NAME_MAX 64       // tenant, credential, jti, txn, pol, one amr value
#define TOKEN_PRINCIPAL_MAX 512 // issuer, audience, principals
#define TOKEN_CLIENT_MAX 256    // client_id, acr
#define TOKEN_GROUP_MAX 128
#define TOKEN_PATTERN_MAX 256   // a path, model or tool; a method has at most 16

enum token_binding {
    TOKEN_BEARER,
    TOKEN_BOUND_DPOP /* cnf.jkt */,
    TOKEN_BOUND_MTLS /* cnf.x5t#S256 */
};
enum token_principal_kind { TOKEN_USER, TOKEN_WORKLOAD, TOKEN_AGENT };

struct token_detail { // one credential_use
    struct bytes credential;
    struct token_list methods, paths, models, tools; // patterns: '*' at the end only
    uint64_t max_tokens;                             // 0: not limited
};
struct token_actor {
    struct bytes principal; // issuer|subject
    uint8_t kind;           // enum token_principal_kind
};
struct token_claims {
    struct bytes issuer, audience, tenant, id /* jti */;
    struct bytes principal; // `sub`: issuer|subject of who the authority belongs to
    uint8_t principal_kind; // `sub_profile`
    struct bytes client;    // `client_id`
    struct token_actor actors[TOKEN_ACTORS_MAX]; // outermost (current) first
    size_t actor_count;
    struct bytes actor_groups[TOKEN_GROUPS_MAX]; // of the current actor, actors[0]
    size_t actor_group_count;
    struct token_traits actor_traits; // of the current actor
    int64_t issued_at, expires_at, auth_time /* 0: absent */;
    struct bytes correlation /* `txn` */, policy_set /* `pol`, b64u */;
    struct token_traits traits;
    struct bytes groups[TOKEN_GROUPS_MAX];
    size_t group_count;
    uint8_t binding;        // enum token_binding
    uint8_t thumbprint[32]; // of the bound key or certificate
    struct token_detail details[TOKEN_DETAILS_MAX];
    size_t detail_count;
};

void token_claims_put(struct wire_writer *w, const struct token_claims *claims);
// VLT_MALFORMED when a field is missing, too long, or holds what token_claims_check refuses.
vlt_result token_claims_get(struct bytes wire, struct token_claims *ret_claims) VLT_MUST_USE;
// Appends the JWT payload, canonical (RFC 8785). VLT_LIMIT beyond TOKEN_PAYLOAD_MAX.
vlt_result token_claims_json(const struct token_claims *claims, struct buf *out) VLT_MUST_USE;

// What holds for claims wherever they come from: counts and enumerations in
// range, texts within their limits and UTF-8, details well formed (see
// token_details.h), a binding has its thumbprint. VLT_MALFORMED, VLT_LIMIT.
vlt_result token_claims_check(const struct token_claims *claims) VLT_MUST_USE;

const char *token_principal_kind_name(uint8_t kind); // "user", "workload", "agent"; "" for another

// The identifier under which a tenant issues: `base` for the tenant "default",
// base/t/NAME for another. Both are ours, so nothing is escaped. false (text
// untouched) when it does not fit.
#define TOKEN_ISSUER_SIZE (TOKEN_PRINCIPAL_MAX + 1)
bool token_issuer_text(struct bytes base, struct bytes tenant, char text[TOKEN_ISSUER_SIZE]);

#endif
