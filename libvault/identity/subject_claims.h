// SPDX-License-Identifier: Apache-2.0
// Inside of libvault/identity: what a verified payload says about its principal.
#ifndef VLT_IDENTITY_SUBJECT_CLAIMS_H
#define VLT_IDENTITY_SUBJECT_CLAIMS_H

#include "libvault/identity/subject.h"

// NumericDate (RFC 7519, section 2) as seconds; what it has of a second is dropped, so a
// token does not live longer for it. False: no number, before 1970-01-01T00:00:01Z or
// after the year 9999.
bool claim_time(const json_t *value, int64_t *ret_s) VLT_MUST_USE;

// Registered claims, read by libjwt once the strict parser has read the text and the
// types are known to be right (libjwt reads a text `exp` as 0). libjwt is given them
// alone, as that parser read them: another reading of the whole text could differ
// from what was checked.
struct registered_claims {
    int64_t exp, nbf, iat, auth_time; // 0: absent
};
vlt_result claims_read_registered(const json_t *claims,
                                  struct registered_claims *ret) VLT_MUST_USE;
// aud, azp, exp, nbf, iat, age, and the issuer's requirements. VLT_DENIED.
vlt_result claims_check(const struct issuer *issuer, const struct subject_expectation *expected,
                        const json_t *claims,
                        const struct registered_claims *registered) VLT_MUST_USE;
// The part of claims_check that changes as time goes by.
vlt_result claims_check_times(const struct issuer *issuer, int64_t now_s,
                              const struct registered_claims *registered) VLT_MUST_USE;
// Fills principal, client, groups, acr, amr, … of subject from subject->claims.
vlt_result claims_map(const struct issuer *issuer, struct subject *subject) VLT_MUST_USE;

#endif
