// SPDX-License-Identifier: Apache-2.0
// The public client API: talk to a vault's Admin API (unix socket or TLS) and
// to its broker (OAuth 2.0 over TLS). Used by vaultctl and by other programs.
//
// Blocking, one thread for each `struct vault`. A result's class is the class of
// the HTTP status (400 MALFORMED, 401 and 403 DENIED, 404 NOT_FOUND, 409 and 412
// CONFLICT, 413 LIMIT, 429 and 5xx UNAVAILABLE, 500 BUG); UNAVAILABLE also when
// nobody answers. The fault holds the server's own sentence and names the field.
#ifndef VLT_CLIENT_VAULT_H
#define VLT_CLIENT_VAULT_H

#include <jansson.h>

#include "libvault/base/buf.h"
#include "libvault/base/fault.h"
#include "libvault/secret/secret.h"

#define VAULT_ANSWER_MAX_BYTES (16u << 20)
#define VAULT_SERVER_DEFAULT "unix:/run/vaultd/admin.sock"

struct vault;

struct vault_settings {
    const char *server;  // "unix:/run/vaultd/admin.sock" or "https://host[:port]"
    const char *ca_file; // PEM roots for https; NULL: the system's
    const char *bearer;  // OIDC token for the Admin API over TLS; NULL: none
    unsigned timeout_ms; // of one call; 0: 30,000
};
// Connects with the first call. Texts are copied. VLT_MALFORMED: server is of
// neither form.
vlt_result vault_open(const struct vault_settings *settings, struct fault *fault,
                      struct vault **ret_vault) VLT_MUST_USE;
void vault_close(struct vault *vault); // NULL is fine

// ---- Any call of the Admin API ----

struct vault_call {
    const char *method, *path;  // "GET", "/v1/status"; vault_put_segment escapes a part
    const json_t *body;         // NULL: none
    uint64_t expected_revision; // If-Match; 0: none
};
// The caller owns *ret_body (NULL when the answer has none). ret_body and
// ret_revision (the ETag, 0 when absent) may be NULL.
vlt_result vault_call(struct vault *vault, const struct vault_call *call, struct fault *fault,
                      json_t **ret_body, uint64_t *ret_revision) VLT_MUST_USE;
// The JSON of the last error answer; NULL when there is none. Borrowed until the
// next call.
const json_t *vault_problem(const struct vault *vault);
unsigned vault_status(const struct vault *vault); // HTTP status of the last call; 0: no answer

// Appends `text` percent-encoded for one path segment or query value.
void vault_put_segment(struct buf *out, const char *text);

// ---- Credentials: the value leaves this process only sealed (JWE) ----

struct vault_credential {
    const char *tenant, *name, *profile;
    const json_t *hosts;      // array of texts; NULL: the profile's
    const json_t *parameters; // object of texts; NULL: none
    const char *description;  // NULL: none
    uint32_t grace_s;         // rotation: how long the previous version still opens
    uint64_t expected_revision;
};
enum vault_credential_change {
    VAULT_CREDENTIAL_CREATE,
    VAULT_CREDENTIAL_ROTATE,
    VAULT_CREDENTIAL_STAGE // waits for its promotion; has neither description nor grace
};
// Fetches the intake key, seals `value` to it, sends it. Rotation keeps what is
// NULL as it is.
vlt_result vault_credential_put(struct vault *vault, enum vault_credential_change change,
                                const struct vault_credential *credential,
                                const struct secret *value, struct fault *fault,
                                json_t **ret_body) VLT_MUST_USE;

// ---- Keys that tokens are bound to (RFC 9449) ----

struct vault_key;
// A new P-256 key that lives as long as the process.
vlt_result vault_key_generate(struct vault_key **ret_key) VLT_MUST_USE;
// Unencrypted PEM: EC P-256, P-384, P-521 or Ed25519. The caller wipes pem.
vlt_result vault_key_read(struct bytes pem, struct fault *fault,
                          struct vault_key **ret_key) VLT_MUST_USE;
void vault_key_free(struct vault_key *key); // NULL is fine
const char *vault_key_thumbprint(const struct vault_key *key); // cnf.jkt

struct vault_proof {
    const char *method, *url; // url without query and fragment
    const char *token;        // hashed into `ath`; NULL at the token endpoint
    const char *nonce;        // NULL: none was asked for
};
// Appends a proof for one request; each has its own jti.
vlt_result vault_key_prove(const struct vault_key *key, const struct vault_proof *proof,
                           struct buf *out) VLT_MUST_USE;

// ---- Tokens (RFC 8693 at the broker) ----

struct vault_token_request {
    const char *tenant; // NULL: "default"
    const char *subject_token, *subject_token_type; // type NULL: …:jwt
    const char *actor_token, *actor_token_type;     // NULL: no actor
    const json_t *details;                          // array of credential_use
    const struct vault_key *key;                    // NULL: asks for a bearer token
};
struct vault_token {
    char *text;
    bool is_bound;
    uint64_t lifetime_s;
    json_t *answer; // the whole answer but the token
};
// Answers a broker's demand for a nonce by itself. On failure vault_problem has
// the OAuth error.
vlt_result vault_token_get(struct vault *broker, const struct vault_token_request *request,
                           struct fault *fault, struct vault_token *ret_token) VLT_MUST_USE;
void vault_token_done(struct vault_token *token); // wipes the text
// RFC 7009: ends this token. `key` signs a proof where the token is bound.
vlt_result vault_token_revoke(struct vault *broker, const char *tenant, const char *token,
                              const struct vault_key *key, struct fault *fault) VLT_MUST_USE;

#endif
