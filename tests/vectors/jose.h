// SPDX-License-Identifier: Apache-2.0
// What the kinds jwk, jws and jwe share.
#ifndef VLT_TESTS_VECTORS_JOSE_H
#define VLT_TESTS_VECTORS_JOSE_H

#include "libvault/crypto/jws.h"
#include "tests/vectors/wycheproof.h"

// A key, or a set, from a file that may hold private and symmetric keys, through
// the same text parser as an issuer's.
#define JOSE_ALLOW_ALL (JWK_ALLOW_PRIVATE | JWK_ALLOW_OCT)
vlt_result jose_key(const json_t *object, unsigned allow, struct jwk **ret_key) VLT_MUST_USE;
vlt_result jose_set(const json_t *object, unsigned allow, struct jwk_set **ret_set) VLT_MUST_USE;

// The key of a Wycheproof group: "public" where there is one, else "private", as
// a set in either case. Sets of public keys are parsed as an issuer's.
vlt_result jose_group_set(const json_t *group, struct jwk_set **ret_set) VLT_MUST_USE;
// For decryption: the private one.
vlt_result jose_group_private(const json_t *group, struct jwk_set **ret_set) VLT_MUST_USE;

// Has a test of the group this member ("jws", "jwe")?
bool jose_has(const json_t *group, const char *member);
bool jose_has_flag(const json_t *test, const char *name);

// Verifies a compact JWS with the key that its kid names in the set.
vlt_result jose_verify(struct bytes compact, const struct jwk_set *set,
                       struct jws_parts *ret_parts) VLT_MUST_USE;
// A Wycheproof group of keys with a JWS for each test (jws.c); kind jwk takes them too.
void jose_jws_group(const char *path, const json_t *file, json_t *group);
// A Wycheproof group of ECDH or X25519 with JWKs (agreement.c); kinds jwk and jwe.
bool jose_is_agreement(const json_t *group);
void jose_agreement_group(const char *path, const json_t *file, json_t *group);
// A Wycheproof group of plain signatures (ecdsa.c); kind jws takes them too.
void jose_signature_group(const char *path, const json_t *file, json_t *group);
// Was something refused that we lack or refuse by design, not because it is wrong?
bool jose_is_by_design(vlt_result result);
// What came of a case: "valid" must have been accepted, unless it is refused by design.
void jose_judge(const char *path, const char *what, const char *expected, vlt_result result);
// Of a cookbook file: the i-th of a list, or the one that stands in its place.
const json_t *jose_nth(const json_t *list_or_one, size_t i);
// protected.payload.signature
void jose_put_compact(struct buf *out, const char *protected_b64, const char *payload_b64,
                      const char *signature_b64);
// input.payload or input.plaintext of a cookbook file, in base64url.
void jose_put_b64u(struct buf *out, const char *text);

#endif
