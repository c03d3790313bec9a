// SPDX-License-Identifier: Apache-2.0
// What identifies a person in the audit log, as a keyed hash (audit.pseudonym_key):
// the same person has the same pseudonym everywhere, and only who has the key can
// say whose it is. Destroying the key makes the log anonymous.
//
//   issuer|subject     issuer|~ and 22 characters
//   uid 1000 (alice)   uid ~ and 22 characters, over "uid 1000"; in a source: unix uid ~…
//   anything else      ~ and 22 characters
//
// which are base64url of the first 16 bytes of HMAC-SHA-256 over the text.
#ifndef VLT_AUDIT_PSEUDONYM_H
#define VLT_AUDIT_PSEUDONYM_H

#include "libvault/audit/event.h"

#define PSEUDONYM_KEY_MIN 32 // bytes
#define PSEUDONYM_KEY_MAX 256
#define PSEUDONYM_TEXT_MAX 640

// The pseudonym of a text, in `room`; root, who is nobody, stays ("uid 0 (root)").
// VLT_LIMIT: the issuer is too long.
vlt_result pseudonym_of(struct bytes key, struct bytes text, char room[PSEUDONYM_TEXT_MAX],
                        struct bytes *ret_text) VLT_MUST_USE;

// Room for the texts of one event.
struct pseudonym_room {
    char principal[PSEUDONYM_TEXT_MAX], actor[PSEUDONYM_TEXT_MAX], client[PSEUDONYM_TEXT_MAX];
    char administrator[PSEUDONYM_TEXT_MAX], source[PSEUDONYM_TEXT_MAX], subject[PSEUDONYM_TEXT_MAX];
};
// Replaces principal, actor and an administrator who is a person; what a change was about
// and a client where they are a principal; and the source. What can not be hashed is
// emptied.
void pseudonym_event(struct bytes key, struct audit_event *event, struct pseudonym_room *room);

#endif
