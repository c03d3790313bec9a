// SPDX-License-Identifier: Apache-2.0
// DESIGN promise 6: a bound token needs the proof of its key, and a token sent
// with another scheme than its own fails.
#include "libvault/base/clock.h"
#include "libvault/identity/dpop.h"
#include "libvault/secret/secret.h"
#include "vaultd/redeemer/redeem.h"

static const struct redeem_refusal *prove_dpop(struct redeem *redeem, const char **ret_reason) {
    const struct redeem_request *r = &redeem->request;
    const struct dpop_expectation expected = {
        .method = r->method, .uri = r->uri, .access_token = r->token, .now_s = clock_now_s(),
        .headers = redeem->redeemer->headers};
    struct dpop_proof proof;
    if (!r->is_dpop || r->proof.size == 0) {
        *ret_reason = "a key-bound token came without its proof";
        return &redeem_refusal_bad_proof;
    }
    if (dpop_verify(r->proof, &expected, &proof, ret_reason) != DPOP_VALID)
        return &redeem_refusal_bad_proof;
    if (!secret_equal(bytes_of(proof.thumbprint, 32), bytes_of(redeem->claims->thumbprint, 32))) {
        *ret_reason = "the proof is by another key than the token's";
        return &redeem_refusal_bad_proof;
    }
    memcpy(redeem->proof_id, proof.id, sizeof redeem->proof_id);
    redeem->proof_until = proof.until;
    return NULL;
}

static const struct redeem_refusal *prove_certificate(const struct redeem *redeem,
                                                      const char **ret_reason) {
    const struct redeem_request *r = &redeem->request;
    if (r->has_certificate &&
        secret_equal(bytes_of(r->certificate, 32), bytes_of(redeem->claims->thumbprint, 32)))
        return NULL;
    *ret_reason = "the client's certificate is not the token's";
    return &redeem_refusal_bad_proof;
}

const struct redeem_refusal *redeem_prove(struct redeem *redeem, const char **ret_reason) {
    if (redeem->claims->binding == TOKEN_BOUND_DPOP)
        return prove_dpop(redeem, ret_reason);
    if (redeem->request.is_dpop) {
        *ret_reason = "an unbound token came with the DPoP scheme";
        return &redeem_refusal_bad_proof;
    }
    if (redeem->claims->binding == TOKEN_BOUND_MTLS)
        return prove_certificate(redeem, ret_reason);
    return NULL; // bearer: the policies allowed it when it was issued
}
