// SPDX-License-Identifier: Apache-2.0
// One audit event: what every process says about a decision or a change, and the
// canonical JSON (RFC 8785) that the auditor writes. Never a secret, a token or
// a prompt. JSON: schemas/audit-entry.schema.json; empty members are left out.
#ifndef VLT_AUDIT_EVENT_H
#define VLT_AUDIT_EVENT_H

#include "libvault/base/buf.h"
#include "libvault/base/wire.h"

enum audit_kind {
    AUDIT_ISSUE = 1, AUDIT_REDEEM, AUDIT_REVOKE, AUDIT_INTROSPECT, AUDIT_EVALUATE,
    AUDIT_ADMIN,     // a change by an administrator; `operation` says which
    AUDIT_VAULT,     // start, stop, init, seal, unseal, reload, restart of a role
    AUDIT_DEVICE,
    AUDIT_KIND_COUNT
};
enum audit_outcome { AUDIT_ALLOW = 1, AUDIT_DENY, AUDIT_ERROR, AUDIT_OUTCOME_COUNT };
const char *audit_kind_name(enum audit_kind kind);
const char *audit_outcome_name(enum audit_outcome outcome);

// name in JSON, maximum bytes. All are texts.
#define AUDIT_TEXTS(TEXT)                                                                          \
    TEXT(tenant, 64)                                                                               \
    TEXT(operation, 64)      /* "credential.put", "token.issue", "vault.unseal" */                 \
    TEXT(principal, 512)     /* issuer|subject */                                                  \
    TEXT(actor, 512)         /* acting agent, issuer|subject */                                    \
    TEXT(groups, 1024)       /* on issue: the principal's, one a line */                           \
    TEXT(client, 256)                                                                              \
    TEXT(administrator, 256) /* "uid 0 (root)" or issuer|subject */                                \
    TEXT(token_id, 64)                                                                             \
    TEXT(credential, 264)    /* name, or names joined by a space: four of 64 bytes */              \
    TEXT(policy_set, 64)     /* b64u of its hash */                                                \
    TEXT(policies, 1024)     /* determining policies, joined by a space (policy_words.h) */        \
    TEXT(reason, 512)        /* why it was denied, failed, mended */                               \
    TEXT(method, 16)                                                                               \
    TEXT(host, 256)                                                                                \
    TEXT(path, 1024)                                                                               \
    TEXT(model, 256)                                                                               \
    TEXT(tool, 256)                                                                                \
    TEXT(forwarder, 64)                                                                            \
    TEXT(source, 64)         /* address of the caller, "unix uid 0" */                             \
    TEXT(correlation, 64)                                                                          \
    TEXT(subject, 256)       /* what an administrative operation was about */

struct audit_event {
    uint8_t kind, outcome;
    uint32_t version; // of the credential; 0: none
    uint64_t max_tokens; // that a request may produce at most; 0: not known
    uint32_t repeats; // the entry stands for so many more of the same; 0: for itself
    uint64_t at_us;   // POSIX microseconds; the auditor sets it when 0
#define AUDIT_MEMBER(name, max) struct bytes name;
    AUDIT_TEXTS(AUDIT_MEMBER)
};
// Longer texts are cut at a UTF-8 boundary, never refused: an event must not get
// lost because a caller sent a long path. What was cut ends with "…", in members of 128
// bytes and more with "…sha256:" and the hash of the whole text in base64url. A compact
// JWS or JWE in a text becomes "(token)".
void audit_event_put(struct wire_writer *w, const struct audit_event *event);
// Borrows from `bytes`.
vlt_result audit_event_get(struct bytes bytes, struct audit_event *ret_event) VLT_MUST_USE;
// Appends {"…"} without a line end.
void audit_event_json(const struct audit_event *event, uint64_t sequence, struct buf *out);

#endif
